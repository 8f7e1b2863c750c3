"""Every part is killed (-9) once under 20 requests a second: nothing hangs, nothing is lost, nothing slips through."""

from pathlib import Path

import pytest

from tests.e2e.endurance import PROTECTED, TEXTS, UNRELATED, Plan, survive_embedded, survive_scaled_out
from tests.e2e.load import Payload
from tests.servers import KafkaBroker, RedisServer

PAYLOADS = [
    *(Payload("protected", data) for data in PROTECTED.values()),
    *(Payload("unrelated", data) for data in UNRELATED),
    *(Payload("text", data) for data in TEXTS),
]
# Client, origin, proxy and worker share two cores, and a command that adds is a process that loads the encoder: one
# after the other would fill a core.
PLAN = Plan(rate=20.0, payload=lambda number: PAYLOADS[number % len(PAYLOADS)], between_kills=4.0, between_adds=3.0)


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_embedded_parts_die_under_load(tmp_path: Path) -> None:
    survive_embedded(tmp_path, PLAN, "failures embedded")


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.timeout(300)
def test_scaled_out_parts_die_under_load(
    tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer
) -> None:
    survive_scaled_out(tmp_path / "safelight", killable_kafka, killable_redis, PLAN, "failures scaled out")
