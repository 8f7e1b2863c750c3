"""What processes cost, read from this one and one it starts."""

import os
import subprocess
import sys

import pytest

from benchmarks.processes import descendants, family_cpu_seconds, family_resident_mb, resident_mb


def test_a_child_belongs_to_the_family() -> None:
    work = "import sys; sum(range(10_000_000)); print('done', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        before = family_cpu_seconds(os.getpid())
        child.stdout.readline()
        assert child.pid in descendants(os.getpid())
        assert family_cpu_seconds(os.getpid()) > before
        assert family_resident_mb(os.getpid()) > resident_mb(os.getpid()) > 1
        while_it_lived = family_cpu_seconds(child.pid)
        child.communicate()
    assert child.pid not in descendants(os.getpid())
    assert while_it_lived > 0


def test_a_process_that_has_gone_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    with pytest.raises(OSError, match=str(child.pid)):
        resident_mb(child.pid)
