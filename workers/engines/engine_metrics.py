"""The metrics of one of a worker's engines: counts are the worker's, gauges only those of the engine that answers.

While two encoders are loaded there are two indexes, and a gauge has one value: that of whoever wrote it last.  So what
an engine says of itself is kept, and shown from when it answers until another one does.
"""

from __future__ import annotations

from shared.telemetry import Metrics


class EngineMetrics(Metrics):
    """As ``worker``, in the same registry, but for gauges: nobody sees them between ``hide`` and ``show``."""

    def __init__(self, worker: Metrics) -> None:
        vars(self).update(vars(worker))
        self._worker = worker
        self._kept: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._shown = False

    def show(self) -> None:
        """From now on the gauges are this engine's."""
        self._shown = True
        for (name, labels), value in self._kept.items():
            self._worker.set(name, value, **dict(labels))

    def hide(self) -> None:
        """Another engine's are shown."""
        self._shown = False

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge, now or when it is shown."""
        self._kept[name, tuple(sorted(labels.items()))] = value
        if self._shown:
            self._worker.set(name, value, **labels)


__all__ = ["EngineMetrics"]
