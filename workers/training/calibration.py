"""From an encoder and its specimens to `calibration.json`: how probable a false match is at each measure's value.

For every stratum of unrelated pairs the survival function of the evidence is measured, and mixed by `SHARES`: one pair
in ten is taken to be of a kind (two floor plans, two shirts), so that look-alikes weigh a hundred times their share of
all pairs. A set whose traffic is all of its own kind sees up to ten times as many chance matches. Past the last
`TAIL_COUNT` pairs a curve goes on as an exponential tail fitted to its last decade over Fisher's z = artanh(cosine),
which takes the bound at 1 away; a PDQ distance d stands for the correlation 1 - d/128; the strength of local features
counts as it is. log10 survival still falls
faster than that straight line, so it errs on the safe side. For PDQ, where copies lie far from everything else, the
worst stratum counts alone. Pairs that are the same thing are left out: photographs whose clean pictures are within
`SAME_PDQ` bits under some turn, and bursts of one object or one register (`BURSTS`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared.core.matching import Background
from workers.encoders.files import EncoderCard, Precision, background_path, calibration_path, read_card
from workers.search.sign_index import signs
from workers.training.dataset import DRAWN
from workers.training.local_strengths import Verified, verified_pairs
from workers.training.specimens import Specimens, load

COSINE_BINS: Final = 2000
PDQ_BITS: Final = 256
STRENGTH_BINS: Final = 600
HIGHEST_STRENGTH: Final = 6.0  # log(1 + 400 inliers)
# Random pictures differ in 128 bits; held-out pairs under 60 were looked at before and are the same scene.
SAME_PDQ: Final = 60
# One object photographed in bursts or one template filled in: a pair inside these is often a true copy.
BURSTS: Final = (
    *("photos/grocery", "photos/trashnet", "photos/aerial_rsscn7"),
    *("classes/synthetic", "classes/documents", "classes/handwriting"),
)
SHARES: Final[Mapping[str, float]] = {
    "drawn_same_family": 0.05,
    "photo_look_alike": 0.05,
    "drawn_other": 0.45,
    "photo_other": 0.45,
}
TAIL_COUNT: Final = 20
FIT_DECADES: Final = 1.0
RULE_OF_THREE: Final = 3
SPARSE_SLOPE: Final = 2.0
HIGHEST_COSINE: Final = 0.9999  # where Fisher's z is still a number
FLOOR: Final = -12.0
CHUNK: Final = 512
LEAST_PAIRS: Final = 1000
"""A kind with fewer unrelated pairs says nothing: its curve would be extrapolated from 2 % on."""

type Vectors = NDArray[np.float32]
type Counts = NDArray[np.int64]
type Curve = NDArray[np.float64]


def embed(model: Path, pixels: NDArray[np.uint8], batch: int = 32) -> Vectors:
    """N x side x side x 3 uint8 to N x dimension, L2 = 1, as the product feeds the file."""
    session = _session(model)
    (entry,), (result,) = session.get_inputs(), session.get_outputs()
    parts = [
        session.run([result.name], {entry.name: pixels[at : at + batch].astype(np.float32).transpose(0, 3, 1, 2)})[0]
        for at in range(0, len(pixels), batch)
    ]
    vectors = np.asarray(np.concatenate(parts), np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def input_side(model: Path) -> int:
    """The side of the squares that an ONNX file takes."""
    return int(_session(model).get_inputs()[0].shape[2])


def _session(model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def hamming(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int16]:
    """A x B distances of A x 32 and B x 32 packed bits."""
    left = np.unpackbits(first, axis=1).astype(np.float32)
    right = np.unpackbits(second, axis=1).astype(np.float32)
    return np.asarray(left.sum(axis=1)[:, None] + right.sum(axis=1)[None] - 2 * left @ right.T, np.int16)


def nearest_turn(variants: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """A x B smallest distances over the 8 dihedral variants of A x 8 x 32 against B x 32."""
    result = hamming(variants[:, 0], hashes)
    for turn in range(1, variants.shape[1]):
        np.minimum(result, hamming(variants[:, turn], hashes), out=result)
    return result


@dataclass(slots=True)
class Stratum:
    """Histograms of the unrelated pairs of one kind.

    Cosine of the whole pictures and of the nearest view in bins of .001 over -1..1, PDQ distance in bits, strength of
    the local features in bins of .01 over 0..6, as a copy and as the same layout (0: nothing verified).
    """

    cosine: Counts
    views: Counts
    pdq: Counts
    local: Counts
    layout: Counts

    @classmethod
    def empty(cls) -> Stratum:
        """No pairs yet."""
        cosine, strength = COSINE_BINS + 1, STRENGTH_BINS + 1
        sizes = (cosine, cosine, PDQ_BITS + 1, strength, strength)
        return cls(*(np.zeros(size, np.int64) for size in sizes))

    def add(self, pairs: Pairs, wanted: NDArray[np.bool_]) -> None:
        """Counts the A x R pairs that are wanted."""
        for counts, places in (
            (self.cosine, _cosine_bins(pairs.cosines[wanted])),
            (self.views, _cosine_bins(pairs.views[wanted])),
            (self.pdq, pairs.distances[wanted]),
            (self.local, _strength_bins(pairs.local[wanted & ~np.isnan(pairs.local)])),
            (self.layout, _strength_bins(pairs.layout[wanted & ~np.isnan(pairs.layout)])),
        ):
            counts[:] += np.bincount(places, minlength=len(counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Everything measured between A queries and R references, A x R each."""

    cosines: Vectors
    views: Vectors
    distances: NDArray[np.int16]
    local: Vectors
    layout: Vectors


