"""An index of pictures that never were: one that a replica takes whole."""

from pathlib import Path

from benchmarks.index_child import make_replica
from benchmarks.made_up_index import configure, fill, references, shipped_index_id
from shared.sealing import Sealer, load_or_create_key
from tests.memory_store import MemoryStore


async def test_a_replica_of_the_encoder_that_ships_searches_all_of_it(tmp_path: Path) -> None:
    _, settings = configure(tmp_path / "made-up", f"sqlite:///{tmp_path}/safelight.db")
    store = MemoryStore()
    kept = list(references(5, shipped_index_id()))
    assert len({reference.sha256 for reference in kept}) == 5
    await fill(store, Sealer(load_or_create_key(settings.key_file)), kept)
    view = await make_replica(store, settings.key_file).catch_up()
    assert {facts.size for facts in view.sets.values()} == {5}
