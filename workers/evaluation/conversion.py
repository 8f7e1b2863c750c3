"""What a converter between encoders measured, as a report of tables and a plot.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from workers.conversion import ConverterCard
from workers.evaluation.tables import Column, Plot, Report, Section, Table

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


def conversion_report(card: ConverterCard, agreement: Mapping[str, tuple[tuple[float, float], ...]]) -> Report:
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
    section = Section(name="conversion", title="Converted references", text=TEXT, tables=(table,), plots=(plot,))
    facts = {
        "from": card.source,
        "to": card.target,
        "trained on": f"{found.trained_on} pictures",
        "measured on": f"{found.held_out} others, {found.queries} copies",
        "cosine to native vectors": f"{found.cosine:.3f}",
        "signs of views": "left out" if found.bits is None else f"{found.bits:.1%} agree",
        "cosines scaled by": f"{card.scale:g}",
    }
    return Report(encoder=card.target, facts=facts, sections=(section,))


__all__ = ["conversion_report"]
