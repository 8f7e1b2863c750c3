"""Switching inspection off for a while, for the whole deployment: one record, the newest of which counts.

It travels two ways, the store and a file on each machine, because it is needed most when the store is down.  A record
says until when it holds, so a bypass ends by itself wherever it has arrived.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Final

from shared.errors import UsageError, WireError

BYPASS_KEY: Final = "bypass"
HISTORY_LOG: Final = "bypass-history"
LONGEST_SECONDS: Final = 24 * 3600
"""A longer one is a policy, and belongs there."""
REASON_MOST: Final = 500
_VERSION: Final = 1
_DURATION: Final = re.compile(r"(\d{1,6})\s*([smhd])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bypass:
    """Who switched inspection off (or on again), when and why; times are seconds since 1970."""

    id: str
    on: bool
    changed_at: float
    until: float
    who: str
    reason: str

    def active(self, now: float) -> bool:
        """Tell whether inspection is off."""
        return self.on and now < self.until


def newest(*records: Bypass | None) -> Bypass | None:
    """Return the record that counts."""
    return max((each for each in records if each is not None), key=lambda each: each.changed_at, default=None)


def encode_bypass(record: Bypass) -> bytes:
    """Return a record as JSON."""
    return json.dumps({"v": _VERSION, **asdict(record)}).encode()


def decode_bypass(data: bytes) -> Bypass:
    """Read a record; raises WireError."""
    try:
        values = json.loads(data)
        if values.pop("v") != _VERSION:
            raise WireError("a bypass record of another version")
        record = Bypass(**values)
        kinds = (record.changed_at, record.until), (record.id, record.who, record.reason)
        if not all(isinstance(each, int | float) for each in kinds[0]) or not all(isinstance(e, str) for e in kinds[1]):
            raise WireError("not a bypass record")
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"not a bypass record: {error}") from error


def parse_duration(text: str, longest: float | None = None) -> float:
    """Return seconds for 90s, 30m, 24h or 7d; raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    seconds = int(match[1]) * _SECONDS[match[2].lower()] if match else 0
    if not seconds:
        raise UsageError(f"{text!r} is no duration; needed is a number and a unit, such as 90s, 30m, 24h or 7d")
    if longest is not None and seconds > longest:
        raise UsageError(f"{text} is longer than the {longest / 3600:g} hours that are allowed")
    return float(seconds)
