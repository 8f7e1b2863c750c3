"""What a request does where its head does not say: told by its body, or several requests in one batch.

Until the body is there a request is held by whatever policies could apply to it.  A body that the server may read in
another way than we do counts as all that it could be, so that padding or a doubled key gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from proxy_addon.enforcement import Case, Operation
from proxy_addon.runtime.stepping import run_steps
from shared.core.activity import Possible, ReadValues
from shared.core.policy import Policy, applicable
from shared.errors import ErrorCode, ExtractionError
from shared.extract.batch import MAX_BODY, is_batch, split_batch
from shared.extract.budget import Limits
from shared.extract.selecting import open_message
from shared.telemetry import Metrics
from shared.types import ActivityContext, Actor, Direction, HttpHead, HttpMessage, Selection

_LIMITS: Final = Limits(max_inflated_bytes=MAX_BODY)


class Classifier(Protocol):
    """Says what goes on in a transfer: the catalogue of applications."""

    def classify(
        self, head: HttpHead, direction: Direction, actor: Actor, values: ReadValues | None = None
    ) -> ActivityContext:
        """Classify on the request's head, and on the values of its body where they are there."""
        ...

    def told_by_body(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        """Return what the request may be about where only its body tells, else nothing."""
        ...

    def of_host(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        """Return all that a request to this host may be about, nothing where no application is known there."""
        ...

    def selection(self, head: HttpHead, direction: Direction, values: ReadValues | None = None) -> Selection | None:
        """Return where the details of a message are."""
        ...


class Operations:
    """Reads bodies for what they do."""

    def __init__(self, classifier: Classifier, metrics: Metrics) -> None:
        self._classifier = classifier
        self._metrics = metrics

    def possible(self, policies: Sequence[Policy], request: HttpHead, actor: Actor, now: datetime) -> Case | None:
        """Return a case of everything a request may be about; None where its head says it all."""
        possible = self._possible(request, actor)
        if not possible:
            return None
        found = {policy.name for each in possible for policy in applicable(policies, each.context, now)}
        in_order = tuple(policy for policy in policies if policy.name in found)
        return Case(request=request, context=possible[-1].context, policies=in_order, told_by_body=True)

    async def cases(
        self, case: Case, message: HttpMessage, policies: Sequence[Policy], now: datetime
    ) -> tuple[Case, ...]:
        """Return what a request is about, one case for each kind of activity in it."""
        actor = case.context.actor
        try:
            read = await self._read(message, actor)
        except ExtractionError as error:
            self._metrics.count("safelight_proxy_limit_hits_total", limit=error.code)
            possible = self._possible(case.request, actor)
            read = [(each.context, Operation(message=message, selection=each.selection)) for each in possible]
        groups: dict[ActivityContext, list[Operation]] = {}
        for context, operation in read:
            groups.setdefault(context, []).append(operation)
        return tuple(
            Case(
                request=case.request,
                context=context,
                policies=found,
                operations=tuple(inside),
                uninspected=case.uninspected,
            )
            for context, inside in groups.items()
            if (found := applicable(policies, context, now)) or not case.policies
        )

    def _possible(self, request: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        ask = self._classifier.of_host if is_batch(request) else self._classifier.told_by_body
        return ask(request, actor)

    async def _read(self, message: HttpMessage, actor: Actor) -> list[tuple[ActivityContext, Operation]]:
        if not is_batch(message.head):
            return [await self._operation(message, actor)]
        inside = await run_steps(split_batch(message.head, message.body))
        read = [await self._operation(replace(message, head=head, body=body), actor) for head, body in inside]
        # What is in the batch beside its requests is looked into as well: once.
        whole = self._classifier.classify(message.head, Direction.OUTBOUND, actor)
        if all(context.activity is not whole.activity for context, _ in read):
            read.append((whole, Operation(message=replace(message, body=b""), selection=None)))
        return read

    async def _operation(self, message: HttpMessage, actor: Actor) -> tuple[ActivityContext, Operation]:
        opened = await run_steps(open_message(message, {}, _LIMITS))
        if opened.is_ambiguous():
            raise ExtractionError(ErrorCode.CORRUPT, "the server may read another body than we do")
        context = self._classifier.classify(message.head, Direction.OUTBOUND, actor, opened.values)
        selection = self._classifier.selection(message.head, Direction.OUTBOUND, opened.values)
        return context, Operation(message=message, selection=selection)
