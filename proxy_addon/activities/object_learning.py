"""Tells the memory of objects what goes by: ids in requests and replies, and what their images were judged.

An upload's id stands in the request (a path, a key) or in the reply to it.  What was judged and the reply come in
either order: a body that is only to be remembered is judged behind the flow's back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from proxy_addon.activities.objects import ObjectMemory
from proxy_addon.activities.operations import Classifier
from proxy_addon.enforcement import Case
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.verdicts.judging import Learn
from shared.core.objects import MAKING, NAMING, unknown
from shared.extract.budget import Limits
from shared.extract.object_names import address_name, object_names, session_names
from shared.extract.selecting import Message, open_message
from shared.telemetry import Metrics
from shared.types import (
    Activity,
    Actor,
    Direction,
    HttpMessage,
    ImageJudgement,
    ObjectName,
    Role,
    Selection,
    StepKind,
)

OPEN_EXCHANGES: Final = 4096
"""Requests whose replies are awaited to learn an id; more than a proxy has in flight."""

MAX_REPLY: Final = 256 << 10
"""Bytes of a reply that are read for an id."""

OK: Final = range(200, 300)
_LIMITS: Final = Limits(max_inflated_bytes=MAX_REPLY)
_ROLES: Final = frozenset({Role.OBJECT, Role.BECOMES, Role.SESSION})


@dataclass(slots=True, kw_only=True)
class _Open:
    """An exchange of which something is to be learnt."""

    request: Message
    selection: Selection
    actor: Actor
    activity: Activity
    judgements: tuple[ImageJudgement, ...] | None = None
    names: tuple[ObjectName, ...] | None = None  # known once the reply is there


class ObjectLearning:
    """Objects for ``Judging``, and what replies tell of them."""

    def __init__(self, classifier: Classifier, memory: ObjectMemory, metrics: Metrics) -> None:
        self._classifier = classifier
        self._memory = memory
        self._metrics = metrics
        self._open: OrderedDict[str, _Open] = OrderedDict()

    async def recall(self, case: Case, message: HttpMessage, deadline: float) -> tuple[ImageJudgement, ...]:
        """Return the judgements of objects that a request names, by ``deadline`` (monotonic seconds)."""
        context = case.context
        if context.activity not in NAMING or context.direction is not Direction.OUTBOUND:
            return ()
        found = [(each.message, each.selection) for each in case.operations]
        if not found:
            found.append((message, self._classifier.selection(message.head, Direction.OUTBOUND)))
        names: list[ObjectName] = []
        for asked, selection in found:
            if selection is None:
                return (unknown(ObjectName(app=context.app, id="")),)
            request = await run_steps(open_message(asked, selection.groups, _LIMITS))
            names += object_names(selection, Role.OBJECT, request, None, context.actor)
        return await self._memory.recall(names, deadline)

    async def begin(self, case: Case, message: HttpMessage) -> Learn:
        """Return where to tell what the images of ``message`` are judged."""
        asked = (
            message
            if message.request is None
            else HttpMessage(head=message.request, body=b"", direction=Direction.OUTBOUND)
        )
        told = next((each.selection for each in case.operations), None)
        selection = told or self._classifier.selection(asked.head, message.direction)
        if selection is None or not _ROLES & selection.select.keys() or len(case.operations) > 1:
            return _forget
        request = await run_steps(open_message(asked, selection.groups, _LIMITS))
        if message.direction is Direction.INBOUND:
            whole = message.head.status == 200
            names = object_names(selection, Role.OBJECT, request, None, case.context.actor)
            return partial(self._memory.learn, names) if whole else _forget
        opened = _Open(request=request, selection=selection, actor=case.context.actor, activity=case.context.activity)
        self._open[message.exchange] = opened
        while len(self._open) > OPEN_EXCHANGES:
            self._metrics.count("safelight_proxy_limit_hits_total", limit="open_objects")
            self._open.popitem(last=False)
        return partial(self._judged, opened)

    def awaits_reply(self, exchange: str) -> bool:
        """Tell whether the reply of an exchange is to be given to ``answered``."""
        return exchange in self._open

    def forget(self, exchange: str) -> None:
        """Await no reply any more."""
        self._open.pop(exchange, None)

    async def answered(self, reply: HttpMessage) -> None:
        """Take what a reply tells; its body may be cut or left out where it is long."""
        opened = self._open.pop(reply.exchange, None)
        if opened is None or reply.head.status not in OK:
            return
        answer = await run_steps(open_message(reply, {}, _LIMITS))
        if opened.selection.step is StepKind.START and Role.LEARN in opened.selection.select:
            self._learn_alias(opened, answer)
        elif opened.activity in MAKING:
            self._learn_copies(opened, answer)
        elif opened.activity is Activity.UPLOAD:
            sessions = session_names(opened.selection, opened.request)
            objects = object_names(opened.selection, Role.OBJECT, opened.request, answer, opened.actor)
            opened.names = objects + sessions
            if opened.judgements is not None:
                self._memory.learn(opened.names, opened.judgements)
            elif len(sessions) == 1:  # judged with an earlier request of the same upload
                self._memory.learn_alias(objects, sessions[0])
            else:
                self._memory.expect(opened.names)

    def _judged(self, opened: _Open, judgements: Sequence[ImageJudgement]) -> None:
        opened.judgements = tuple(judgements)
        if opened.names is not None:
            self._memory.learn(opened.names, judgements)

    def _learn_alias(self, opened: _Open, answer: Message) -> None:
        names = object_names(opened.selection, Role.OBJECT, opened.request, answer, opened.actor)
        places = (
            address_name(value, opened.request.message.head)
            for selector in opened.selection.select[Role.LEARN]
            for value in (answer if selector.reply else opened.request).values(selector)
        )
        place = next((each for each in places if each is not None), None)
        if place is not None:
            self._memory.learn_alias(names, place)

    def _learn_copies(self, opened: _Open, answer: Message) -> None:
        sources = object_names(opened.selection, Role.OBJECT, opened.request, answer, opened.actor)
        copies = object_names(opened.selection, Role.BECOMES, opened.request, answer, opened.actor)
        if len(sources) == len(copies):
            for source, copy in zip(sources, copies, strict=True):
                self._memory.inherit(source, copy)


def _forget(_: Sequence[ImageJudgement]) -> None:
    """Nothing can be learnt."""
