"""How many bytes are kept of references, by what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

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


def total_bytes(references: Collection[Reference]) -> Counter[str]:
    """Return the same of many."""
    return Counter(
        {
            "vectors": sum(len(vector) for each in references for vector in each.vectors),
            "views": sum(len(each.views) for each in references),
            "pdq": sum(len(each.pdq) for each in references) // 2,
            "local": sum(len(each.local) for each in references),
            "sketch": sum(len(each.sketch) for each in references),
            "thumbnail": sum(len(each.thumbnail) for each in references),
        }
    )


__all__ = ["bytes_kept", "total_bytes"]
