"""A question's way to a worker and back over a real Kafka broker: latency and processor time, at several rates.

Asker, worker and broker are processes of their own; requests have 60 KB, replies 300 bytes, the load is open loop, and
every latency counts from the moment its request was due.  ``safelight`` is this project's adapters (aiokafka), on
asyncio's event loop and on uvloop; ``librdkafka`` is confluent-kafka's client with a thread that polls, where that is
installed: what a compiled client would cost.  ``python -m benchmarks.bus_round_trip``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.proxies import cpu_seconds, say
from benchmarks.reporting import finish, options_parser
from shared.adapters.kafka.bus import KafkaAnsweringBus, KafkaAskingBus
from shared.adapters.kafka.topics import Topics
from shared.config import Settings
from shared.types import BusMessage
from tests.servers import KafkaBroker

TOPICS: Final = Topics.of("")
CLIENTS: Final = ("asyncio", "uvloop", "librdkafka")
RATES: Final = (10, 100, 500)
REQUEST, REPLY = bytes(60_000), bytes(300)
WARM_UP: Final = 20
GRACE_SECONDS: Final = 3.0


class Latencies:
    """When questions were due, and how long each took."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.seconds: list[float] = []

    def answered(self, number: str) -> None:
        """Note an answer."""
        due = self.due.pop(number, None)
        if due is not None:
            self.seconds.append(time.perf_counter() - due)


async def ask_all(send: Callable[[str], Any], latencies: Latencies, rate: int, count: int) -> None:
    """Send ``count`` questions at their times, whatever became of the earlier ones, and wait for the answers."""
    begin = time.perf_counter()
    sending = set()
    for number in range(count):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        latencies.due[str(number)] = due
        task = asyncio.get_running_loop().create_task(send(str(number)))
        sending.add(task)
        task.add_done_callback(sending.discard)
    deadline = time.perf_counter() + GRACE_SECONDS
    while latencies.due and time.perf_counter() < deadline:  # noqa: ASYNC110 - each answer is an event of its own
        await asyncio.sleep(0.01)


def message(number: str, value: bytes) -> BusMessage:
    """One message, of an image of its own."""
    return BusMessage(key=number.encode(), value=value, correlation_id=number, partition=0)


async def safelight_worker(bootstrap: str) -> None:
    """Answer for ever."""
    bus = KafkaAnsweringBus(Settings(bus=f"kafka://{bootstrap}"))
    await bus.start()
    print("ready", flush=True)
    replying: set[asyncio.Task[None]] = set()

    async def answer(delivery: Any) -> None:
        await bus.reply(message(delivery.message.correlation_id, REPLY))
        await bus.commit([delivery])

    while True:
        for delivery in await bus.receive(64, 0.5):
            task = asyncio.get_running_loop().create_task(answer(delivery))
            replying.add(task)
            task.add_done_callback(replying.discard)


async def safelight_asker(bootstrap: str, rate: int, count: int) -> dict[str, float]:
    """Ask, and return what was measured."""
    bus = KafkaAskingBus(Settings(bus=f"kafka://{bootstrap}"))
    await bus.start(0)
    latencies = Latencies()

    async def read() -> None:
        async for reply in bus.replies():
            latencies.answered(reply.correlation_id)

    async def send(number: str) -> None:
        await bus.ask(message(number, REQUEST))

    reading = asyncio.get_running_loop().create_task(read())
    try:
        await ask_all(send, latencies, 10, WARM_UP)
        latencies = Latencies()
        begun = time.process_time()
        await ask_all(send, latencies, rate, count)
        return {**summary(latencies, count), "asker_cpu_ms": (time.process_time() - begun) / count * 1000}
    finally:
        reading.cancel()
        await bus.stop()


def librdkafka_worker(bootstrap: str) -> None:
    """Answer for ever."""
    from confluent_kafka import Consumer, Producer  # noqa: PLC0415 - only where it is installed

    settings = {"bootstrap.servers": bootstrap, "fetch.wait.max.ms": 500}
    consumer = Consumer({**settings, "group.id": "bench", "auto.offset.reset": "latest", "enable.auto.commit": False})
    producer = Producer({**settings, "acks": 1, "linger.ms": 0})
    consumer.subscribe([TOPICS.inspect], on_assign=lambda *_: print("ready", flush=True))
    while True:
        record = consumer.poll(0.5)
        producer.poll(0)
        if record is not None and record.error() is None:
            producer.produce(TOPICS.verdicts, REPLY, key=record.key(), partition=0)


