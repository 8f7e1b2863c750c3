"""One evaluation from beginning to end: which sections, how long they will take, and the report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import cv2

from shared.errors import EncoderUnavailableError, UsageError
from workers.encoders.encoder import Encoder, Precision
from workers.evaluation import adversary_section, documents, false_positives, recall_section
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.measuring import Progress
from workers.evaluation.product import Product
from workers.evaluation.tables import Cell, Report, Section

_ALL: Final = (recall_section.PLAN, documents.PLAN, false_positives.PLAN, adversary_section.PLAN)
PLANS: Final[Mapping[str, SectionPlan]] = MappingProxyType({plan.name: plan for plan in _ALL})
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "int8")


def chosen(options: Options) -> tuple[list[SectionPlan], list[str]]:
    """The sections to run, all that are possible where none is named, and why the others are not.

    Raises UsageError for one that there is not, or for one that is named and not possible.
    """
    unknown = sorted(set(options.sections) - set(PLANS))
    if unknown:
        raise UsageError(f"there is no section {', '.join(unknown)}; known: {', '.join(PLANS)}")
    plans = [plan for plan in PLANS.values() if plan.name in options.sections or not options.sections]
    reasons = {plan.name: plan.possible(options) for plan in plans}
    skipped = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    if skipped and options.sections:
        raise UsageError("; ".join(skipped))
    return [plan for plan in plans if not reasons[plan.name]], skipped


def expected_seconds(options: Options) -> float:
    """How long the whole evaluation takes on a usual core."""
    return sum(plan.seconds(options) for plan in chosen(options)[0])


def load_precisions(options: Options) -> dict[str, Encoder]:
    """The encoder's files that run on a CPU, each loaded with one thread; raises EncoderUnavailableError for none."""
    found: dict[str, Encoder] = {}
    for precision in PRECISIONS:
        try:
            found[precision] = Encoder.load(
                options.encoder, threads=1, precision=precision, batch_limit=1, imported=options.imported
            )
        except EncoderUnavailableError:
            continue
    if not found:
        Encoder.load(options.encoder, threads=1, imported=options.imported)  # says why
        raise EncoderUnavailableError("the encoder has no file that runs on a CPU")
    return found


def evaluate(options: Options, progress: Progress) -> Report:
    """Run the sections one after the other; raises UsageError, EncoderUnavailableError."""
    options.check()
    plans, skipped = chosen(options)
    precisions = load_precisions(options)
    encoder = Encoder.load(options.encoder, threads=1, batch_limit=1, imported=options.imported)
    sections: list[Section] = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with Product(encoder) as product:
            bench = Bench(options=options, encoder=encoder, precisions=precisions, product=product, progress=progress)
            for plan in plans:
                started = time.monotonic()
                section = plan.run(bench)
                sections.append(replace(section, seconds=time.monotonic() - started))
    finally:
        cv2.setNumThreads(threads)
    return Report(encoder=encoder.id, facts=_facts(options, encoder, skipped), sections=tuple(sections))


def _facts(options: Options, encoder: Encoder, skipped: list[str]) -> dict[str, Cell]:
    pictures = "drawn by the project"
    if options.archives is not None:
        pictures = "archives, the quarter that no training has seen (SHA-256 modulo 4)"
    elif options.data is not None:
        pictures = "a folder"
    return {
        "encoder": encoder.id,
        "precision": encoder.precision,
        "pictures": pictures,
        "size": f"{options.share:.0%} of the full one",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "not measured": "; ".join(skipped) or "nothing left out",
    }
