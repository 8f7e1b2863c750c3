"""Hits are hits: nothing is judged that is known."""

import os
from pathlib import Path

from benchmarks.cache_hits import measure_hits, question
from benchmarks.made_up_index import configure


async def test_what_is_known_is_told_from_memory(tmp_path: Path) -> None:
    _, settings = configure(tmp_path / "cache", f"sqlite:///{tmp_path}/safelight.db")
    memory, store = await measure_hits(settings, os.getpid(), 100)
    assert (memory["hit"], memory["n"], memory["not in time"]) == ("in process", 100, 0)
    assert store["hit"] == "from Redis"
    assert 0 < float(memory["CPU ms"] or 0) < float(store["CPU ms"] or 0)


def test_questions_go_round_the_images() -> None:
    assert question(0).sha256 == question(64).sha256 != question(1).sha256
