from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy_addon.enforcement import Case
from proxy_addon.uploads.assembly import Assembly
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.session import Refusal
from proxy_addon.uploads.step import Step
from proxy_addon.verdicts.judging import Judged, Judging
from shared.core.policy import OnUninspected
from shared.extract.reassembly import SpoolLimits
from shared.types import Action, Direction, HttpMessage, Role, Selection, StepKind, UploadStep
from tests.factories import make_context, make_head, make_policy
from tests.proxies import Setup, make_image

BLOCKS = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK))
REFUSAL = Refusal(policy="p", incident="i", kind="match", reason="r")
KEY = "//up.example/1?"


class Upload:
    """Takes steps of one upload."""

    def __init__(self) -> None:
        self.setup = Setup(policies=[BLOCKS])
        self.spool = self.setup.parts.spool
        self.note = Note(selection=Selection(app="a", select={Role.OFFSET: ()}))

    async def take(self, data: bytes = b"", kind: StepKind = StepKind.PART, **step: Any) -> list[Judged] | Refusal:
        case = Case(request=make_head(), context=make_context(), policies=(BLOCKS,))
        asked = HttpMessage(head=make_head(), body=data, direction=Direction.OUTBOUND)
        judging = Judging(self.setup.judge, self.setup.clock, self.setup.metrics)
        assembly = Assembly(self.spool, judging, case, asked, judging.deadline(case))
        values = {"kind": kind, "session": KEY, "span": (0, len(data)) if data else None, **step}
        return await Step(self.spool, assembly, self.note, UploadStep(**values)).take(data)

    async def refuse(self) -> None:
        session = await self.spool.open(KEY)
        await self.spool.change(session, lambda known: replace(known, refusal=REFUSAL))


def reasons(outcome: list[Judged] | Refusal) -> list[str]:
    assert isinstance(outcome, list)
    return [finding.reason.partition(":")[0] for each in outcome for finding in each.decision.findings]


async def test_nothing_is_decided_before_the_object_is_whole() -> None:
    upload = Upload()
    image = make_image(1000, protected=True)
    assert await upload.take(image[:20], offset=0, total=len(image)) == []
    assert await upload.take(kind=StepKind.STATUS) == []
    outcome = await upload.take(image[20:], offset=20, total=len(image))
    assert isinstance(outcome, list)
    assert [each.decision.action for each in outcome] == [Action.BLOCK]


async def test_a_blocked_upload_answers_every_step_but_its_end() -> None:
    upload = Upload()
    await upload.take(b"abc", offset=0)
    await upload.refuse()
    for kind in (StepKind.PART, StepKind.COMMIT, StepKind.STATUS):
        assert await upload.take(kind=kind) == REFUSAL
    assert await upload.take(b"abc", offset=0) == REFUSAL
    assert await upload.take(kind=StepKind.CANCEL) == []


async def test_other_bytes_at_the_beginning_are_another_object() -> None:
    upload = Upload()
    await upload.take(b"abc", offset=0)
    await upload.refuse()
    assert await upload.take(b"ABC", offset=0) == []
    assert [piece.size for piece in (await upload.spool.open(KEY)).parts.pieces] == [3]


async def test_an_upload_over_its_limits_is_told_once_and_again_at_its_commit() -> None:
    upload = Upload()
    upload.spool.limits = SpoolLimits(max_bytes=4)
    assert await upload.take(b"abc", offset=0) == []
    assert reasons(await upload.take(b"def", offset=3)) == ["too_large"]
    assert await upload.take(b"ghi", offset=6) == []
    assert reasons(await upload.take(kind=StepKind.COMMIT)) == ["too_large"]


async def test_an_empty_object_holds_nothing() -> None:
    upload = Upload()
    outcome = await upload.take(kind=StepKind.START, total=0)
    assert isinstance(outcome, list)
    assert [each.decision.action for each in outcome] == [Action.ALLOW]


async def test_a_commit_of_what_nobody_saw_is_unknown() -> None:
    upload = Upload()
    assert reasons(await upload.take(kind=StepKind.COMMIT)) == ["unknown_object"]
    assert reasons(await upload.take(kind=StepKind.COMMIT, sources=("//a", "//b"))) == ["unknown_object"]
    assert await upload.take(b"abc", offset=3) == []
    assert reasons(await upload.take(kind=StepKind.COMMIT)) == ["unknown_object"]
