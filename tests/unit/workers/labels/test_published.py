"""Label spaces in the store."""

import pytest

from shared.errors import IntegrityError, UsageError
from shared.sealing import Sealer
from tests.classifier_factories import make_classifier
from tests.clocks import ManualClock
from tests.label_factories import make_space
from tests.memory_store import MemoryStore
from workers.classifying.revisions import ClassifierBook
from workers.labels.published import LabelSpaceBook, pack, unpack

SEALER = Sealer(bytes(32))
SPACE = make_space()


async def test_a_label_space_comes_back_as_it_was_published() -> None:
    store = MemoryStore()
    published = await LabelSpaceBook(store, SEALER, ManualClock()).publish("scenes", SPACE, 0, "3 labels")
    assert await LabelSpaceBook(store, SEALER, ManualClock()).show("scenes") == (published, SPACE)


async def test_a_classifier_has_no_name_of_a_label_space() -> None:
    store = MemoryStore()
    await ClassifierBook(store, SEALER, ManualClock()).publish("documents", make_classifier("receipt"), 0, "first")
    with pytest.raises(UsageError, match="documents is a classifier, not a label space"):
        await LabelSpaceBook(store, SEALER, ManualClock()).in_force("documents")


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xff" * 8, b"\x02\x00\x00\x00{}", pack(SPACE)[:100]])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        unpack(data)
