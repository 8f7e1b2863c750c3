from __future__ import annotations

from proxy_addon.uploads.assembly import most_restrictive
from proxy_addon.verdicts.judging import NOTHING_FOUND, Judged
from shared.types import Action, Decision
from tests.factories import make_finding, make_judgement


def judged(action: Action, policy: str, *sha256: str) -> Judged:
    findings = tuple(make_finding(policy=policy, action=action, sha256=each) for each in sha256)
    judgements = tuple(make_judgement(sha256=each) for each in sha256)
    return Judged(decision=Decision(action=action, policy=policy, findings=findings), judgements=judgements)


def test_the_most_restrictive_decision_comes_first_and_nothing_is_told_twice() -> None:
    merged = most_restrictive(
        [judged(Action.ALLOW, "a", "1"), judged(Action.BLOCK, "b", "2"), judged(Action.BLOCK, "b", "2")]
    )
    assert (merged.decision.action, merged.decision.policy) == (Action.BLOCK, "b")
    assert [(finding.policy, finding.sha256) for finding in merged.decision.findings] == [("b", "2"), ("a", "1")]
    assert most_restrictive([]) == NOTHING_FOUND
