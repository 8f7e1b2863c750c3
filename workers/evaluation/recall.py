"""The recall benchmark: copies found among pictures like them, by every method, at what cost.

Database: the references and at least four times as many distractors. Queries: every reference under 24
transformations, and transformed pictures that are nobody's copy. R@1 is the mean over the transformations; uAP and the
recall at precision .99 (one threshold for all) are pooled over all queries and their ten best candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from workers.evaluation.figures import (
    alarmed,
    at_precision,
    average_precision,
    cost,
    found_first,
    leave_one_source_out,
    mean_of,
    mixed_cost_ratio,
    precision_recall,
    recall_at_1,
    recalled,
    upper_bound,
)
from workers.evaluation.measuring import Measured, Row, share_of
from workers.evaluation.tables import Cell, Column, Plot, Point, Table, columns, flow, heat_columns
from workers.transformations import TRANSFORMS

THRESHOLD: Final = 85.0
NEAR_SHARE: Final = 0.02
"""Of a usual stream, images that come near a reference."""
WHOLE_PATH: Final = "whole path"
FIRST_ENCODER: Final[Mapping[str, Cell]] = {
    "method": "first encoder, 29 minutes of training (published)",
    "mode": "always",
    "r1": 0.849,
    "uap": 0.778,
    "r_p99": 0.545,
    "mean_ms": 0.65,
    "images_s": 1538.0,
}
"""The figures the training recipe was published with (int8, batches of eight), on this benchmark."""
FIRST_ENCODER_BY_TRANSFORMATION: Final[Mapping[str, float]] = {
    "crop50": 0.92,
    "crop25": 0.27,
    "rot90": 0.82,
    "rot45": 0.04,
    "gray": 0.98,
    "emoji": 0.90,
    "screenshot": 0.69,
    "collage": 0.01,
    "border15": 0.97,
    "combo": 0.81,
}
METHOD_COLUMNS: Final = columns(
    ("method", "method", "text"),
    ("mode", "mode", "text"),
    ("r1", "R@1", "share"),
    ("r1_low", "from", "share"),
    ("r1_high", "to", "share"),
    ("uap", "uAP", "share"),
    ("r_p99", "recall at P=.99", "share"),
    ("threshold", "threshold there", "number"),
    ("fpr", "negatives over it", "rate"),
    ("fpr_high", "at most", "rate"),
    ("recall_85", "recall at 85", "share"),
    ("fpr_85", "negatives at 85", "rate"),
    ("fpr_85_high", "at most", "rate"),
    ("mean_ms", "ms mean", "ms"),
    ("p95_ms", "ms p95", "ms"),
    ("images_s", "images/s per core", "count"),
)
TARGET_COLUMNS: Final = columns(
    ("what", "what", "text"),
    ("figure", "figure", "text"),
    ("target", "target", "number"),
    ("measured", "measured", "number"),
    ("met", "", "met"),
)


def method_row(measured: Measured, row: Row) -> dict[str, Cell]:
    """One line of the main table; quality and time are of the same queries in the same run."""
    copies = ~measured.negatives
    by_name = recall_at_1(row.rankings, measured.truth, measured.names, tuple(TRANSFORMS))
    first = share_of(found_first(row.rankings, measured.truth), copies)
    point = at_precision(row.rankings, measured.truth)
    over = alarmed(row.rankings, point.threshold)
    spent = cost(row.rankings.seconds)
    negatives = int(measured.negatives.sum())
    result: dict[str, Cell] = {
        "method": row.name,
        "mode": row.mode,
        "r1": mean_of(by_name),
        "r1_low": first.low,
        "r1_high": first.high,
        "uap": average_precision(row.rankings, measured.truth),
        "r_p99": point.recall,
        "threshold": point.threshold,
        "fpr": share_of(over, measured.negatives).share,
        "fpr_high": upper_bound(int(over[measured.negatives].sum()), negatives),
        "mean_ms": spent.mean_ms,
        "p95_ms": spent.p95_ms,
        "images_s": spent.images_per_second,
    }
    if row.mode != "always":  # the product's own score, on which its threshold acts
        matched = alarmed(row.rankings, THRESHOLD)
        result["recall_85"] = share_of(recalled(row.rankings, measured.truth, THRESHOLD), copies).share
        result["fpr_85"] = share_of(matched, measured.negatives).share
        result["fpr_85_high"] = upper_bound(int(matched[measured.negatives].sum()), negatives)
    return result


def method_table(measured: Measured, *, published: bool) -> Table:
    """All methods; `published`: the first encoder's line stands beside them, for it is the same benchmark."""
    rows: list[Mapping[str, Cell]] = [method_row(measured, row) for row in measured.rows]
    if published:
        at = next((place for place, row in enumerate(rows) if str(row["method"]).startswith("encoder")), len(rows))
        rows.insert(at, FIRST_ENCODER)
    copies = int((~measured.negatives).sum())
    return Table(
        name="methods",
        title="Every method on the same queries",
        columns=METHOD_COLUMNS,
        rows=tuple(rows),
        note=flow(
            f"""{copies:,} queries that show a reference, {int(measured.negatives.sum()):,} that show none. 'from' and
            'to': 95 % Clopper-Pearson interval of R@1; 'at most': 95 % upper bound of the share of negatives.
            Milliseconds are those of one core for one query, from its pixels to its answer; quality and time of a line
            come from one configuration in one run. 'no local features', 'gated' and 'thorough' are the product's own
            inspection with its own score: what it does not report (under 50) counts as not found. gated: local
            features only where hash or encoder hint at a reference; thorough: always."""
        ),
    )


