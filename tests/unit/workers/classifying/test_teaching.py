"""From files to examples, and what becomes of an image that is given again."""

import numpy as np
import pytest

from shared.errors import UsageError
from shared.types import DecodedFrame
from tests.classifier_factories import make_examples, make_rows
from tests.factories import make_frame
from workers.classifying.model import OTHER
from workers.classifying.teaching import check_label, merge, to_example, warnings_about
from workers.classifying.vectors import shipped_features

RECEIPTS = make_examples("receipt", make_rows(6, 0))


class Seeing:
    """Sees the same in every file."""

    async def look(self, data: bytes) -> tuple[DecodedFrame, np.ndarray]:
        return make_frame(pixels=bytes(128 * 128 * 3)), np.eye(512, dtype=np.float32)[0]


async def test_a_file_becomes_an_example() -> None:
    example = await to_example(Seeing(), shipped_features(), 128, "a.png", b"file", "receipt")
    assert (example.name, example.label, len(example.sha256), len(example.pdq)) == ("a.png", "receipt", 64, 64)
    assert len(example.row) == 2 * (512 + shipped_features().length)


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


@pytest.mark.parametrize("label", ["", " ", " receipt", OTHER])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="is no label"):
        check_label(label)


def test_few_images_are_warned_about() -> None:
    check_label("receipt")
    assert warnings_about("receipt", 7)[0].startswith("label receipt has 7 images; 20 to 100 are advised")
    assert warnings_about("receipt", 20) == warnings_about("receipt", 4) == ()
