"""The store's log of alerts: written by the proxies' outboxes, tailed by alert delivery, read by the console."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared import codec
from shared.errors import IntegrityError, WireError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import Alert

LOG_NAME: Final = "alerts"
_PLACE: Final = "alert-log"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAlerts:
    """A stretch of the log: the alerts in it, and the position of its last entry (0: nothing there)."""

    alerts: tuple[Alert, ...]
    last: int


class AlertLog:
    """Alerts name people, so each entry is sealed with the deployment's key."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def append(self, alerts: Sequence[Alert]) -> int:
        """Append all or none; return the last position."""
        sealed = [self._sealer.seal(codec.encode_alert(alert), _PLACE) for alert in alerts]
        return await self._store.append(LOG_NAME, sealed)

    async def read(self, after: int, limit: int) -> LoggedAlerts:
        """Return the alerts past ``after``; an entry that does not open is logged and passed over."""
        entries = await self._store.read(LOG_NAME, after, limit)
        alerts = []
        for entry in entries:
            try:
                alerts.append(codec.decode_alert(self._sealer.open(entry.value, _PLACE)))
            except (IntegrityError, WireError) as error:
                _log.error("alert %d cannot be read and is passed over: %s", entry.position, error)
        return LoggedAlerts(alerts=tuple(alerts), last=entries[-1].position if entries else 0)

    async def wait(self, after: int, timeout: float) -> bool:
        """Return True as soon as there is an alert past ``after``, False after ``timeout`` seconds."""
        return await self._store.wait(LOG_NAME, after, timeout)

    async def last_position(self) -> int:
        """Return the position of the newest alert."""
        return await self._store.last_position(LOG_NAME)

    async def truncate(self, upto: int) -> None:
        """Forget the alerts up to a position."""
        await self._store.truncate(LOG_NAME, upto)
