"""When the adversary can be run, and how long it takes."""

from pathlib import Path

from workers.evaluation.adversary_section import PLAN, possible
from workers.evaluation.bench import Options


def test_it_needs_held_out_archives(tmp_path: Path) -> None:
    assert "archives" in possible(Options())
    assert "archives" in possible(Options(data=tmp_path))


def test_a_quick_run_is_announced_as_one() -> None:
    assert PLAN.name == "adversary"
    assert 0 < PLAN.seconds(Options(share=0.2)) < PLAN.seconds(Options()) / 4
