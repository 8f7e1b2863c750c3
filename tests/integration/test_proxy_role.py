"""The proxy role over the embedded bus and store, a worker of a few lines behind it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from proxy_addon.certificates import export_ca
from proxy_addon.launcher import run_proxy
from shared import codec
from shared.adapters.alert_log import AlertLog
from shared.adapters.local_bus import LocalAnsweringBus
from shared.adapters.local_hub import Hub, hub_socket_path
from shared.adapters.opening import open_store
from shared.adapters.role import RoleContext, SystemClock
from shared.config import Settings
from shared.core.policy_file import POLICIES_KEY, PolicyDocument, pack_document
from shared.errors import ConfigError, LeaseHeldError
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics, Readiness
from shared.types import Alert, BusMessage, InspectionReply, InspectionRequest
from tests.factories import make_match, make_verdict
from tests.origins import serve_origin
from tests.proxies import MARK, make_image

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

    def client(self) -> httpx.AsyncClient:
        trust = ssl.create_default_context(cadata=export_ca(self.settings.data_dir, "pem").decode())
        proxy = f"http://{self.addresses['proxy']}"
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
            await asyncio.wait_for(task, 8)


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


async def apply(settings: Settings, on_uninspected: str = "allow") -> None:
    store = open_store(settings)
    await store.start()
    document = PolicyDocument(text=POLICY.replace("ON_UNINSPECTED", on_uninspected), applied_at=0.0)
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


async def test_from_policy_to_alert(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with hub(settings), running(settings) as role, worker(settings), serve_origin() as origin:
        url = f"http://127.0.0.1:{origin.port}/"
        assert role.readiness.waiting_for() == ()
        async with role.client() as client:
            secret = make_image(protected=True)
            assert (await client.post(url, content=secret)).status_code == 200  # no policy yet
            await apply(settings)
            async with asyncio.timeout(2):
                while (await client.post(url, content=secret)).status_code == 200:
                    pass
            large = make_image(700_000, protected=True)  # goes by claim check
            blocked = await client.post(url, content=large)
            assert (await client.post(url, content=make_image())).status_code == 200
    assert blocked.status_code == 403
    alerts = await alerts_of(settings)
    assert blocked.json()["incident"] == alerts[-1].incident
    assert (alerts[-1].encoder, alerts[-1].finding.set) == ("encoder-1", "designs")
    assert role.metrics.value("safelight_proxy_outbox_alerts") == 0


@pytest.mark.parametrize(("on_uninspected", "status"), [("allow", 200), ("block", 403)])
async def test_without_workers_the_deadline_decides(tmp_path: Path, on_uninspected: str, status: int) -> None:
    settings = make_settings(tmp_path)
    await apply(settings, on_uninspected)
    loop = asyncio.get_running_loop()
    async with hub(settings), running(settings) as role, serve_origin() as origin, role.client() as client:
        begun = loop.time()
        response = await client.post(f"http://127.0.0.1:{origin.port}/", content=make_image())
        took = loop.time() - begun
    assert response.status_code == status
    assert 1.0 <= took < 1.25
    assert [alert.finding.kind for alert in await alerts_of(settings)] == ["uninspected"]


@pytest.mark.parametrize(("on_uninspected", "status"), [("allow", 200), ("block", 403)])
async def test_with_the_store_down_the_last_policies_hold(tmp_path: Path, on_uninspected: str, status: int) -> None:
    """Nothing answers, yet the proxy listens, is not ready, and decides by on_uninspected without waiting in vain."""
    settings = make_settings(tmp_path)
    await apply(settings, on_uninspected)
    async with hub(settings), running(settings):
        pass
    down = make_settings(tmp_path, store="redis://127.0.0.1:1/0")
    loop = asyncio.get_running_loop()
    async with running(down) as role, serve_origin() as origin, role.client() as client:
        assert role.readiness.waiting_for() == ("bus",)
        begun = loop.time()
        response = await client.post(f"http://127.0.0.1:{origin.port}/", content=make_image())
        took = loop.time() - begun
        assert role.metrics.value("safelight_proxy_outbox_alerts") == 1
    assert response.status_code == status
    assert took < 1.25
    # The alert waits in the outbox for the store's return.
    async with hub(settings), running(settings):
        pass
    assert len(await alerts_of(settings)) == 1


async def test_a_stop_lets_flows_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    await apply(settings, "block")
    async with hub(settings), serve_origin() as origin:
        url = f"http://127.0.0.1:{origin.port}/"
        async with running(settings) as role:
            client, late = role.client(), role.client()
            await client.get(url)
            waiting = asyncio.get_running_loop().create_task(client.post(url, content=make_image()))
            while not role.metrics.value("safelight_proxy_pending_requests"):
                await asyncio.wait({waiting}, timeout=0.01)
            role.stopping.set()
            assert (await waiting).status_code == 403
            with pytest.raises(httpx.ConnectError):
                await late.get(url)
            await client.aclose()
            await late.aclose()
    assert len(await alerts_of(settings)) == 1


async def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with serve_origin() as origin:
        settings = make_settings(tmp_path, proxy={"listen": f"127.0.0.1:{origin.port}"})
        async with hub(settings):
            with pytest.raises(ConfigError, match=rf"127.0.0.1:{origin.port} is in use.*proxy\.listen"):
                await Role(settings).run()


async def test_a_local_bus_without_its_hub_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safelight up"):
        await Role(make_settings(tmp_path)).run()


async def test_one_proxy_for_each_instance(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with hub(settings), running(settings):
        with pytest.raises(LeaseHeldError):
            await Role(settings).run()
        other = make_settings(tmp_path, proxy={"listen": "127.0.0.1:0", "instance": 1})
        async with running(other) as role:
            assert role.readiness.waiting_for() == ()
    async with hub(settings), running(settings):
        pass  # the lease was released


async def test_an_upstream_ca_that_is_none_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    proxy = {"listen": "127.0.0.1:0", "upstream_ca": tmp_path / "empty.pem"}
    with pytest.raises(ConfigError, match="upstream_ca"):
        await Role(make_settings(tmp_path, proxy=proxy)).run()


async def test_an_app_of_ones_own_with_a_slip_is_said_in_a_sentence(tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    (apps / "intranet.toml").write_text("[app]\nname = 'intranet'\nowner = 'me'\n")
    settings = make_settings(tmp_path, proxy={"listen": "127.0.0.1:0", "apps_dir": str(apps)})
    with pytest.raises(ConfigError, match=r"intranet\.toml: app\.owner: unknown key"):
        await Role(settings).run()
