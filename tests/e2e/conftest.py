"""The same tests over both shapes of a deployment."""

from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment, Embedded, ScaledOut
from tests.servers import KafkaBroker, RedisServer

SHAPES = [
    pytest.param("embedded", marks=[pytest.mark.e2e]),
    pytest.param("scaled_out", marks=[pytest.mark.e2e, pytest.mark.kafka, pytest.mark.redis]),
]


@pytest.fixture(scope="package", params=SHAPES)
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One running deployment for all modules; tests use sets and policies of their own."""
    folder = tmp_path_factory.mktemp(request.param)
    running: Deployment
    if request.param == "embedded":
        running = Embedded(folder)
    else:
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        redis: RedisServer = request.getfixturevalue("redis_server")
        redis.flush()
        running = ScaledOut(folder, bootstrap=broker.bootstrap, redis_url=redis.url)
    running.start()
    yield running
    running.stop()
