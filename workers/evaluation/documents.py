"""Document-like pictures: copies among look-alike pages, and drawn pairs that tell a copy from the same layout."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.types import Reference, ReferenceMatch, Relation, SetCreated
from workers.evaluation import recall
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.codes import one_of_each_code
from workers.evaluation.figures import alarmed, area_under_roc, at_precision, interval
from workers.evaluation.local_method import LocalFeaturesAlone
from workers.evaluation.measuring import Measured, ask, enrol, recall_queries, recall_query_count
from workers.evaluation.methods import Embedding, Method, Pdq
from workers.evaluation.pictures import (
    EVALUATION_SEEDS,
    Picture,
    Split,
    drawn_pictures,
    read_archives,
    read_trained,
    without_near_duplicates,
)
from workers.evaluation.product import SET, WAYS, Enrolment, WholePath, build_view
from workers.evaluation.recall_section import one_vector
from workers.evaluation.tables import Cell, Section, Table, columns, flow
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.training.drawing.pairs import COPIES, EDITS, Bond, pair

PROTECTED: Final = 60
NEGATIVES: Final = 300
DRAWN_DISTRACTORS: Final = 240
PAPER_LIKE: Final = ("document_page", "identity_card", "user_interface", "dashboard", "flow_diagram", "whiteboard")
FIRST_DRAWN: Final = 200_000
"""Drawings of this section begin here, behind those of the others."""
TRAINED: Final = " Some distractors training has seen; what is protected or asked for it has not."
PAIRS: Final = 40
PAIR_SECONDS: Final = 0.9
QUERY_SECONDS: Final = 0.13
ENROL_SECONDS: Final = 0.2


def run(bench: Bench) -> Section:
    """Measure both."""
    split = split_of(bench.options)
    methods = methods_of(bench)
    enrol(methods, [*split.references, *split.distractors], bench.progress)
    measured = ask(methods, recall_queries(split), recall_query_count(split), bench.progress)
    tables = [
        replace(recall.method_table(measured, published=False), title="Copies of document-like pictures"),
        target_table(measured),
        recall.transformation_table(measured, published=False),
        kind_table(measured, split),
        *pair_tables(bench),
    ]
    trained = TRAINED if bench.options.archives is not None else ""
    text = flow(
        f"""Receipts, contracts, charts, diagrams, spreadsheets, screenshots, codes, cards: {len(split.references)} are
        protected among {len(split.distractors):,} like them, {len(split.negatives):,} others are asked for.
        Near-duplicates are removed, and second photographs of a code that can be read; other objects photographed
        twice and forms of one template are not."""
        + trained
    )
    return Section(name="documents", title="Documents", text=text, tables=tuple(tables))


def split_of(options: Options) -> Split:
    """Held-out document-like pictures of the archives, or drawn ones."""
    protected = options.scaled(PROTECTED, least=2)
    negatives = options.scaled(NEGATIVES, least=4)
    if options.archives is None:
        kept = without_near_duplicates(drawn_papers(protected + negatives + options.scaled(DRAWN_DISTRACTORS)))
        asked = protected + negatives
    else:
        unseen = list(read_archives(options.archives, ("classes",)))
        random.Random(7).shuffle(unseen)
        seen = list(read_trained(options.archives, ("classes",)))[:: round(1 / options.share)]
        kept = one_of_each_code(without_near_duplicates(chain(unseen, seen)))
        fresh = {id(picture) for picture in unseen}
        asked = min(protected + negatives, sum(id(picture) in fresh for picture in kept))
    references, others = kept[:protected], kept[protected:asked]
    return Split(references=tuple(references), distractors=tuple(kept[asked:]), negatives=tuple(others))


def drawn_papers(count: int) -> Iterator[Picture]:
    """`count` drawings of the families that look like documents and screens."""
    wanted = set(PAPER_LIKE)
    found = (p for p in drawn_pictures(10**6, first=FIRST_DRAWN) if p.group.rsplit("/", 1)[-1] in wanted)
    return (picture for picture, _ in zip(found, range(count), strict=False))


def methods_of(bench: Bench) -> list[Method]:
    """The methods whose failure on documents is known, and the product's."""
    enrolment = Enrolment(bench.product)
    return [
        Pdq(turns=True),
        Embedding(one_vector(bench), bench.encoder),
        Embedding(f"{one_vector(bench)}, normalised", bench.encoder, normalised=True),
        LocalFeaturesAlone(),
        *(WholePath(bench.product, enrolment, bench.encoder, way) for way in WAYS),
    ]


