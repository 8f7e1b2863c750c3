import logging
from pathlib import Path

import pytest

from shared.config import Settings, load
from shared.types import GENERATION_KEY
from tests.memory_store import MemoryStore
from workers.encoders.generations import Generation, GenerationBook, begun
from workers.encoders.in_force import in_force, settle
from workers.encoders.names import EncoderName, configured_name


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path)})


MINE = EncoderName(id="mine.int8", version="mine", precision="int8")
OTHER = EncoderName(id="other.fp32", version="other", precision="fp32")


async def test_a_store_that_says_nothing_has_the_configurations(settings: Settings) -> None:
    store = MemoryStore()
    assert await in_force(settings, store) == Generation(encoder=configured_name(settings))
    assert store.keys == {}


async def test_what_was_settled_first_counts(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await settle(store, MINE)
    version = store.keys[GENERATION_KEY].version
    await settle(store, OTHER)
    assert (await in_force(settings, store)).encoder == MINE
    assert store.keys[GENERATION_KEY].version == version
    assert caplog.text == "", "the configuration names no encoder"


async def test_settling_leaves_a_change_alone() -> None:
    store = MemoryStore()
    changing = await GenerationBook(store).move(lambda now: begun(now, OTHER), MINE)
    await settle(store, MINE)
    assert await GenerationBook(store).read() == changing


@pytest.mark.parametrize("asked", [{"encoder": "other"}, {"precision": "fp32"}])
async def test_another_encoder_in_the_configuration_is_told(
    settings: Settings, asked: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    await settle(store, MINE)
    other = settings.model_copy(update={"worker": settings.worker.model_copy(update=asked)})
    with caplog.at_level(logging.WARNING):
        assert (await in_force(other, store)).encoder == MINE
    assert "the index is of mine.int8" in caplog.text
