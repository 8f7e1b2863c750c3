"""From files to examples, and what becomes of an image that is given again."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from shared.errors import UsageError
from shared.telemetry import Metrics
from shared.types import DecodedImage
from tests.classifier_factories import make_examples, make_rows
from tests.factories import make_frame, make_image_info
from tests.inspection_doubles import DIMENSION, KnownEncoder, StillClock
from workers.classifying.model import OTHER
from workers.classifying.rates import Rates, rate
from workers.classifying.teaching import Eyes, advice_on, check_count, check_label, merge, warnings_about
from workers.classifying.vectors import shipped_features
from workers.encoders.embedding_queue import EmbeddingQueue

RECEIPTS = make_examples("receipt", make_rows(6, 0))


SIDE = 128


class Decoder:
    """Decodes any bytes to the same picture."""

    def __init__(self, *, low_information: bool = False) -> None:
        self._frame = make_frame(pixels=bytes(SIDE * SIDE * 3), low_information=low_information)

    async def decode(self, data: bytes) -> DecodedImage:
        return DecodedImage(info=make_image_info(), side=SIDE, frames=(self._frame,))


@pytest.fixture
async def embedding() -> AsyncIterator[EmbeddingQueue]:
    queue = EmbeddingQueue(KnownEncoder(), StillClock(), Metrics(), sizes=(1,))
    queue.start()
    yield queue
    await queue.stop()


async def test_a_file_becomes_an_example(embedding: EmbeddingQueue) -> None:
    model = shipped_features()
    example = await Eyes(Decoder(), embedding, model, SIDE).example("a.png", b"file", "receipt")
    assert (example.name, example.label, len(example.sha256), len(example.pdq)) == ("a.png", "receipt", 64, 64)
    row = np.frombuffer(example.row, np.float16)
    assert row.shape == (DIMENSION + model.length,)
    assert row[:DIMENSION].tolist() == [0.5] * DIMENSION


async def test_a_picture_that_shows_nothing_is_no_example(embedding: EmbeddingQueue) -> None:
    eyes = Eyes(Decoder(low_information=True), embedding, shipped_features(), SIDE)
    with pytest.raises(UsageError, match="shows too little"):
        await eyes.example("blank.png", b"file", "receipt")


def test_new_labels_join_without_the_old_images() -> None:
    merged = merge(RECEIPTS, make_examples("invoice", make_rows(5, 1)), "relabel")
    assert (merged.added, merged.relabelled, merged.known, len(merged.examples)) == (5, 0, 0, 11)


@pytest.mark.parametrize("label", ["invoice", OTHER])
def test_an_image_given_again_is_relabelled(label: str) -> None:
    again = tuple(
        type(example)(sha256=example.sha256, name=example.name, label=label, pdq=example.pdq, row=example.row)
        for example in RECEIPTS[:2]
    )
    merged = merge(RECEIPTS, again, "relabel")
    assert (merged.added, merged.relabelled, len(merged.examples)) == (0, 2, 6)
    assert [example.label for example in merged.examples].count(label) == 2
    both = merge(RECEIPTS, again, "add")
    assert (both.added, both.relabelled, len(both.examples)) == (2, 0, 8)
    assert merge(RECEIPTS, RECEIPTS, "relabel").known == 6


def test_negatives_that_were_added_are_counted() -> None:
    merged = merge(RECEIPTS, make_examples(OTHER, make_rows(4, 2)), "relabel")
    assert (merged.added, merged.negatives) == (4, 4)
    assert merge(merged.examples, make_examples(OTHER, make_rows(4, 2)), "relabel").negatives == 0


@pytest.mark.parametrize(("count", "told"), [(30, True), (3, False), (0, False)])
def test_negatives_are_advised_where_other_documents_are_given_a_label(count: int, told: bool) -> None:
    none = rate(0, 100)
    rates = Rates(
        labels=(), false_positives=none, strangers=rate(count, 100), confusions=(), true_curve=(), false_curve=()
    )
    assert ("--negatives" in " ".join(advice_on(rates))) is told


@pytest.mark.parametrize("label", ["", " ", " receipt", OTHER])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="is no label"):
        check_label(label)


def test_few_images_are_warned_about() -> None:
    check_label("receipt")
    assert warnings_about("receipt", 7)[0].startswith("label receipt has 7 images; 20 to 100 are advised")
    assert warnings_about("receipt", 20) == warnings_about("receipt", 4) == ()


def test_a_label_of_too_few_images_is_refused_before_any_is_looked_at() -> None:
    check_count("receipt", 5)
    with pytest.raises(UsageError, match="label receipt has 4 images; at least 5 are needed"):
        check_count("receipt", 4)
