"""A walk through a container, for the tests of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.errors import ErrorCode
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.unpack import unpack
from workers.unpacking.walk import Found, Unread


@dataclass
class Outcome:
    found: list[Found] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def take(self, find: Found | Unread) -> None:
        if isinstance(find, Found):
            self.found.append(find)
        else:
            self.unread.append(find)


def walk(data: bytes, limits: Limits | None = None) -> Outcome:
    outcome = Outcome()
    unpack(data, limits or Limits(seconds=60.0), outcome.take)
    return outcome


def paths(outcome: Outcome) -> list[str]:
    assert outcome.unread == []
    return [found.path for found in outcome.found]


def codes(outcome: Outcome) -> list[ErrorCode]:
    return [unread.code for unread in outcome.unread]


def limits_hit(outcome: Outcome) -> list[Limit | None]:
    return [unread.limit for unread in outcome.unread]