def target_table(measured: Measured) -> Table:
    """Copy R@1 and recall at precision .99 of the whole path beside what they are to reach."""
    rows: list[dict[str, Cell]] = []
    for mode in ("gated", "thorough"):
        row = measured.row(recall.WHOLE_PATH, mode)
        values = recall.method_row(measured, row) if row is not None else {}
        for key, title, limit in (("r1", "copy R@1", 0.95), ("r_p99", "recall at P=.99", 0.85)):
            value = values.get(key)
            met = value >= limit if isinstance(value, float) else None
            rows.append({"what": mode, "figure": title, "target": limit, "measured": value, "met": met})
    return Table(name="document_targets", title="Targets", columns=recall.TARGET_COLUMNS, rows=tuple(rows))


def kind_table(measured: Measured, split: Split) -> Table:
    """Negatives over the threshold of precision .99 and over 85, by kind of document, for the thorough path."""
    row = measured.row(recall.WHOLE_PATH, "thorough") or measured.rows[-1]
    point = at_precision(row.rankings, measured.truth)
    groups = np.array([picture.group.rsplit("/", 1)[-1] for picture in split.negatives])
    over = alarmed(row.rankings, point.threshold)[measured.negatives]
    at_85 = alarmed(row.rankings, recall.THRESHOLD)[measured.negatives]
    rows = tuple(
        {
            "kind": kind,
            "negatives": int((groups == kind).sum()),
            "over": int(over[groups == kind].sum()),
            "matched": int(at_85[groups == kind].sum()),
        }
        for kind in sorted(set(groups.tolist()))
    )
    return Table(
        name="document_kinds",
        title=f"Negatives that pass, by kind ({row.label})",
        columns=columns(
            ("kind", "kind", "text"),
            ("negatives", "negatives", "count"),
            ("over", "over the threshold of P=.99", "count"),
            ("matched", "over 85", "count"),
        ),
        rows=rows,
    )


def pair_tables(bench: Bench) -> list[Table]:
    """Drawn documents of 150 to 300 DPI: how pairs whose relation is known are told apart."""
    count = bench.options.scaled(PAIRS, least=1)
    bonds = tuple(Bond)
    references: list[Reference] = []
    files: list[bytes] = []
    for number in range(count * len(bonds)):
        bench.progress("drawing pairs", number, count * len(bonds))
        drawn = pair(bonds[number % len(bonds)], EVALUATION_SEEDS + number // len(bonds))
        references.append(bench.product.fingerprint(_file(drawn.first)).as_reference(str(number), set_name=SET))
        files.append(_file(drawn.second))
    created = SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, relation="any", thorough=True)
    bench.product.search_in(build_view(bench.encoder, references, [created]))
    own: list[ReferenceMatch | None] = []
    other = np.zeros(len(files), np.bool_)
    for number, data in enumerate(files):
        bench.progress("comparing pairs", number, len(files))
        matches = bench.product.inspect(data).matches
        own.append(next((match for match in matches if match.reference == str(number)), None))
        other[number] = any(match.matched for match in matches if match.reference != str(number))
    bench.progress("comparing pairs", len(files), len(files))
    kinds = np.array([bonds[number % len(bonds)].value for number in range(len(files))])
    return [confusion_table(kinds, own, other), exact_table(kinds, own)]


def _file(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "BMP")
    return stream.getvalue()


