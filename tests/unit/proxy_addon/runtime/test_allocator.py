"""Where large blocks lie, in a process of its own: the setting is one for a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proxy_addon.runtime.allocator import OWN_BLOCK_BYTES, TRIM_BYTES

SCRIPT = """
import sys
from pathlib import Path
from proxy_addon.runtime.allocator import OWN_BLOCK_BYTES, keep_large_blocks_apart

if sys.argv[1] == "apart":
    assert keep_large_blocks_apart()
large = bytes(24 << 20)
del large  # from here on glibc would put blocks up to this size into the heap
heap = next(line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[heap]"))
begin = int(heap.split("-")[0], 16)
blocks = [bytes(size) for size in (OWN_BLOCK_BYTES, 4 << 20, 16 << 20)]
end = next(line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith("[heap]"))
print(sum(begin <= id(block) < int(end.split("-")[1], 16) for block in blocks))
"""

GROWING = """
import resource
from proxy_addon.runtime.allocator import keep_large_blocks_apart
from proxy_addon.streaming.held_body import HeldBody

assert keep_large_blocks_apart()
burst = [bytes(64 << 10) + b"x" for _ in range(160)]
del burst  # 10 MiB were free at the end of the heap
body, most = HeldBody(), 0
for _ in range(1024):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    body += bytes(16 << 10)
    most = max(most, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(most * resource.getpagesize())  # bytes of pages that one step touched for the first time: a copy
"""


@pytest.mark.parametrize(("how", "in_the_heap"), [("apart", 0), ("as ever", 3)])
def test_large_blocks_stay_out_of_the_heap(how: str, in_the_heap: int) -> None:
    asked = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    assert int(asked.stdout) == in_the_heap


def test_a_body_that_grows_after_a_burst_is_not_copied_whole() -> None:
    asked = subprocess.run([sys.executable, "-c", GROWING], capture_output=True, text=True, check=True)
    assert int(asked.stdout) <= TRIM_BYTES + OWN_BLOCK_BYTES
