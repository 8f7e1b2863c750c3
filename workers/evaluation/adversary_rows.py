"""What `workers.evaluation.adversary` measured, as a section of the report.  Pure: the file in, tables out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from shared.errors import IntegrityError
from workers.evaluation.figures import upper_bound
from workers.evaluation.tables import Cell, Section, Table, columns, flow

LARGEST: Final = 4 << 20
"""Characters of a file; one row takes 300."""
MOST_ROWS: Final = 5_000

_AIMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "evasion": (
            "Evasion: share of copies that are no longer found",
            "A copy of a reference, plain or edited, is pushed away from every view of it.",
        ),
        "collision": (
            "Targeted collision: share of innocent pictures that match the reference they were pulled to",
            "Framing somebody, or having their file deleted: an unrelated picture is pulled to another's reference.",
        ),
        "poisoning": (
            "Poisoning: share of innocent pictures that match a set of poisoned references",
            "Pictures are pulled to the crowd of ordinary pictures and then enrolled.",
        ),
    }
)
_SURFACES: Final[Mapping[str, str]] = MappingProxyType({"picture": "at its own size", "input": "at the encoder's"})
_MATCHERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "encoder": "encoder alone",
        "pdq": "PDQ alone",
        "local": "local features alone",
        "usual": "whole path, gated",
        "thorough": "whole path, thorough",
        "proven": "proof to delete",
    }
)
_COLUMNS: Final = columns(
    ("attack", "attack", "text"),
    ("surface", "picture", "text"),
    ("defence", "defence", "text"),
    ("pairs", "pairs", "count"),
    ("psnr", "PSNR dB", "number"),
    ("cosine_before", "cosine before", "number"),
    ("cosine", "cosine after", "number"),
    *((key, title, "share") for key, title in _MATCHERS.items()),
    ("at_most", "gated, at most", "share"),
)


def section_of(text: str) -> Section:
    """The section that a file of the adversary makes; raises IntegrityError for any other text."""
    if len(text) > LARGEST:
        raise IntegrityError(f"an adversary's results have at most {LARGEST} characters, these {len(text)}")
    try:
        values = json.loads(text)
        rows = [(str(row["aim"]), _row(row)) for row in values["rows"][:MOST_ROWS]]
        facts = {key: int(values[key]) for key in ("pictures", "poisoned", "steps", "canvas", "side")}
        encoder, threshold = str(values["encoder"]), float(values["threshold"])
        seconds = float(values["seconds"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise IntegrityError(f"not the results of an adversary: {error!r}") from error
    unknown = {aim for aim, _ in rows} - set(_AIMS)
    if unknown:
        raise IntegrityError(f"not the results of an adversary: unknown aims {sorted(unknown)}")
    tables = tuple(
        Table(
            name=aim,
            title=title,
            columns=_COLUMNS,
            rows=tuple(row for of_aim, row in rows if of_aim == aim),
            note=_note(aim, note, facts),
        )
        for aim, (title, note) in _AIMS.items()
        if any(of_aim == aim for of_aim, _ in rows)
    )
    return Section(
        name="adversary",
        title="An adversary who knows the weights",
        text=_text(encoder, threshold, facts),
        tables=tables,
        seconds=seconds,
    )


def _row(row: Mapping[str, Any]) -> dict[str, Cell]:
    pairs, eps, evades = int(row["pairs"]), int(row["eps"]), row["aim"] == "evasion"
    counts = {key: int(row[key]) for key in _MATCHERS}
    if pairs < 1 or not all(0 <= count <= pairs for count in counts.values()):
        raise ValueError(f"{counts} of {pairs} pairs")
    succeeded = {key: pairs - count if evades else count for key, count in counts.items()}
    attack = f"{eps}/255{', knows the crop' if row['adaptive'] else ''}" if eps else "none"
    return {
        "attack": attack,
        "surface": _SURFACES[row["surface"]],
        "defence": str(row["defence"]),
        "pairs": pairs,
        "psnr": None if row["psnr"] is None else float(row["psnr"]),
        "cosine_before": float(row["cosine_before"]),
        "cosine": float(row["cosine"]),
        **{key: count / pairs for key, count in succeeded.items()},
        "at_most": upper_bound(succeeded["usual"], pairs),
    }


def _note(aim: str, note: str, facts: Mapping[str, int]) -> str:
    if aim == "poisoning":
        return f"{note} {facts['poisoned']} such references, {facts['pictures']} innocent pictures."
    return (
        f"{note} {facts['pictures']} pairs; 'at most' is the one-sided 95 % bound of what the gated path lets happen."
    )


def _text(encoder: str, threshold: float, facts: Mapping[str, int]) -> str:
    return flow(
        f"""White-box projected gradient descent (Madry et al. 2018; L-infinity, {facts["steps"]} steps from a random
        start) on {encoder}, on held-out pictures of at most {facts["canvas"]} px and on their squares of
        {facts["side"]} px.  Every figure is the share of pairs in which the attacker succeeds at threshold
        {threshold:g}, after rounding to 8 bits; rows without an attack are what happens anyway, and what a defence
        costs.  'Proof to delete': identical bytes, geometric agreement or two matchers, without which a file is only
        tagged.  The attack is on the encoder; whoever also attacks PDQ and the local features will do better than
        these rows."""
    )
