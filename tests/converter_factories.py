"""Converters between encoders that only multiply by a matrix, as files on disk."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tests.onnx_factories import linear_model
from workers.migration.conversion import ConversionReport, Converter, converter_path, load_converter, views_path

REPORT = ConversionReport(
    trained_on=100,
    held_out=20,
    queries=160,
    native=0.9,
    converted=0.88,
    old=0.85,
    found_native=0.8,
    found_converted=0.7,
    found_old=0.75,
    false_native=1e-5,
    false_converted=1e-5,
    cosine=0.93,
    bits=0.9,
)


def rotation(inputs: int, outputs: int, seed: int = 0) -> np.ndarray:
    """An inputs x outputs matrix whose rows are orthonormal: products of vectors stay what they are."""
    square = np.random.default_rng(seed).normal(size=(outputs, outputs))
    return np.linalg.qr(square)[0][:inputs].astype(np.float32)


def write_converter(
    folder: Path,
    source: str = "e1",
    target: str = "e2",
    *,
    weights: np.ndarray,
    views: np.ndarray | None = None,
    scale: float = 1.0,
) -> Path:
    """Write a converter that multiplies by ``weights``, and views by ``views`` (None: it leaves them out)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = converter_path(folder, source, target)
    path.write_bytes(linear_model(weights))
    if views is not None:
        views_path(path).write_bytes(linear_model(views))
    facts = {
        "source": source,
        "target": target,
        "encoders": ["0" * 64, "1" * 64],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "views": "" if views is None else hashlib.sha256(views_path(path).read_bytes()).hexdigest(),
        "scale": scale,
        "report": asdict(REPORT),
    }
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


def make_converter(folder: Path, source: str = "e1", target: str = "e2", **kwargs: object) -> Converter:
    """``write_converter``, loaded."""
    write_converter(folder, source, target, **kwargs)  # type: ignore[arg-type]
    return load_converter(folder, source, target)
