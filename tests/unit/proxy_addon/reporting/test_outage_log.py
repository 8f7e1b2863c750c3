"""An outage is two lines, however long it is."""

from __future__ import annotations

import logging

import pytest

from proxy_addon.reporting.outage_log import OutageLog

LOG = logging.getLogger("outage")


def test_a_failure_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    outage = OutageLog(LOG, "cannot ask")
    outage.over()
    assert caplog.messages == []
    for number in range(3):
        outage.failed(OSError(f"no broker {number}"))
    outage.over()
    outage.over()
    begin, end = caplog.messages
    assert begin.startswith("cannot ask")
    assert begin.endswith("no broker 0")
    assert end.endswith("failures: 3")


def test_the_next_outage_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    outage = OutageLog(LOG, "cannot ask")
    for _ in range(2):
        outage.failed(OSError("gone"))
        outage.over()
    assert len(caplog.messages) == 4
    assert all(message.endswith("failures: 1") for message in caplog.messages[1::2])
