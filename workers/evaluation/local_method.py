"""Local features as a method of their own, without the encoder and without a look inside the match."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.feature_index import FeatureIndex
from workers.closer_look.geometry import verify
from workers.closer_look.local_features import LocalFeatures, extract, pack
from workers.decoding.pixels import canonical, grey_plane
from workers.evaluation.methods import UPRIGHT, Ranking, Sample

VERIFIED: Final = 8


class LocalFeaturesAlone:
    """Votes of local features, the best candidates verified; the score is the number of places that agree.

    Nothing inside the match is compared: this row shows what the inliers alone are worth.
    """

    name = "local features alone"
    mode = "always"

    def __init__(self) -> None:
        self._codebook = shipped_codebook()
        self._packed: list[bytes] = []
        self._index = FeatureIndex.build((), self._codebook)

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        self._packed.append(pack(_features(sample.image), self._codebook))

    def ready(self) -> None:
        """Build the index."""
        self._index = FeatureIndex.build(self._packed, self._codebook)

    def query(self, sample: Sample) -> Ranking:
        """Rank by inliers; candidates that do not verify are left out."""
        features = _features(sample.image)
        inliers: dict[int, int] = {}
        for candidate in self._index.candidates(features, VERIFIED):
            packed = self._packed[candidate.number]
            geometry = verify(features, packed, self._codebook, mirror=candidate.mirrored)
            if geometry is not None:  # a reference may stand twice, as it is and mirrored
                inliers[candidate.number] = max(geometry.inliers, inliers.get(candidate.number, 0))
        found = sorted(inliers.items(), key=lambda pair: -pair[1])
        return Ranking(
            np.array([number for number, _ in found], np.int64), np.array([float(count) for _, count in found])
        )


def _features(image: Image.Image) -> LocalFeatures:
    return extract(np.asarray(grey_plane(canonical(image, UPRIGHT))))
