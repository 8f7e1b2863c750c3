"""What memory each role of a deployment takes while it lives, by the second, from /proc."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.deployment import ROLES, Deployment

EVERY: Final = 0.5
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Life:
    """One process of a role from when it was ready on; MB of resident memory, those of its children beside it."""

    role: str
    pid: int
    megabytes: list[float] = field(default_factory=list)
    children: list[float] = field(default_factory=list)


@contextmanager
def watched(deployment: Deployment) -> Iterator[list[Life]]:
    """Watch every role until the block ends; the list grows meanwhile."""
    lives: dict[int, Life] = {}
    found: list[Life] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
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


def _look(life: Life) -> None:
    own = _megabytes(life.pid)
    if own:  # else it is dead, and its run file still there
        life.megabytes.append(own)
        life.children.append(sum(map(_megabytes, _descendants(life.pid))))


def _megabytes(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 1e6
    except OSError:
        return 0.0


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        own = [int(word) for task in tasks for word in (task / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return own + [each for child in own for each in _descendants(child)]
