"""Which deliveries may be committed: a bus commits up to a position, so never past one that is still at work."""

from __future__ import annotations

from collections import deque

from shared.types import Delivery


class Ticket:
    """A delivery that is being worked on; the same delivery may come twice and then has two tickets."""

    __slots__ = ("delivery", "done")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.done = False


class CommitOrder:
    """Releases finished deliveries in the order in which they came, separately for each partition.

    A token is (topic, partition, position); the embedded bus has its own meaning for them, and the order suits it too.
    """

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, int], deque[Ticket]] = {}

    def received(self, delivery: Delivery) -> Ticket:
        """Note a delivery that is being worked on."""
        ticket = Ticket(delivery)
        self._lanes.setdefault(delivery.token[:2], deque()).append(ticket)
        return ticket

    def finished(self, ticket: Ticket) -> tuple[Delivery, ...]:
        """Note that it is finished; return what may be committed now, oldest first."""
        ticket.done = True
        name = ticket.delivery.token[:2]
        lane = self._lanes[name]
        released = []
        while lane and lane[0].done:
            released.append(lane.popleft().delivery)
        if not lane:
            del self._lanes[name]
        return tuple(released)
