"""How many bytes are kept of references, by what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from shared.types import Reference


def bytes_kept(reference: Reference) -> dict[str, int]:
    """Return how many bytes are kept of a reference, by what they are; names and framing left out."""
    return {
        "vectors": sum(map(len, reference.vectors)),
        "views": len(reference.views),
        "pdq": len(reference.pdq) // 2,
        "local": len(reference.local),
        "sketch": len(reference.sketch),
        "thumbnail": len(reference.thumbnail),
    }


def total_bytes(references: Iterable[Reference]) -> Counter[str]:
    """Return the same of many."""
    total: Counter[str] = Counter()
    for reference in references:
        total.update(bytes_kept(reference))
    return total


__all__ = ["bytes_kept", "total_bytes"]