def confusion_table(kinds: NDArray[np.str_], own: Sequence[ReferenceMatch | None], other: NDArray[np.bool_]) -> Table:
    """What the product says of a pair, against what it is; `other`: queries that match somebody else's reference."""
    rows: list[Mapping[str, Cell]] = []
    for bond in Bond:
        of_it = [match for match, kind in zip(own, kinds, strict=True) if kind == bond.value]
        said = [match.relation if match is not None and match.matched else None for match in of_it]
        copy, layout = said.count(Relation.COPY), said.count(Relation.SAME_LAYOUT)
        truth = "same layout" if bond not in COPIES and bond not in EDITS else "copy"
        wrong = layout if truth == "copy" else copy
        rows.append(
            {
                "pair": bond.value.replace("_", " "),
                "truth": truth if bond not in EDITS else "copy, changed",
                "pairs": len(of_it),
                "copy": copy,
                "layout": layout,
                "neither": len(of_it) - copy - layout,
                "wrong": wrong / len(of_it) if of_it else None,
                "wrong_high": interval(wrong, len(of_it)).high,
                "others": int(other[kinds == bond.value].sum()),
            }
        )
    return Table(
        name="pairs",
        title="Copy or same layout",
        columns=columns(
            ("pair", "pair", "text"),
            ("truth", "it is", "text"),
            ("pairs", "pairs", "count"),
            ("copy", "said copy", "count"),
            ("layout", "said same layout", "count"),
            ("neither", "no match at 85", "count"),
            ("wrong", "confused", "share"),
            ("wrong_high", "at most", "share"),
            ("others", "matched another pair's", "count"),
        ),
        rows=tuple(rows),
        note=flow(
            """Documents drawn at 150 to 300 DPI; one of each pair is enrolled in one thorough set that takes any
            relation, the other is asked for. 'At most': upper end of the 95 % interval. A filled form against its
            blank ('blank form') is never to be a copy."""
        ),
    )


def exact_table(kinds: NDArray[np.str_], own: Sequence[ReferenceMatch | None]) -> Table:
    """How well `exact_score` tells the same document, recoded, from one with a small change."""
    scores = np.array([match.exact_score if match is not None else 0.0 for match in own])
    same = scores[kinds == Bond.RECODED.value]
    rows: list[Mapping[str, Cell]] = []
    for name, chosen in (*((bond.value, [bond.value]) for bond in EDITS), ("all", [bond.value for bond in EDITS])):
        changed = scores[np.isin(kinds, chosen)]
        auc = area_under_roc(same, changed)
        rows.append(
            {
                "change": name,
                "pairs": len(changed),
                "same": float(np.median(same)) if len(same) else None,
                "changed": float(np.median(changed)) if len(changed) else None,
                "auc": auc,
                "met": auc >= 0.98,
            }
        )
    return Table(
        name="exactness",
        title="exact_score: the same document against one small change",
        columns=columns(
            ("change", "change", "text"),
            ("pairs", "pairs", "count"),
            ("same", "median, the same", "share"),
            ("changed", "median, changed", "share"),
            ("auc", "area under the ROC curve", "share"),
            ("met", "≥ .98", "met"),
        ),
        rows=tuple(rows),
        note=f"'The same' are {len(same)} recoded pairs. Where a pair is not reported its exact_score counts as 0.",
    )


def seconds(options: Options) -> float:
    """How long it takes on a usual core."""
    asked = options.scaled(PROTECTED, least=2) * 24 + options.scaled(NEGATIVES, least=4)
    enrolled = options.scaled(PROTECTED + DRAWN_DISTRACTORS if options.archives is None else 1700)
    pairs = options.scaled(PAIRS, least=1) * len(Bond)
    return QUERY_SECONDS * asked + ENROL_SECONDS * enrolled + PAIR_SECONDS * pairs


PLAN: Final = SectionPlan(name="documents", title="Documents", seconds=seconds, run=run, possible=lambda _options: "")
