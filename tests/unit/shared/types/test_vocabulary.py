"""The order of actions."""

from shared.types import RESTRICTIVENESS, Action


def test_every_action_has_its_place_and_block_beats_coach() -> None:
    assert set(RESTRICTIVENESS) == set(Action)
    assert RESTRICTIVENESS.index(Action.BLOCK) > RESTRICTIVENESS.index(Action.REDACT)
    assert RESTRICTIVENESS.index(Action.REDACT) > RESTRICTIVENESS.index(Action.COACH)
