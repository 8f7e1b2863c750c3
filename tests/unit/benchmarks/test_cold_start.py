"""What is aimed at when a worker starts."""

from benchmarks.cold_start import targets
from workers.evaluation.tables import Cell


def test_memory_is_that_of_the_largest_index() -> None:
    rows: list[dict[str, Cell]] = [
        {"references": 10_000, "Redis / files": 1.5, "GB a million": 5.0},
        {"references": 100_000, "Redis / files": 2.5, "GB a million": 2.0},
    ]
    first, second, memory = targets(rows)
    assert (first["met"], second["met"]) == (True, False)
    assert (memory["measured"], memory["met"]) == (2.0, True)
    assert "100,000" in str(memory["what"])
