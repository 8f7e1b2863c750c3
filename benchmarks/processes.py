"""What processes cost together with those they started, read from proc(5)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float:
    """Processor time of a process and its descendants so far; of those that ended, where it was waited for."""
    total = 0.0
    for member in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            total += sum(map(int, _stat(member)[11:15])) / TICKS
    return total


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise ProcessLookupError(pid)


def family_resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants in MB; pages that they share count for each."""
    total = 0.0
    for member in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            total += resident_mb(member)
    return total


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: 0 state, 1 parent, 11 to 14 own and children's processor time."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
