"""The section on recall: which pictures, which methods, which tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from workers.evaluation import recall
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.likelihood import likelihood_table
from workers.evaluation.local_method import LocalFeaturesAlone
from workers.evaluation.measuring import Progress, ask, enrol, recall_queries, recall_query_count
from workers.evaluation.methods import Embedding, Method, Pdq, PHash
from workers.evaluation.pictures import (
    DISTRACTORS,
    NEGATIVES,
    Split,
    drawn_pictures,
    read_folder,
    split_archives,
    split_plain,
)
from workers.evaluation.product import WAYS, Enrolment, WholePath
from workers.evaluation.strength_section import strength_queries, strength_query_count, strength_table
from workers.evaluation.tables import Plot, Section, Table, flow
from workers.transformations import TRANSFORMS

STRENGTH_REFERENCES: Final = 60
ENROL_SECONDS: Final = 0.2
QUERY_SECONDS: Final = 0.13
STRENGTH_SECONDS: Final = 0.09
DRAWING_SECONDS: Final = 0.06
"""Measured on one core of the machine that this was written on; what an evaluation says it will take."""
NO_LOCAL: Final = "no local features"


def split_of(options: Options, *, drawn: bool = False) -> Split:
    """The pictures that are asked for; raises UsageError where there are too few."""
    references = options.scaled(options.references, least=2)
    if options.data is None or drawn:
        count = references + round((DISTRACTORS + NEGATIVES) * options.share)
        return split_plain(drawn_pictures(count), references, options.share)
    if options.archives is not None:
        return split_archives(options.archives, references, options.share)
    return split_plain(read_folder(options.data), references, options.share)


def methods_of(bench: Bench) -> list[Method]:
    """Every method, from the oldest hash to the whole path."""
    enrolment = Enrolment(bench.product)
    ours = bench.encoder
    return [
        PHash(),
        Pdq(turns=False),
        Pdq(turns=True),
        *(Embedding(f"encoder {name}", encoder) for name, encoder in bench.precisions.items()),
        Embedding(f"{one_vector(bench)}, normalised", ours, normalised=True),
        Embedding(f"{one_vector(bench)}, normalised, enrolled views", ours, normalised=True, views=True),
        LocalFeaturesAlone(),
        *(WholePath(bench.product, enrolment, ours, way) for way in WAYS),
    ]


def one_vector(bench: Bench) -> str:
    """The row of the encoder alone, in the precision that the product would use here."""
    return f"encoder {bench.encoder.precision}"


def run(bench: Bench) -> Section:
    """Measure recall on the pictures that are asked for, and on drawn ones where both are."""
    tables, plots, text = measure(bench, split_of(bench.options), published=bench.options.archives is not None)
    if bench.options.drawn and bench.options.data is not None:
        more, more_plots, more_text = measure(bench, split_of(bench.options, drawn=True), published=False)
        tables += [replace(t, name=f"drawn_{t.name}", title=f"Drawn pictures: {t.title}") for t in more]
        plots += [replace(p, name=f"drawn_{p.name}", title=f"Drawn pictures: {p.title}") for p in more_plots]
        text = f"{text} Drawn pictures: {more_text}"
    return Section(name="recall", title="Recall", text=text, tables=tuple(tables), plots=tuple(plots))


def measure(bench: Bench, split: Split, *, published: bool) -> tuple[list[Table], list[Plot], str]:
    """One benchmark: enrol, ask, ask again at every strength."""
    methods = methods_of(bench)
    enrol(methods, [*split.references, *split.distractors], bench.progress)
    measured = ask(methods, recall_queries(split), recall_query_count(split), bench.progress)
    tables = [
        recall.method_table(measured, published=published),
        recall.target_table(measured, f"{one_vector(bench)}, normalised"),
        recall.transformation_table(measured, published=published),
        recall.source_table(measured),
    ]
    mixed = recall.mixed_table(measured, one_vector(bench))
    likely = likelihood_table(measured, bench.encoder.calibration)
    tables += [table for table in (mixed, likely) if table is not None]
    tables.append(_strengths(bench, methods, split, bench.progress))
    text = flow(
        f"""{len(split.references):,} references and {len(split.distractors):,} distractors are enrolled; every
        reference is asked for under {len(TRANSFORMS)} transformations; {len(split.negatives):,} transformed pictures
        are nobody's copy. Near-duplicates (correlation of 16 x 16 grey thumbnails over .98) are removed from
        everywhere."""
    )
    return tables, list(recall.plots(measured)), text


def _strengths(bench: Bench, methods: Sequence[Method], split: Split, progress: Progress) -> Table:
    wanted = {"PDQ x 8", one_vector(bench), "local features alone"}
    telling = [method for method in methods if method.name in wanted or method.mode not in {"always", NO_LOCAL}]
    references = min(len(split.references), bench.options.scaled(STRENGTH_REFERENCES, least=2))
    queries = strength_queries(split, references)
    return strength_table(ask(telling, queries, strength_query_count(references), progress), references)


def seconds(options: Options) -> float:
    """How long it takes on a usual core."""
    references = options.scaled(options.references, least=2)
    enrolled = references + DISTRACTORS * options.share
    queries = len(TRANSFORMS) * references + NEGATIVES * options.share
    strengths = strength_query_count(min(references, options.scaled(STRENGTH_REFERENCES, least=2)))
    once = ENROL_SECONDS * enrolled + QUERY_SECONDS * queries + STRENGTH_SECONDS * strengths
    drawn = DRAWING_SECONDS * (enrolled + NEGATIVES * options.share)
    if options.data is None:
        return once + drawn
    return 2 * once + drawn if options.drawn else once


PLAN: Final = SectionPlan(name="recall", title="Recall", seconds=seconds, run=run, possible=lambda _options: "")
