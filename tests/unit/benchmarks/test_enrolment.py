"""From the write to searchable in the slowest worker."""

import subprocess
import sys

import pytest

from benchmarks.enrolment import Watcher, delays


class Seen:
    """A worker that searched at these positions at these times."""

    def __init__(self, **times: float) -> None:
        self._times = {int(name[1:]): at for name, at in times.items()}

    def searchable(self, position: int) -> float | None:
        return next((at for reached, at in self._times.items() if reached >= position), None)


def test_the_slowest_worker_counts() -> None:
    quick, slow = Seen(p5=10.1, p6=11.1), Seen(p6=11.5)
    assert delays([(5, 10.0), (6, 11.0)], [quick, slow]) == [1.5, 0.5]


def test_what_never_became_searchable_is_said() -> None:
    with pytest.raises(TimeoutError, match="position 7"):
        delays([(7, 10.0)], [Seen(p6=1.0)])


def test_a_watcher_reads_positions_and_times_as_they_are_said() -> None:
    says = "print('3 1.5'); print('7 2.5')"
    with subprocess.Popen([sys.executable, "-c", says], stdout=subprocess.PIPE, text=True) as process:
        watcher = Watcher(process)
        watcher.finish()
    assert [watcher.searchable(position) for position in (1, 3, 4, 8)] == [1.5, 1.5, 2.5, None]
