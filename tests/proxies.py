"""A real proxy on a free loopback port, its ports filled by hand: who judges, who records, which policies hold."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import httpx

from proxy_addon.activities.object_learning import ObjectLearning
from proxy_addon.activities.objects import ObjectMemory
from proxy_addon.activities.operations import Classifier
from proxy_addon.activities.reply_tap import ReplyTap
from proxy_addon.addon import Safelight
from proxy_addon.coaching.passes import Coaching
from proxy_addon.enforcement import BlockReply, Enforcement
from proxy_addon.engine import Engine
from proxy_addon.measures import Measures
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.reporting.accounts import Accounts
from proxy_addon.reporting.ledger import Ledger
from proxy_addon.responses.redaction import NoObscurer, Obscurer, Redaction
from proxy_addon.responses.reply import block_reply
from proxy_addon.runtime.background import Background
from proxy_addon.runtime.backpressure import Backpressure
from proxy_addon.runtime.upstream import Resolve
from proxy_addon.streaming.websocket import WebSocketGuard
from proxy_addon.tls.certificates import ca_folder, export_ca, system_bundle, trusted_bundle
from proxy_addon.tls.tunnels import Tunnels
from proxy_addon.transfer import Transfers
from proxy_addon.uploads.cancelling import Canceller
from proxy_addon.uploads.setup import UploadParts
from proxy_addon.verdicts.judging import Extract, Judging
from shared.adapters.role import SystemClock
from shared.config import ProxySettings
from shared.core import coverage
from shared.core.activity import Possible, ReadValues
from shared.core.policy import Policy
from shared.errors import ErrorCode
from shared.extract.pipeline import extract_steps
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import (
    Activity,
    ActivityContext,
    Actor,
    Alert,
    Direction,
    HttpHead,
    ImageJudgement,
    Inquiry,
    Part,
    Selection,
    UninspectedReason,
)
from tests.factories import make_error_verdict, make_judgement, make_match, make_verdict
from tests.memory_store import MemoryStore

MARK = b"PROTECTED"
"""An image that holds these bytes matches the set of ``make_policy``."""


def make_image(size: int = 2048, *, protected: bool = False) -> bytes:
    """Return bytes that begin like a PNG."""
    filling = hashlib.shake_256(b"pixels").digest(size)
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (MARK if protected else b"") + filling


class KnowingJudge:
    """Judges by the mark; ``delay`` seconds late (never past the deadline)."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.asked: list[Part] = []

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.asked += parts
        if self.delay:
            patience = inquiry.deadline - SystemClock().monotonic()
            await asyncio.sleep(min(self.delay, max(0.0, patience)))
            if self.delay > patience:
                return [_late(part) for part in parts]
        return [_known(part) for part in parts]

    def recall(self, part: Part, classifiers: tuple[str, ...]) -> ImageJudgement | None:
        return None


class RecallingJudge(KnowingJudge):
    """Knows what it was asked last."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, ImageJudgement] = {}

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        found = await super().verdicts(parts, inquiry)
        self.known = {part.sha256: each for part, each in zip(parts, found, strict=True)}
        return found

    def recall(self, part: Part, classifiers: tuple[str, ...]) -> ImageJudgement | None:
        return self.known.get(part.sha256)


class DecodingJudge(KnowingJudge):
    """Judges only what is whole."""

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        known = await super().verdicts(parts, inquiry)
        cut = [replace(each, verdict=make_error_verdict(ErrorCode.TRUNCATED, sha256=each.sha256)) for each in known]
        return [one if b"IEND" in part.data else other for part, one, other in zip(parts, known, cut, strict=True)]


class GatedJudge(KnowingJudge):
    """Judges once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.was_asked = asyncio.Event()
        self.was_left = asyncio.Event()
        self.gate = asyncio.Event()

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.was_asked.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_left.set()
            raise
        return await super().verdicts(parts, inquiry)


def _known(part: Part) -> ImageJudgement:
    matches = (make_match(),) if MARK in part.data else ()
    verdict = make_verdict(sha256=part.sha256, matches=matches)
    return make_judgement(
        locator=part.locator, sha256=part.sha256, size=len(part.data), name=part.name, verdict=verdict
    )


def _late(part: Part) -> ImageJudgement:
    reason = UninspectedReason.TIMEOUT
    return ImageJudgement(locator=part.locator, sha256=part.sha256, size=len(part.data), uninspected=reason)


SEALER = Sealer(bytes(32))


