"""The sandbox as commands use it."""

from __future__ import annotations

from shared.config import Settings
from shared.telemetry import Metrics
from workers.decoding.pool import DecodePool


def one_child_pool(settings: Settings, side: int, metrics: Metrics | None = None) -> DecodePool:
    """Return a pool, not yet started, of one child and none to spare: that takes 0.7 s of a core to start."""
    worker = settings.worker
    return DecodePool(
        size=1,
        side=side,
        timeout=worker.decode_timeout_ms / 1000,
        max_pixels=worker.max_pixels,
        metrics=metrics or Metrics(),
        spares=0,
    )
