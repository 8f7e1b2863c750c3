"""What is alive of a segment, and how near an image must come."""

import math
from dataclasses import replace

import numpy as np

from shared.core.matching import Calibration, Curve
from tests.index_factories import CALIBRATION, make_pdq, make_reference, make_set, make_sha256, make_vector
from tests.index_views import make_view
from tests.local_feature_factories import plane
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import Sight
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.search.live_segment import Hit, LiveSegment, Probe, Reach, first_scores, floor_of
from workers.search.segment import Segment
from workers.search.sign_index import signs

SETS = make_view([make_reference(0)], sets=[make_set()]).sets


def live(references: int, gone: tuple[int, ...] = ()) -> LiveSegment:
    segment = Segment.build([make_reference(seed) for seed in range(references)])
    return living(segment, gone)


def living(segment: Segment, gone: tuple[int, ...] = (), calibration: Calibration = CALIBRATION) -> LiveSegment:
    alive = np.ones(len(segment.references), dtype=np.bool_)
    alive[list(gone)] = False
    return LiveSegment.build(segment, alive, SETS, calibration)


def near(part: LiveSegment, probe: Probe) -> list[Hit]:
    (rows,) = part.rows([probe])
    return part.near(probe, rows)


def search(part: LiveSegment, probe: Probe) -> list[str]:
    return [hit.reference.reference for hit in near(part, probe)]


def test_what_is_gone_is_not_found() -> None:
    probe = Probe(sha256=make_sha256(1), vector=make_vector(1), pdq=(make_pdq(1),) * 8)
    assert search(live(3), probe) == ["r1"]
    assert search(live(3, gone=(1,)), probe) == []
    part = live(3, gone=(1,))
    assert list(part.hits((0, 1, 2), probe)) == [0, 2]


def test_a_hit_holds_every_measure() -> None:
    probe = Probe(sha256="f" * 64, vector=make_vector(1), pdq=(make_pdq(99), make_pdq(1)), discount=0.1)
    part = live(3)
    (hit,) = near(part, probe)
    assert hit.cosine == 1.0 or math.isclose(hit.cosine, 1.0, abs_tol=1e-3)
    assert math.isclose(hit.discounted, hit.cosine - 0.1)
    assert hit.distance == 0
    assert hit.upright > 60
    assert math.isnan(hit.views)
    assert not hit.identical


def test_a_view_s_signs_find_a_reference_whose_whole_picture_is_far() -> None:
    calibration = CALIBRATION.__class__(cosine=CALIBRATION.cosine, pdq=CALIBRATION.pdq, views=CALIBRATION.cosine)
    cropped = make_reference(0, views=signs(np.stack([make_vector(50), make_vector(51)])))
    part = living(Segment.build([cropped]), calibration=calibration)
    probe = Probe(sha256="f" * 64, vector=make_vector(51))
    (hit,) = near(part, probe)
    assert math.isclose(hit.views, 1.0)
    assert first_scores(calibration, [hit])[0] > 85.0


def test_nothing_is_near_without_a_curve_that_says_so() -> None:
    never = CALIBRATION.__class__(
        cosine=Curve(xs=(0.0, 1.0), ys=(-0.1, -0.1)), pdq=Curve(xs=(0.0, 1.0), ys=(-0.1, 0.0))
    )
    reach = Reach.of(never, [SETS["designs"], None])
    assert reach.cosines.tolist() == reach.views.tolist() == [math.inf, math.inf]
    assert reach.distances.tolist() == [-1, -1]


def test_each_set_has_its_own_reach() -> None:
    large = replace(SETS["designs"], size=1_000_000)
    reach = Reach.of(CALIBRATION, [SETS["designs"], None, large])
    assert reach.cosines[0] < reach.cosines[2] < 1.0
    assert math.isinf(reach.cosines[1])
    assert reach.distances[0] > reach.distances[2] > reach.distances[1] == -1


def test_the_floor_is_the_lower_of_fifty_and_the_threshold() -> None:
    (low,) = make_view([], sets=[make_set(threshold=20.0)]).sets.values()
    assert floor_of(low) == 20.0
    assert floor_of(SETS["designs"]) == 50.0


def test_a_reference_is_voted_for_once_however_it_lies() -> None:
    symmetrical = plane("dashboard", 1).copy()
    symmetrical[:, 256:] = symmetrical[:, :256][:, ::-1]
    packed = pack(extract(symmetrical, limit=REFERENCE_FEATURES), shipped_codebook())
    part = living(Segment.build([make_reference(0, local=packed)]))
    sight = Sight(symmetrical, (512, 384), lambda: 0.0)
    assert part.segment.features is not None
    assert len(part.segment.features.candidates(sight.features, 8)) == 2
    assert [number for number, _ in part.voted(sight, 8)] == [0]
    dead = living(part.segment, (0,))
    assert dead.voted(sight, 8) == []
