"""Every part is killed (-9) twice under 100 requests a second, four of five of them for what was sent before.

As real traffic is: a logo, a chat's history, a page's pictures come again and again, and a worker sees them once.  New
pictures at 100 a second would be more than two cores decode and look at.  SOAK_RATE asks for another rate, where the
machine is not this test's alone.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.e2e.endurance import PROTECTED, TEXTS, UNRELATED, Plan, survive_embedded, survive_scaled_out
from tests.e2e.load import Payload
from tests.servers import KafkaBroker, RedisServer

SEEN = (
    *(Payload("unrelated", data) for data in UNRELATED * 2),
    *(Payload("protected", data) for data in PROTECTED.values()),
    *(Payload("text", data) for data in TEXTS),
)
NEW = (*(Payload("unrelated", data) for data in UNRELATED), Payload("protected", PROTECTED["0.jpg"]))


def payload(number: int) -> Payload:
    """Of five one is a picture whose bytes nobody has seen: a JPEG with another comment (marker FFFE)."""
    if number % 5:
        return SEEN[(number - number // 5) % len(SEEN)]
    picture = NEW[number // 5 % len(NEW)]
    comment = str(number).encode()
    marked = picture.data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + picture.data[2:]
    return Payload(picture.kind, marked, fresh=True)


PLAN = Plan(
    rate=float(os.environ.get("SOAK_RATE", "100")), payload=payload, between_kills=6.0, between_adds=15.0, rounds=2
)
pytestmark = [pytest.mark.soak, pytest.mark.e2e, pytest.mark.timeout(600)]


def test_embedded_parts_die_twice(tmp_path: Path) -> None:
    survive_embedded(tmp_path, PLAN, "soak embedded")


@pytest.mark.kafka
@pytest.mark.redis
def test_scaled_out_parts_die_twice(tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer) -> None:
    survive_scaled_out(tmp_path / "safelight", killable_kafka, killable_redis, PLAN, "soak scaled out")
