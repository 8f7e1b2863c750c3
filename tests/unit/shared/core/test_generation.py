import pytest

from shared.core.generation import encoder_in_force
from shared.types import GENERATION_KEY
from tests.memory_store import MemoryStore
from workers.encoders.generations import GenerationBook, settled
from workers.encoders.names import EncoderName


async def test_it_reads_what_the_workers_write() -> None:
    store = MemoryStore()
    await GenerationBook(store).move(settled, EncoderName(id="f1.int8", version="f1", precision="int8"))
    assert encoder_in_force(store.keys[GENERATION_KEY].value) == "f1.int8"


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"1", b'{"encoder": "f1"}', b"\xff"])
def test_what_makes_no_sense_names_none(value: bytes) -> None:
    assert encoder_in_force(value) == ""
