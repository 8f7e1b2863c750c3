"""A worker's copy of the classifiers, following their log; what answers is replaced whole, by one assignment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from shared.errors import IntegrityError, StoreError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import CLASSIFIER_LOG
from workers.classifying.model import Classifier
from workers.classifying.revisions import NOTHING, Revision, RevisionLog
from workers.classifying.vectors import Space

WAIT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labellers:
    """The classifiers that can answer, as they are at a position of the log, and the revision in force of each name."""

    position: int = 0
    by_name: Mapping[str, Classifier] = field(default_factory=lambda: MappingProxyType({}))
    revisions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class ClassifierReplica:
    """Follows the classifiers of one space: one of another encoder cannot answer, and is counted and told."""

    def __init__(self, store: Store, sealer: Sealer, space: Space, metrics: Metrics) -> None:
        self._log = RevisionLog(store, sealer)
        self._space = space
        self._metrics = metrics
        self._loaded: dict[str, tuple[Revision, Classifier | None]] = {}
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
        while await self._log.advance():
            pass
        for name in self._log.history:
            await self._take(name, self._log.current(name))
        able = {name: one for name, (_, one) in self._loaded.items() if one is not None}
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
        classifier = None
        try:
            if revision.blob:
                classifier = self._fitting(await self._log.classifier(revision))
        except IntegrityError as error:
            self._metrics.count("safelight_classifiers_refused_total")
            _log.error("classifier %s gives no answers: %s", name, error)
        self._loaded[name] = (revision, classifier)

    def _fitting(self, classifier: Classifier) -> Classifier:
        if classifier.space != self._space:
            raise IntegrityError(
                f"it was trained with {classifier.space}, this worker has {self._space}: train it again"
            )
        return classifier
