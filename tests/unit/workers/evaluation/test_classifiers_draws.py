"""Which pictures teach, which are asked for, and what is counted."""

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.evaluation.classifiers_draws import Draw, Seen, clusters_of, draw, judge, reached_by
from workers.evaluation.classifiers_pictures import LEAST_TESTED, TESTED


def make_seen(unseen: NDArray[np.bool_] | None = None, **classes: int) -> Seen:
    """Pictures that are nothing like each other."""
    rng = np.random.default_rng(5)
    labels = tuple(name for name, count in classes.items() for _ in range(count))
    return Seen(
        labels=labels,
        unseen=np.zeros(len(labels), np.bool_) if unseen is None else unseen,
        pdqs=tuple(rng.bytes(32).hex() for _ in labels),
        rows=np.asarray(rng.normal(size=(len(labels), 64)), np.float32),
    )


def test_a_draw_teaches_with_so_many_of_each_class_and_asks_for_others() -> None:
    seen = make_seen(plan=30, form=100, few=14)
    drawn = draw(seen, clusters_of(seen), 5, 0)
    assert drawn.labels == ("form", "plan")
    assert [seen.labels[one] for one in drawn.taught] == ["form"] * 5 + ["plan"] * 5
    assert [seen.labels[one] for one in drawn.asked] == ["form"] * TESTED + ["plan"] * 25
    assert not set(drawn.taught) & set(drawn.asked)
    assert drawn == draw(seen, clusters_of(seen), 5, 0)
    assert drawn.taught != draw(seen, clusters_of(seen), 5, 1).taught


def test_near_duplicates_are_on_one_side() -> None:
    seen = make_seen(form=60)
    clusters = np.arange(60) // 4
    drawn = draw(seen, clusters, 10, 0)
    assert not set(clusters[list(drawn.taught)].tolist()) & set(clusters[list(drawn.asked)].tolist())
    assert len(drawn.asked) == 60 - 12  # the third cluster is cut, its other two are asked for no more


def test_a_picture_beside_one_of_another_label_that_teaches_is_not_asked_for() -> None:
    seen = make_seen(form=LEAST_TESTED + 5, plan=LEAST_TESTED + 5)
    clusters = np.arange(len(seen.labels)) % (LEAST_TESTED + 5)
    drawn = draw(seen, clusters, 5, 0)
    assert not set(clusters[list(drawn.taught)].tolist()) & set(clusters[list(drawn.asked)].tolist())


def test_what_training_has_seen_teaches_and_the_rest_is_asked_for_first() -> None:
    unseen = np.arange(100) % 4 == 0
    seen = make_seen(unseen, form=100)
    drawn = draw(seen, clusters_of(seen), 20, 0)
    assert not unseen[list(drawn.taught)].any()
    assert unseen[list(drawn.asked)].sum() == 25
    assert len(drawn.asked) == TESTED


def test_alike_rows_are_one_cluster() -> None:
    seen = make_seen(form=12)
    seen.rows[7] = seen.rows[3] * 2
    clusters = clusters_of(seen)
    assert clusters[7] == clusters[3]
    assert len(set(clusters.tolist())) == 11


def test_what_was_said_is_counted() -> None:
    seen = make_seen(np.array([True, False, True, False]), form=2, plan=2)
    drawn = Draw(labels=("form", "plan"), taught=(), asked=(0, 1, 2, 3))
    scores = np.array([[90.0, 10], [40, 30], [95, 20], [10, 86]])
    others = np.array([[50.0, 20], [87, 0], [5, 5]])
    said = judge(seen, drawn, scores, others)
    assert (said.asked, said.fresh, said.others) == (4, 2, 3)
    assert said.nearest == 3  # the third is taken for a form
    assert (said.named, said.named_fresh) == (1, 1)  # above 87, which an other picture reaches
    assert (said.accepted, said.alarms) == (2, 1)


@pytest.mark.parametrize(("count", "above"), [(199, 0), (200, 1), (1000, 5), (1, 0)])
def test_one_in_200_others_may_be_above(count: int, above: int) -> None:
    others = np.stack([np.arange(count, dtype=np.float64), np.zeros(count)], axis=1)
    assert (others.max(axis=1) > reached_by(others)).sum() == above
