"""Is the likelihood one? The best match's `similar_score`, at several shares of copies among the images, against truth.

The benchmark has six copies for one picture of nobody's; here its queries are weighed so that copies are as rare as the
set's prior says, and a likelihood of so much should then be right so often.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import Calibration
from workers.evaluation.figures import NONE, Floats
from workers.evaluation.measuring import Measured
from workers.evaluation.recall import WHOLE_PATH
from workers.evaluation.tables import Cell, Table, columns, flow

PREVALENCES: Final = (0.5, 0.01, 0.0001)
BINS: Final = 10


def likelihood_table(measured: Measured, calibration: Calibration) -> Table | None:
    """The whole path's likelihoods at each prevalence; None without both copies and negatives."""
    rows: list[dict[str, Cell]] = []
    copies = measured.truth != NONE
    if copies.all() or not copies.any():
        return None
    for row in measured.rows:
        if row.name != WHOLE_PATH:
            continue
        best = np.maximum(row.rankings.scores[:, 0], 0.0)  # nothing named: a score of 0
        right = copies & (row.rankings.numbers[:, 0] == measured.truth)
        for prevalence in PREVALENCES:
            said = np.array([calibration.odds(score, prevalence) for score in best])
            weights = np.where(copies, prevalence / copies.sum(), (1 - prevalence) / (~copies).sum())
            rows.append(
                {
                    "mode": row.mode,
                    "prevalence": prevalence,
                    "said": float(weights @ said),
                    "right": float(weights @ right),
                    "error": calibration_error(said, right, weights),
                    "loss": log_loss(said, right, weights),
                    "prior_loss": log_loss(np.full(len(best), prevalence), right, weights),
                }
            )
    return Table(
        name="likelihood",
        title="similar_score as a likelihood",
        columns=columns(
            ("mode", "mode", "text"),
            ("prevalence", "copies among the images", "number"),
            ("said", "mean likelihood", "number"),
            ("right", "right", "number"),
            ("error", "calibration error", "number"),
            ("loss", "log loss", "number"),
            ("prior_loss", "of the prior alone", "number"),
        ),
        rows=tuple(rows),
        note=flow(
            f"""The best match of every query, copies and others weighed to the prevalence, which is also the prior.
            Calibration error: mean distance of likelihood and truth over {BINS} bins (Naeini, Cooper, Hauskrecht, AAAI
            2015). {int((~copies).sum()):,} negatives cannot show what happens to one image in ten thousand."""
        ),
    )


def calibration_error(said: Floats, right: NDArray[np.bool_], weights: Floats) -> float:
    """Expected calibration error over `BINS` bins of equal width, queries weighed; weights sum to 1."""
    place = np.minimum((said * BINS).astype(np.intp), BINS - 1)
    return float(np.abs(np.bincount(place, weights * (said - right), BINS)).sum())


def log_loss(said: Floats, right: NDArray[np.bool_], weights: Floats) -> float:
    """Mean of -log of the probability that was given to what is true; probabilities are kept off 0 and 1 by 1e-12."""
    sure = np.clip(said, 1e-12, 1 - 1e-12)
    return float(weights @ -np.log(np.where(right, sure, 1 - sure)))
