"""The event loop of a role: uvloop where it is installed and pays, asyncio's own elsewhere.

Over Kafka it takes a quarter to a half off the median of a question and its answer.  The proxy keeps asyncio's: it is
mitmproxy's, whose eager task factory uvloop does not take on every Python, and small bodies gain nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

FAST_ROLES: Final = frozenset({"worker", "alerts"})


def loop_factory(role: str, load: Callable[[str], Any] = import_module) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the role's event loop; uvloop has no build for every platform, so it may be missing."""
    if role in FAST_ROLES:
        try:
            make: Callable[[], asyncio.AbstractEventLoop] = load("uvloop").new_event_loop
        except ImportError:
            return asyncio.new_event_loop
        return make
    return asyncio.new_event_loop
