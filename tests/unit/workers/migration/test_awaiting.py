import pytest

from workers.migration.awaiting import (
    SETTLE_SECONDS,
    DisagreementError,
    NotReadyError,
    all_ready,
    all_serving,
    check_agreement,
    tally_of,
)
from workers.migration.comparing import Tally
from workers.migration.roll_call import WorkerWord


def word(beside: str = "", error: str = "", tally: Tally | None = None) -> WorkerWord:
    return WorkerWord(worker="w", at=1.0, serving="one", beside=beside, error=error, tally=tally or Tally())


def test_workers_are_given_time_to_answer() -> None:
    assert not all_ready([], "two", SETTLE_SECONDS - 0.1, 60)
    assert all_ready([], "two", SETTLE_SECONDS, 60), "no worker runs"


def test_every_worker_has_to_have_it_loaded() -> None:
    assert all_ready([word("two"), word("two")], "two", 5.0, 60)
    assert not all_ready([word("two"), word()], "two", 5.0, 60)
    with pytest.raises(NotReadyError, match="1 of 2 workers have not loaded two in 60 s"):
        all_ready([word("two"), word()], "two", 60.0, 60)


def test_one_that_cannot_load_it_is_told_at_once_and_others_are_waited_for() -> None:
    with pytest.raises(NotReadyError, match="1 of 2 workers cannot run two: no such files"):
        all_ready([word("two"), word(error="no such files")], "two", 5.0, 60)
    assert not all_ready([word(), word(error="no such files")], "two", 5.0, 60)


def test_who_answers_with_it_is_ready() -> None:
    assert all_ready([word()], "one", 5.0, 60)
    assert all_serving([word(), word("two")], "one")
    assert not all_serving([word()], "two")


def test_both_have_to_agree_often_enough() -> None:
    tally = tally_of([word(tally=Tally(images=6, agreeing=6)), word(tally=Tally(images=4, agreeing=3)), word()])
    assert (tally.images, tally.agreeing) == (10, 9)
    check_agreement(tally, 0.9)
    check_agreement(Tally(), 1.0)
    with pytest.raises(DisagreementError, match=r"9 of 10 live images, 90.0%; --least-agreement is 95.0%"):
        check_agreement(tally, 0.95)
