"""Perturbed pictures before the product: its decoder, its encoder, its index, its score, asked about one reference.

Nothing here scores or searches (`workers.evaluation.product`). A set is asked twice: as a thorough one, where local
features are always looked at, and as a usual one, where only what came near is looked at closely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.core.policy_conditions import is_proven
from shared.types import Matcher, ReferenceMatch, SetCreated
from workers.closer_look.evidence import Sight
from workers.decoding.child import Limits, decode
from workers.decoding.pixels import plane_of, squash
from workers.decoding.reference_views import reference_views
from workers.encoders.encoder import Encoder
from workers.evaluation.methods import Sample
from workers.evaluation.pictures import MAX_PIXELS
from workers.evaluation.product import SET, Product, build_view
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.search.live_segment import Probe
from workers.search.view import IndexView

UPRIGHT: Final = 1  # EXIF's orientation of a picture that needs no turn

type Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a picture and a reference come to before a thorough set.

    ``matched_by``: who alone reaches the threshold; ``copy``: whether it matches as a copy, all considered; ``proven``:
    whether that is proof enough to delete; ``usual``: whether it matches as a copy before a set that is not thorough.
    """

    matched_by: frozenset[Matcher] = frozenset()
    copy: bool = False
    proven: bool = False
    usual: bool = False


class Shelf:
    """A set of references as both kinds of set hold it."""

    def __init__(self, encoder: Encoder, product: Product, pictures: Sequence[Image.Image]) -> None:
        prints = [product.fingerprint(Sample(picture).data) for picture in pictures]
        references = [each.as_reference(str(number), set_name=SET) for number, each in enumerate(prints)]
        self._thorough, self._usual = (
            build_view(encoder, references, [SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, thorough=thorough)])
            for thorough in (True, False)
        )

    def judge(self, sent: Sent, number: int | None = None) -> Outcome:
        """What ``sent`` comes to before reference ``number``, or before whichever is nearest."""
        match = _best(self._thorough, sent, number)
        usual = _best(self._usual, sent, number)
        if match is None:
            return Outcome(usual=usual is not None and usual.matched)
        return Outcome(
            matched_by=frozenset(match.matched_by),
            copy=match.matched,
            proven=match.matched and is_proven(match),
            usual=usual is not None and usual.matched,
        )


class Sent:
    """A picture on its way out, looked at once however often it is asked about."""

    def __init__(self, encoder: Encoder, picture: Image.Image) -> None:
        data = Sample(picture).data
        image = decode(data, Limits(side=encoder.side, max_pixels=MAX_PIXELS))
        (frame,) = image.frames
        (self.vector,) = encoder.embed([frame.pixels])
        self._sha256 = sha256(data).hexdigest()
        self._frame = frame
        plane = plane_of(frame)
        self._sight = Sight(plane, frame.size, lambda: -math.inf) if frame.plane else None

    def probe(self, view: IndexView) -> Probe:
        """The picture as this index is asked about it."""
        return view.probe(
            self._sha256,
            self.vector,
            self._frame.pdq,
            pdq_quality=self._frame.pdq_quality,
            low_information=self._frame.low_information,
            sight=self._sight,
        )


def view_vectors(encoder: Encoder, picture: Image.Image) -> Vectors:
    """V x D vectors of a reference's views, the whole picture first: what an attacker aims at."""
    return encoder.embed([squash(view, encoder.side, UPRIGHT).tobytes() for view in reference_views(picture)])


def _best(view: IndexView, sent: Sent, number: int | None) -> ReferenceMatch | None:
    (matches,) = view.search([sent.probe(view)])
    wanted = (match for match in matches if number is None or match.reference == str(number))
    return max(wanted, key=lambda match: match.score, default=None)
