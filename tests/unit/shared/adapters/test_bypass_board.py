import stat
from pathlib import Path

import pytest

from shared.adapters.bypass_board import BypassFile, BypassInStore
from shared.core.bypass import BYPASS_KEY, Bypass
from shared.errors import IntegrityError, WireError
from shared.sealing import Sealer
from tests.memory_store import MemoryStore

SEALER, OTHER = Sealer(bytes(32)), Sealer(b"\x01" * 32)
ON = Bypass(id="1", on=True, changed_at=100.0, until=160.0, who="root@host", reason="an outage")
OFF = Bypass(id="2", on=False, changed_at=120.0, until=120.0, who="root@host", reason="over")


def test_the_file_holds_one_record_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = BypassFile(tmp_path / "data", SEALER)
    assert file.read() is None
    file.write(ON)
    file.write(OFF)
    assert file.read() == OFF
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["bypass"]
    assert stat.S_IMODE((tmp_path / "data" / "bypass").stat().st_mode) == 0o600


def test_a_file_of_another_key_or_of_other_bytes_is_refused(tmp_path: Path) -> None:
    BypassFile(tmp_path, OTHER).write(ON)
    with pytest.raises(IntegrityError):
        BypassFile(tmp_path, SEALER).read()
    (tmp_path / "bypass").write_bytes(b"on")
    with pytest.raises(WireError):
        BypassFile(tmp_path, SEALER).read()


async def test_the_store_keeps_the_newest_and_logs_every_change() -> None:
    store = MemoryStore()
    board = BypassInStore(store, SEALER)
    assert await board.read() is None
    assert await board.history(5) == ()
    await board.write(ON)
    await board.write(OFF)
    await board.write(ON)
    assert await board.read() == OFF
    assert await board.history(5) == (OFF, ON)
    assert await board.history(1) == (OFF,)


async def test_what_cannot_be_read_in_the_store_is_replaced() -> None:
    store = MemoryStore()
    await store.compare_and_set(BYPASS_KEY, None, b"nonsense")
    board = BypassInStore(store, SEALER)
    with pytest.raises(WireError):
        await board.read()
    await board.write(ON)
    assert await board.read() == ON
