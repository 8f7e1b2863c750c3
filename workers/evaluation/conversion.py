"""What a converter between encoders measured, as a report of tables and a plot.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from workers.evaluation.conversion_path import PathFigures
from workers.evaluation.tables import Column, Plot, Report, Section, Table
from workers.migration.conversion import ConverterCard

TEXT = (
    "References are whole pictures with their enrolled views, queries their edited copies, and every other picture is"
    " an unrelated one; neither the encoders' trainings of this project nor the converter's saw them. Found: the copy"
    " scores 85 or more by the encoder and the views alone, in a set of ten."
)
COLUMNS = (
    Column(key="references", title="references, queries"),
    Column(key="r1", title="R@1", kind="share"),
    Column(key="found", title="found", kind="share"),
    Column(key="false", title="unrelated pairs at 85", kind="rate"),
)


PATH_TEXT = (
    "The same pictures enrolled three times, and edited copies of them through the whole inspection, in one set:"
    " shares that match their own picture at 85. Hashes and local features are the same whichever encoder enrolled"
    " them. gated: local features only where hash or encoder hint at a reference; thorough: always."
)
PATH_COLUMNS = (
    Column(key="mode", title="asked"),
    Column(key="copies", title="copies", kind="count"),
    Column(key="native", title="native", kind="share"),
    Column(key="converted", title="converted", kind="share"),
    Column(key="old", title="old encoder", kind="share"),
    Column(key="others", title="another's, converted", kind="count"),
    Column(key="others_native", title="another's, native", kind="count"),
)


def conversion_report(
    card: ConverterCard,
    agreement: Mapping[str, tuple[tuple[float, float], ...]],
    path: Sequence[PathFigures] = (),
) -> Report:
    """The report of one converter; ``agreement`` are lines of scores with converted over native references."""
    found = card.report
    rows: tuple[dict[str, str | float | None], ...] = (
        {
            "references": "native, native",
            "r1": found.native,
            "found": found.found_native,
            "false": found.false_native,
        },
        {
            "references": "converted, native",
            "r1": found.converted,
            "found": found.found_converted,
            "false": found.false_converted,
        },
        {"references": f"all of {card.source}", "r1": found.old, "found": found.found_old, "false": None},
    )
    table = Table(name="recall", title="Recall and false matches", columns=COLUMNS, rows=rows)
    plot = Plot(
        name="agreement",
        title="Scores of copies with converted references, over those with native ones",
        x_title="score with the native reference",
        y_title="score with the converted one",
        series=agreement,
    )
    sections = [Section(name="conversion", title="Converted references", text=TEXT, tables=(table,), plots=(plot,))]
    if path:
        sections.append(Section(name="path", title="Whole inspection", text=PATH_TEXT, tables=(_path_table(path),)))
    facts = {
        "from": card.source,
        "to": card.target,
        "trained on": f"{found.trained_on} pictures",
        "measured on": f"{found.held_out} others, {found.queries} copies",
        "cosine to native vectors": f"{found.cosine:.3f}",
        "signs of views": "left out" if found.bits is None else f"{found.bits:.1%} agree",
        "cosines scaled by": f"{card.scale:g}",
    }
    return Report(encoder=card.target, facts=facts, sections=tuple(sections))


def _path_table(path: Sequence[PathFigures]) -> Table:
    rows = tuple({**asdict(each), "others": each.others[0], "others_native": each.others[1]} for each in path)
    return Table(name="path", title="Copies found", columns=PATH_COLUMNS, rows=rows)


__all__ = ["conversion_report"]
