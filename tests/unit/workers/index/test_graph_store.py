import numpy as np
import pytest

from shared.errors import IntegrityError
from shared.sealing import Sealer
from tests.index_factories import ENCODER, SEALER
from tests.memory_store import MemoryStore
from workers.index.graph_store import PART_BYTES, GraphStore, StoredGraph
from workers.search.memory_file import MemoryFile
from workers.search.vector_graph import GraphImage


def image(fill: int = 1, size: int = PART_BYTES + 10) -> GraphImage:
    numbers = np.arange(40, dtype=np.uint8) + fill
    return GraphImage(axes=numbers, prints=numbers[:16], file=MemoryFile.of(bytes([fill]) * size))


def same(one: GraphImage | None, other: GraphImage) -> bool:
    return one is not None and contents(one) == contents(other)


def contents(graph: GraphImage) -> tuple[bytes, bytes, bytes]:
    return graph.axes.tobytes(), graph.prints.tobytes(), bytes(graph.file.map())


async def held(graphs: GraphStore) -> StoredGraph:
    graph = await graphs.held()
    assert graph is not None
    return graph


async def test_a_graph_comes_back_in_parts() -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    assert await graphs.held() is None
    written = await graphs.write(image())
    assert written == await held(graphs)
    assert len(store.blobs) == 4
    assert same(await graphs.read(await held(graphs)), image())


async def test_a_newer_graph_takes_the_place_of_the_one_before() -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    await graphs.write(image(1, size=3 * PART_BYTES))
    before = await held(graphs)
    await graphs.write(image(2))
    assert len(store.blobs) == 4
    assert same(await graphs.read(await held(graphs)), image(2))
    assert await graphs.read(before) is None


async def test_an_encoders_graph_is_its_own_and_can_be_dropped() -> None:
    store = MemoryStore()
    graphs, others = (GraphStore(store, SEALER, encoder) for encoder in (ENCODER, "encoder-2"))
    await graphs.write(image(1))
    await others.write(image(2))
    await graphs.drop()
    await graphs.drop()
    assert await graphs.held() is None
    assert same(await others.read(await held(others)), image(2))
    assert len(store.blobs) == 4


async def test_what_a_killed_writer_left_is_overwritten() -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    await graphs.write(image(1))
    (key,) = store.keys
    before = store.keys[key]
    await graphs.write(image(2))
    store.keys[key] = before  # as if the second had never come to its end
    await graphs.write(image(3))
    assert same(await graphs.read(await held(graphs)), image(3))
    assert len(store.blobs) == 4


async def test_parts_that_were_changed_moved_or_cut_off_are_refused() -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    await graphs.write(image())
    whole = dict(store.blobs)
    first, *_, last = sorted(whole)
    for name, data in (
        (first, whole[first][:-1]),
        (first, whole[first][:-1] + bytes([whole[first][-1] ^ 1])),
        (first, whole[last]),
        (first, b""),
    ):
        store.blobs = {**whole, name: data}
        with pytest.raises(IntegrityError):
            await graphs.read(await held(graphs))


async def test_parts_of_another_graph_in_the_same_slot_are_refused() -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    await graphs.write(image(1))
    older = dict(store.blobs)
    await graphs.write(image(2))
    await graphs.write(image(3))
    assert older.keys() == store.blobs.keys()
    store.blobs = older
    with pytest.raises(IntegrityError, match="does not open"):
        await graphs.read(await held(graphs))


@pytest.mark.parametrize(
    "value",
    [
        b"junk",
        SEALER.seal(b"junk", place=ENCODER),
        SEALER.seal(b"[]", place=ENCODER),
        SEALER.seal(b'{"name": "a"}', place=ENCODER),
        SEALER.seal(
            b'{"name": "a", "format": "1 hnswlib 0.9", "slot": 1, "axes": 1, "prints": 1, "file": 1}', place=ENCODER
        ),
        Sealer(bytes(31) + b"\1").seal(b"{}", place=ENCODER),
    ],
    ids=["junk", "sealed junk", "no object", "too little", "another version", "another key"],
)
async def test_a_key_that_makes_no_sense_is_refused_and_written_over(value: bytes) -> None:
    store = MemoryStore()
    graphs = GraphStore(store, SEALER, ENCODER)
    await graphs.write(image(1))
    (key,) = store.keys
    await store.compare_and_set(key, store.keys[key].version, value)
    with pytest.raises(IntegrityError):
        await graphs.held()
    assert await graphs.write(image(2)) is not None
    assert same(await graphs.read(await held(graphs)), image(2))
    await store.compare_and_set(key, store.keys[key].version, value)
    await graphs.drop()
    assert await graphs.held() is None


class Overtaken(MemoryStore):
    """A store where somebody else is done with another graph just before."""

    async def compare_and_set(
        self, key: str, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int | None:
        await super().compare_and_set(key, expected, b"theirs")
        return await super().compare_and_set(key, expected, value, ttl=ttl)


async def test_of_two_writers_the_first_wins() -> None:
    assert await GraphStore(Overtaken(), SEALER, ENCODER).write(image()) is None
