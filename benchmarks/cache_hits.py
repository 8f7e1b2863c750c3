"""What a verdict costs that is known already: in a worker's memory, and in Redis where another worker left it.

    python -m benchmarks.cache_hits [--hits 5000] [-o FOLDER]

Processor time of the process that asks; that of Redis is beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from benchmarks.index_child import make_replica
from benchmarks.made_up_index import configure, fill, references, shipped_index_id
from benchmarks.proxies import cpu_seconds, say
from benchmarks.reporting import options_parser, report_on, target
from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import ErrorCode
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics
from shared.types import ImageInfo, Inquiry, KnownVerdict, Verdict, VerdictError
from shared.types.known import FrameTrace
from tests.inspection_doubles import KnownClassifiers
from tests.servers import RedisServer
from workers.evaluation.tables import Cell
from workers.index.replica import IndexReplica
from workers.serving.admission import Admission
from workers.serving.known_verdicts import KnownVerdicts
from workers.serving.shared_verdicts import SharedVerdicts
from workers.serving.verdicts import Question, Verdicts

IMAGES: Final = 64
DIMENSION: Final = 512
AIMS: Final = {"in process": 0.1, "from Redis": 0.5}


class Judge:
    """Judges at once: what it takes to judge is not the question.  Counts how often it was asked."""

    def __init__(self, replica: IndexReplica, encoder: str) -> None:
        self._replica = replica
        self._encoder = encoder
        self.asked = 0

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        """Return a verdict without matches, and a trace of the usual size."""
        self.asked += 1
        source = np.random.default_rng(self.asked)
        pdq = tuple(source.bytes(32).hex() for _ in range(8))
        vector = source.standard_normal(DIMENSION).astype("<f4").tobytes()
        info = ImageInfo(format="JPEG", width=800, height=600, frames=1, frames_inspected=1, low_information=False)
        verdict = Verdict(
            sha256=sha256,
            image=info,
            pdq=pdq[0],
            pdq_quality=100,
            encoder=self._encoder,
            index_revision=self._replica.current().revision,
        )
        trace = FrameTrace(index=0, vector=vector, pdq=pdq, pdq_quality=100, low_information=False)
        return KnownVerdict(verdict=verdict, traces=(trace,))

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        """Return a verdict that says why there are no facts."""
        return Verdict(
            sha256=sha256,
            encoder=self._encoder,
            index_revision=self._replica.current().revision,
            error=VerdictError(code=code, message=message),
        )


async def measure_hits(settings: Settings, redis: int, hits: int) -> list[dict[str, Cell]]:
    """Fill the caches with one worker's verdicts, then ask it, and another one that remembers nothing itself."""
    store, clock, metrics = open_store(settings), SystemClock(), Metrics()
    await store.start()
    try:
        sealer = Sealer(load_or_create_key(settings.key_file))
        encoder = shipped_index_id()
        await fill(store, sealer, list(references(100, encoder)))
        replica = make_replica(store, settings.key_file)
        await replica.catch_up()
        judge = Judge(replica, encoder)
        sharing = SharedVerdicts(store, sealer, encoder, clock, metrics)
        admission = Admission(clock, metrics, places=8)
        classifiers = KnownClassifiers()
        first = Verdicts(judge, replica, classifiers, admission, clock, metrics, sharing=sharing)
        forgetful = KnownVerdicts(capacity=1)
        second = Verdicts(judge, replica, classifiers, admission, clock, metrics, known=forgetful, sharing=sharing)
        for number in range(IMAGES):
            await first.verdict(question(number))
            await sharing.stop()
        rows = []
        for name, verdicts in (("in process", first), ("from Redis", second)):
            say(f"hits {name}")
            before = judge.asked
            rows.append(await measure_way(name, verdicts, redis, hits))
            rows[-1]["not in time"] = judge.asked - before
        return rows
    finally:
        await store.stop()


async def measure_way(name: str, verdicts: Verdicts, redis: int, hits: int) -> dict[str, Cell]:
    """One line: processor time of so many hits, one after the other."""
    servers, cpu, begun = cpu_seconds(redis), time.process_time(), time.perf_counter()
    for number in range(hits):
        await verdicts.verdict(question(number))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "hit": name,
        "n": hits,
        "CPU ms": cpu / hits * 1000,
        "Redis, CPU ms": (cpu_seconds(redis) - servers) / hits * 1000,
        "ms": seconds / hits * 1000,
    }


def question(number: int) -> Question:
    """Return a question about one of the images."""
    data = b"%d" % (number % IMAGES)

    async def fetch() -> bytes:
        return data

    inquiry = Inquiry(deadline=time.monotonic() + 60.0)
    return Question(sha256=sha256(data).hexdigest(), size=60_000, inquiry=inquiry, fetch=fetch)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both kinds of hits over one Redis."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        stack.callback(redis.remove)
        redis.start()
        _, settings = configure(folder / "cache", redis.url)
        rows = uvloop.run(measure_hits(settings, redis.pid or os.getpid(), options.hits))
    aims = [
        target(f"cache hit {row['hit']}, CPU", float(row["CPU ms"] or 0), AIMS[str(row["hit"])], least=False, unit="ms")
        for row in rows
    ]
    note = (
        "Not in time: looked for in Redis for 20 ms in vain, and judged. Of the worker's cache; what a picture judged"
        " before costs the proxy is in proxy_cost."
    )
    return {
        "title": "Cache hits",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": aims},
            {"name": "cache-hits", "title": "One verdict that is known", "note": note, "rows": rows},
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--hits", type=int, default=5000, help="verdicts of each kind")
    return report_on(parser.parse_args(), "cache_hits", measure)


if __name__ == "__main__":
    sys.exit(main())
