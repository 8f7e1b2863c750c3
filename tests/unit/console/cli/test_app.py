"""Global options work wherever they stand; mistakes end with status 2 and a sentence."""

import pytest

from console.cli.app import hoist_global_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["set", "list", "--json"], ["--json", "set", "list"]),
        (["--json", "set", "list"], ["--json", "set", "list"]),
        (["check", "--config", "a.yaml", "x.png"], ["--config", "a.yaml", "check", "x.png"]),
        (["check", "x.png", "--config=a.yaml", "--json"], ["--config=a.yaml", "--json", "check", "x.png"]),
        (["check", "--", "--json"], ["check", "--", "--json"]),
        (["check", "--config"], ["--config", "check"]),
        ([], []),
    ],
)
def test_global_options_move_to_the_front(given: list[str], expected: list[str]) -> None:
    assert hoist_global_options(given) == expected
