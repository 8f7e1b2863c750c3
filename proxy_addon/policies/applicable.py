"""Which policies apply to a transfer, remembered: asked three times for every request, with few different answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from shared.core.policy import Policy, applicable, decide
from shared.types import ActivityContext, Decision

KNOWN_CONTEXTS: Final = 4096
"""Contexts remembered, 1 KB each; then all are forgotten: one who makes up new ones only costs time."""


class ApplicablePolicies:
    """Remembers ``applicable`` for one list of policies and one day."""

    def __init__(self) -> None:
        self._policies: Sequence[Policy] = ()
        self._day = date.min
        self._known: dict[ActivityContext, tuple[Policy, ...]] = {}
        self._tuples: dict[tuple[int, ...], tuple[Policy, ...]] = {}  # what was found, by the ids of the policies
        self._latest: tuple[tuple[Policy, ...], Decision] = ((), decide((), ()))
        self._about_transfers: tuple[Sequence[Policy], bool] = ((), False)

    def find(self, policies: Sequence[Policy], context: ActivityContext, now: datetime) -> tuple[Policy, ...]:
        """Return what ``applicable`` does; another list object is another list, whatever is in it."""
        day = now.date()
        if policies is not self._policies or day != self._day or len(self._known) >= KNOWN_CONTEXTS:
            self._policies, self._day = policies, day
            self._known.clear()
            self._tuples.clear()
        found = self._known.get(context)
        if found is None:
            found = applicable(policies, context, now)
            # The same policies are the same tuple for all contexts: what follows from them is remembered by it.
            found = self._known[context] = self._tuples.setdefault(tuple(map(id, found)), found)
        return found

    def without_images(self, policies: tuple[Policy, ...]) -> Decision:
        """Return the decision over a transfer in which there is no image."""
        if policies is not self._latest[0]:
            self._latest = policies, decide(policies, ())
        return self._latest[1]

    def any_about_transfers(self, policies: Sequence[Policy]) -> bool:
        """Tell whether any of the policies is about transfers themselves; another list object is another list."""
        if policies is not self._about_transfers[0]:
            self._about_transfers = policies, any(policy.images is None for policy in policies)
        return self._about_transfers[1]