class PlainClassifier:
    """Requests are uploads, responses downloads."""

    def classify(
        self, head: HttpHead, direction: Direction, actor: Actor, values: ReadValues | None = None
    ) -> ActivityContext:
        activity = Activity.UPLOAD if direction is Direction.OUTBOUND else Activity.DOWNLOAD
        return ActivityContext(activity=activity, direction=direction, host=head.host, actor=actor)

    def told_by_body(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        return ()

    def of_host(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        return ()

    def selection(self, head: HttpHead, direction: Direction, values: ReadValues | None = None) -> Selection | None:
        return None


@dataclass
class ListRecorder:
    """Keeps alerts."""

    alerts: list[Alert] = field(default_factory=list)

    async def commit(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts


@dataclass
class Setup:
    """What a transfer goes through; every part can be replaced."""

    policies: Sequence[Policy] = ()
    judge: KnowingJudge = field(default_factory=KnowingJudge)
    recorder: ListRecorder = field(default_factory=ListRecorder)
    classifier: Classifier = field(default_factory=PlainClassifier)
    clock: Clock = field(default_factory=SystemClock)
    metrics: Metrics = field(default_factory=Metrics)
    background: Background = field(default_factory=Background)
    extract: Extract = extract_steps
    store: Store | None = None
    reply: BlockReply = block_reply
    passes: Store = field(default_factory=MemoryStore)
    obscurer: Obscurer = field(default_factory=NoObscurer)
    max_object: int = 1 << 20
    unruled: str = coverage.STREAMED
    upload_spool: int = 1 << 24
    resolve: Mapping[str, str] = field(default_factory=dict)
    trusted: Path | None = None

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.clock, self.metrics)

    def coaching(self) -> Coaching:
        return Coaching(self.passes, SEALER, self.clock, self.metrics)

    def failsafe(self) -> Failsafe:
        return Failsafe(self.metrics)

    def __post_init__(self) -> None:
        self.memory = ObjectMemory(self.store, SEALER, self.clock, self.metrics) if self.store else None
        self.learning = ObjectLearning(self.classifier, self.memory, self.metrics) if self.memory else None

    def reply_taps(self) -> list[ReplyTap]:
        return [ReplyTap(self.learning, self.failsafe())] if self.learning else []

    @cached_property
    def parts(self) -> UploadParts:
        """What handles uploads; ``store`` is what several proxies may share."""
        return UploadParts(
            ProxySettings(max_object=self.max_object, upload_spool=self.upload_spool),
            self.classifier,
            Judging(self.judge, self.clock, self.metrics, extract=self.extract, objects=self.learning),
            self.store or MemoryStore(),
            SEALER,
            self.clock,
            self.metrics,
            Canceller(self.resolve, self.trusted or system_bundle(), self.metrics),
        )

    def transfers(self) -> Transfers:
        return Transfers(
            classifier=self.classifier,
            policies=lambda: self.policies,
            uploads=self.parts.uploads,
            measures=Measures(
                Enforcement(self.recorder, self.clock, self.metrics, self.failsafe(), self.reply),
                Redaction(self.obscurer, self.clock, self.metrics),
                self.coaching(),
                self.failsafe(),
            ),
            failsafe=self.failsafe(),
            clock=self.clock,
            metrics=self.metrics,
            max_object=self.max_object,
        )


class _PrefersHttp2(ssl.SSLContext):
    """httpx offers HTTP/1.1 first, and the first is what it gets; browsers offer HTTP/2 first."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(sorted(alpn_protocols))


@dataclass
class RunningProxy:
    """A proxy that listens."""

    setup: Setup
    address: str
    addon: Safelight
    ca: str

    def client(self, *, http2: bool = False) -> httpx.AsyncClient:
        """Return a client that goes through the proxy and trusts its CA alone."""
        trust = _PrefersHttp2(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(cadata=self.ca)
        return httpx.AsyncClient(
            proxy=f"http://{self.address}", verify=trust, http2=http2, trust_env=False, timeout=20.0
        )


@asynccontextmanager
async def serve_proxy(
    setup: Setup,
    data_dir: Path,
    *,
    resolve: Mapping[str, str] | None = None,
    upstream_ca: Path | None = None,
    debug_headers: bool = False,
    trickle_after: float = 0.0,
    before: Sequence[object] = (),
    tunnels: Tunnels | None = None,
) -> AsyncIterator[RunningProxy]:
    """Run a proxy; the addons ``before`` stand before the one that inspects."""
    setup.resolve, setup.trusted = resolve or {}, trusted_bundle(upstream_ca, data_dir / "run")
    transfers = setup.transfers()
    accounts = Accounts(setup.ledger, lambda: setup.unruled)
    guard = WebSocketGuard(
        transfers,
        setup.background,
        setup.failsafe(),
        setup.metrics,
        accounts,
        max_object=setup.max_object,
        max_split=setup.max_object // 2,
    )
    addon = Safelight(
        transfers,
        setup.background,
        setup.failsafe(),
        setup.metrics,
        accounts,
        max_object=setup.max_object,
        debug_headers=debug_headers,
        trickle_after=trickle_after,
    )
    engine = Engine(
        "127.0.0.1:0",
        ca_folder(data_dir),
        setup.trusted,
        [
            Resolve(resolve or {}),
            *before,
            tunnels or Tunnels(setup.ledger, setup.metrics),
            addon,
            guard,
            setup.parts.replies(setup.failsafe()),
            Backpressure(setup.metrics),
            *setup.reply_taps(),
        ],
    )
    address = await engine.start()
    try:
        yield RunningProxy(setup, address, addon, export_ca(data_dir, "pem").decode())
    finally:
        await engine.stop_listening()
        await engine.close()
        await setup.background.finish(10.0)
        if setup.memory is not None:
            await setup.memory.close()
        await setup.parts.close()
