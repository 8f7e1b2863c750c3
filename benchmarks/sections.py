"""Which benchmarks there are: what each measures, what it needs, how long it takes on two cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.pictures import CORPUS

SERVERS: Final = "Kafka and Redis (make servers)"
REDIS: Final = "Redis (package redis-server)"
FEW: Final = ("--references", "60", "--pictures", "120")
"""To protect a reference takes a quarter of a second of a core, and each shape of a deployment anew."""
SLACK: Final = 4
"""A section that takes so many times what it should, plus a minute, hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """``python -m benchmarks.NAME``; ``quick``: its arguments in a run of all, ``seconds``: what that takes.

    ``alone``: not part of a run of all, it takes too long.
    """

    name: str
    measures: str
    needs: str = ""
    quick: tuple[str, ...] = ()
    seconds: int = 60
    alone: bool = False

    @property
    def limit(self) -> float:
        """Seconds after which it hangs."""
        return 60.0 + SLACK * self.seconds

    def command(self, folder: Path, arguments: Sequence[str]) -> list[str]:
        """Return the process that runs it and leaves its figures in ``folder``."""
        if self.name != "evaluation":
            return [sys.executable, "-m", f"benchmarks.{self.name}", "-o", str(folder), *arguments]
        command = [sys.executable, "-m", "console.cli", "encoder", "evaluate", "-o", str(folder / self.name)]
        with_data = CORPUS.is_dir() and "--data" not in arguments
        return [*command, *(["--data", str(CORPUS)] if with_data else []), *arguments]


SECTIONS: Final = (
    Section(
        name="throughput",
        measures="images/s of one worker beside a tight loop of decode, PDQ, resize, encode and search",
        needs=SERVERS,
        quick=FEW,
        seconds=180,
    ),
    Section(
        name="latency",
        measures="verdict latency p50, p99, p999 at 10, 50, 80 and 150 % of capacity, open loop; what is shed; memory",
        needs=SERVERS,
        quick=FEW,
        seconds=240,
    ),
    Section(
        name="bus_round_trip",
        measures="a question to a worker and back over Kafka: latency and processor time at 10, 100 and 500/s",
        needs="Kafka (make servers)",
        quick=("--seconds", "5"),
        seconds=75,
    ),
    Section(
        name="cache_hits",
        measures="what a verdict costs that is known: in a worker's memory, and from Redis",
        needs=REDIS,
        seconds=15,
    ),
    Section(
        name="enrolment",
        measures="from the write to searchable in 1, 2 and 4 workers, p50 and p99",
        needs=REDIS,
        seconds=75,
    ),
    Section(
        name="teaching",
        measures="from classifier train with 50 images to the label in 4 workers",
        needs=REDIS,
        quick=("--repeats", "3"),
        seconds=45,
    ),
    Section(
        name="networks",
        measures="how long a small network is trained until it is as good as a classifier, on the same images",
        needs="torch (make setup-train) and archives of photographs",
        seconds=1500,
        alone=True,
    ),
    Section(
        name="cold_start",
        measures="a worker's index from Redis beside a plain load from files; memory of a million references",
        needs=REDIS,
        seconds=60,
    ),
    Section(
        name="proxy_cost",
        measures="requests without an image: requests/s and processor time beside stock mitmdump",
        quick=("--requests", "1000"),
        seconds=120,
    ),
    Section(
        name="proxy_latency",
        measures="requests without an image: latency beside stock mitmdump, open loop; memory of idle connections",
        seconds=60,
    ),
    Section(
        name="memory",
        measures="whether the proxy's memory stays flat: long downloads, thousands of uploads on one connection",
        quick=("--gigabytes", "1", "--uploads", "2000"),
        seconds=90,
    ),
    Section(
        name="index_quality",
        measures="what an index finds, its time and weight, beside exact search and other libraries",
        quick=("--count", "20000"),
        seconds=60,
    ),
    Section(
        name="graph_libraries",
        measures="graphs of hnswlib and usearch: what they find, cost and weigh, how long each keeps Python waiting",
        needs="usearch for its rows (not installed by this project)",
        seconds=900,
        alone=True,
    ),
    Section(
        name="index_scale",
        measures="an index by its size: building, loading beside plain files, memory, searches and what they find",
        needs=REDIS,
        quick=("--references", "10000", "--repeats", "2"),
        seconds=240,
        alone=True,
    ),
    Section(
        name="browser",
        measures="what an upload costs its user in a real Chromium; Mbit/s of large bodies",
        needs="Chromium (make servers)",
        quick=("--uploads", "60", "--bodies", "6", "--repeats", "1"),
        seconds=120,
    ),
    Section(
        name="evaluation",
        measures="recall, false positives, documents, an adversary: an hour, a quarter of it with --quick",
        seconds=6000,
        alone=True,
    ),
)


def named(name: str) -> Section | None:
    """Return the section of that name."""
    return next((section for section in SECTIONS if section.name == name), None)


def listing() -> str:
    """Return what there is, for a terminal; by its name a section runs in its long form."""
    width = max(len(section.name) for section in SECTIONS)
    lines = []
    for section in SECTIONS:
        short = f" in its short form, {' '.join(section.quick)}" if section.quick else ""
        when = "by name only" if section.alone else f"about {section.seconds} s{short}"
        lines.append(f"{section.name:<{width}}  {section.measures}")
        lines.append(f"{'':<{width}}  {'; '.join(filter(None, (when, section.needs and f'needs {section.needs}')))}")
    photographs = "there" if CORPUS.is_dir() else "not there, drawn pictures only"
    source = "SAFELIGHT_CORPUS" if "SAFELIGHT_CORPUS" in os.environ else "default"
    return "\n".join([*lines, f"photographs ({source}): {photographs}"]) + "\n"
