"""Which encoder is in force, as the store's key says it; the whole of it is the workers' business."""

from __future__ import annotations

import json


def encoder_in_force(value: bytes) -> str:
    """Return the index version in a value of `GENERATION_KEY`; empty where it makes no sense."""
    try:
        return str(json.loads(value)["encoder"]["id"])
    except (ValueError, KeyError, TypeError):
        return ""
