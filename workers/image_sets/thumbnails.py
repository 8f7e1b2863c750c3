"""Small pictures of references for the analyst, only where a set keeps them; encrypted with the deployment's key."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from shared.sealing import Sealer
from shared.types import Reference

LONG_SIDE: Final = 160
"""Pixels: enough to tell which drawing it is, too few to read a page of text."""
QUALITY: Final = 60


def seal_thumbnail(plane: bytes, size: tuple[int, int], sealer: Sealer, *, set_name: str, reference: str) -> bytes:
    """Return a sealed grey JPEG of the plane, ``size`` = (width, height); empty for an empty plane."""
    if not plane:
        return b""
    picture = Image.frombytes("L", size, plane)
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return sealer.seal(file.getvalue(), place=_place(set_name, reference))


def open_thumbnail(reference: Reference, sealer: Sealer) -> bytes:
    """Return the JPEG, empty where none is kept; raises IntegrityError for another key's or another reference's."""
    if not reference.thumbnail:
        return b""
    return sealer.open(reference.thumbnail, place=_place(reference.set, reference.reference))


def _place(set_name: str, reference: str) -> str:
    return f"thumbnail/{set_name}/{reference}"
