"""What memory each role of a deployment takes while it lives, by the second, from /proc."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Self

from tests.e2e.deployment import ROLES, Deployment

EVERY: Final = 0.5
SETTLED: Final = 5.0
"""Seconds after it was ready by which a process has filled its caches and loaded what it loads with its first work."""
LONG: Final = 10.0
"""Seconds of life after that from which its first and its last third can be told apart."""
GROWTH_MB: Final[Mapping[str, float]] = {"hub": 16.0, "worker": 96.0, "alerts": 8.0, "console": 8.0, "proxy": 32.0}
"""What a role may grow between its first and its last third, or have more than one that was restarted had at its age.
At 15 to 40 requests a second of a machine at load 4 to 10 these were 2, 78, 1, 1 and 27: a worker is at 170 MB when it
is ready, and at 260 to 290 once encoder, pipes and caches are in use, however many requests come."""
FILE_MB: Final = 0.25
"""Beyond that for each open file more: a proxy keeps the clients' connections and those to origins."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Life:
    """One process of a role from when it was ready on; MB of resident memory, those of its children beside it."""

    role: str
    pid: int
    megabytes: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    """How many are open: connections, above all."""

    @property
    def grown(self) -> float | None:
        """MB from the first to the last third of its life (medians), once settled; None for a short life."""
        settled = self.megabytes[round(SETTLED / EVERY) :]
        if len(settled) * EVERY < LONG:
            return None
        third = len(settled) // 3
        return median(settled[-third:]) - median(settled[:third])

    def more_than(self, other: Self) -> float | None:
        """MB that it has more than another process of its role had at the same age (median); None for short lives."""
        aged = zip(self.megabytes, other.megabytes, strict=False)
        differences = [own - others for own, others in aged][round(SETTLED / EVERY) :]
        return median(differences) if differences else None

    @property
    def allowed(self) -> float:
        """MB that are no growth."""
        return GROWTH_MB[self.role] + FILE_MB * (max(self.files) - self.files[0])


def growing(lives: Sequence[Life]) -> list[str]:
    """Say which processes grew, or have more than the first of their role had at their age."""
    oldest: dict[str, Life] = {}
    said = []
    for life in (life for life in lives if life.megabytes):
        first = oldest.setdefault(life.role, life)
        for what, more in (("since it settled", life.grown), ("than the first at its age", life.more_than(first))):
            if more is not None and more > life.allowed:
                said.append(f"{life.role} {life.pid}: {more:.0f} MB more {what}, allowed {life.allowed:.0f}")
    return said


@contextmanager
def watched(deployment: Deployment) -> Iterator[list[Life]]:
    """Watch every role, and the hub where there is one, until the block ends; the list grows meanwhile."""
    lives = {pid: Life("hub", pid) for pid in (deployment.hub_pid,) if pid}
    found = list(lives.values())
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            if deployment.hub_pid:
                _look(lives[deployment.hub_pid], with_children=False)  # they are the roles
            for role in ROLES:
                pid = int(deployment.run(role).get("pid", 0))
                if pid and pid not in lives and deployment.role_ready(role):
                    lives[pid] = Life(role, pid)
                    found.append(lives[pid])
                if pid in lives:
                    _look(lives[pid])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _look(life: Life, *, with_children: bool = True) -> None:
    own = megabytes(life.pid)
    if own:  # else it is dead, and its run file still there
        life.files.append(_open_files(life.pid))
        life.megabytes.append(own)
        life.children.append(sum(map(megabytes, _descendants(life.pid))) if with_children else 0.0)


def megabytes(pid: int) -> float:
    """Return a process's resident memory; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0


def _open_files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        own = [int(word) for task in tasks for word in (task / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return own + [each for child in own for each in _descendants(child)]
