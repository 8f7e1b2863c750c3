import numpy as np

from tests.index_factories import make_reference
from tests.index_views import make_view
from workers.search.self_recall import SelfRecall, self_recall


def test_every_vector_of_a_sound_index_finds_itself() -> None:
    references = [make_reference(seed) for seed in range(60)]
    for exact_limit in (1000, 10):
        assert self_recall(make_view(references, exact_limit=exact_limit)) == SelfRecall(tried=60, found=60)
        assert self_recall(make_view(references, exact_limit=exact_limit), sample=7).tried == 7


def test_what_is_lost_is_counted() -> None:
    view = make_view([make_reference(seed) for seed in range(40)])
    dense = view.segments[0].segment.ann.dense
    assert dense is not None
    np.negative(dense[:10], out=dense[:10])
    assert self_recall(view) == SelfRecall(tried=40, found=30)
    assert self_recall(view).share == 0.75


def test_without_vectors_there_is_nothing_to_try() -> None:
    assert self_recall(make_view([])).share == 1.0
    assert self_recall(make_view([make_reference(1, vectors=())])).tried == 0
