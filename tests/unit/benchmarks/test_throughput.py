"""The row that sets a worker beside the tight loop."""

from benchmarks.throughput import Turn, row, targets

TURNS = [
    (Turn(per_second=300.0, cpu=0.005, others=0.001), Turn(per_second=400.0, cpu=0.004)),
    (Turn(per_second=200.0, cpu=0.004, others=0.001), Turn(per_second=420.0, cpu=0.004)),
    (Turn(per_second=310.0, cpu=0.008, others=0.002), Turn(per_second=410.0, cpu=0.004)),
]


def test_turns_are_summed_up_by_their_medians() -> None:
    line = row("embedded", "quick", 600, TURNS)
    assert (line["worker, CPU ms"], line["loop, CPU ms"], line["asker and servers, CPU ms"]) == (5.0, 4.0, 1.0)
    assert (line["loop / worker"], line["lowest"], line["highest"]) == (0.8, 0.5, 1.0)
    assert (line["images/s per core"], line["images/s, all cores"]) == (200.0, 300.0)


def test_images_per_core_are_aimed_at_for_quick_sets_only() -> None:
    quick, thorough = row("embedded", "quick", 600, TURNS), row("embedded", "thorough", 150, TURNS)
    assert [aim["met"] for aim in targets([quick])] == [False, False]
    assert [aim["target"] for aim in targets([thorough])] == ["at least 0.9"]