async def librdkafka_asker(bootstrap: str, rate: int, count: int) -> dict[str, float]:
    """Ask, and return what was measured."""
    from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition  # noqa: PLC0415 - as above

    settings = {"bootstrap.servers": bootstrap, "fetch.wait.max.ms": 500}
    consumer = Consumer({**settings, "group.id": "ask", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPICS.verdicts, 0, OFFSET_END)])
    producer = Producer({**settings, "acks": 1, "linger.ms": 0})
    latencies, over = Latencies(), threading.Event()

    def poll() -> None:
        while not over.is_set():
            record = consumer.poll(0.1)
            producer.poll(0)
            if record is not None and record.error() is None:
                latencies.answered(record.key().decode())

    async def send(number: str) -> None:
        producer.produce(TOPICS.inspect, REQUEST, key=number)

    polling = threading.Thread(target=poll)
    polling.start()
    try:
        await asyncio.sleep(1.0)  # until the consumer stands at the end
        await ask_all(send, latencies, 10, WARM_UP)
        latencies.due.clear()
        latencies.seconds.clear()
        begun = time.process_time()
        await ask_all(send, latencies, rate, count)
        return {**summary(latencies, count), "asker_cpu_ms": (time.process_time() - begun) / count * 1000}
    finally:
        over.set()
        polling.join()
        consumer.close()


def summary(latencies: Latencies, count: int) -> dict[str, float]:
    """Return percentiles in milliseconds, and what was lost."""
    ordered = sorted(latencies.seconds) or [float("nan")]
    return {
        "lost": count - len(latencies.seconds),
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000,
    }


def run_side(side: str, client: str, bootstrap: str, rate: int, count: int) -> None:
    """Be one of the two processes."""
    factory = uvloop.new_event_loop if client == "uvloop" else asyncio.new_event_loop
    if side == "worker":
        if client == "librdkafka":
            librdkafka_worker(bootstrap)
        asyncio.run(safelight_worker(bootstrap), loop_factory=factory)
    asker = librdkafka_asker if client == "librdkafka" else safelight_asker
    # The asker is a proxy, which runs on asyncio's loop.
    print(json.dumps(asyncio.run(asker(bootstrap, rate, count))))


def measure(broker: KafkaBroker, client: str, rate: int, seconds: float) -> dict[str, Any]:
    """One run: start the worker, ask, and return figures with the processor time of all three."""
    count = int(rate * seconds)
    command = [sys.executable, "-m", "benchmarks.bus_round_trip", "--client", client, "--bootstrap", broker.bootstrap]
    worker = subprocess.Popen([*command, "--side", "worker"], stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        worker.stdout.readline()
        before = [cpu_seconds(pid) for pid in (worker.pid, broker.pid or 0)]
        asked = subprocess.run(
            [*command, "--side", "asker", "--rate", str(rate), "--count", str(count)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        after = [cpu_seconds(pid) for pid in (worker.pid, broker.pid or 0)]
    finally:
        worker.kill()
        worker.wait()
    served, brokered = ((now - then) / (count + WARM_UP) * 1000 for then, now in zip(before, after, strict=True))
    figures = json.loads(asked.stdout)
    return {"client": client, "rate": rate, **figures, "worker_cpu_ms": served, "broker_cpu_ms": brokered}


def clients_at_hand() -> list[str]:
    """Return the clients that are installed."""
    return [name for name in CLIENTS if name != "librdkafka" or importlib.util.find_spec("confluent_kafka")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every client at every rate, one after the other, ``--repeats`` times; print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--side", choices=("worker", "asker"), help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help="only this one")
    parser.add_argument("--bootstrap", default="", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, help="questions a second (default: 10, 100 and 500)")
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=6.0, help="of load in each run")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.side:
        run_side(options.side, options.client, options.bootstrap, options.rate or 1, options.count)
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        broker = KafkaBroker(Path(folder) / "kafka").start()
        try:
            for _ in range(options.repeats):
                for rate in [options.rate] if options.rate else RATES:
                    for client in [options.client] if options.client else clients_at_hand():
                        say(f"{client}, {rate} questions/s")
                        rows.append(measure(broker, client, rate, options.seconds))
        finally:
            broker.remove()
    note = "60 KB questions, 300-byte replies, open loop; milliseconds from when each was due."
    table = {"name": "bus", "title": "To a worker and back over Kafka", "note": note, "rows": rows}
    return finish(options, "bus_round_trip", {"title": "The bus", "tables": [table]})


if __name__ == "__main__":
    sys.exit(main())
