"""What ``safelight labels`` and the API tell of a label space in force."""

from __future__ import annotations

from typing import Any, Final

from workers.classifying.revision_log import Revision
from workers.labels.network import LabelCard

COLUMNS: Final = ("label_space", "revision", "labels", "nearest", "within", "encoder")


def summary_row(name: str, revision: Revision, card: LabelCard) -> dict[str, Any]:
    """Return a label space in one row; ``encoder`` is empty for a network that is a whole encoder itself."""
    return {
        "label_space": name,
        "revision": revision.number,
        "labels": len(card.names),
        "nearest": card.choice.nearest,
        "within": card.choice.within,
        "encoder": card.encoder,
    }


def details(name: str, revision: Revision, card: LabelCard) -> dict[str, Any]:
    """Return all that is known of a label space: its labels, the most frequent first, and its held-out figures."""
    return summary_row(name, revision, card) | {"names": list(card.names), "figures": card.figures}


def sentences(name: str, revision: Revision, card: LabelCard) -> str:
    """Return the same for people."""
    behind = f"a head on {card.encoder}" if card.encoder else "an encoder of its own"
    figures = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in card.figures.items())
    return "\n".join(
        [
            f"{name}, revision {revision.number}: {len(card.names)} labels, {behind}",
            f"  an image is given at most {card.choice.nearest}, from score {card.choice.within:g}",
            f"  measured: {figures or 'nothing'}",
            f"  labels: {', '.join(card.names)}",
        ]
    )
