"""Names inside containers are hostile text: made fit to be shown, and for nothing else."""

from __future__ import annotations

from typing import Final

MAX_SEGMENT: Final = 100
"""Characters of one name; more than most files have."""
MAX_PATH: Final = 500
"""Characters of a whole path, nested containers included; the end is what tells most, so the beginning goes."""
_NOWHERE: Final = frozenset({"", ".", ".."})


def clean(name: str) -> str:
    """Return a member's name without what could lead elsewhere or hide: no roots, ``..``, control or odd characters."""
    plain = name.encode("utf-8", "replace").decode()[-2 * MAX_PATH :].replace("\\", "/")
    segments = ("".join(char for char in part if char.isprintable())[-MAX_SEGMENT:] for part in plain.split("/"))
    return "/".join(part for part in segments if part.strip() not in _NOWHERE)[-MAX_PATH:].lstrip("/")


def inside(path: str, name: str, number: int) -> str:
    """Return the path of the member ``name`` of the container at ``path``; the ``number``-th where it has no name."""
    joined = f"{path}/{clean(name) or number}" if path else clean(name) or str(number)
    return joined[-MAX_PATH:].lstrip("/")
