"""The policies in force: polled from the store, swapped whole, remembered on disk.

A proxy that starts while the store is down enforces what it enforced last: the document is cached in the data
directory, signed with the deployment's key, since whoever can write a policy can switch inspection off.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.core.policy import Policy
from shared.core.policy_file import POLICIES_KEY, parse, unpack_document
from shared.errors import IntegrityError, PolicyError, StoreError, WireError
from shared.ports import Store
from shared.sealing import SIGNATURE_BYTES, Sealer
from shared.telemetry import Metrics
from shared.types import Versioned

POLL_SECONDS: Final = 0.5
"""Applied policies are in force within two seconds: the poll, the parse and a slow store together."""
_VERSION_BYTES: Final = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Policies and the version of their document (0: none was ever applied)."""

    version: int
    policies: tuple[Policy, ...]


class PolicyWatch:
    """``current`` is what holds now; readers take it once per transfer."""

    def __init__(self, store: Store, sealer: Sealer, metrics: Metrics, cache: Path) -> None:
        self._store = store
        self._sealer = sealer
        self._metrics = metrics
        self._cache = cache
        self._current = PolicySet(0, ())
        self._seen: int | None = None  # version that was read last, good or bad; None: nothing read yet
        self._loaded = False
        self._looking = asyncio.Lock()
        self._unreachable = False

    def current(self) -> Sequence[Policy]:
        """Return the policies in force."""
        return self._current.policies

    def loaded(self) -> bool:
        """Tell whether the policies are known, from the store or from the cache."""
        return self._loaded

    async def load_cache(self) -> None:
        """Enforce what was enforced last, until the store answers."""
        try:
            raw = self._cache.read_bytes()
        except OSError:
            return
        try:
            self._sealer.verify(raw[SIGNATURE_BYTES:], raw[:SIGNATURE_BYTES])
        except IntegrityError as error:
            _log.error("the cached policies in %s are not used: %s", self._cache, error)
            return
        version = int.from_bytes(raw[SIGNATURE_BYTES : SIGNATURE_BYTES + _VERSION_BYTES])
        await self._accept(Versioned(value=raw[SIGNATURE_BYTES + _VERSION_BYTES :], version=version))

    async def poll(self) -> None:
        """Look once; raises StoreError.  What was there is in force, and remembered on disk, when this returns."""
        # The start and the loop look at the same time: the second must not find a version seen that is not yet kept.
        async with self._looking:
            await self._poll()

    async def _poll(self) -> None:
        stored = await self._store.get(POLICIES_KEY)
        version = 0 if stored is None else stored.version
        if version == self._seen:
            return
        self._seen = version
        if stored is None and self._current.version:
            # No command deletes the document (without policies it is ``policies: []``): the store has lost it.
            self._metrics.count("safelight_store_errors_total", operation="policies")
            _log.error("the store has no policies any more; version %d stays in force", self._current.version)
        elif stored is None:
            self._swap(PolicySet(0, ()))
        elif await self._accept(stored):
            await asyncio.to_thread(self._remember, stored)

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            try:
                await self.poll()
                self._unreachable = False
            except StoreError as error:
                self._metrics.count("safelight_store_errors_total", operation="policies")
                if not self._unreachable:
                    _log.warning("the policies in force stay as they are: %s", error)
                self._unreachable = True
            except OSError as error:
                _log.error("cannot cache the policies in %s: %s", self._cache, error)
            await asyncio.sleep(POLL_SECONDS)

    async def _accept(self, stored: Versioned) -> bool:
        try:
            # A long file takes many milliseconds to parse: not on the event loop.
            policies = await asyncio.to_thread(parse, unpack_document(stored.value).text)
        except (PolicyError, WireError) as error:
            self._metrics.count("safelight_store_errors_total", operation="policies")
            _log.error("version %d of the policies is not used, the last good one stays: %s", stored.version, error)
            return False
        self._swap(PolicySet(stored.version, policies))
        return True

    def _swap(self, policies: PolicySet) -> None:
        self._current = policies
        self._loaded = True
        self._metrics.set("safelight_proxy_policy_version", policies.version)
        _log.info("policies in force: version %d, %d policies", policies.version, len(policies.policies))

    def _remember(self, stored: Versioned) -> None:
        content = stored.version.to_bytes(_VERSION_BYTES) + stored.value
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._cache.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._sealer.sign(content) + content)
        fresh.replace(self._cache)