def _cosine_bins(cosines: Vectors) -> Counts:
    return np.clip((cosines + 1) / 2 * COSINE_BINS, 0, COSINE_BINS).astype(np.int64)


def _strength_bins(strengths: Vectors) -> Counts:
    return np.clip(strengths / HIGHEST_STRENGTH * STRENGTH_BINS, 0, STRENGTH_BINS).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors of the specimens: N x 512 clean and edited queries, R x V x 512 enrolled views.

    ``background`` is what the queries' cosines are discounted against, as the product does; None: not at all.
    """

    clean: Vectors
    edited: Vectors
    views: Vectors
    background: Background | None = None

    def discounts(self, queries: Vectors) -> Vectors:
        """A: what is taken off the cosines of A queries."""
        if self.background is None:
            return np.zeros(len(queries), np.float32)
        return np.array([self.background.discount(query) for query in queries], np.float32)


def embed_all(model: Path, specimens: Specimens) -> Embedded:
    """Everything that calibration compares, through the ONNX file."""
    references, views = specimens.views.shape[:2]
    squares = specimens.views.reshape(-1, *specimens.views.shape[2:])
    return Embedded(
        clean=embed(model, specimens.clean),
        edited=embed(model, specimens.edited),
        views=embed(model, squares).reshape(references, views, -1),
    )


def best_view(queries: Vectors, views: Vectors) -> Vectors:
    """A x R: the cosine of each query with the closest view of each reference, as far as their signs tell it.

    The first view is the whole picture, whose vector is kept as it is: it takes no part.
    """
    dimension = views.shape[2]
    mine = np.unpackbits(np.frombuffer(signs(queries), np.uint8)).reshape(-1, dimension).astype(np.float32)
    result = np.full((len(queries), len(views)), -1.0, np.float32)
    for view in range(1, views.shape[1]):
        theirs = np.unpackbits(np.frombuffer(signs(views[:, view]), np.uint8)).reshape(-1, dimension)
        theirs = theirs.astype(np.float32)
        apart = mine.sum(axis=1)[:, None] + theirs.sum(axis=1)[None] - 2 * mine @ theirs.T
        np.maximum(result, np.cos(np.pi * apart / dimension), out=result)
    return result


def measure(specimens: Specimens, vectors: Embedded, verified: tuple[Verified, Verified]) -> dict[str, Stratum]:
    """The strata: same drawn family, other drawings, look-alike photographs, other photographs.

    ``verified`` are the clean and the edited pictures' verified pairs.
    """
    strata = {name: Stratum.empty() for name in SHARES}
    drawn = specimens.source == DRAWN
    burst = np.isin(specimens.source, BURSTS)
    group, source = specimens.group[specimens.rows], specimens.source[specimens.rows]
    reference_drawn, reference_burst = drawn[specimens.rows], burst[specimens.rows]
    for rows in _chunks(len(drawn)):
        same_group = specimens.group[rows, None] == group[None]
        same_source = specimens.source[rows, None] == source[None]
        itself = np.arange(rows.start, rows.stop)[:, None] == specimens.rows[None]
        both_drawn, any_drawn = drawn[rows, None] & reference_drawn[None], drawn[rows, None] | reference_drawn[None]
        apart = nearest_turn(specimens.turned_pdq[rows], specimens.reference_pdq) > SAME_PDQ
        distinct = (apart | any_drawn) & ~itself
        kinds = {
            "drawn_same_family": both_drawn & same_group,
            "drawn_other": any_drawn & ~(both_drawn & same_group),
            "photo_look_alike": ~drawn[rows, None] & same_group & ~reference_burst[None],
            "photo_other": ~any_drawn & ~same_source,
        }
        for queries, variants, found in (
            (vectors.clean, specimens.turned_pdq, verified[0]),
            (vectors.edited, specimens.edited_pdq, verified[1]),
        ):
            local, layout = found.strengths(rows)
            discounts = vectors.discounts(queries[rows])[:, None]
            pairs = Pairs(
                cosines=queries[rows] @ vectors.views[:, 0].T - discounts,
                views=best_view(queries[rows], vectors.views) - discounts,
                distances=nearest_turn(variants[rows], specimens.reference_pdq),
                local=local,
                layout=layout,
            )
            for name, wanted in kinds.items():
                strata[name].add(pairs, wanted & distinct)
    return strata


def _chunks(count: int) -> Iterator[slice]:
    for at in range(0, count, CHUNK):
        yield slice(at, min(at + CHUNK, count))


def survival(counts: Counts, scale: Curve) -> tuple[Curve, float]:
    """(log10 P(at least this bin), log10 p where extrapolation begins); the histogram's upper end is the rare one.

    `scale` is the ascending measure of each bin over which the tail is exponential.
    """
    total = int(counts.sum())
    above = np.cumsum(counts[::-1])[::-1].astype(np.float64)
    known = above >= TAIL_COUNT
    curve = np.full(len(counts), FLOOR)
    curve[known] = np.log10(above[known] / total)
    last = int(np.flatnonzero(known)[-1])
    if last == 0:
        return _sparse(above, scale)
    start = float(curve[last])
    inside = np.flatnonzero(known & (curve <= start + FIT_DECADES))
    slope = min(-1e-9, float(np.polyfit(scale[inside], curve[inside], 1)[0])) if len(inside) > 2 else -1.0
    beyond = np.arange(last + 1, len(counts))
    curve[beyond] = np.maximum(FLOOR, start + slope * (scale[beyond] - scale[last]))
    return curve, start


def _sparse(above: Curve, scale: Curve) -> tuple[Curve, float]:
    """The survival where next to no pair has any evidence at all, as with local features.

    An upper bound for each count (the rule of three), and beyond the last one ``SPARSE_SLOPE`` decades a unit of the
    measure, log(1 + inliers): slower than .2 decades an inlier between 5 and 20 of them.
    """
    bound = np.log10(np.minimum(1.0, (above + RULE_OF_THREE) / above[0]))
    bound[0] = 0.0
    last = max(1, int(np.flatnonzero(above)[-1]))
    bound[last:] = np.maximum(FLOOR, bound[last] - SPARSE_SLOPE * (scale[last:] - scale[last]))
    return np.minimum.accumulate(bound), float(bound[last])


def mixture(curves: Mapping[str, Curve]) -> Curve:
    """log10 of the strata's probabilities, averaged by `SHARES`, never rising."""
    weights = np.array([SHARES[name] for name in curves])
    mixed = weights / weights.sum() @ (10.0 ** np.stack(list(curves.values())))
    return np.minimum.accumulate(np.log10(mixed))


