"""Which sections run, and what stands in their way."""

from pathlib import Path

import pytest

from shared.errors import UsageError
from workers.evaluation.bench import Options
from workers.evaluation.run import PLANS, chosen, evaluate, expected_seconds


def quiet(_what: str, _done: int, _count: int) -> None:
    pass


def test_without_data_every_section_but_the_adversary_runs() -> None:
    plans, skipped = chosen(Options())
    assert [plan.name for plan in plans] == ["recall", "documents", "false-positives"]
    assert [reason.split(":")[0] for reason in skipped] == ["adversary"]


def test_a_named_section_that_cannot_run_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="adversary"):
        chosen(Options(sections=("adversary",)))
    with pytest.raises(UsageError, match="there is no section speed"):
        chosen(Options(sections=("recall", "speed")))


def test_a_part_takes_a_part_of_the_time() -> None:
    whole, part = expected_seconds(Options()), expected_seconds(Options(share=0.2))
    assert 0 < part < 0.4 * whole
    assert expected_seconds(Options(sections=("recall",))) < whole
    assert all(plan.seconds(Options(share=0.01)) > 0 for plan in PLANS.values())


def test_data_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        evaluate(Options(data=tmp_path / "nowhere"), quiet)
    with pytest.raises(UsageError, match="different pictures"):
        evaluate(Options(data=tmp_path, sections=("recall",)), quiet)
