from shared.adapters.coverage_store import CoverageStore
from shared.core.coverage import INSTANCES_KEY, Count, Row, Table, record_key
from shared.sealing import Sealer
from shared.types import Direction
from tests.memory_store import MemoryStore

SEALER = Sealer(bytes(32))
ROW = Row("files.example", Direction.OUTBOUND, "opaque")


def table(size: int) -> Table:
    return Table({ROW: Count(1, size)})


async def test_what_proxies_and_runs_and_hours_said_adds_up() -> None:
    store = MemoryStore()
    board = CoverageStore(store, SEALER)
    assert (await board.read(0, 10)).rows == {}
    await board.register(0)
    await board.register(1)
    await board.register(1)
    await board.write(0, 5, "run-1", table(10))
    await board.write(0, 5, "run-1", table(30))  # the same run says more
    await board.write(0, 5, "run-2", table(1))
    await board.write(1, 6, "run-3", table(100))
    assert (await board.read(5, 6)).rows == {ROW: Count(3, 131)}
    assert (await board.read(6, 6)).rows == {ROW: Count(1, 100)}
    assert (await board.read(7, 9)).rows == {}


async def test_hosts_cannot_be_read_in_the_store() -> None:
    store = MemoryStore()
    board = CoverageStore(store, SEALER)
    await board.register(0)
    await board.write(0, 5, "run-1", table(10))
    stored = await store.get(record_key(5, 0))
    assert stored is not None
    assert b"files.example" not in stored.value


async def test_what_cannot_be_read_is_passed_over_and_replaced() -> None:
    store = MemoryStore()
    await store.compare_and_set(INSTANCES_KEY, None, b"nonsense")
    await store.compare_and_set(record_key(5, 0), None, b"nonsense")
    board = CoverageStore(store, SEALER)
    assert (await board.read(5, 5)).rows == {}
    await board.register(0)
    assert (await board.read(5, 5)).rows == {}
    await board.write(0, 5, "run-1", table(10))
    assert (await board.read(5, 5)).rows == {ROW: Count(1, 10)}
