"""From folders to a classifier in force, on all cores from the beginning.

The decode child takes as long to start as everything else this command loads: it is started first, and what is not
needed for that is imported meanwhile, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from console.cli.decoding import one_child_pool
from console.cli.files import read_image
from console.cli.session import Session
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import DecodeError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from workers.decoding.pool import DecodePool
from workers.encoders.generations import Generation
from workers.encoders.in_force import in_force, settle
from workers.encoders.names import card_of

if TYPE_CHECKING:
    from workers.classifying.bank import Bank
    from workers.classifying.fitting import Recipe
    from workers.classifying.model import Classifier, Example, Mode
    from workers.classifying.revisions import ClassifierBook
    from workers.classifying.teaching import Eyes
    from workers.classifying.vectors import Space
    from workers.encoders.encoder import Encoder

LATER: Final = (
    "console.cli.classifier_fitting",
    "workers.classifying.teaching",
    "workers.encoders.encoder",
    "onnxruntime",
    "rich.progress",
)
"""Half a second of imports that the decode child does not wait for."""
AT_ONCE: Final = 8
"""Images under way: one is decoded while others are encoded and described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the options say; None: as before, or the default of a new one.  ``files`` are by label, `OTHER` too."""

    name: str
    label: str
    files: tuple[tuple[Path, str], ...]
    threshold: float | None
    mode: Mode | None
    on_duplicate: Literal["relabel", "add"]

    def recipe(self, before: Classifier | None) -> Recipe:
        """What is fitted: the thresholds and the mode of before, where nothing else was said."""
        from workers.classifying.fitting import Recipe

        thresholds = dict(zip(before.labels, before.thresholds, strict=True)) if before else {}
        if self.threshold is not None:
            thresholds[self.label] = self.threshold
        return Recipe(name=self.name, thresholds=thresholds, mode=self.mode or (before.mode if before else "best"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What a classifier is made with, and revision ``base`` of it, which is ``before``."""

    encoder: Encoder
    space: Space
    bank: Bank
    book: ClassifierBook
    base: int
    before: Classifier | None


async def teach(session: Session, settings: Settings, store: Store, sealer: Sealer, choice: Choice) -> int:
    """Train, put in force and report; returns how many files were rejected.

    Raises UsageError, before any image is looked at where that can be known, StoreError, EncoderUnavailableError.
    """
    generation = await in_force(settings, store)
    async with _decoders(settings, card_of(settings, generation.encoder).side) as starting:
        await asyncio.to_thread(_import_all)
        loaded = await _load(settings, store, sealer, generation, choice)
        async with _eyes(await starting, loaded.encoder) as eyes:
            examples, rejected = await _examples(session, eyes, choice.files, settings.proxy.max_object)
    await settle(store, generation.encoder)
    await _fit(session, loaded, choice, examples)
    return rejected


def _import_all() -> None:
    for module in LATER:
        import_module(module)


@asynccontextmanager
async def _decoders(settings: Settings, side: int) -> AsyncIterator[asyncio.Task[DecodePool]]:
    """Yield the start of the decode child, which goes on meanwhile."""
    pool = one_child_pool(settings, side)

    async def started() -> DecodePool:
        await pool.start()
        return pool

    starting = asyncio.get_running_loop().create_task(started())
    try:
        yield starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await pool.stop()


@asynccontextmanager
async def _eyes(pool: DecodePool, encoder: Encoder) -> AsyncIterator[Eyes]:
    from workers.classifying.teaching import Eyes
    from workers.classifying.vectors import shipped_features
    from workers.encoders.embedding_queue import EmbeddingQueue

    embedding = EmbeddingQueue(encoder, SystemClock(), Metrics(), sizes=encoder.batch_sizes)
    embedding.start()
    try:
        yield Eyes(pool, embedding, shipped_features(), encoder.side)
    finally:
        await embedding.stop()


async def _load(settings: Settings, store: Store, sealer: Sealer, generation: Generation, choice: Choice) -> _Loaded:
    from console.cli.classifier_fitting import bank_of
    from workers.classifying.builtin import builtins_of
    from workers.classifying.revisions import ClassifierBook
    from workers.classifying.teaching import check_count, check_label
    from workers.classifying.vectors import space_of
    from workers.encoders.encoder import Encoder

    check_label(choice.label)
    name, space = generation.encoder, space_of(generation.encoder.id)
    book = ClassifierBook(store, sealer, SystemClock(), builtins_of(settings, name))
    base, before = await _before(settings, book, generation, choice.name)
    if before is not None and before.space != space:
        raise UsageError(
            f"{choice.name} was trained with {before.space}, this is {space}: their vectors say nothing of one another;"
            " delete it and train it again"
        )
    labels = [label for _, label in choice.files] + [each.label for each in (before.examples if before else ())]
    check_count(choice.label, labels.count(choice.label))
    return _Loaded(
        encoder=await asyncio.to_thread(Encoder.configured, settings, name),
        space=space,
        bank=await asyncio.to_thread(bank_of, settings, name),
        book=book,
        base=base,
        before=before,
    )


async def _before(
    settings: Settings, book: ClassifierBook, generation: Generation, name: str
) -> tuple[int, Classifier | None]:
    """Return the revision in force, as one of this encoder's where that is possible; 0 and None: a new one."""
    found = await book.find(name)
    if found is None:
        return 0, None
    revision, classifier = found
    if generation.other is not None:
        from workers.migration.adapting import adapter_if_any

        if (adapter := adapter_if_any(settings, generation)) is not None:
            classifier = await asyncio.to_thread(adapter.classifier, classifier)
    return revision.number, classifier


async def _examples(
    session: Session, eyes: Eyes, files: Sequence[tuple[Path, str]], limit: int
) -> tuple[list[Example], int]:
    """Return the examples in the order of the files, and how many files were rejected."""
    from rich.console import Console
    from rich.progress import Progress

    from workers.classifying.model import Example

    gate = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path, label: str) -> Example | str:
        async with gate:
            try:
                return await eyes.example(path.name, read_image(path, limit), label)
            except (DecodeError, UsageError, OSError) as error:
                return str(error)
            finally:
                progress.advance(task)

    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal or len(files) < 2) as progress:
        task = progress.add_task("looking", total=len(files))
        found = await asyncio.gather(*(one(path, label) for path, label in files))
    for (path, label), outcome in zip(files, found, strict=True):
        if isinstance(outcome, str):
            session.row(
                {"path": str(path), "label": label, "status": "rejected", "message": outcome},
                f"rejected {path}: {outcome}",
            )
    examples = [outcome for outcome in found if isinstance(outcome, Example)]
    return examples, len(found) - len(examples)


async def _fit(session: Session, loaded: _Loaded, choice: Choice, examples: Sequence[Example]) -> None:
    from console.cli.classifier_fitting import fit_and_publish
    from workers.classifying.teaching import merge, warnings_about

    before = loaded.before
    merged = merge(before.examples if before else (), examples, choice.on_duplicate)
    for warning in warnings_about(choice.label, sum(example.label == choice.label for example in merged.examples)):
        session.note(f"warning: {warning}")
    await fit_and_publish(
        session,
        loaded.book,
        loaded.bank,
        loaded.space,
        choice.recipe(before),
        merged,
        loaded.base,
        note_on=choice.label,
    )
