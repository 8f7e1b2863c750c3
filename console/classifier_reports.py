"""What ``safelight classifier`` prints: rows, tables and the page of ``--report``."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from workers.classifying.calibration import TARGETS, score_of
from workers.classifying.model import OTHER, Classifier
from workers.classifying.rates import THRESHOLDS, LabelRates, Rate
from workers.classifying.revision_log import Revision
from workers.evaluation.page import STYLE
from workers.evaluation.plots import legend, svg
from workers.evaluation.tables import Plot


def summary_row(revision: Revision, classifier: Classifier) -> dict[str, Any]:
    """Return a classifier in one row."""
    return {
        "classifier": classifier.name,
        "revision": revision.number,
        "labels": list(classifier.labels),
        "mode": classifier.mode,
        "examples": sum(example.label != OTHER for example in classifier.examples),
        "negatives": sum(example.label == OTHER for example in classifier.examples),
    }


def rate_row(rate: Rate) -> dict[str, object]:
    """Return a rate as JSON-ready values."""
    interval = [round(rate.interval.low, 4), round(rate.interval.high, 4)]
    return {"count": rate.count, "tried": rate.tried, "rate": round(rate.share, 4), "interval": interval}


def details(revision: Revision, classifier: Classifier) -> dict[str, Any]:
    """Return all that is known of a classifier but its curves."""
    rates = classifier.rates
    return summary_row(revision, classifier) | {
        "encoder": classifier.space.encoder,
        "false_positives": rate_row(rates.false_positives),
        "strangers": rate_row(rates.strangers),
        "thresholds_for": {str(target): round(score_of(target), 1) for target in TARGETS},
        "rates": [
            {
                "label": label.label,
                "examples": label.examples,
                "clusters": label.clusters,
                "threshold": label.threshold,
                "true_positives": rate_row(label.true_positives),
                "false_positives": rate_row(label.false_positives),
                "suggested_threshold": label.suggested,
            }
            for label in rates.labels
        ],
        "confusions": [
            {"label": one.label, "said": one.said, "count": one.count, "example": one.example}
            for one in rates.confusions
        ],
    }


def sentences(revision: Revision, classifier: Classifier) -> str:
    """Return the same for people."""
    rates = classifier.rates
    lines = [f"{classifier.name}, revision {revision.number}, {classifier.mode} label, {classifier.space.encoder}"]
    lines += [
        f"  {label.label}: {label.examples} images in {label.clusters} clusters, threshold {label.threshold:g};"
        f" found {in_words(label.true_positives)}, wrongly given to {in_words(label.false_positives)};"
        f" suggested threshold {label.suggested:g}"
        for label in rates.labels
    ]
    lines.append(f"  ordinary pictures given any label: {in_words(rates.false_positives)}")
    lines.append(f"  {_for_thresholds()}")
    lines.append(f"  negatives and drawings given any label: {in_words(rates.strangers)}")
    lines += [f"  {one.count} of {one.label} called {one.said}, such as {one.example}" for one in rates.confusions]
    return "\n".join(lines)


def _for_thresholds() -> str:
    told = ", ".join(f"{100 * target:g} % at {score_of(target):.1f}" for target in TARGETS)
    return f"by threshold, that share of ordinary pictures is given any label: {told}"


def in_words(rate: Rate) -> str:
    """Return a rate and its interval."""
    interval = f"{100 * rate.interval.low:.1f} to {100 * rate.interval.high:.1f}"
    return f"{rate.count} of {rate.tried} ({100 * rate.share:.1f} %, {interval})"


def page(revision: Revision, classifier: Classifier) -> str:
    """Return the report as one HTML page that loads nothing."""
    rates = classifier.rates
    curves = {"found": rates.true_curve, "other pictures given a label": rates.false_curve}
    plot = Plot(
        name="thresholds",
        title=f"{classifier.name} at every threshold",
        x_title="threshold",
        y_title="share",
        series={name: tuple(zip(THRESHOLDS, curve, strict=True)) for name, curve in curves.items()},
    )
    keys = "".join(f'<li style="--key:{colour}">{escape(name)}</li>' for colour, name in legend(plot))
    confused = "".join(
        f"<p>{one.count} of {escape(one.label)} called {escape(one.said)}, such as {escape(one.example)}</p>"
        for one in rates.confusions
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(classifier.name)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(classifier.name)}</h1>\n"
        f"<p>Revision {revision.number}, {classifier.mode} label, {escape(classifier.space.encoder)}. Found: by a fit"
        " that had not seen the image. In brackets: 95 % intervals.</p>\n"
        f"{_table(rates.labels)}\n{confused}"
        f"<p>Ordinary pictures given any label: {in_words(rates.false_positives)}; {_for_thresholds()}.</p>\n"
        f"<p>Negatives and drawings given any label: {in_words(rates.strangers)}.</p>\n"
        f'<figure><figcaption>At every threshold</figcaption>{svg(plot)}<ol class="lines">{keys}</ol></figure>\n'
        "</body>\n</html>\n"
    )


def _table(labels: Sequence[LabelRates]) -> str:
    heads = ("images", "clusters", "threshold", "suggested", "found", "wrongly given to")
    rows = "".join(
        f'<tr><td class="text">{escape(each.label)}</td><td>{each.examples}</td><td>{each.clusters}</td>'
        f"<td>{each.threshold:g}</td><td>{each.suggested:g}</td><td>{in_words(each.true_positives)}</td>"
        f"<td>{in_words(each.false_positives)}</td></tr>"
        for each in labels
    )
    named = "".join(f"<th>{head}</th>" for head in heads)
    return f'<div class="scroll"><table><tr><th class="text">label</th>{named}</tr>{rows}</table></div>'
