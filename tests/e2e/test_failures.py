"""Every part is killed (-9) once under 20 requests a second: nothing hangs, nothing is lost, nothing slips through."""

from pathlib import Path

import pytest

from tests.e2e.deployment import Embedded, ScaledOut
from tests.e2e.endurance import PROTECTED, TEXTS, UNRELATED, Plan, role_kill, survive
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
    deployment = Embedded(tmp_path)
    deployment.start()
    try:
        survive(deployment, {role: role_kill(deployment, role) for role in ("worker", "alerts", "proxy")}, PLAN)
    finally:
        deployment.stop()


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.timeout(300)
def test_scaled_out_parts_die_under_load(
    tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer
) -> None:
    deployment = ScaledOut(tmp_path / "safelight", bootstrap=killable_kafka.bootstrap, redis_url=killable_redis.url)
    deployment.start()
    try:
        kills = {
            "worker": role_kill(deployment, "worker"),
            "broker": killable_kafka.restart,
            "redis": killable_redis.restart,
            "proxy": role_kill(deployment, "proxy"),
        }
        survive(deployment, kills, PLAN)
    finally:
        deployment.stop()
