"""Commits never pass a delivery that is still at work."""

from shared.types import BusMessage, Delivery
from workers.serving.commits import CommitOrder


def delivery(position: int, partition: int = 0) -> Delivery:
    message = BusMessage(key=b"k", value=b"v", correlation_id=str(position), partition=0)
    return Delivery(message=message, token=("requests", partition, position))


def test_a_slow_one_holds_back_what_came_after_it() -> None:
    order = CommitOrder()
    slow, quick, last = (order.received(delivery(n)) for n in (1, 2, 3))
    assert order.finished(quick) == ()
    assert order.finished(slow) == (delivery(1), delivery(2))
    assert order.finished(last) == (delivery(3),)


def test_partitions_do_not_wait_for_each_other() -> None:
    order = CommitOrder()
    order.received(delivery(1, partition=0))
    other = order.received(delivery(1, partition=1))
    assert order.finished(other) == (delivery(1, partition=1),)


def test_a_delivery_that_comes_twice_is_finished_twice() -> None:
    order = CommitOrder()
    first, second = order.received(delivery(1)), order.received(delivery(1))
    assert order.finished(second) == ()
    assert order.finished(first) == (delivery(1), delivery(1))
