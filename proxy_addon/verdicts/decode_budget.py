"""How much decoding one sender may cause: a token bucket (https://en.wikipedia.org/wiki/Token_bucket) for each.

Verdicts are free of user data, so only the proxy knows who asks.  Without a limit 64 animations of 50 frames, or a few
small files of a hundred million pixels, keep a worker busy for one sender while all others wait.

One unit is what an ordinary picture of the web costs a worker, about 4 ms of a core.  Before an image is decoded only
its bytes are known, so an image that no cache answers costs a unit for each ``UNIT_BYTES`` begun, and who has less left
is not asked about.  The verdict then says what was in the file: a unit for each ``UNIT_PIXELS`` begun of a picture and
of each inside it, where a frame counts as ``FRAME_PIXELS`` at least; what that is more than the bytes said is charged
late.  It may leave the bucket in debt, by its size at most, so nobody waits longer than two fillings.  A file that kept
its decoder until it was killed costs ``KILLED_UNITS``.  What the verdict cache answers costs nothing, nor does what
another sender has just asked.  Where no verdict came nothing is charged late: workers may be slow because of others.

The default of 6,000 units a minute, and as many at once, is 6,000 new pictures or 1.5 GB of files at once, then 25 MB/s
of them for ever: more than a page of several hundred pictures, an album of 350 photographs of 4 MB, a page of 400
animations of 60 frames or a line of 200 Mbit/s brings, and less than half of what one core judges.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.errors import ErrorCode
from shared.types import Actor, Verdict

UNIT_BYTES: Final = 256 << 10
"""A photograph of 12 megapixels and 4 MB is 16 units by its bytes; most pictures of web pages are one."""
UNIT_PIXELS: Final = 4_000_000
"""A PNG of 100 megapixels is 25 units, though it may have 100 KB."""
FRAME_PIXELS: Final = 1_000_000
"""Four small frames are a unit: many look alike, and those are not shown to the encoder."""
KILLED_UNITS: Final = 64
DEFAULT_UNITS: Final = 6000
"""A minute's, and at once."""
BUCKETS: Final = 10_000
"""Senders with a bucket, 200 bytes each; the one that asked the longest ago goes first, and by then its bucket is full
again or nearly."""
_MINUTE: Final = 60.0
_NETWORKS: Final = 4096


@dataclass(slots=True)
class _Bucket:
    level: float
    since: float


class DecodeBudget:
    """The buckets of all senders; ``now`` is monotonic seconds.

    ``units`` come back in a minute, and as many may be spent at once.
    """

    def __init__(self, units: int = DEFAULT_UNITS, *, buckets: int = BUCKETS) -> None:
        self._units = float(units)
        self._most = buckets
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many senders are known."""
        return len(self._buckets)

    def admits(self, sender: str, size: int, now: float) -> bool:
        """Charge ``sender`` for an image of ``size`` bytes; False, and nothing charged, where too little is left."""
        cost = self._cost(size)
        bucket = self._filled(sender, now)
        if bucket.level < cost:
            return False
        bucket.level -= cost
        return True

    def settle(self, sender: str, size: int, verdict: Verdict, now: float) -> None:
        """Charge what an image of ``size`` bytes has cost beyond what its bytes said."""
        more = cost_of_verdict(verdict) - self._cost(size)
        if more > 0:
            bucket = self._filled(sender, now)
            bucket.level = max(-self._units, bucket.level - more)

    def _cost(self, size: int) -> float:
        # One object larger than the whole bucket is asked about while the bucket is full.
        return min(float(cost_of_bytes(size)), self._units)

    def _filled(self, sender: str, now: float) -> _Bucket:
        bucket = self._buckets.get(sender)
        if bucket is None:
            bucket = self._buckets[sender] = _Bucket(self._units, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(sender)
        bucket.level = min(self._units, bucket.level + max(0.0, now - bucket.since) * self._units / _MINUTE)
        bucket.since = max(bucket.since, now)
        return bucket


def cost_of_bytes(size: int) -> int:
    """Return the units of an image of which ``size`` bytes are all that is known."""
    return max(1, -(-size // UNIT_BYTES))


def cost_of_verdict(verdict: Verdict) -> int:
    """Return the units that an image and all images inside it have cost, going by what the worker saw."""
    cost = sum(cost_of_verdict(inside) for inside in verdict.images)
    if verdict.image is not None:
        pixels = verdict.image.width * verdict.image.height
        cost += -(-verdict.image.frames_inspected * max(FRAME_PIXELS, pixels) // UNIT_PIXELS)
    if verdict.error is not None and verdict.error.code in (ErrorCode.DECODE_TIMEOUT, ErrorCode.DECODER_CRASHED):
        cost += KILLED_UNITS
    return cost


def sender_of(actor: Actor) -> str:
    """Return whose bucket it is: the user's, where one is known, else that of the address.

    The addresses of an IPv6 /64 are one sender, as one device takes as many of them as it likes (RFC 8981).
    """
    return f"user {actor.user.casefold()}" if actor.user else f"ip {_network(actor.ip)}"


@lru_cache(maxsize=_NETWORKS)
def _network(ip: str) -> str:
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
