"""A queue asks for a stop when it is long, once, and for an end of the stop when it is short again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest
from mitmproxy.connection import Client, Server
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context

from proxy_addon.runtime.backpressure import MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS, BoundedQueue, FlowingHook


@dataclass
class JudgeHook(commands.StartHook):
    """What the layer waits for."""

    name = "test_judge"
    event: events.Event


class Judged(BoundedQueue):
    """Waits at every event."""

    def _handle_event(self, event: events.Event) -> Generator[commands.Command, Any, None]:
        yield JudgeHook(event)


class Driven:
    """A layer, the hook it waits for, and which of its connections flow."""

    def __init__(self) -> None:
        self.client = Client(peername=("192.0.2.7", 5000), sockname=("192.0.2.1", 8080), timestamp_start=0.0)
        self.server = Server(address=("origin.example", 80))
        context = Context(self.client, Options())
        context.server = self.server
        self.layer = Judged(context)
        self.waiting: JudgeHook | None = None
        self.asked: list[tuple[object, bool]] = []

    def feed(self, event: events.Event) -> None:
        for command in self.layer.handle_event(event):
            if isinstance(command, FlowingHook):
                assert command.flowing.client is self.client
                self.asked.append((command.flowing.connection, command.flowing.flows))
            else:
                assert isinstance(command, JudgeHook)
                self.waiting = command

    def judge(self) -> None:
        hook, self.waiting = self.waiting, None
        assert hook is not None
        self.feed(events.HookCompleted(hook, None))


@pytest.mark.parametrize(("size", "most"), [(1 << 20, MAX_QUEUED_BYTES >> 20), (1, MAX_QUEUED_EVENTS)])
def test_bytes_and_pieces_are_bounded(size: int, most: int) -> None:
    driven = Driven()
    for _ in range(most + 1):  # one more, as the first is being judged
        driven.feed(events.DataReceived(driven.client, bytes(size)))
    assert driven.asked == []
    for _ in range(3):
        driven.feed(events.DataReceived(driven.client, bytes(size)))
    assert driven.asked == [(driven.client, False)]
    while driven.waiting is not None:
        driven.judge()
        left = len(driven.layer._paused_event_queue)  # noqa: SLF001 - what the stop is about
        assert driven.asked[1:] == ([] if left > most // 2 else [(driven.client, True)])
    assert driven.asked[1:] == [(driven.client, True)]


def test_both_ends_are_stopped_and_go_on_together() -> None:
    driven = Driven()
    for end in (driven.client, driven.server, driven.client):
        driven.feed(events.DataReceived(end, bytes(MAX_QUEUED_BYTES)))
    assert driven.asked == [(driven.client, False)]
    driven.feed(events.DataReceived(driven.server, b"more"))
    assert driven.asked[1:] == [(driven.server, False)]
    while driven.waiting is not None:
        driven.judge()
    assert driven.asked[2:] == [(driven.client, True), (driven.server, True)]


def test_what_waits_for_nothing_is_not_looked_at() -> None:
    driven = Driven()
    for _ in range(4):
        driven.feed(events.DataReceived(driven.client, bytes(MAX_QUEUED_BYTES)))
        driven.judge()
    assert driven.asked == []
