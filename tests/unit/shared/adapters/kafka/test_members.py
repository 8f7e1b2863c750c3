"""Who a member of the workers' group is, and whether that process has ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared.adapters.kafka.members import is_dead, member_client_id, member_settings
from shared.config import Settings

CHILD = "from shared.adapters.kafka.members import member_client_id as me; print(me(), flush=True); input()"


def test_a_process_is_dead_once_it_has_ended() -> None:
    assert not is_dead(member_client_id())
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        client_id = child.stdout.readline().decode().strip()
        assert not is_dead(client_id)
        child.kill()
        child.wait()
    assert is_dead(client_id)


def test_a_number_that_another_process_has_now_is_a_dead_ones() -> None:
    own, started, which = member_client_id().rsplit("-", 2)
    assert is_dead(f"{own}-{int(started) - 1}-{which}")


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        "safelight",
        "safelight-worker-0123456789abcdef-1-1-01234567",  # of another machine
        member_client_id() + "-more",
        member_client_id().replace("safelight-worker", "somebody-elses"),
        "safelight-worker-0123456789abcdef-99999999999-1-01234567",
    ],
    # This process's number in a name would be another in each of pytest's processes.
    ids=["none", "no process", "another machine", "more", "somebody else", "no process id"],
)
def test_nobody_else_is_taken_for_dead(client_id: str) -> None:
    assert not is_dead(client_id)


def test_a_client_id_of_the_operators_own_stays() -> None:
    assert member_settings(Settings(bus="kafka://a:9092"), "member-1")["client_id"] == "member-1"
    named = Settings(bus="kafka://a:9092", kafka={"client.id": "quota-1"})
    assert member_settings(named, "member-1")["client_id"] == "quota-1"
