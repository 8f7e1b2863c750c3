"""Python's garbage collector in steps that no flow notices.

Each pass holds the event loop.  What is alive when the proxy listens lives as long as the process: a full collection
would go through it all, for 50 ms.  A middle pass looks at what outlived the young ones since the last, and a request
leaves several hundred objects in cycles: with Python's thresholds (2000, 10, 10) 6,300 of them in 8 to 10 ms, with
these 1.2, and all passes together take as long.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (500, 5, 80)
"""New objects until the young are looked at, young passes until a middle one, and middle ones until a full one, which
comes after as many objects as with Python's own."""


@contextmanager
def small_steps() -> Iterator[None]:
    """Leave what is alive now alone, and collect what comes in small steps."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
