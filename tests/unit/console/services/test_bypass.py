from __future__ import annotations

import pytest

from console.services.bypass import BypassSwitch
from shared.core.bypass import LONGEST_SECONDS, Bypass
from shared.errors import IntegrityError, StoreError, UsageError


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class File:
    record: Bypass | None = None
    error: Exception | None = None

    def read(self) -> Bypass | None:
        if self.error:
            raise self.error
        return self.record

    def write(self, record: Bypass) -> None:
        self.error = None
        self.record = record


class Shared:
    def __init__(self) -> None:
        self.records: list[Bypass] = []
        self.down = False

    async def read(self) -> Bypass | None:
        if self.down:
            raise StoreError("nobody answers")
        return self.records[-1] if self.records else None

    async def write(self, record: Bypass) -> None:
        if self.down:
            raise StoreError("nobody answers")
        self.records.append(record)

    async def history(self, most: int) -> tuple[Bypass, ...]:
        return tuple(reversed(self.records))[:most]


def make() -> tuple[BypassSwitch, File, Shared, Clock]:
    file, shared, clock = File(), Shared(), Clock()
    return BypassSwitch(file, shared, clock), file, shared, clock


async def test_on_and_off_reach_both_places() -> None:
    switch, file, shared, clock = make()
    on = (await switch.on(60.0, " an outage ", "root@host")).record
    assert file.record == shared.records[-1] == on
    assert (on.until, on.reason, on.who) == (1060.0, "an outage", "root@host")
    status = await switch.status()
    assert (status.active, status.history) == (on, (on,))
    clock.now = 1060.0
    assert (await switch.status()).active is None
    off = (await switch.off("root@host")).record
    assert file.record == shared.records[-1] == off
    assert not off.on


async def test_with_the_store_down_this_machine_is_reached_and_that_is_said() -> None:
    switch, file, shared, _ = make()
    shared.down = True
    change = await switch.on(60.0, "an outage", "root@host")
    assert file.record == change.record
    assert change.unreached == "nobody answers"
    status = await switch.status()
    assert (status.active, status.unreached) == (change.record, "nobody answers")


async def test_a_change_is_newer_than_what_it_replaces_whatever_the_clocks_say() -> None:
    switch, _, shared, _ = make()
    ahead = Bypass(id="1", on=True, changed_at=5000.0, until=9000.0, who="root@other", reason="x")
    shared.records.append(ahead)
    assert (await switch.off("root@host")).record.changed_at > ahead.changed_at


async def test_a_file_that_cannot_be_read_is_replaced() -> None:
    switch, file, _, _ = make()
    file.error = IntegrityError("another key")
    await switch.on(60.0, "an outage", "root@host")
    assert file.record is not None


@pytest.mark.parametrize(
    ("seconds", "reason"), [(60.0, " "), (0.0, "x"), (LONGEST_SECONDS + 1.0, "x"), (60.0, "x" * 501)]
)
async def test_without_a_reason_or_an_end_nothing_is_switched_off(seconds: float, reason: str) -> None:
    switch, file, _, _ = make()
    with pytest.raises(UsageError):
        await switch.on(seconds, reason, "root@host")
    assert file.record is None
