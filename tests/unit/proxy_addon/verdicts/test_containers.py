"""Each image of a container counts as one of the transfer."""

from __future__ import annotations

from dataclasses import replace

from proxy_addon.verdicts.containers import images_of
from shared.core.policy import decide
from shared.core.policy_conditions import ImageCondition, ImageConditions
from shared.errors import ErrorCode
from shared.types import Action, ContainerInfo, UninspectedReason, UnreadPart, Verdict, VerdictError
from tests.factories import make_image_info, make_judgement, make_match, make_policy, make_verdict

OUTER, INNER = "a" * 64, "b" * 64
LOCKED = UnreadPart(path="c.zip", error=VerdictError(code=ErrorCode.ENCRYPTED, message="locked"))


def container(*images: Verdict, unread: tuple[UnreadPart, ...] = ()) -> Verdict:
    info = ContainerInfo(format="zip", images=len(images), images_inspected=len(images), unread=unread)
    error = unread[0].error if unread else None
    return Verdict(sha256=OUTER, container=info, images=images, error=error, encoder="e", index_revision="e:1")


def judged(verdict: Verdict | None) -> tuple[tuple[str, str, str, str], ...]:
    judgement = make_judgement(locator="multipart[0]/file", sha256=OUTER, size=9, name="report.docx", verdict=verdict)
    return tuple((each.locator, each.name, each.sha256, each.container) for each in images_of(judgement))


def test_an_image_is_itself() -> None:
    judgement = make_judgement()
    assert images_of(judgement) == (judgement,)
    late = replace(judgement, verdict=None, uninspected=UninspectedReason.TIMEOUT)
    assert images_of(late) == (late,)


def test_images_are_named_by_their_path() -> None:
    inside = replace(make_verdict(sha256=INNER), path="word/media/image1.png")
    place = "multipart[0]/file/word/media/image1.png"
    assert judged(container(inside)) == ((place, "report.docx/word/media/image1.png", INNER, OUTER),)


def test_what_was_not_read_is_judged_by_its_reason() -> None:
    assert judged(container(unread=(LOCKED,))) == (("multipart[0]/file/c.zip", "report.docx/c.zip", OUTER, OUTER),)


def test_an_archive_is_no_image() -> None:
    policy = make_policy(images=ImageConditions(any=(ImageCondition(),)))
    judgements = images_of(make_judgement(verdict=container()))
    assert judgements == ()
    assert decide([policy], judgements).action is Action.ALLOW


def test_a_picture_that_is_an_archive_counts_as_both() -> None:
    inside = replace(make_verdict(sha256=INNER, matches=(make_match(),)), path="b.png")
    both = replace(container(inside), image=make_image_info())
    judgements = images_of(make_judgement(sha256=OUTER, verdict=both))
    assert [each.sha256 for each in judgements] == [OUTER, INNER]
    assert judgements[0].verdict is not None
    assert judgements[0].verdict.container is None
    assert decide([make_policy()], judgements).action is Action.BLOCK


def test_a_broken_picture_that_is_an_archive_is_uninspected() -> None:
    broken = replace(container(), error=VerdictError(code=ErrorCode.CORRUPT, message="broken"))
    (own,) = images_of(make_judgement(sha256=OUTER, verdict=broken))
    assert (own.sha256, own.container) == (OUTER, "")
