"""Asks workers for verdicts as a proxy does, without the proxy: the cost of HTTP is another benchmark's question."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from shared import codec
from shared.adapters.opening import open_asking_bus
from shared.config import Settings
from shared.ports import AskingBus
from shared.sealing import Sealer, load_or_create_key
from shared.types import BusMessage, InspectionRequest, Verdict

INSTANCE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of one question: its verdict, None where nobody answered within the budget and the grace."""

    seconds: float
    verdict: Verdict | None

    @property
    def outcome(self) -> str:
        """``ok``, ``degraded``, ``unanswered``, or the code of the error."""
        if self.verdict is None:
            return "unanswered"
        if self.verdict.error is not None:
            return str(self.verdict.error.code)
        return "degraded" if self.verdict.degraded else "ok"

    @property
    def overhead(self) -> float:
        """Seconds that were spent on neither decoding nor encoding nor searching; whole verdicts only."""
        assert self.verdict is not None
        return self.seconds - sum(self.verdict.timings_ms[stage] for stage in ("decode", "encode", "search")) / 1000


class Asker:
    """One asker's end of the bus."""

    def __init__(self, bus: AskingBus, sealer: Sealer) -> None:
        self._bus = bus
        self._sealer = sealer
        self._waiting: dict[str, asyncio.Future[Verdict]] = {}

    async def take_answers(self) -> None:
        """Take in answers for ever."""
        async for message in self._bus.replies():
            waiting = self._waiting.get(message.correlation_id)
            if waiting is not None and not waiting.done():
                reply = codec.decode_reply(self._sealer.open(message.value, message.correlation_id))
                waiting.set_result(reply.verdict)

    async def ask(self, data: bytes, *, budget: float, grace: float = 1.0) -> Asked:
        """Ask about one image, of 500 KB at most; wait ``budget`` + ``grace`` seconds, so that who is late is seen."""
        begun = time.perf_counter()
        name, digest = uuid4().hex, hashlib.sha256(data).hexdigest()
        request = InspectionRequest(
            id=name,
            sha256=digest,
            size=len(data),
            budget_ms=int(budget * 1000),
            sent_at=time.time(),
            reply_to=INSTANCE,
            payload=data,
        )
        sealed = self._sealer.seal(codec.encode_request(request), name)
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        try:
            key = bytes.fromhex(digest)
            await self._bus.ask(BusMessage(key=key, value=sealed, correlation_id=name, partition=INSTANCE))
            verdict = await asyncio.wait_for(future, budget + grace)
        except TimeoutError:
            verdict = None
        finally:
            del self._waiting[name]
        return Asked(seconds=time.perf_counter() - begun, verdict=verdict)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Asker]:
    """An asker on the deployment's bus, until the end of the block."""
    bus = open_asking_bus(settings)
    await bus.start(INSTANCE)
    asker = Asker(bus, Sealer(load_or_create_key(settings.key_file)))
    taking = asyncio.get_running_loop().create_task(asker.take_answers())
    try:
        yield asker
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        await bus.stop()