LAYOUT_STRATA: Final = ("drawn_other", "photo_other")
"""Drawings of one family and look-alikes may well have the same layout: that is no false match of this relation."""


def tables(strata: Mapping[str, Stratum]) -> dict[str, Any]:
    """The content of `calibration.json` but for the encoder's names."""
    centres = np.arange(COSINE_BINS + 1) / COSINE_BINS * 2 - 1
    fisher_z = np.arctanh(np.clip(centres, -HIGHEST_COSINE, HIGHEST_COSINE))
    agreement = np.clip(1 - np.arange(PDQ_BITS + 1)[::-1] / (PDQ_BITS / 2), -HIGHEST_COSINE, HIGHEST_COSINE)
    strengths = np.arange(STRENGTH_BINS + 1) / STRENGTH_BINS * HIGHEST_STRENGTH
    cosine = {name: survival(stratum.cosine, fisher_z) for name, stratum in strata.items()}
    views = {name: survival(stratum.views, fisher_z) for name, stratum in strata.items()}
    pdq = {name: survival(stratum.pdq[::-1], np.arctanh(agreement)) for name, stratum in strata.items()}
    local = {name: survival(stratum.local, strengths) for name, stratum in strata.items()}
    layout = {name: survival(stratum.layout, strengths) for name, stratum in strata.items() if name in LAYOUT_STRATA}
    worst_pdq = np.max([curve for curve, _ in pdq.values()], axis=0)[::-1]
    measured = {"cosine": cosine, "views": views, "pdq": pdq, "local": local, "layout": layout}
    return {
        "cosine": _table(centres, cosine)[1000::5],
        "views": _table(centres, views)[1000::5],
        "pdq": [[d, round(float(p), 3)] for d, p in enumerate(worst_pdq[: PDQ_BITS // 2 + 1])],
        "local": _table(strengths, local)[::5],
        **({"layout": _table(strengths, layout)[::5]} if layout else {}),
        "fusion": "log10 p_pair = min(cosine, views, pdq, local) + log10 4",
        "shares": dict(SHARES),
        "pairs": sum(int(stratum.cosine.sum()) for stratum in strata.values()),
        "extrapolated_below_log10_p": {
            name: round(max(start for _, start in curves.values()), 3) for name, curves in measured.items() if curves
        },
        "strata": {
            name: {
                "pairs": int(stratum.cosine.sum()),
                "cosine_at_log10_p": _points(cosine[name][0], centres),
                "strength_at_log10_p": _points(local[name][0], strengths),
            }
            for name, stratum in strata.items()
        },
    }


def _table(scale: Curve, curves: Mapping[str, tuple[Curve, float]]) -> list[list[float]]:
    mixed = mixture({name: curve for name, (curve, _) in curves.items()})
    return [[round(float(x), 3), round(float(p), 3)] for x, p in zip(scale, mixed, strict=True)]


def _points(curve: Curve, centres: Curve) -> dict[str, float]:
    return {
        str(p): round(float(centres[min(int((curve > p).sum()), len(centres) - 1)]), 3) for p in (-2, -3, -4, -5, -6)
    }


def calibrate(
    model: Path,
    specimens: Specimens,
    encoder: str,
    verified: tuple[Verified, Verified] | None = None,
    background: Background | None = None,
) -> dict[str, Any]:
    """The whole of `calibration.json` for one ONNX file; raises ValueError where there are too few pairs.

    `verified` does not depend on the encoder: it can be computed once for several.
    """
    measured = measure(
        specimens, replace(embed_all(model, specimens), background=background), verified or verified_pairs(specimens)
    )
    strata = {name: stratum for name, stratum in measured.items() if stratum.cosine.sum() >= LEAST_PAIRS}
    if not strata:
        raise ValueError(f"no kind of pictures gives {LEAST_PAIRS} unrelated pairs")
    head = {"version": 1, "encoder": encoder, "encoder_sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    return {**head, **tables(strata)}


def write_calibration(
    card: EncoderCard, precision: Precision, specimens: Specimens, verified: tuple[Verified, Verified] | None = None
) -> None:
    """Write the calibration of one precision, discounted against the bank that `workers.training.background` wrote."""
    file = card.files[precision]
    path = calibration_path(card.folder, precision)
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    facts, background = earlier.get("background"), None
    if facts is not None:
        bank = np.load(background_path(card.folder, precision), allow_pickle=False).astype(np.float32)
        background = Background(bank=bank, nearest=facts["nearest"], usual=facts["usual"])
    result = calibrate(file.path, specimens, file.index_id, verified, background)
    if facts is not None:
        result["background"] = facts
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    """Command line: a calibration beside each model that has one of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder: card, models")
    parser.add_argument("specimens", type=Path, help="written by workers.training.specimens")
    arguments = parser.parse_args()
    card, specimens = read_card(arguments.folder), load(arguments.specimens)
    verified = verified_pairs(specimens)
    for precision in card.calibrated:
        write_calibration(card, precision, specimens, verified)


if __name__ == "__main__":
    main()
