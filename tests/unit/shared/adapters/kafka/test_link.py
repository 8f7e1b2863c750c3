"""What a Kafka record carries, and a link without clients."""

from __future__ import annotations

import pytest
from aiokafka import ConsumerRecord

from shared.adapters.kafka.clients import Clients
from shared.adapters.kafka.link import KafkaLink, message_of
from shared.errors import BusError, BusTimeoutError
from shared.types import BusMessage

HEADERS = (("correlation-id", b"c-1"), ("reply-partition", b"3"))
MESSAGE = BusMessage(key=b"k", value=b"v", correlation_id="c-1", partition=3)


def record(value: bytes | None = b"v", headers: tuple[tuple[str, bytes | None], ...] = HEADERS) -> object:
    return ConsumerRecord(
        topic="safelight.inspect",
        partition=0,
        offset=7,
        timestamp=0,
        timestamp_type=0,
        key=b"k",
        value=value,
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
        headers=headers,
    )


def test_a_record_with_its_headers_is_a_message() -> None:
    assert message_of(record()) == MESSAGE
    assert message_of(record(headers=(*HEADERS, ("traceparent", b"other")))) == MESSAGE


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, HEADERS),
        (b"v", ()),
        (b"v", HEADERS[:1]),
        (b"v", (("correlation-id", b"\xff"), HEADERS[1])),
        (b"v", (("correlation-id", None), HEADERS[1])),
        (b"v", (HEADERS[0], ("reply-partition", None))),
        (b"v", (HEADERS[0], ("reply-partition", b""))),
        (b"v", (HEADERS[0], ("reply-partition", b"-1"))),
        (b"v", (HEADERS[0], ("reply-partition", b"9" * 5000))),
    ],
)
def test_anything_else_is_none(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]) -> None:
    assert message_of(record(value, headers)) is None


async def no_broker() -> Clients:
    raise BusTimeoutError("Kafka cannot be reached")


async def test_a_link_that_did_not_start_says_so_and_can_be_stopped() -> None:
    link = KafkaLink(no_broker, "safelight.inspect")
    with pytest.raises(BusTimeoutError):
        await link.start()
    assert not link.answers()
    with pytest.raises(BusError):
        await link.send("safelight.inspect", MESSAGE)
    await link.stop()
    await link.stop()
