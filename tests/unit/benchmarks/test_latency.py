"""What loads say: rows, targets, plots."""

from benchmarks.arrivals import Answered
from benchmarks.asking import Asked
from benchmarks.deployments import EMBEDDED
from benchmarks.latency import Load, load_row, plots, targets
from shared.errors import ErrorCode
from shared.types import VerdictError
from tests.factories import make_verdict

STAGES = {"decode": 4.0, "encode": 2.0, "search": 1.0, "total": 7.5}


def judged(seconds: float, *, waited: float = 0.0, degraded: bool = False) -> Answered[Asked]:
    """A verdict ``seconds`` after it was asked for, ``waited`` of them before anybody asked."""
    asked = Asked(seconds=seconds - waited, verdict=make_verdict(timings_ms=STAGES, degraded=degraded))
    return Answered(due=0.0, seconds=seconds, answer=asked)


def refused(seconds: float) -> Answered[Asked]:
    verdict = make_verdict(error=VerdictError(code=ErrorCode.TOO_LATE, message="late"))
    return Answered(due=0.0, seconds=seconds, answer=Asked(seconds=seconds, verdict=verdict))


def load(percent: int, *answers: Answered[Asked], seconds: float = 1.0) -> Load:
    return Load(
        shape=EMBEDDED,
        percent=percent,
        capacity=4.0,
        seconds=seconds,
        answers=answers,
        memory=[(0.0, 100.0), (0.5, 104.0)],
    )


def test_a_row_counts_what_became_of_the_questions() -> None:
    unanswered = Answered(due=0.0, seconds=2.5, answer=Asked(seconds=2.5, verdict=None))
    row = load_row(
        load(150, judged(0.01), judged(0.02, degraded=True), refused(0.5), refused(1.6), unanswered), budget=1.5
    )
    assert (row["asked/s"], row["judged/s"], row["n"]) == (5.0, 2.0, 1)
    assert (row["degraded"], row["shed"], row["shed in time"], row["unanswered"]) == (1, 2, 1, 1)
    assert (row["memory MB, first"], row["memory MB, most"]) == (100, 104)


def test_time_beside_the_stages_has_the_wait_before_asking_in_it() -> None:
    assert load_row(load(50, judged(0.010)), budget=1.5)["beside the stages p50, ms"] == 3.0
    row = load_row(load(50, judged(0.030, waited=0.020)), budget=1.5)
    assert round(float(row["beside the stages p50, ms"] or 0), 6) == 23.0


def test_percentiles_only_of_what_was_judged() -> None:
    row = load_row(load(150, refused(0.5)), budget=1.5)
    assert row["n"] == 0
    assert row["beside the stages p50, ms"] is None
    assert "p50, ms" not in row


def test_targets_of_a_quiet_load_are_about_time() -> None:
    rows = targets([load(50, judged(0.010), judged(0.010), judged(0.040))], budget=1.5)
    assert [row["met"] for row in rows] == [True, False]
    assert [str(row["what"]).partition(": ")[2] for row in rows] == [
        "verdict p50 beside decode, model and search",
        "verdict p99 / p50",
    ]


def test_targets_beyond_capacity_are_about_what_is_shed() -> None:
    good = [judged(0.5) for _ in range(4)]
    kept, late = targets([load(150, *good, refused(1.0))], budget=1.5)
    assert (kept["measured"], kept["met"], late["measured"], late["met"]) == (1.0, True, 0, True)
    kept, late = targets([load(150, *good[:2], refused(1.0), refused(1.6))], budget=1.5)
    assert (kept["met"], late["measured"], late["met"]) == (False, 1, False)


def test_latency_is_drawn_up_to_capacity_and_memory_beyond() -> None:
    latency, memory = plots([load(10, judged(0.01)), load(80, judged(0.02)), load(150, judged(0.5))])
    assert [percent for percent, _ in latency["series"]["embedded, p50"]] == [10, 80]
    assert memory["series"] == {"embedded": [(0.0, 100.0), (0.5, 104.0)]}
    assert plots([]) == []
