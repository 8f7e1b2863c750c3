"""A checkpoint becomes an encoder version: a folder with its model files and its card, ready to be calibrated."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.training.card import version_card
from workers.training.dataset import DRAWN, open_cache, read_archives, squash
from workers.training.drawing import FAMILIES, TRAINING_SEEDS, draw
from workers.training.export import export_version

# Of the archives' files, by content: one in 64 of those trained on, and one in 64 of those held out (0 modulo 4).
ONE_IN: Final = 64
CALIBRATING_REMAINDER: Final = 1
COMPARING_REMAINDER: Final = 0
CACHED: Final = 300
DRAWN_PER_FAMILY: Final = 6
EXPORT_SEEDS: Final = TRAINING_SEEDS + 600_000_000
"""Drawings that neither training nor the background bank has."""

type Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """N x side x side x 3 pixels each: what int8's ranges are measured on, and what files and torch are compared on."""

    calibrating: Pixels
    comparing: Pixels


def write_version(
    checkpoint: Path, folder: Path, *, side: int, data: Path | None = None, local: bool = False
) -> dict[str, Any]:
    """Writes every file of the version but its calibrations; returns its card.

    `local`: it stays in the deployment that made it, where its name may come back with other files.
    Raises ExportError for a file that does not compute what the checkpoint computes, ValueError for a file that is no
    checkpoint or a side that the network cannot take, FileNotFoundError where `data` holds no archives.
    """
    pictures = gather(checkpoint.parent, data, side)
    precisions = export_version(checkpoint, folder, calibrating=pictures.calibrating, comparing=pictures.comparing)
    run = checkpoint.parent
    # A run of a few steps has written no line yet.
    curve = run / "loss.jsonl"
    known = curve.exists() and curve.stat().st_size > 0 and (run / "cache" / "meta.json").exists()
    facts = version_card(folder.resolve().name, side, precisions, run if known else None)
    if local:
        facts["local"] = True
    (folder / "card.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts


def gather(run: Path, data: Path | None, side: int) -> Pictures:
    """Photographs of the archives under `data`, else of the training's own cache where it has one; and drawings."""
    if data is not None:
        if not any(data.glob("*/*.tar")):
            raise FileNotFoundError(f"no archives under {data}")
        photographs = [_archived(data, rest) for rest in (CALIBRATING_REMAINDER, COMPARING_REMAINDER)]
    elif (run / "cache" / "meta.json").exists():
        cached = list(_cached(run / "cache"))
        photographs = [iter(cached[::2]), iter(cached[1::2])]
    else:
        photographs = [iter(()), iter(())]
    calibrating, comparing = (
        np.stack([np.asarray(squash(image, side)) for image in (*images, *_drawings(part))])
        for part, images in enumerate(photographs)
    )
    return Pictures(calibrating=calibrating, comparing=comparing)


def _archived(data: Path, remainder: int) -> Iterator[Image.Image]:
    def wanted(payload: bytes) -> bool:
        return int(hashlib.sha256(payload).hexdigest(), 16) % ONE_IN == remainder

    return (item.image for item in read_archives(data, wanted=wanted))


def _cached(cache: Path) -> Iterator[Image.Image]:
    corpus = open_cache(cache)
    photographed = [row for row in range(len(corpus)) if corpus.sources[corpus.source[row]] != DRAWN]
    random.Random(0).shuffle(photographed)
    return (Image.fromarray(np.asarray(corpus.large[row])) for row in photographed[: 2 * CACHED])


def _drawings(part: int) -> Iterator[Image.Image]:
    for family in FAMILIES:
        for index in range(DRAWN_PER_FAMILY):
            yield draw(family, EXPORT_SEEDS + part * DRAWN_PER_FAMILY + index)


__all__ = ["Pictures", "gather", "write_version"]
