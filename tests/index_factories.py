"""Values for tests of the index: a made-up calibration, random pictures' fingerprints, a fingerprinter by rule."""

from __future__ import annotations

import math
from hashlib import sha256
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import Calibration, Curve, fused_scores
from shared.errors import DecodeError, ErrorCode
from shared.sealing import Sealer
from shared.types import Reference, ReferenceAdded, SetCreated
from tests.factories import make_image_info
from workers.encoders.embeddings import to_bytes
from workers.image_sets.fingerprint import Fingerprint

ENCODER: Final = "encoder-1"
DIMENSION: Final = 64
SEALER: Final = Sealer(bytes(32))
CALIBRATION: Final = Calibration(
    cosine=Curve(xs=(0.0, 0.5, 0.8, 0.9), ys=(-0.3, -2.0, -5.0, -7.0)),
    pdq=Curve(xs=(40.0, 80.0, 100.0, 128.0), ys=(-9.0, -6.0, -3.0, -0.3)),
    pairs=1000,
)


def make_vector(seed: int, *, dimension: int = DIMENSION) -> npt.NDArray[np.float32]:
    """Return a random direction."""
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def make_pdq(seed: int) -> str:
    """Return a random hash."""
    return np.random.default_rng(seed).bytes(32).hex()


def make_sha256(seed: int) -> str:
    return sha256(b"%d" % seed).hexdigest()


def make_reference(seed: int = 0, **overrides: Any) -> Reference:
    """Return the reference of a random picture."""
    values: dict[str, Any] = {
        "set": "designs",
        "reference": f"r{seed}",
        "name": f"{seed}.png",
        "sha256": make_sha256(seed),
        "pdq": make_pdq(seed),
        "pdq_quality": 100,
        "encoder": ENCODER,
        "vectors": (to_bytes(make_vector(seed)),),
    }
    return Reference(**{**values, **overrides})


def make_set(name: str = "designs", **overrides: Any) -> SetCreated:
    return SetCreated(**{"name": name, "threshold": 85.0, **overrides})


def added(seed: int = 0, **overrides: Any) -> ReferenceAdded:
    return ReferenceAdded(reference=make_reference(seed, **overrides))


class SeedFingerprinter:
    """Fingerprints the decimal numbers as their random pictures; ``blank`` is one, everything else is no image."""

    async def fingerprint(self, data: bytes) -> Fingerprint:
        if data != b"blank" and not data.isdigit():
            raise DecodeError(ErrorCode.NOT_AN_IMAGE, "no image format starts like this")
        seed = int(data) if data.isdigit() else 0
        return Fingerprint(
            sha256=sha256(data).hexdigest(),
            info=make_image_info(low_information=data == b"blank"),
            pdq=(make_pdq(seed),) * 8,
            pdq_quality=100,
            vectors=(to_bytes(make_vector(seed)),),
            encoder=ENCODER,
        )


def fused_score(
    calibration: Calibration,
    *,
    cosine: float | None = None,
    views: float | None = None,
    distance: int | None = None,
    local: float | None = None,
    chances: int,
) -> float:
    """Score one pair, 0..100, by these measures."""
    measures = [math.nan if value is None else float(value) for value in (cosine, views, distance, local)]
    return float(fused_scores(calibration.pair_log10(*measures), chances))
