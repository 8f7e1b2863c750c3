"""What happens to one transfer: ruled on its head, judged on its body.  Nothing here knows mitmproxy.

The request's head decides what is about the transfer itself, for both directions: a download that is forbidden is
never asked for.  Each direction's head decides how its body is treated: held and judged, streamed, streamed and
sniffed, or, where all that applies is in monitor mode, streamed and judged behind the flow's back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from proxy_addon.activities.operations import Classifier, Operations
from proxy_addon.enforcement import Case
from proxy_addon.measures import Measures
from proxy_addon.policies.applicable import ApplicablePolicies
from proxy_addon.policies.failsafe import Failsafe, as_image_policies
from proxy_addon.responses.reply import Reply, is_preflight, preflight_reply
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.ruling import PASS, Coming, Ruling, Treatment, come
from proxy_addon.uploads.downloads import RangeNote
from proxy_addon.uploads.inspection import Uploads
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.session import Refusal
from proxy_addon.verdicts.judging import Judged
from shared.core.objects import MAKING, NAMING
from shared.core.policy import Policy, applicable, decide, decide_uninspected, wait_ms
from shared.extract.handling import Handling, handling
from shared.extract.pipeline import holds_nothing_at_all
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import (
    Action,
    Activity,
    ActivityContext,
    Actor,
    Decision,
    Direction,
    HttpHead,
    HttpMessage,
    Role,
    UninspectedReason,
)

_TELLING: Final = MAKING | {Activity.UPLOAD, Activity.DOWNLOAD}
_TREATMENTS: Final = {Handling.TEE: Treatment.TEE, Handling.UNITS: Treatment.UNITS}
ReadHead = Callable[[], tuple[HttpHead, Actor]]
_UNREADABLE: Final = HttpHead(method="", scheme="", host="", port=0, path="")


class Transfers:
    """Rules and judges; one for a whole proxy, without state of its own for any flow."""

    def __init__(
        self,
        *,
        classifier: Classifier,
        policies: Callable[[], Sequence[Policy]],
        uploads: Uploads,
        measures: Measures,
        failsafe: Failsafe,
        clock: Clock,
        metrics: Metrics,
        max_object: int,
    ) -> None:
        self._classifier = classifier
        self._operations = Operations(classifier, metrics)
        self._policies = policies
        self._uploads = uploads
        self._measures = measures
        self._failsafe = failsafe
        self._clock = clock
        self._metrics = metrics
        self._max_object = max_object
        self._applicable = ApplicablePolicies()
        self._second = 0, datetime.fromtimestamp(0, UTC)

    @property
    def idle(self) -> bool:
        """Whether there is no policy in force, so that every head is to pass."""
        return not self._policies()

    def request_head(self, read: ReadHead) -> Coming:
        """Rule on a request; ``read`` gives its head, and is called only where there are policies at all."""
        policies = self._policies()
        if not policies:
            return PASS

        def rule() -> Coming:
            request, actor = read()
            if is_preflight(request) and self._would_refuse(policies, request, actor):
                return Ruling(reply=preflight_reply(request))
            possible = self._operations.possible(policies, request, actor, self._now())
            if possible is not None and request.header("content-length").strip() == "0":
                possible = None
            case = possible or self._case(policies, request, Direction.OUTBOUND, actor)

            def about_body() -> Coming:
                about = self._about_body if possible is None else self._until_body
                return about(case, request, policies)

            if not self._applicable.any_about_transfers(policies):
                return about_body()
            inbound = self._case(policies, request, Direction.INBOUND, actor)
            return self._about_transfer((inbound,) if possible is not None else (case, inbound), about_body)

        return self._ruled(rule, policies, read, Direction.OUTBOUND)

    def response_head(self, read: ReadHead, response: Callable[[], HttpHead]) -> Coming:
        """Rule on a response; ``read`` gives the head of the request that it answers."""
        policies = self._policies()
        if not policies:
            return PASS

        def rule() -> Coming:
            request, actor = read()
            case = self._case(policies, request, Direction.INBOUND, actor)
            return self._about_body(case, response(), policies)

        return self._ruled(rule, policies, read, Direction.INBOUND)

    def message_head(self, read: ReadHead, direction: Direction) -> Coming:
        """Rule on one message of a connection that stays open; ``read`` gives the head of the request that opened it.

        Held where a policy may change what happens, copied where all that apply are in monitor mode.
        """
        policies = self._policies()
        if not policies:
            return PASS

        def rule() -> Ruling:
            request, actor = read()
            case = self._case(policies, request, direction, actor)
            asking = tuple(policy for policy in case.policies if policy.images is not None)
            if not asking:
                return PASS
            treatment = Treatment.HOLD if wait_ms(asking) else Treatment.COPY
            return Ruling(treatment=treatment, case=replace(case, policies=asking))

        return self._ruled(rule, policies, read, direction)

    async def body(
        self, case: Case, read: Callable[[], HttpMessage], upload: Note | RangeNote | None = None
    ) -> Reply | Rewritten | None:
        """Judge a body that was held; return what is to pass in its place, or the answer where nothing is."""
        cases = await self._cases(case, read)
        for each in cases:
            judged = await self._judge(each, read, upload)
            if isinstance(judged, Refusal):
                return await self._measures.repeat(each, judged.decision(), judged.incident)
            if len(cases) == 1 and not (isinstance(upload, Note) and upload.steps):
                instead = await self._measures.settle_body(each, judged, read)
                if isinstance(upload, RangeNote) and not isinstance(instead, Rewritten):
                    await self._remember(upload, judged.decision, "" if instead is None else instead.incident)
                return instead
            reply = await self._measures.settle(each, judged.decision, judged.judgements)
            if reply is not None and upload is not None:
                await self._remember(upload, judged.decision, reply.incident)
            if reply is not None:
                return reply
        return None

    def passes_at_once(
        self, case: Case, read: Callable[[], tuple[HttpHead, bytes]], upload: Note | RangeNote | None
    ) -> bool:
        """Let a held body pass, as ``body`` would, of which that is known at once; false where it has to judge.

        Most bodies are a little JSON, and many pictures have been seen before: for either, what ``body`` does for any
        message takes a tenth of a request's time.
        """

        def passes() -> bool:
            if case.context.app or case.says_without_body or isinstance(upload, Note) or (upload and upload.partial):
                return False
            decision: Decision | None = self._applicable.without_images(case.policies)
            head, body = read()
            if not holds_nothing_at_all(head, body):
                decision = self._uploads.decide_at_once(case, head, body)
            if decision is None or decision.action is not Action.ALLOW or decision.findings:
                return False
            self._measures.passed(case, decision)
            if upload is not None:
                self._uploads.passed(upload)
            return True

        return self._failsafe.attempt("body", passes, False)

    async def message(self, case: Case, read: Callable[[], HttpMessage], framing: Framing) -> Reply | Rewritten | None:
        """Judge one message of a connection that stays open; return as ``body`` does."""
        judged = await self._judge(case, read)
        if isinstance(judged, Refusal):
            return await self._measures.repeat(case, judged.decision(), judged.incident)
        return await self._measures.settle_body(case, judged, read, framing)

    async def early(self, case: Case, read: Callable[[], HttpMessage]) -> Reply | None:
        """Judge the beginning of a body that is judged again when it is whole: only what ends it here is recorded."""
        judged = await self._judge(case, read)
        # Of a picture that is to be redacted the beginning may not pass either: nobody has to send the rest.
        if isinstance(judged, Refusal):
            return None
        decision = judged.decision
        if decision.action is Action.ALLOW:  # but for what is whole beside the beginning
            whole = [each for each in judged.judgements if each.verdict is not None and each.verdict.error is None]
            decision = decide(case.policies, whole)
        return await self._measures.settle(case, decision, judged.judgements) if decision.findings else None

    async def _remember(self, upload: Note | RangeNote, decision: Decision, incident: str) -> None:
        async def remember() -> None:
            await self._uploads.settled(upload, decision, incident)

        await self._failsafe.guard("upload", remember, lambda: None)

    async def afterwards(self, case: Case, message: HttpMessage, upload: Note | RangeNote | None = None) -> None:
        """Judge a body that has passed: for the record."""
        for each in await self._cases(case, lambda: message):
            judged = await self._judge(each, lambda: message, upload)
            if not isinstance(judged, Refusal):  # recorded when it was blocked; since then the policies only watch
                await self._measures.settle(each, judged.decision, judged.judgements, too_late=True)

    async def uninspected(
        self, case: Case, reason: UninspectedReason, detail: str, *, too_late: bool = False
    ) -> Reply | None:
        """Decide over a body that cannot be inspected; return the answer where it is not to pass."""
        self._metrics.count("safelight_proxy_uninspected_total", reason=reason)
        case.uninspected.append(reason)

        async def judge() -> Decision | None:
            return decide_uninspected(case.policies, reason, detail)

        decision = await self._failsafe.guard("decide", judge, lambda: None)
        decision = decision or await self._failsafe.decision(case.policies, "the decision failed")
        return await self._measures.settle(case, decision, too_late=too_late)

    async def _judge(
        self, case: Case, read: Callable[[], HttpMessage], upload: Note | RangeNote | None = None
    ) -> Judged | Refusal:
        async def judge() -> Judged | Refusal | None:
            return await self._uploads.decide(case, read(), upload)

        judged = await self._failsafe.guard("judge", judge, lambda: None)
        if judged is None:
            case.uninspected.append(UninspectedReason.DEFAULT)
        return judged or Judged(decision=await self._failsafe.decision(case.policies, "the inspection failed"))

    async def _cases(self, case: Case, read: Callable[[], HttpMessage]) -> tuple[Case, ...]:
        if not case.told_by_body:
            return (case,)

        async def cases() -> tuple[Case, ...]:
            return await self._operations.cases(case, read(), self._policies(), self._now())

        return await self._failsafe.guard("body", cases, lambda: (replace(case, told_by_body=False),))

    def now(self) -> float:
        """Return the monotonic seconds that messages of a connection are timed by."""
        return self._clock.monotonic()

    def _now(self) -> datetime:
        second = int(self._clock.wall())
        if second != self._second[0]:  # asked four times for every request
            self._second = second, datetime.fromtimestamp(second, UTC)
        return self._second[1]

    def _case(self, policies: Sequence[Policy], request: HttpHead, direction: Direction, actor: Actor) -> Case:
        context = self._classifier.classify(request, direction, actor)
        return Case(request=request, context=context, policies=self._applicable.find(policies, context, self._now()))

    def _would_refuse(self, policies: Sequence[Policy], preflight: HttpHead, actor: Actor) -> bool:
        """Tell whether the request that a preflight announces would be refused on its head; nothing is recorded."""
        announced = replace(preflight, method=preflight.header("access-control-request-method").upper())
        for direction in Direction:
            case = self._case(policies, announced, direction, actor)
            about = [policy for policy in case.policies if policy.images is None]
            if about and not case.sends_nothing and decide(about, ()).action is not Action.ALLOW:
                return True
        return False

    async def _about_transfer(self, cases: Sequence[Case], otherwise: Callable[[], Coming]) -> Ruling:
        """Decide the policies without image conditions; ``otherwise`` where they let the transfer go on."""
        seen: set[str] = set()
        for case in cases:
            policies = tuple(each for each in case.policies if each.images is None and each.name not in seen)
            if not policies or case.sends_nothing:
                continue
            seen.update(policy.name for policy in policies)
            about = Case(request=case.request, context=case.context, policies=policies)
            reply = await self._measures.settle(about, decide(policies, ()))
            if reply is not None:
                return Ruling(reply=reply)
        return await come(otherwise())

    async def _too_large(self, case: Case) -> Ruling:
        detail = f"the body is larger than {self._max_object} bytes"
        reply = await self.uninspected(case, UninspectedReason.TOO_LARGE, detail)
        return Ruling(reply=reply, uninspected=UninspectedReason.TOO_LARGE)

    def _until_body(self, case: Case, head: HttpHead, policies: Sequence[Policy]) -> Coming:
        if not case.policies:
            return self._about_object(case, policies, Handling.HOLD)
        if handling(head, max_object=self._max_object) is Handling.TOO_LARGE:
            return self._too_large(case)
        held = any(policy.acts for policy in case.policies)
        upload = self._uploads.note(head)
        return Ruling(treatment=Treatment.HOLD if held else Treatment.COPY, case=case, upload=upload)

    def _about_body(self, case: Case, head: HttpHead, all_policies: Sequence[Policy]) -> Coming:
        policies = case.policies
        if self._applicable.any_about_transfers(all_policies):
            policies = tuple(policy for policy in policies if policy.images is not None)
        if not policies:
            how = handling(head, max_object=self._max_object)
            return self._about_object(case, all_policies, how)
        named = self._names_object(case)
        if named or len(policies) < len(case.policies):
            case = Case(request=case.request, context=case.context, policies=policies, names_object=named)
        how = handling(head, max_object=self._max_object)
        if how is Handling.TOO_LARGE:
            return self._too_large(case)
        upload = self._note(case, head) if how is not Handling.TEE else None
        if how is Handling.HOLD or isinstance(upload, Note) or named:
            return Ruling(treatment=Treatment.HOLD if wait_ms(policies) else Treatment.COPY, case=case, upload=upload)
        treatment = _TREATMENTS.get(how)
        return PASS if treatment is None else Ruling(treatment=treatment, case=case)

    def _note(self, case: Case, head: HttpHead) -> Note | RangeNote | None:
        if case.context.direction is Direction.INBOUND:
            return self._uploads.range_note(case.request, head)
        return self._uploads.note(head)

    def _about_object(self, case: Case, policies: Sequence[Policy], how: Handling) -> Ruling:
        """Look behind the flow's back into what no policy asks about, where one may ask about the object later.

        That is a policy which names the activity: one for all activities would have every download looked into.
        """
        asking = tuple(policy for policy in policies if policy.when.activities & NAMING)
        if case.context.activity not in _TELLING or not self._asks_later(asking, case.context):
            return PASS
        outbound = case.context.direction is Direction.OUTBOUND
        upload = self._uploads.note(case.request) if outbound else None
        without_body = upload is not None or case.context.activity in MAKING
        if how is not Handling.HOLD and not (how is Handling.STREAM and without_body):
            return PASS
        if upload is None and not self._has_object(case):
            return PASS
        # The reply to the last part tells the id: by then the parts have to be put together.
        treatment = Treatment.COPY if upload is None else Treatment.HOLD
        return Ruling(treatment=treatment, case=replace(case, policies=()), upload=upload)

    def _names_object(self, case: Case) -> bool:
        outbound = case.context.direction is Direction.OUTBOUND
        return outbound and case.context.activity in NAMING and self._has_object(case)

    def _has_object(self, case: Case) -> bool:
        selection = self._classifier.selection(case.request, case.context.direction)
        return selection is not None and Role.OBJECT in selection.select

    def _asks_later(self, policies: Sequence[Policy], context: ActivityContext) -> bool:
        now = self._now()
        later = (replace(context, activity=each, direction=Direction.OUTBOUND) for each in NAMING)
        return any(policy.images is not None for each in later for policy in applicable(policies, each, now))

    def _ruled(
        self, rule: Callable[[], Coming], policies: Sequence[Policy], read: ReadHead, direction: Direction
    ) -> Coming:
        found = self._failsafe.attempt("head", rule, None)
        return found if isinstance(found, Ruling) else self._ruled_later(found, policies, read, direction)

    async def _ruled_later(
        self, coming: Awaitable[Ruling] | None, policies: Sequence[Policy], read: ReadHead, direction: Direction
    ) -> Ruling:
        """Wait for a ruling; None: it has failed already."""

        async def wait() -> Ruling | None:
            return None if coming is None else await coming

        ruling = await self._failsafe.guard("head", wait, lambda: None)
        if ruling is not None:
            return ruling

        async def read_again() -> tuple[HttpHead, Actor]:
            return read()

        # The head may be what cannot be read; what it says matters only for the record here.
        request, actor = await self._failsafe.guard("head", read_again, lambda: (_UNREADABLE, Actor()))
        activity = Activity.UPLOAD if direction is Direction.OUTBOUND else Activity.DOWNLOAD
        context = ActivityContext(activity=activity, direction=direction, host=request.host, actor=actor)
        case = Case(request=request, context=context, policies=as_image_policies(policies))
        decision = await self._failsafe.decision(case.policies, "the head could not be ruled on")
        return Ruling(reply=await self._measures.settle(case, decision))
