"""Recall of the fingerprinter beside its baselines, on pictures that no training has seen.

"encoder" is one vector a reference, "enrolled views" what the product keeps (workers/reference_views.py).

Database: 300 references (120 ImageNet samples, 50 BSDS, 130 garments) and at least 1,200 distractors. Queries: every
reference under 24 transformations, and at least 1,000 transformed pictures that are not in the database. Held out by
SHA-256 modulo 4; near-duplicates (correlation of 16 x 16 grey thumbnails > .98) are removed from everywhere.
R@1 = mean over the transformations; uAP and R@P99 (recall at precision .99, one global threshold) are pooled over all
queries, ten best candidates each. Hard on purpose: most garments lie on the same floor.

    python -m benchmarks.recall [--data ../shared/data] [--model FILE.onnx] [--out FILE.json] [--references 300]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from benchmarks.recall_edits import TRANSFORMS, canonical
from workers.reference_views import reference_views
from workers.training.dataset import Item, held_out, read_archives, squash

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL: Final = ROOT / "workers" / "models" / "f1-96-v1" / "encoder.onnx"
REFERENCES: Final = {"photos/imagenet_samples": 120, "photos/bsds500": 50, "photos/clothing": 130}
# Never used: 64 px originals say little about pictures of today.
LEFT_OUT: Final = ("photos/tiny_imagenet64",)
DISTRACTORS: Final = 1220
NEGATIVES: Final = 1080
NEAR_DUPLICATE: Final = 0.98
CANDIDATES: Final = 10
SIDE: Final = 96

type Vectors = NDArray[np.float32]
type Describe = Callable[[Image.Image], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Pictures of the three roles."""

    references: list[Item]
    distractors: list[Item]
    negatives: list[Item]


