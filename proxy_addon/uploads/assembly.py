"""Judges an object that has come in parts, once all of them are there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy_addon.enforcement import Case
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.uploads.spool import Spool
from proxy_addon.verdicts.judging import NOTHING_FOUND, Judged, Judging
from shared.core.policy import decide_uninspected
from shared.extract.reassembly import Layout, Parts, Slice, join, readings, variants
from shared.types import RESTRICTIVENESS, Finding, HttpMessage, UninspectedReason


@dataclass(frozen=True, slots=True)
class Assembly:
    """What is needed to judge the object that ``asked``, an upload's last request or a download's last range, ends."""

    spool: Spool
    judging: Judging
    case: Case
    asked: HttpMessage
    deadline: float

    async def whole(self, objects: Sequence[Parts], fresh: dict[str, bytes], order: Sequence[str] = ()) -> list[Judged]:
        """Judge what the parts of ``objects``, one after the other, make up: every reading of it.

        ``fresh`` holds the bytes of pieces that need not be read.  Raises StoreError.
        """
        layouts: list[Layout] = [await run_steps(parts.layout(order)) for parts in objects]
        wanted = {each.piece.key: each.piece for layout in layouts for some in layout.segments for each in some}
        try:
            async with asyncio.timeout(self.judging.left(self.deadline)):
                missing = [piece for key, piece in wanted.items() if key not in fresh]
                data = {**await self.spool.load(missing), **fresh}
        except TimeoutError:
            return [self.uninspected(UninspectedReason.TIMEOUT, "they were not read in time")]
        if any(layout.missing for layout in layouts) or wanted.keys() - data.keys():
            return [self.uninspected(UninspectedReason.UNKNOWN_OBJECT, "not all of them were seen")]
        read = [await run_steps(readings(layout, data)) for layout in layouts]
        joined = Layout(
            segments=tuple(segment for layout in read for segment in layout.segments),
            ambiguous=any(layout.ambiguous for layout in read),
        )
        judged = [await self._judge(slices, data) for slices in variants(joined)]
        if joined.ambiguous:
            judged.append(self.uninspected(UninspectedReason.DEFAULT, "they contradict each other too often"))
        return judged

    async def _judge(self, slices: Sequence[Slice], data: dict[str, bytes]) -> Judged:
        body = await run_steps(join(slices, data))
        # What the parts were declared as is about the parts: the object is taken for what it is.
        # Codings of an upload's parts are undone; the ranges of a download are cut out of what is coded.
        coded = tuple(each for each in self.asked.head.headers if each[0] == "content-encoding")
        download = self.asked.head.status is not None
        head = replace(self.asked.head, headers=coded if download else (), status=200 if download else None)
        message = replace(self.asked, head=head, body=body)
        return await self.judging.decide(self.case, message, deadline=self.deadline, asked=self.asked)

    def uninspected(self, reason: UninspectedReason, detail: str) -> Judged:
        """Decide over an object that cannot be put together."""
        self.judging.missed(self.case, reason)
        return Judged(decision=decide_uninspected(self.case.policies, reason, f"in parts: {detail}"))


def most_restrictive(judged: Sequence[Judged]) -> Judged:
    """Return one decision of several over the same transfer, with everything that was found, each once."""
    if not judged:
        return NOTHING_FOUND
    first = max(judged, key=lambda each: RESTRICTIVENESS.index(each.decision.action))
    ordered = [first, *(each for each in judged if each is not first)]
    findings: dict[tuple[str, ...], Finding] = {}
    for each in ordered:
        for finding in each.decision.findings:
            findings.setdefault((finding.policy, finding.kind, finding.sha256, finding.reason), finding)
    return Judged(
        decision=replace(first.decision, findings=tuple(findings.values())),
        judgements=tuple(judgement for each in ordered for judgement in each.judgements),
    )