def transformation_table(measured: Measured, *, published: bool) -> Table:
    """Recall@1 of every transformation, one column a method."""
    labels = [row.label for row in measured.rows]
    found = [recall_at_1(row.rankings, measured.truth, measured.names, tuple(TRANSFORMS)) for row in measured.rows]
    rows: list[dict[str, Cell]] = []
    for name in TRANSFORMS:
        line: dict[str, Cell] = {"transformation": name}
        line.update({label: by_name[name] for label, by_name in zip(labels, found, strict=True)})
        if published:
            line["first encoder (published)"] = FIRST_ENCODER_BY_TRANSFORMATION.get(name)
        rows.append(line)
    wanted = [*labels, *(["first encoder (published)"] if published else [])]
    return Table(
        name="transformations",
        title="Recall@1 by transformation",
        columns=(Column(key="transformation", title="transformation"), *heat_columns(wanted)),
        rows=tuple(rows),
    )


def source_table(measured: Measured) -> Table:
    """Leave one source out: each source judged at the threshold that the others alone would have fixed."""
    rows: list[dict[str, Cell]] = []
    for row in measured.rows:
        line: dict[str, Cell] = {"method": row.name, "mode": row.mode}
        recalls, alarms = [], []
        for found in leave_one_source_out(row.rankings, measured.truth, measured.sources):
            if found.recall is not None:
                line[found.source] = found.recall.share
                recalls.append(found.recall.share)
            if found.false_positives is not None:
                alarms.append((found.false_positives.share, found.source))
        line["mean"] = float(np.mean(recalls)) if recalls else None
        line["worst_fpr"], line["worst_source"] = max(alarms, default=(None, None), key=lambda pair: pair[0] or 0.0)
        rows.append(line)
    of_copies = sorted(set(measured.sources[~measured.negatives].tolist()))
    return Table(
        name="leave_one_source_out",
        title="Leave one source out",
        columns=(
            *columns(("method", "method", "text"), ("mode", "mode", "text"), ("mean", "mean recall", "share")),
            *heat_columns(of_copies),
            *columns(("worst_fpr", "most negatives over it", "rate"), ("worst_source", "of", "text")),
        ),
        rows=tuple(rows),
        note=flow(
            """For each source the threshold is the one that gives a precision of .99 on the queries of all other
            sources; then the recall of its own copies, and the share of its own negatives that pass. What is left out
            is the source in choosing the threshold, not in training: the encoder was trained on other pictures of
            every source."""
        ),
    )