def thumbnails(items: list[Item]) -> Vectors:
    """N x 256 standardised grey thumbnails: their dot product is the correlation."""
    rows = np.stack(
        [
            np.asarray(item.image.convert("L").resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
            for item in items
        ]
    )
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def without_near_duplicates(items: list[Item]) -> list[Item]:
    """Drops every picture that looks like an earlier one."""
    similar = np.tril(thumbnails(items) @ thumbnails(items).T > NEAR_DUPLICATE, -1).any(axis=1)
    return [item for item, drop in zip(items, similar, strict=True) if not drop]


def split(data: Path, references: int) -> Split:
    """The held-out pictures, shuffled by a fixed seed, cut into the three roles."""
    items = [item for item in read_archives(data, wanted=held_out) if item.source not in LEFT_OUT]
    random.Random(7).shuffle(items)
    items = without_near_duplicates(items)
    share = references / sum(REFERENCES.values())
    wanted = {source: round(count * share) for source, count in REFERENCES.items()}
    chosen: list[Item] = []
    rest: list[Item] = []
    for item in items:
        if wanted.get(item.source, 0) > 0:
            wanted[item.source] -= 1
            chosen.append(item)
        else:
            rest.append(item)
    return Split(
        references=chosen, distractors=rest[:DISTRACTORS], negatives=rest[DISTRACTORS : DISTRACTORS + NEGATIVES]
    )


def phash(image: Image.Image) -> NDArray[np.uint8]:
    """64 bits: low frequencies of a 32 x 32 cosine transform against their median (the usual perceptual hash)."""
    pixels = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    steps = np.arange(32)
    basis = np.cos(np.pi * np.outer(np.arange(8), 2 * steps + 1) / 64)
    low = (basis @ pixels @ basis.T).ravel()
    return (low > np.median(low)).astype(np.uint8)


def embedder(model: Path) -> Callable[[list[Image.Image]], Vectors]:
    """Pillow's squash to 96 x 96 and the ONNX file, as the product computes it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def embed(images: list[Image.Image]) -> Vectors:
        pixels = np.stack([np.asarray(squash(image, SIDE), np.float32).transpose(2, 0, 1) for image in images])
        return np.asarray(session.run(["z"], {"x": pixels})[0], np.float32)

    return embed


def describe_all(
    images: Iterator[Image.Image], embed: Callable[[list[Image.Image]], Vectors]
) -> dict[str, NDArray[Any]]:
    """All descriptors of the pictures: `phash` N x 64, `pdq` N x 8 x 256 (the dihedral variants), `encoder` N x 512."""
    hashes, pdqs, vectors = [], [], []
    for image in images:
        hashes.append(phash(image))
        pdqs.append(np.stack(pdqhash.compute_dihedral(np.asarray(image))[0]).astype(np.uint8))
        vectors.append(embed([image])[0])
    return {"phash": np.stack(hashes), "pdq": np.stack(pdqs), "encoder": np.stack(vectors)}


def hamming_similarity(queries: NDArray[np.uint8], references: NDArray[np.uint8]) -> Vectors:
    """Minus the Hamming distance of N x B against M x B bits."""
    q, r = queries.astype(np.float32), references.astype(np.float32)
    return np.asarray(q @ r.T * 2 - q.sum(axis=1)[:, None] - r.sum(axis=1)[None], np.float32)


def similarities(queries: dict[str, NDArray[Any]], database: dict[str, NDArray[Any]]) -> dict[str, Vectors]:
    """Method -> N x M similarities, larger is closer."""
    variants = [hamming_similarity(queries["pdq"][:, k], database["pdq"][:, 0]) for k in range(queries["pdq"].shape[1])]
    return {
        "pHash": hamming_similarity(queries["phash"], database["phash"]),
        "PDQ": variants[0],
        "PDQ x 8": np.max(variants, axis=0),
        "encoder": queries["encoder"] @ database["encoder"].T,
        "encoder, enrolled views": np.max([queries["encoder"] @ view.T for view in database["views"]], axis=0),
    }


def pooled(similarity: Vectors, truth: NDArray[np.int64]) -> tuple[float, float, float]:
    """(uAP, recall at precision .99, its similarity) over all queries; truth is -1 where nothing is to be found."""
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :CANDIDATES]
    scores = np.take_along_axis(similarity, best, axis=1).ravel()
    right = (best == truth[:, None]).ravel()
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(order) + 1)
    positives = int((truth >= 0).sum())
    average = float((precision * right[order]).sum() / positives)
    good = np.flatnonzero(precision >= 0.99)
    if not len(good):
        return average, 0.0, float("nan")
    return average, float(hits[good[-1]] / positives), float(scores[order[good[-1]]])


def figures(similarity: Vectors, truth: NDArray[np.int64], names: list[str]) -> dict[str, Any]:
    """Everything reported about one method."""
    right = similarity.argmax(axis=1) == truth
    per = {name: round(float(right[[n == name for n in names]].mean()), 4) for name in TRANSFORMS}
    uap, recall, at = pooled(similarity, truth)
    return {
        "R@1": round(float(np.mean(list(per.values()))), 4),
        "uAP": round(uap, 4),
        "R@P99": round(recall, 4),
        "threshold": round(at, 4),
        "per_transform": per,
    }


def queries_of(parts: Split) -> Iterator[tuple[str, int, Image.Image]]:
    """(transformation, number of the reference or -1, picture) of every query."""
    rng = random.Random(11)
    names = list(TRANSFORMS)
    others = parts.negatives
    for number, item in enumerate(parts.references):
        picture = canonical(item.image)
        for name in names:
            yield name, number, TRANSFORMS[name](picture, rng, canonical(rng.choice(others).image))
    for item in parts.negatives:
        yield (
            "negative",
            -1,
            TRANSFORMS[rng.choice(names)](canonical(item.image), rng, canonical(rng.choice(others).image)),
        )


def measure(data: Path, model: Path, references: int) -> dict[str, Any]:
    """The whole benchmark as one JSON-able object."""
    started = time.monotonic()
    parts = split(data, references)
    embed = embedder(model)
    enrolled = [canonical(item.image) for item in [*parts.references, *parts.distractors]]
    database = describe_all(iter(enrolled), embed)
    database["views"] = np.stack([embed(reference_views(image)) for image in enrolled], axis=1)
    names: list[str] = []
    truth: list[int] = []

    def pictures() -> Iterator[Image.Image]:
        for name, number, picture in queries_of(parts):
            names.append(name)
            truth.append(number)
            yield picture

    described = describe_all(pictures(), embed)
    target = np.array(truth, np.int64)
    return {
        "references": len(parts.references),
        "distractors": len(parts.distractors),
        "negatives": len(parts.negatives),
        "queries": len(truth),
        "model": model.parent.name,
        "seconds": round(time.monotonic() - started),
        "methods": {
            name: figures(similarity, target, names) for name, similarity in similarities(described, database).items()
        },
    }


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table, one line a method, transformations in per cent."""
    lines = ["| method | R@1 | uAP | R@P99 | " + " | ".join(TRANSFORMS) + " |", "| --- " * (4 + len(TRANSFORMS)) + "|"]
    for name, row in result["methods"].items():
        per = " | ".join(f"{100 * row['per_transform'][key]:.0f}" for key in TRANSFORMS)
        lines.append(f"| {name} | {row['R@1']:.3f} | {row['uAP']:.3f} | {row['R@P99']:.3f} | {per} |")
    return "\n".join(lines)


def main() -> None:
    """Command line: prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("SAFELIGHT_CORPUS", ROOT.parent / "shared" / "data"))
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--references", type=int, default=sum(REFERENCES.values()))
    arguments = parser.parse_args()
    if not any(arguments.data.glob("photos/*.tar")):
        parser.exit(2, f"{arguments.data} holds no pictures: name the folder with --data or SAFELIGHT_CORPUS\n")
    result = measure(arguments.data, arguments.model, arguments.references)
    print(table(result))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
