from __future__ import annotations

import pytest

from proxy_addon.enforcement import Case
from proxy_addon.ruling import PASS, Ruling, Treatment, come
from shared.types import Action, Mode
from tests.factories import make_context, make_head, make_policy


@pytest.mark.parametrize(
    ("action", "mode", "trickles"),
    [
        (Action.BLOCK, Mode.ENFORCE, True),
        (Action.REDACT, Mode.ENFORCE, False),
        (Action.REDACT, Mode.MONITOR, True),
    ],
)
def test_what_may_have_to_be_another_body_does_not_trickle(action: Action, mode: Mode, trickles: bool) -> None:
    policies = (make_policy(action=action, mode=mode),)
    case = Case(request=make_head(), context=make_context(), policies=policies)
    assert Ruling(treatment=Treatment.HOLD, case=case).trickles is trickles
    assert not Ruling(treatment=Treatment.COPY, case=case).trickles


def test_what_passes_has_nothing_to_be_judged_by() -> None:
    assert (PASS.treatment, PASS.case, PASS.reply) == (Treatment.STREAM, None, None)


async def test_a_ruling_comes_at_once_or_later() -> None:
    async def later() -> Ruling:
        return PASS

    assert await come(PASS) is PASS
    assert await come(later()) is PASS
