"""What is to be obscured in which image of a transfer: from policies and verdicts, as ``decide`` saw them.

The geometric evidence of a match says where the reference lies in the image, roughly: a region is widened before it is
used.  Where anything but a located match made the policy apply (a label, a hash list, another form of the same layout)
the whole picture goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.core.policy import Policy
from shared.core.policy_conditions import Condition, HashListCondition, ImageConditions, LabelCondition, SetCondition
from shared.types import (
    MAX_REGIONS,
    Action,
    ImageJudgement,
    Obscuring,
    RedactionOrder,
    ReferenceMatch,
    Region,
    Relation,
    Verdict,
)

MARGIN_SHARE: Final = 0.03
"""Of a region's longer side, added on every side: the corners of a match are off by about a feature's size."""
MARGIN_PIXELS: Final = 8
"""The least that is added."""


def matched_images(policy: Policy, judgements: Sequence[ImageJudgement]) -> tuple[ImageJudgement, ...]:
    """Return every image that makes a policy apply; ``decide`` names the one that says most."""
    conditions = policy.images
    if conditions is None:
        return ()
    return tuple(each for each in judgements if each.verdict is not None and conditions.fact(each.verdict) is not None)


def redaction_orders(policies: Sequence[Policy], judgements: Sequence[ImageJudgement]) -> dict[str, RedactionOrder]:
    """Return what is to be obscured, by the image's SHA-256, for all policies that redact.

    Where policies disagree on an image all their regions go, and a box wins over a blur.
    """
    orders: dict[str, RedactionOrder] = {}
    for policy in policies:
        if policy.action is not Action.REDACT or not policy.acts or policy.images is None:
            continue
        for judgement in matched_images(policy, judgements):
            if judgement.verdict is not None:
                order = _order(policy.images, judgement.verdict, policy.redact_how)
                earlier = orders.get(judgement.sha256)
                orders[judgement.sha256] = order if earlier is None else _both(earlier, order)
    return orders


def _order(conditions: ImageConditions, verdict: Verdict, how: Obscuring) -> RedactionOrder:
    holding = [each for each in (*conditions.any, *conditions.all) if each.fact(verdict) is not None]
    regions = [region for each in holding for region in _regions(each, verdict)]
    if not regions or None in regions or len(regions) > MAX_REGIONS:
        return RedactionOrder(how=how)
    return RedactionOrder(regions=tuple(dict.fromkeys(each for each in regions if each is not None)), how=how)


def _regions(condition: Condition, verdict: Verdict) -> list[Region | None]:
    """Return where a condition holds; None stands for the whole picture, and nothing for no place at all."""
    match condition:
        case SetCondition():
            return [_region(match, verdict) for match in condition.counting(verdict)]
        case LabelCondition() | HashListCondition():
            return [None]
        case _:
            return []


def _region(match: ReferenceMatch, verdict: Verdict) -> Region | None:
    if match.evidence is None or match.relation is not Relation.COPY or verdict.image is None:
        return None
    if verdict.image.frames > 1:  # where the reference lies in the other frames is not known
        return None
    left, top, right, bottom = match.evidence.region
    margin = max(MARGIN_PIXELS, round(MARGIN_SHARE * max(right - left, bottom - top)))
    width, height = verdict.image.width, verdict.image.height
    wide = (max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin))
    return wide if left < right and top < bottom and wide[0] < wide[2] and wide[1] < wide[3] else None


def _both(one: RedactionOrder, other: RedactionOrder) -> RedactionOrder:
    how = Obscuring.BOX if Obscuring.BOX in (one.how, other.how) else Obscuring.BLUR
    regions = tuple(dict.fromkeys(one.regions + other.regions))
    whole = not one.regions or not other.regions or len(regions) > MAX_REGIONS
    return RedactionOrder(regions=() if whole else regions, how=how)
