"""Uploads in several requests, put together."""

from __future__ import annotations

from typing import Final

from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.uploads.cancelling import Canceller
from proxy_addon.uploads.inspection import Uploads
from proxy_addon.uploads.recognition import Recognition, Rules, load_protocols
from proxy_addon.uploads.replies import UploadReplies
from proxy_addon.uploads.spool import Spool
from proxy_addon.verdicts.judging import Judging
from shared.config import ProxySettings
from shared.extract.reassembly import SpoolLimits
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics

HOUR: Final = 3600.0


class UploadParts:
    """What handles uploads in one proxy."""

    def __init__(
        self,
        settings: ProxySettings,
        rules: Rules,
        judging: Judging,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        metrics: Metrics,
        canceller: Canceller,
    ) -> None:
        limits = SpoolLimits(max_bytes=settings.max_object)
        seconds = settings.upload_hours * HOUR
        self.spool = Spool(store, sealer, clock, metrics, limits, max_bytes=settings.upload_spool, seconds=seconds)
        self.canceller = canceller
        recognition = Recognition(rules, load_protocols())
        self.uploads = Uploads(recognition, self.spool, judging, canceller, metrics)

    def replies(self, failsafe: Failsafe) -> UploadReplies:
        """Return the addon that reads replies; it stands after the one that inspects."""
        return UploadReplies(self.uploads, failsafe)

    async def close(self) -> None:
        """Wait for what is still being written and sent; each is bounded."""
        await self.canceller.finish()
        await self.spool.close()
