"""Trains the codebook of the local features on training pictures and the project's own drawings.

    python -m workers.training.codebook --data ../shared/data --out workers/models/local-v1/codebook.npz

Lloyd's k-means for the centroids and the words; the rotation is the principal directions of the residuals, mixed at
random so that every sign is worth the same (Jégou et al., ECCV 2008).  Takes about 6 minutes of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image

from workers.closer_look.codebook import CELL, CELLS, CENTROIDS, DIMENSION, HALF, HALVES, LARGEST, SIGNS, Floats
from workers.closer_look.local_features import REFERENCE_FEATURES, extract
from workers.decoding.pixels import PLANE_SIDE
from workers.training.dataset import Item, held_out, read_archives, read_drawings

ROUNDS: Final = 12
SAMPLE: Final = 120_000
"""Descriptors that k-means sees: 470 a centroid."""
PER_SOURCE: Final = 300
PER_FAMILY: Final = 40
LEFT_OUT: Final = ("photos/tiny_imagenet64",)
"""64 x 64 pixels hold too few features."""


def pictures(data: Path | None) -> Iterator[Item]:
    """At most `PER_SOURCE` training pictures of each source, `PER_FAMILY` drawings of each family."""
    sources: Counter[str] = Counter()
    if data is not None:
        for item in read_archives(data, wanted=lambda payload: not held_out(payload)):
            sources[item.source] += 1
            if item.source not in LEFT_OUT and sources[item.source] <= PER_SOURCE:
                yield item
    yield from read_drawings(PER_FAMILY)


def plane_of(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture in grey, its long side `PLANE_SIDE` pixels."""
    scale = PLANE_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC))


def nearest(points: Floats, centroids: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The number of each point's nearest centroid."""
    half_lengths = (centroids**2).sum(1) / 2
    blocks = [
        (block @ centroids.T - half_lengths).argmax(1) for block in np.array_split(points, len(points) // 8192 + 1)
    ]
    return np.concatenate(blocks)


def k_means(points: Floats, rng: np.random.Generator) -> Floats:
    """`CENTROIDS` centroids by Lloyd's rounds; an empty one is put on a random point."""
    centroids = points[rng.choice(len(points), CENTROIDS, replace=False)].copy()
    for _ in range(ROUNDS):
        assigned = nearest(points, centroids)
        counts = np.bincount(assigned, minlength=CENTROIDS)
        for column in range(points.shape[1]):
            sums = np.bincount(assigned, weights=points[:, column], minlength=CENTROIDS)
            centroids[:, column] = sums / np.maximum(counts, 1)
        empty = np.flatnonzero(counts == 0)
        centroids[empty] = points[rng.choice(len(points), len(empty), replace=False)]
    return centroids


def train(descriptors: Floats, seed: int = 4) -> dict[str, Floats]:
    """The tables of `Codebook` from n x 128 descriptors."""
    rng = np.random.default_rng(seed)
    sample = descriptors[rng.permutation(len(descriptors))[:SAMPLE]]
    cells = sample.reshape(-1, CELLS, CELL)
    halves = sample.reshape(-1, HALVES, HALF)
    words = [k_means(np.ascontiguousarray(halves[:, half]), rng) for half in range(HALVES)]
    parts = [halves[:, half] - words[half][nearest(halves[:, half], words[half])] for half in range(HALVES)]
    residuals = np.concatenate(parts, axis=1)
    directions = np.linalg.eigh(residuals.T @ residuals)[1][:, ::-1][:, :SIGNS]
    mixing = np.linalg.qr(rng.normal(size=(SIGNS, SIGNS)))[0]
    return {
        "centroids": np.stack([k_means(np.ascontiguousarray(cells[:, cell]), rng) for cell in range(CELLS)]),
        "words": np.stack(words),
        "rotation": (directions @ mixing).astype(np.float32),
    }


def main() -> None:
    """Command line: the codebook and, beside it, its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the archives; without it drawings alone")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    seen: Counter[str] = Counter()
    found: list[Floats] = []
    for item in pictures(arguments.data):
        seen[item.source] += 1
        found.append(extract(plane_of(item.image), limit=REFERENCE_FEATURES).descriptors)
    descriptors = np.concatenate(found)
    stream = io.BytesIO()
    halved: dict[str, Any] = {key: table.astype(np.float16) for key, table in train(descriptors).items()}
    np.savez_compressed(stream, **halved)
    payload = stream.getvalue()
    if len(payload) > LARGEST:
        raise SystemExit(f"{len(payload)} bytes are too many for a codebook")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(payload)
    facts = {
        "file": arguments.out.name,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "bytes": len(payload),
        "features": "RootSIFT (OpenCV) of the grey plane",
        "tables": {
            "centroids": f"{CELLS} x {CENTROIDS} x {CELL} float16: product quantisation, 16 bytes a descriptor",
            "words": f"{HALVES} x {CENTROIDS} x {HALF} float16: inverted multi-index, 65,536 words",
            "rotation": f"{DIMENSION} x {SIGNS} float16: signs of the residual",
        },
        "descriptors": {"found": len(descriptors), "used": min(len(descriptors), SAMPLE)},
        "pictures": dict(sorted(seen.items())),
        "held_out": "every file whose SHA-256 is 0 modulo 4",
    }
    (arguments.out.parent / "codebook.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
