"""What is obscured, and where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.policy import Policy
from shared.core.policy_conditions import (
    HashListCondition,
    ImageCondition,
    ImageConditions,
    LabelCondition,
    SetCondition,
)
from shared.core.redaction import MARGIN_PIXELS, matched_images, redaction_orders
from shared.types import (
    MAX_REGIONS,
    Action,
    Evidence,
    ImageJudgement,
    LabelScore,
    Mode,
    Obscuring,
    RedactionOrder,
    Relation,
)
from tests.factories import SET, SHA256, make_image_info, make_judgement, make_match, make_policy, make_verdict

WHOLE = RedactionOrder()


def redact(**overrides: object) -> Policy:
    return make_policy(action=Action.REDACT, **overrides)


def seen_at(*regions: tuple[int, int, int, int] | None, **overrides: object) -> ImageJudgement:
    """An image of 1280 x 853 that matches once for each region."""
    matches = tuple(
        make_match(evidence=None if region is None else Evidence(inliers=40, region=region, transform=""), **overrides)
        for region in regions
    )
    return make_judgement(verdict=make_verdict(matches=matches))


def test_a_located_match_is_obscured_with_a_margin() -> None:
    (order,) = redaction_orders([redact()], [seen_at((100, 200, 500, 400))]).values()
    assert order == RedactionOrder(regions=((88, 188, 512, 412),))
    (small,) = redaction_orders([redact()], [seen_at((0, 0, 20, 853))]).values()
    assert small.regions == ((0, 0, 20 + 26, 853),), "never outside of the image"


def test_every_match_counts() -> None:
    (order,) = redaction_orders([redact()], [seen_at((100, 200, 110, 210), (300, 300, 310, 310))]).values()
    assert order.regions == (
        (100 - MARGIN_PIXELS, 200 - MARGIN_PIXELS, 110 + MARGIN_PIXELS, 210 + MARGIN_PIXELS),
        (300 - MARGIN_PIXELS, 300 - MARGIN_PIXELS, 310 + MARGIN_PIXELS, 310 + MARGIN_PIXELS),
    )


@pytest.mark.parametrize(
    "judgement",
    [
        seen_at(None),
        seen_at((100, 200, 500, 400), None),
        seen_at((500, 400, 100, 200)),
        seen_at((5000, 4000, 5010, 4010)),
        seen_at((100, 200, 500, 400), relation=Relation.SAME_LAYOUT),
        seen_at(*((at, at, at + 1, at + 1) for at in range(MAX_REGIONS + 1))),
    ],
    ids=["no place", "one without", "inside out", "outside", "another form of the layout", "too many"],
)
def test_without_a_place_the_whole_picture_goes(judgement: ImageJudgement) -> None:
    assert list(redaction_orders([redact()], [judgement]).values()) == [WHOLE]


def test_every_frame_of_an_animation_goes_whole() -> None:
    located = seen_at((100, 200, 500, 400)).verdict
    assert located is not None
    moving = make_judgement(verdict=replace(located, image=make_image_info(frames=2)))
    assert list(redaction_orders([redact()], [moving]).values()) == [WHOLE]


@pytest.mark.parametrize("other", [LabelCondition(classifier="c", label="x"), HashListCondition(list="l")])
def test_what_a_label_or_a_list_finds_goes_whole(other: LabelCondition | HashListCondition) -> None:
    both = ImageConditions(any=(SetCondition(set=SET), other))
    judgement = seen_at((100, 200, 500, 400))
    assert redaction_orders([redact(images=both)], [judgement])[SHA256].regions, "the other does not hold"
    verdict = judgement.verdict
    assert verdict is not None
    labelled = replace(verdict, labels=(LabelScore(classifier="c", label="x", score=99.0),))
    if isinstance(other, LabelCondition):
        assert redaction_orders([redact(images=both)], [replace(judgement, verdict=labelled)]) == {SHA256: WHOLE}


def test_every_image_beside_a_match_leaves_the_region_as_it_is() -> None:
    both = ImageConditions(all=(SetCondition(set=SET), ImageCondition()))
    assert redaction_orders([redact(images=both)], [seen_at((100, 200, 500, 400))])[SHA256].regions
    assert redaction_orders([redact(images=ImageConditions(any=(ImageCondition(),)))], [seen_at()]) == {SHA256: WHOLE}


def test_policies_that_do_not_redact_order_nothing() -> None:
    others = [make_policy(), redact(mode=Mode.MONITOR), redact(images=None)]
    assert redaction_orders(others, [seen_at((100, 200, 500, 400))]) == {}
    assert redaction_orders([redact()], [seen_at(), make_judgement(verdict=None)]) == {}


def test_policies_that_disagree() -> None:
    blur, box = redact(redact_how=Obscuring.BLUR), redact(name="box")
    place = seen_at((100, 200, 500, 400))
    assert redaction_orders([blur], [place])[SHA256].how is Obscuring.BLUR
    assert redaction_orders([blur, box], [place])[SHA256].how is Obscuring.BOX
    everything = redact(name="all", images=ImageConditions(any=(ImageCondition(),)))
    assert redaction_orders([blur, everything], [place])[SHA256] == WHOLE


def test_which_images_make_a_policy_apply() -> None:
    judgements = [seen_at(None), make_judgement(locator="other"), make_judgement(verdict=None)]
    assert matched_images(make_policy(), judgements) == (judgements[0],)
    assert matched_images(make_policy(images=None), judgements) == ()


@given(region=st.tuples(*[st.integers(-50, 1400)] * 4), width=st.integers(1, 1300), height=st.integers(1, 1300))
def test_a_region_lies_in_the_image_and_covers_what_was_found(
    region: tuple[int, int, int, int], width: int, height: int
) -> None:
    match = make_match(evidence=Evidence(inliers=9, region=region, transform=""))
    verdict = make_verdict(matches=(match,), image=make_image_info(width=width, height=height))
    order = redaction_orders([redact()], [make_judgement(verdict=verdict)])[SHA256]
    for left, top, right, bottom in order.regions:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert left <= max(0, region[0])
        assert right >= min(width, region[2])


def test_an_order_has_its_limit() -> None:
    with pytest.raises(ValueError, match="more than"):
        RedactionOrder(regions=((0, 0, 1, 1),) * (MAX_REGIONS + 1))
