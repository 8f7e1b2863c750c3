"""The proxy role, put together: store, lease, bus, policies, then it listens.

Where the store or the bus is down at the start it listens all the same, not ready, with the policies of its last run:
everything is then decided by ``on_uninspected``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from proxy_addon.activities.catalogue import STALE_DAYS, load_catalogue, stale
from proxy_addon.activities.object_learning import ObjectLearning
from proxy_addon.activities.objects import ObjectMemory
from proxy_addon.activities.reply_tap import ReplyTap
from proxy_addon.addon import Safelight
from proxy_addon.coaching.addon import CoachPage
from proxy_addon.coaching.passes import Coaching
from proxy_addon.enforcement import Enforcement
from proxy_addon.engine import Engine
from proxy_addon.gateway import Gateway
from proxy_addon.identity.setup import Senders
from proxy_addon.measures import Measures
from proxy_addon.policies.bypass_watch import BypassWatch
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.policies.policy_watch import PolicyWatch
from proxy_addon.reporting.accounts import Accounts
from proxy_addon.reporting.coverage_flush import CoverageFlush
from proxy_addon.reporting.ledger import Ledger
from proxy_addon.reporting.outbox import Outbox
from proxy_addon.responses.redaction import Redaction
from proxy_addon.runtime.allocator import keep_large_blocks_apart
from proxy_addon.runtime.background import Background
from proxy_addon.runtime.backpressure import Backpressure
from proxy_addon.runtime.link import Link
from proxy_addon.runtime.upstream import Resolve
from proxy_addon.runtime.waiting import at_most, until
from proxy_addon.runtime.watchdog import Watchdog
from proxy_addon.streaming.websocket import WebSocketGuard
from proxy_addon.tls.certificates import ca_folder, trusted_bundle
from proxy_addon.tls.pass_through import StayOnHttp
from proxy_addon.tls.pass_through_setup import pass_through
from proxy_addon.tls.tunnels import Tunnels
from proxy_addon.transfer import Transfers
from proxy_addon.uploads.cancelling import Canceller
from proxy_addon.uploads.setup import UploadParts
from proxy_addon.verdicts.cache import IndexWatch, VerdictCache
from proxy_addon.verdicts.decode_budget import DecodeBudget
from proxy_addon.verdicts.judging import Judging
from shared.adapters.alert_log import AlertLog
from shared.adapters.bypass_board import BypassFile, BypassInStore
from shared.adapters.coverage_store import CoverageStore
from shared.adapters.lease import Lease
from shared.adapters.opening import open_asking_bus, open_sealer, open_store
from shared.adapters.role import RoleContext
from shared.core import coverage
from shared.core.activity import Catalogue
from shared.errors import SafelightError, StoreError
from shared.sealing import Sealer

DRAIN_SECONDS: Final = 3.5
FORWARD_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


async def run_proxy(context: RoleContext) -> None:
    """Run until ``context.stopping`` is set and the flows have ended, 8 seconds at most.  Raises ConfigError."""
    keep_large_blocks_apart()
    try:
        await _Proxy(context).run()
    except BaseExceptionGroup as group:
        known = group.subgroup(SafelightError)
        if known is None:
            raise
        raise _first(known) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _catalogue(context: RoleContext) -> Catalogue:
    proxy = context.settings.proxy
    catalogue = replace(load_catalogue(proxy.apps_dir), company_accounts=tuple(proxy.company_accounts))
    old = stale(catalogue, datetime.fromtimestamp(context.clock.wall(), UTC).date())
    if old:
        _log.warning("rules written more than %d days ago may have missed changes of: %s", STALE_DAYS, ", ".join(old))
    return catalogue


class _Proxy:
    def __init__(self, context: RoleContext) -> None:
        settings, metrics, clock = context.settings, context.metrics, context.clock
        instance = settings.proxy.instance
        sealer = self._sealer = open_sealer(settings)
        self._context = context
        self._listening = asyncio.Event()
        self._store = open_store(settings)
        self._bus = open_asking_bus(settings)
        self._lease = Lease(self._store, f"lease/proxy/{instance}")
        self._link = Link(self._store, self._lease, self._bus, instance)
        self._gateway = Gateway(self._bus, self._store, sealer, clock, metrics, instance=instance)
        units = settings.proxy.decode_budget
        self._cache = VerdictCache(self._gateway, clock, metrics, budget=DecodeBudget(units) if units else None)
        self._index_watch = IndexWatch(self._store, self._cache, metrics)
        self._outbox = Outbox(settings.data_dir / f"outbox-{instance}.db", sealer, metrics)
        self._alert_log = AlertLog(self._store, sealer)
        self._watch = PolicyWatch(self._store, sealer, metrics, settings.data_dir / "policies-cache.json")
        self._bypass = BypassWatch(
            BypassFile(settings.data_dir, sealer),
            BypassInStore(self._store, sealer),
            clock,
            metrics,
            self._outbox.commit,
            instance,
        )
        self._watchdog = Watchdog(clock, metrics)
        self._background = Background()
        self._ledger = Ledger(clock, metrics)
        self._coverage = CoverageFlush(self._ledger, CoverageStore(self._store, sealer), clock, metrics, instance)
        failsafe = Failsafe(metrics)
        self._senders = Senders(settings, failsafe, clock, metrics)
        self._objects = ObjectMemory(self._store, sealer, clock, metrics)
        trusted = trusted_bundle(settings.proxy.upstream_ca, settings.run_dir)
        self._addon, inspecting = self._inspection(context, failsafe, trusted, sealer)
        self._engine = Engine(
            settings.proxy.listen,
            ca_folder(settings.data_dir),
            trusted,
            [Resolve(settings.proxy.resolve), self._senders.addon, *inspecting],
            shared_port=settings.proxy.shared_port,
        )
        context.readiness.add("bus", self._link.up)
        context.readiness.add("policies", self._watch.loaded)
        context.readiness.add("proxy", self._engine.listening)
        context.readiness.warn(self._bypass.warning)

    def _inspection(
        self, context: RoleContext, failsafe: Failsafe, trusted: Path, sealer: Sealer
    ) -> tuple[Safelight, list[object]]:
        """Return the addon that inspects, and all addons around it in their order."""
        settings, metrics, clock = context.settings, context.metrics, context.clock
        max_object = settings.proxy.max_object
        catalogue = _catalogue(context)
        learning = ObjectLearning(catalogue, self._objects, metrics)
        judging = Judging(self._cache, clock, metrics, objects=learning)
        canceller = Canceller(settings.proxy.resolve, trusted, metrics)
        self._parts = UploadParts(
            settings.proxy, catalogue, judging, self._store, self._sealer, clock, metrics, canceller
        )
        coaching = Coaching(self._store, sealer, clock, metrics)
        transfers = Transfers(
            classifier=catalogue,
            policies=lambda: () if self._bypass.active() else self._watch.current(),
            uploads=self._parts.uploads,
            measures=Measures(
                Enforcement(self._outbox, clock, metrics, failsafe),
                Redaction(self._gateway, clock, metrics),
                coaching,
                failsafe,
            ),
            failsafe=failsafe,
            clock=clock,
            metrics=metrics,
            max_object=max_object,
        )
        accounts = Accounts(self._ledger, lambda: coverage.BYPASS if self._bypass.active() else coverage.STREAMED)
        addon = Safelight(
            transfers,
            self._background,
            failsafe,
            metrics,
            accounts,
            max_object=max_object,
            debug_headers=settings.proxy.debug_headers,
            trickle_after=settings.proxy.trickle_after_ms / 1000,
        )
        sockets = WebSocketGuard(transfers, self._background, failsafe, metrics, accounts, max_object=max_object)
        tunnels = Tunnels(self._ledger, metrics)
        letting = pass_through(settings, catalogue, tunnels, clock, metrics, self._outbox.commit)
        replies = self._parts.replies(failsafe)
        coach = CoachPage(coaching, failsafe)
        rest = [StayOnHttp(), sockets, replies, ReplyTap(learning, failsafe), Backpressure(metrics)]
        return addon, [tunnels, letting, coach, addon, *rest]

    async def run(self) -> None:
        await self._outbox.start()
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(work) for work in self._services()]
                try:
                    await self._serve()
                finally:
                    for task in running:
                        task.cancel()
        finally:
            await self._close()

    def _services(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._link.connect(),
            self._take_answers(),
            self._watch_index(),
            self._watch_policies(),
            self._forward_alerts(),
            self._watch_loop(),
            *self._senders.services(),
            self._bypass.watch_file(),
            self._watch_bypass(),
            self._coverage.run(),
        ]

    async def _watch_loop(self) -> None:
        await self._listening.wait()
        await self._watchdog.run()

    async def _watch_index(self) -> None:
        await self._link.first_try()
        await self._index_watch.run()

    async def _watch_policies(self) -> None:
        await self._link.first_try()
        await self._watch.run()

    async def _watch_bypass(self) -> None:
        await self._link.first_try()
        await self._bypass.watch_store()

    async def _forward_alerts(self) -> None:
        await self._link.first_try()
        await self._outbox.forward(self._alert_log)

    async def _take_answers(self) -> None:
        await self._link.connected()
        await self._gateway.run()

    async def _serve(self) -> None:
        await self._watch.load_cache()
        await self._bypass.poll_file()
        await self._link.first_try()
        try:
            await self._watch.poll()
        except StoreError as error:
            _log.warning("starting with the policies of the last run: %s", error)
        try:
            address = await self._engine.start()
            # What is alive now lives as long as the process: a full collection would go through it all, for 50 ms.
            gc.collect()
            gc.freeze()
            self._listening.set()
            self._context.announce("proxy", address)
            await self._context.stopping.wait()
        finally:
            await self._drain()

    async def _drain(self) -> None:
        await self._engine.stop_listening()
        if not await until(lambda: self._addon.in_flight == 0, DRAIN_SECONDS):
            _log.warning("%d flows did not end and are cut off", self._addon.in_flight)
        await self._engine.close()
        await self._background.finish(CLOSE_SECONDS)
        await until(self._outbox.is_empty, FORWARD_SECONDS)
        await at_most(CLOSE_SECONDS, "writing the coverage", self._coverage.flush())

    async def _close(self) -> None:
        gc.unfreeze()
        await at_most(CLOSE_SECONDS, "writing what is known of uploads", self._parts.close())
        await at_most(CLOSE_SECONDS, "ending the questions", self._gateway.close())
        await at_most(CLOSE_SECONDS, "remembering objects", self._objects.close())
        await at_most(CLOSE_SECONDS, "closing the bus", self._bus.stop())
        await at_most(CLOSE_SECONDS, "releasing the lease", self._lease.release())
        await at_most(CLOSE_SECONDS, "closing the store", self._store.stop())
        await at_most(CLOSE_SECONDS, "closing the outbox", self._outbox.stop())
