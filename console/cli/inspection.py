"""The worker's inspection path put together for one command: the same decoder, encoder, index and matching."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from console.cli.decoding import one_child_pool
from console.cli.files import read_image
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import DecodeError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Inquiry, Verdict
from workers.classifying.labelling import Labeller
from workers.classifying.replica import ClassifierReplica
from workers.classifying.vectors import shipped_features
from workers.encoders.encoder import Encoder
from workers.encoders.in_force import in_force
from workers.encoders.names import EncoderName
from workers.engines.label_sources import loaders, shipped_answers
from workers.index.replica import IndexReplica, IndexView
from workers.migration.adapting import adapter_if_any
from workers.serving.container_inspector import ContainerInspector
from workers.serving.inspector import Inspector


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The path's parts: what judges an image or a container, the index it looks into, and the encoder."""

    inspector: Inspector
    containers: ContainerInspector
    replica: IndexReplica
    encoder: Encoder
    name: EncoderName
    classifiers: ClassifierReplica


@dataclass(frozen=True, slots=True)
class StillIndex:
    """An index that never changes."""

    view: IndexView

    def current(self) -> IndexView:
        """Return its one view."""
        return self.view


@asynccontextmanager
async def open_inspection(
    settings: Settings, store: Store, sealer: Sealer, *, narrow: Callable[[Encoder], IndexView] | None = None
) -> AsyncIterator[Inspection]:
    """Yield the whole path over the index as it is now; raises what loading the encoder or the index raises.

    With ``narrow`` the inspector looks into the view that it returns instead.
    """
    metrics = Metrics()
    generation = await in_force(settings, store)
    encoder = Encoder.configured(settings, generation.encoder)
    adapter = adapter_if_any(settings, generation)
    converts = None if adapter is None else adapter.references
    replica = IndexReplica(store, sealer, encoder.id, encoder.calibration, metrics, convert=converts)
    await replica.load()
    pool = one_child_pool(settings, encoder.side, metrics)
    index = replica if narrow is None else StillIndex(narrow(encoder))
    classifiers = ClassifierReplica(
        store,
        sealer,
        loaders(encoder, None if adapter is None else adapter.classifier),
        metrics,
        shipped_answers(settings, generation.encoder),
    )
    await classifiers.load()
    labels = Labeller(classifiers, shipped_features(), encoder.side, metrics)
    inspector = Inspector(pool, encoder, index, SystemClock(), metrics, batch_sizes=encoder.batch_sizes, labels=labels)
    containers = ContainerInspector(inspector, pool, SystemClock(), metrics, max_unpacked=settings.worker.max_unpacked)
    await pool.start()
    inspector.start()
    try:
        yield Inspection(
            inspector=inspector,
            containers=containers,
            replica=replica,
            encoder=encoder,
            name=generation.encoder,
            classifiers=classifiers,
        )
    finally:
        await inspector.stop()
        await pool.stop()


async def verdict_on(
    inspector: Inspector | ContainerInspector, file: Path, limit: int, classifiers: tuple[str, ...] = ()
) -> Verdict:
    """Return what a worker would say about a file, or that one of more than ``limit`` bytes would not reach it.

    It is shown to the ``classifiers``.
    Raises UsageError where it cannot be read.
    """
    try:
        data = read_image(file, limit)
        return (
            await inspector.examine(data, hashlib.sha256(data).hexdigest(), Inquiry(classifiers=classifiers))
        ).verdict
    except DecodeError as error:
        return inspector.refusal(_digest(file), error.code, str(error))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
