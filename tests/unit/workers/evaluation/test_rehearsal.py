"""The demonstration's figures: copies are found, strangers are not, and the summary counts what the runs say."""

import pytest

from workers.encoders.encoder import Encoder
from workers.evaluation.rehearsal import Run, rehearse, summary
from workers.training.edits import EDITS


def test_copies_are_found_and_strangers_are_not() -> None:
    run = rehearse(Encoder.load(), seed=77, protected=3, strangers=3)
    assert sum(run.blocked.values()) >= 22
    assert run.strangers == 0


def test_the_summary_adds_up() -> None:
    run = Run(blocked=dict.fromkeys(EDITS, 3), strangers=1, best_stranger=90.0)
    worse = Run(blocked=dict.fromkeys(EDITS, 1), strangers=0, best_stranger=50.0)
    result = summary([run, worse], protected=4, strangers=10)
    assert result["blocked"] == pytest.approx(0.5)
    assert result["worst_seed"] == pytest.approx(0.25)
    assert result["blocked_by_edit"]["grey"] == pytest.approx(0.5)
    assert (result["strangers_blocked"], result["strangers_sent"]) == (1, 20)
    assert result["best_stranger_score"] == 90.0