def mixed_table(measured: Measured, encoder_row: str) -> Table | None:
    """The cost of a stream of which 2 % come near a reference, over the encoder alone and over hash and encoder."""
    alone = measured.row(encoder_row)
    plain = next((row for row in measured.rows if row.mode == "no local features"), None)
    if alone is None or plain is None or not measured.negatives.any():
        return None
    far, near = measured.negatives, ~measured.negatives
    rows: list[dict[str, Cell]] = []
    for row in measured.rows:
        if row.mode in {"gated", "thorough", "no local features"}:
            spent = row.rankings.seconds
            rows.append(
                {
                    "method": row.name,
                    "mode": row.mode,
                    "near_ms": float(spent[near].mean()) * 1000,
                    "far_ms": float(spent[far].mean()) * 1000,
                    "p95_near_ms": float(np.percentile(spent[near], 95)) * 1000,
                    "to_encoder": mixed_cost_ratio(spent[near], spent[far], alone.rankings.seconds, NEAR_SHARE),
                    "to_plain": mixed_cost_ratio(spent[near], spent[far], plain.rankings.seconds, NEAR_SHARE),
                }
            )
    return Table(
        name="mixed_stream",
        title="A mixed stream: 2 % of the images come near a reference",
        columns=columns(
            ("method", "method", "text"),
            ("mode", "mode", "text"),
            ("near_ms", "ms near a reference", "ms"),
            ("p95_near_ms", "p95", "ms"),
            ("far_ms", "ms elsewhere", "ms"),
            ("to_encoder", "times the encoder alone", "number"),
            ("to_plain", "times hash and encoder", "number"),
        ),
        rows=tuple(rows),
        note=flow(
            f"""'Near' are the transformed references, 'elsewhere' the negatives, weighted 2 to 98. The encoder alone is
            the row '{encoder_row}' (squash, run, search of vectors). Negatives here are of the references' own kinds,
            so local features are asked for more often than in a usual stream."""
        ),
    )


def plots(measured: Measured) -> tuple[Plot, ...]:
    """Quality against time, and precision against recall."""
    points, speeds = [], []
    for row in measured.rows:
        spent = cost(row.rankings.seconds)
        recall = at_precision(row.rankings, measured.truth).recall
        by_name = recall_at_1(row.rankings, measured.truth, measured.names, tuple(TRANSFORMS))
        points.append(Point(label=row.label, x=spent.p95_ms, y=recall))
        speeds.append(Point(label=row.label, x=spent.images_per_second, y=mean_of(by_name)))
    curves = {row.label: tuple(precision_recall(row.rankings, measured.truth)) for row in _telling(measured.rows)}
    return (
        Plot(
            name="quality_time",
            title="Quality and time",
            x_title="ms of one core per image, p95 (logarithmic)",
            y_title="recall at precision .99",
            points=tuple(points),
            logarithmic=True,
        ),
        Plot(
            name="quality_throughput",
            title="Quality and throughput",
            x_title="images per second and core (logarithmic)",
            y_title="R@1, mean over the transformations",
            points=tuple(speeds),
            logarithmic=True,
        ),
        Plot(
            name="precision_recall",
            title="Precision and recall",
            x_title="recall",
            y_title="precision",
            series=curves,
            note="One threshold for all queries, moved from high to low.",
        ),
    )


def _telling(rows: Sequence[Row], limit: int = 7) -> Sequence[Row]:
    """The rows whose curves fit one plot: the product's, and the last of the others."""
    chosen = [row for row in rows if row.mode != "always"]
    return [*[row for row in rows if row.mode == "always"][-(limit - len(chosen)) :], *chosen]


def target_table(measured: Measured, one_vector: str) -> Table:
    """What the fingerprinter is to reach, beside what it reaches."""
    rows: list[dict[str, Cell]] = []

    def line(what: str, row: Row | None, limits: Mapping[str, tuple[str, float]]) -> None:
        values = method_row(measured, row) if row is not None else {}
        for key, (title, limit) in limits.items():
            value = values.get(key)
            at_most = key.endswith("_ms")
            met = None
            if isinstance(value, float):
                met = value <= limit if at_most else value >= limit
            rows.append({"what": what, "figure": title, "target": limit, "measured": value, "met": met})

    quality = {"r1": "R@1", "uap": "uAP", "r_p99": "recall at P=.99"}
    vector = dict(zip(quality, (0.90, 0.88, 0.78), strict=True))
    path = dict(zip(quality, (0.98, 0.97, 0.95), strict=True))
    ms = {"mean_ms": ("ms of one core", 2.0)}
    line("one vector", measured.row(one_vector), {**{k: (quality[k], v) for k, v in vector.items()}, **ms})
    for mode in ("gated", "thorough"):
        limits = {k: (quality[k], v) for k, v in path.items()}
        line(f"whole path, {mode}", measured.row(WHOLE_PATH, mode), {**limits, "p95_ms": ("ms p95", 30.0)})
    return Table(
        name="targets",
        title="Targets",
        columns=TARGET_COLUMNS,
        rows=tuple(rows),
    )
