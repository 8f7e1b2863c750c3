"""The proxy role in this process, a worker of a few lines behind it, over the embedded bus and store."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from proxy_addon.launcher import run_proxy
from proxy_addon.tls.certificates import export_ca
from shared import codec
from shared.adapters.alert_log import AlertLog
from shared.adapters.local.bus import LocalAnsweringBus
from shared.adapters.local.hub import Hub, hub_socket_path
from shared.adapters.opening import open_store
from shared.adapters.role import RoleContext, SystemClock
from shared.config import Settings
from shared.core.policy_file import POLICIES_KEY, PolicyDocument, pack_document
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics, Readiness
from shared.types import Alert, BusMessage, InspectionReply, InspectionRequest
from tests.factories import make_match, make_verdict
from tests.proxies import MARK

POLICY = """
policies:
  - name: no-design-leaves
    when: {direction: [outbound], any: [{set: designs}]}
    then: {action: block}
    on_uninspected: ON_UNINSPECTED
    deadline_ms: 1000
"""


def make_settings(folder: Path, **overrides: object) -> Settings:
    store = f"sqlite:///{folder}/safelight.db"
    values = {"data_dir": folder, "store": store, "proxy": {"listen": "127.0.0.1:0"}, **overrides}
    return Settings.model_validate(values)


@dataclass
class Role:
    """A proxy role in this process."""

    settings: Settings
    addresses: dict[str, str] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    announced: asyncio.Event = field(default_factory=asyncio.Event)
    readiness: Readiness = field(default_factory=Readiness)
    metrics: Metrics = field(default_factory=Metrics)

    def announce(self, name: str, address: str) -> None:
        self.addresses[name] = address
        self.announced.set()

    async def run(self) -> None:
        await run_proxy(
            RoleContext(
                settings=self.settings,
                metrics=self.metrics,
                readiness=self.readiness,
                clock=SystemClock(),
                announce=self.announce,
                stopping=self.stopping,
            )
        )

    def client(self, user: str = "", password: str = "") -> httpx.AsyncClient:
        """Return a client that goes through the proxy, as ``user`` where one is given."""
        trust = ssl.create_default_context(cadata=export_ca(self.settings.data_dir, "pem").decode())
        proxy = httpx.Proxy(f"http://{self.addresses['proxy']}", auth=(user, password) if user else None)
        return httpx.AsyncClient(proxy=proxy, verify=trust, trust_env=False, timeout=20.0)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Role]:
    role = Role(settings)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(role.run())
        group.create_task(role.announced.wait())
        await asyncio.wait_for(role.announced.wait(), 20)
        try:
            yield role
        finally:
            role.stopping.set()
            await asyncio.wait_for(task, 20)


@asynccontextmanager
async def hub(settings: Settings) -> AsyncIterator[None]:
    middle = Hub(hub_socket_path(settings.data_dir))
    await middle.start()
    try:
        yield
    finally:
        await middle.stop()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[None]:
    """Answer by the mark in the image."""
    sealer = Sealer(load_or_create_key(settings.key_file))
    bus, store = LocalAnsweringBus(hub_socket_path(settings.data_dir)), open_store(settings)
    await bus.start()
    await store.start()

    async def image_of(request: InspectionRequest) -> bytes:
        if request.blob is None:
            return request.payload or b""
        sealed = await store.get_blob(request.blob)
        assert sealed is not None
        return sealer.open(sealed, request.id)

    async def work() -> None:
        while True:
            for delivery in await bus.receive(8, 1.0):
                place = delivery.message.correlation_id
                request = codec.decode_request(sealer.open(delivery.message.value, place))
                matches = (make_match(),) if MARK in await image_of(request) else ()
                verdict = make_verdict(sha256=request.sha256, matches=matches)
                reply = codec.encode_reply(InspectionReply(id=request.id, sha256=request.sha256, verdict=verdict))
                value = sealer.seal(reply, place)
                await bus.reply(
                    BusMessage(key=delivery.message.key, value=value, correlation_id=place, partition=request.reply_to)
                )
                await bus.commit([delivery])

    task = asyncio.get_running_loop().create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.stop()
        await store.stop()


async def apply(settings: Settings, on_uninspected: str = "allow", *, text: str = POLICY) -> None:
    store = open_store(settings)
    await store.start()
    document = PolicyDocument(text=text.replace("ON_UNINSPECTED", on_uninspected), applied_at=0.0)
    held = await store.get(POLICIES_KEY)
    assert await store.compare_and_set(POLICIES_KEY, held.version if held else None, pack_document(document))
    await store.stop()


async def alerts_of(settings: Settings) -> tuple[Alert, ...]:
    store = open_store(settings)
    await store.start()
    log = AlertLog(store, Sealer(load_or_create_key(settings.key_file)))
    logged = await log.read(0, 100)
    await store.stop()
    return logged.alerts
