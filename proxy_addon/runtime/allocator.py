"""Gives large bodies blocks of memory of their own, outside of the heap (Linux with glibc).

glibc takes large blocks from the kernel one by one, yet raises the size from which it does so each time one is freed
(https://man7.org/linux/man-pages/man3/mallopt.3.html, M_MMAP_THRESHOLD).  From then on bodies lie in the heap, where
one that grows is copied whole (10 ms for 40 MB, in a single step) and memory that was used before is zeroed at once
for whoever asks for zeros.  A block of its own grows by moving its pages, and comes zeroed.
"""

from __future__ import annotations

import ctypes
from typing import Final

OWN_BLOCK_BYTES: Final = 512 << 10
"""From this size on: small enough that copying it is no stall, large enough that usual requests stay in the heap."""
TRIM_BYTES: Final = 2 << 20
"""Of free memory at the heap's end that are kept: blocks of any size are cut from there first, and a body that grows
there is copied, 8 MB in 4.8 ms where 16 MiB were kept, in 0.5 where it is 2.  Keeping less, 1 MiB, would give memory
back and take it again with each picture of 400 KB, for 0.6 ms; glibc's 128 KiB, with every connection."""

_TRIM_THRESHOLD: Final = -1  # as in malloc.h
_MMAP_THRESHOLD: Final = -3


def keep_large_blocks_apart() -> bool:
    """Set it for this process; False where the system's allocator has no such sizes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, OWN_BLOCK_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, TRIM_BYTES))
