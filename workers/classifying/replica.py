"""A worker's copy of the classifiers, following their log; what answers is replaced whole, by one assignment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from shared.errors import IntegrityError, StoreError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import CLASSIFIER_LOG
from workers.classifying.labelling import Answers, Labellers
from workers.classifying.revision_log import NOTHING, Revision, RevisionLog

WAIT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5

type Load = Callable[[str, bytes], Answers]
"""From a name and its bytes to what answers under it; raises IntegrityError for what cannot answer here."""

_log = logging.getLogger(__name__)


class ClassifierReplica:
    """Follows all that gives labels; ``loaders`` are by kind, ``shipped`` answers where its name has no revision.

    What cannot answer, such as a classifier of another encoder, is counted and told, and says nothing.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        loaders: Mapping[str, Load],
        metrics: Metrics,
        shipped: Mapping[str, Answers] = MappingProxyType({}),
    ) -> None:
        self._shipped = shipped
        self._log = RevisionLog(store, sealer)
        self._loaders = loaders
        self._metrics = metrics
        self._loaded: dict[str, tuple[Revision, Answers | None]] = {}
        self._current = Labellers()
        self._ready = False

    def current(self) -> Labellers:
        """Return what answers now."""
        return self._current

    def caught_up(self) -> bool:
        """Tell whether the log was read to its end once."""
        return self._ready

    async def load(self) -> None:
        """Follow the log to its end; raises StoreError."""
        refusals = self._log.refusals
        while await self._log.advance():
            pass
        if self._log.refusals > refusals:
            self._metrics.count("safelight_classifiers_refused_total", self._log.refusals - refusals)
            _log.error("entries of the classifiers' log do not open: every host needs the same secrets.key_file")
        for name in self._log.history:
            await self._take(name, self._log.current(name))
        own = {name: one for name, (revision, one) in self._loaded.items() if revision.blob}
        able = {name: one for name, one in {**self._shipped, **own}.items() if one is not None}
        numbers = {name: revision.number for name, (revision, _) in self._loaded.items()}
        self._current = Labellers(
            position=self._log.position, by_name=MappingProxyType(able), revisions=MappingProxyType(numbers)
        )
        self._metrics.set("safelight_classifiers", len(able))
        self._ready = True

    async def tail(self) -> None:
        """Follow the log for ever; outlives every store error."""
        while True:
            try:
                await self.load()
                await self._log.store.wait(CLASSIFIER_LOG, self._log.position, WAIT_SECONDS)
            except StoreError as error:
                self._metrics.count("safelight_store_errors_total", operation="classifiers")
                _log.warning("the classifiers stand still: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _take(self, name: str, revision: Revision) -> None:
        held = self._loaded.get(name, (NOTHING, None))[0]
        if held == revision:
            return
        able = None
        try:
            if revision.blob:
                able = await self._log.read(revision, partial(self._load, revision.kind, name))
        except IntegrityError as error:
            self._metrics.count("safelight_classifiers_refused_total")
            _log.error("%s %s gives no answers: %s", revision.kind, name, error)
        self._loaded[name] = (revision, able)

    def _load(self, kind: str, name: str, data: bytes) -> Answers:
        loader = self._loaders.get(kind)
        if loader is None:
            raise IntegrityError("this version does not know what it is")
        return loader(name, data)
