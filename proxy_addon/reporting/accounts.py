"""What became of each flow's bodies, gathered from the hooks and booked at the flow's end.

State of a flow lives in its own ``metadata``.  A body that no hook has said anything about was let through by rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mitmproxy.http import HTTPFlow

from proxy_addon import flows
from proxy_addon.reporting.ledger import Fate, Ledger
from shared.types import Direction

_KEY: Final = "safelight_bodies"


class Bodies:
    """The two bodies of a flow."""

    __slots__ = ("ended", "fates", "sizes")

    def __init__(self) -> None:
        self.fates: dict[Direction, Fate] = {}
        self.sizes: dict[Direction, int] = {}
        self.ended = False


class Accounts:
    """One for a whole proxy; ``unruled`` says why a body passes that no policy asks for."""

    def __init__(self, ledger: Ledger, unruled: Callable[[], str]) -> None:
        self.ledger = ledger
        self._unruled = unruled

    def fate(self, flow: HTTPFlow, direction: Direction) -> Fate:
        """Return the fate of a body, to be changed as more becomes known."""
        fates = _bodies(flow).fates
        fate = fates.get(direction)
        if fate is None:
            fate = fates[direction] = Fate(self._unruled())
        return fate

    def arrived(self, flow: HTTPFlow, direction: Direction, size: int) -> None:
        """Count bytes of a body."""
        bodies = _bodies(flow)
        if bodies.ended:
            return
        self.ledger.received(direction, size)
        known = bodies.sizes.get(direction)
        if known is None:
            self.fate(flow, direction)  # by what holds now, at its first byte
        bodies.sizes[direction] = size + (known or 0)

    def message(self, flow: HTTPFlow, direction: Direction, size: int, reason: str | None = None) -> None:
        """Count and book a message of a web socket; without a reason it was let through by rule."""
        self.ledger.received(direction, size)
        self.ledger.book(flows.host(flow), direction, reason or self._unruled(), size)

    def ended(self, flow: HTTPFlow) -> None:
        """Book both bodies; may be called more than once."""
        bodies = _bodies(flow)
        if bodies.ended:
            return
        bodies.ended = True
        host = flows.host(flow) if bodies.sizes else ""
        for direction, size in bodies.sizes.items():
            bodies.fates[direction].end(self.ledger, host, direction, size)


def _bodies(flow: HTTPFlow) -> Bodies:
    bodies = flow.metadata.get(_KEY)
    if not isinstance(bodies, Bodies):
        bodies = flow.metadata[_KEY] = Bodies()
    return bodies
