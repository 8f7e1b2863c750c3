"""The product's own path as a method: enrolled and searched by the worker's code."""

import random
from collections.abc import Iterator

import pytest
from PIL import Image

from shared.types import SetCreated
from workers import transformations as to
from workers.encoders.encoder import Encoder
from workers.evaluation.methods import Sample
from workers.evaluation.product import (
    SET,
    WAYS,
    Enrolment,
    Product,
    WholePath,
    build_view,
    without_local_features,
)
from workers.training.drawing import draw


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(batch_limit=1)


@pytest.fixture(scope="module")
def product(encoder: Encoder) -> Iterator[Product]:
    with Product(encoder) as product:
        yield product


def picture(seed: int) -> Image.Image:
    return to.canonical(draw("poster", seed))


def test_every_way_finds_a_copy_and_shares_one_enrolment(product: Product, encoder: Encoder) -> None:
    enrolment = Enrolment(product)
    ways = [WholePath(product, enrolment, encoder, way) for way in WAYS]
    for seed in range(3):
        sample = Sample(picture(seed))
        for way in ways:
            way.enrol(sample)
    assert [reference.reference for reference in enrolment.references] == ["0", "1", "2"]
    for way in ways:
        way.ready()
        ranking = way.query(Sample(to.jpeg(picture(1), 60)))
        assert ranking.numbers[0] == 1
        assert ranking.scores[0] >= 85


def test_a_small_crop_needs_the_thorough_way(product: Product, encoder: Encoder) -> None:
    enrolment = Enrolment(product)
    plain, _, thorough = (WholePath(product, enrolment, encoder, way) for way in WAYS)
    for seed in range(3):
        thorough.enrol(Sample(picture(seed)))
    plain.ready()
    thorough.ready()
    cut = Sample(to.crop(picture(2), random.Random(4), 0.2))
    found = thorough.query(cut)
    assert (found.numbers[0], found.scores[0] >= 85) == (2, True)
    assert not (plain.query(cut).scores >= 85).any()


def test_a_reference_without_local_features_keeps_the_rest(product: Product) -> None:
    reference = product.fingerprint(Sample(picture(5)).data).as_reference("a", set_name=SET)
    assert reference.local
    bare = without_local_features(reference)
    assert (bare.local, bare.sketch) == (b"", b"")
    assert (bare.vectors, bare.views, bare.pdq) == (reference.vectors, reference.views, reference.pdq)


def test_the_original_itself_is_identical(product: Product, encoder: Encoder) -> None:
    data = Sample(picture(6)).data
    reference = product.fingerprint(data).as_reference("a", set_name=SET)
    product.search_in(build_view(encoder, [reference], [SetCreated(name=SET, threshold=85.0)]))
    (match,) = product.inspect(data).matches
    assert (match.score, match.exact_score, match.matched) == (100.0, 1.0, True)


def test_a_way_that_is_not_ready_says_so(product: Product, encoder: Encoder) -> None:
    with pytest.raises(RuntimeError, match="nothing is enrolled"):
        WholePath(product, Enrolment(product), encoder, WAYS[0]).query(Sample(picture(1)))
