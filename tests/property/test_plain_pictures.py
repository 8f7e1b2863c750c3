"""Pictures that resemble each other without being the same are no copies of each other, whatever their kind."""

import itertools

import pytest

from tests.index_factories import fused_score
from workers.decoding.pixels import squash
from workers.decoding.reference_views import reference_views
from workers.encoders.encoder import Encoder
from workers.training.drawing.plain import PLAIN, draw_plain

UNSEEN = 2_000_000
SET_SIZE = 10
QUERIES = 20
THRESHOLD = 85.0


@pytest.mark.parametrize("kind", PLAIN)
def test_two_of_a_kind_do_not_match(kind: str) -> None:
    encoder = Encoder.load()
    pictures = [draw_plain(kind, UNSEEN + seed) for seed in range(SET_SIZE + QUERIES)]
    views = [
        encoder.embed([squash(view, encoder.side, 1).tobytes() for view in reference_views(picture)])
        for picture in pictures[:SET_SIZE]
    ]
    queries = encoder.embed([squash(picture, encoder.side, 1).tobytes() for picture in pictures[SET_SIZE:]])
    false = [
        cosine
        for query, reference in itertools.product(queries, views)
        if fused_score(
            encoder.calibration,
            cosine=(cosine := float((reference @ query).max())) - encoder.calibration.discount(query),
            distance=None,
            chances=SET_SIZE,
        )
        >= THRESHOLD
    ]
    assert false == []
