"""What became of a load while parts were killed: as a table for people, and as JSON for who quotes a figure."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tests.e2e.load import Sent
from tests.e2e.memory_watch import Life
from tests.servers import ROOT

RESULTS: Final = ROOT / "test-results"
PASSED, MATCHED, UNINSPECTED = "passed", "blocked by a match", "blocked uninspected"
AWAY, UNANSWERED = "proxy away", "unanswered"
INSPECTED: Final = frozenset({PASSED, MATCHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A part that was killed, and ready again (monotonic seconds)."""

    part: str
    killed: float
    back: float

    def concerns(self, one: Sent) -> bool:
        """Tell whether a request was under way while the part was away."""
        return one.begin <= self.back and one.end >= self.killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """All that was seen; ``kinds`` of the alerts by incident, ``deadline`` in seconds with what is excused beyond."""

    name: str
    sent: Sequence[Sent]
    deaths: Sequence[Death]
    lives: Sequence[Life]
    kinds: Mapping[str, str]
    deadline: float

    def outcome(self, one: Sent) -> str:
        """Return what became of a request."""
        if one.status == 0:
            return AWAY if any(death.part == "proxy" and death.concerns(one) for death in self.deaths) else UNANSWERED
        if one.status == 403:
            return MATCHED if self.kinds.get(one.incident) == "match" else UNINSPECTED
        return PASSED if one.status == 201 else f"status {one.status}"


def report(course: Course) -> dict[str, Any]:
    """Return every figure."""
    sent = course.sent
    own = [one.seconds for one in sent if one.status == 403]
    answered = [one.seconds for one in sent if one.status]
    seconds = max(one.begin for one in sent) - sent[0].begin
    return {
        "deployment": course.name,
        "requests": len(sent),
        "seconds": round(seconds, 1),
        "a second": round(len(sent) / seconds, 1),
        "never seen before": sum(one.fresh for one in sent),
        "load average": round(os.getloadavg()[0], 1),
        "sent late by at most, s": round(max(one.late for one in sent), 3),
        "outcomes": dict(Counter(map(course.outcome, sent)).most_common()),
        "median answer, s": round(median(answered), 3),
        "slowest answer, s": round(max(answered), 3),
        "slowest of the proxy's own, s": round(max(own, default=0.0), 3),
        "of the proxy's own after the deadline": sum(each > course.deadline for each in own),
        "of the proxy's own": len(own),
        "kills": list(_kills(course)),
        "memory, MB": list(_memory(course)),
    }


def _kills(course: Course) -> Iterator[dict[str, Any]]:
    first = course.sent[0].begin
    ends = [death.killed for death in course.deaths[1:]] + [float("inf")]
    for death, end in zip(course.deaths, ends, strict=True):
        after = [one for one in course.sent if death.killed <= one.begin < end]
        outcomes = Counter(map(course.outcome, after))
        again = [one.end for one in after if _was_looked_at(course, one)]
        yield {
            "part": death.part,
            "at, s": round(death.killed - first, 1),
            "ready after, s": round(death.back - death.killed, 1),
            "judged again after, s": round(min(again) - death.killed, 2) if again else None,
            "uninspected": outcomes[UNINSPECTED],
            "proxy away": outcomes[AWAY],
            "unanswered": outcomes[UNANSWERED],
        }


def _was_looked_at(course: Course, one: Sent) -> bool:
    """Tell whether a picture was judged by a worker, where the load has some that no cache answers for."""
    some_are_fresh = any(each.fresh for each in course.sent)
    return one.kind != "text" and one.fresh >= some_are_fresh and course.outcome(one) in INSPECTED


def _memory(course: Course) -> Iterator[dict[str, Any]]:
    oldest: dict[str, Life] = {}
    for life in course.lives:
        if life.megabytes:
            first = oldest.setdefault(life.role, life)
            yield {
                "role": life.role,
                "seconds": round(len(life.megabytes) / 2),
                "first": round(life.megabytes[0]),
                "last": round(life.megabytes[-1]),
                "most": round(max(life.megabytes)),
                "last third over first": _rounded(life.grown),
                "over the first life at its age": _rounded(None if life is first else life.more_than(first)),
                "allowed": round(life.allowed),
                "files, first": life.files[0],
                "files, most": max(life.files),
                "children, first": round(life.children[0]),
                "children, most": round(max(life.children)),
            }


def _rounded(megabytes: float | None) -> float | None:
    return None if megabytes is None else round(megabytes, 1)


def publish(figures: Mapping[str, Any]) -> None:
    """Print the figures, and write them to ``test-results/endurance-NAME.json``."""
    print("\n" + "\n".join(_lines(figures)))
    RESULTS.mkdir(exist_ok=True)
    name = str(figures["deployment"]).replace(" ", "-")
    (RESULTS / f"endurance-{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    for name, value in figures.items():
        if not isinstance(value, list):
            said = ", ".join(f"{word} {number}" for word, number in value.items()) if isinstance(value, dict) else value
            yield f"{name:40} {said}"
    for name, rows in figures.items():
        if isinstance(rows, list) and rows:
            yield f"{name}: " + " | ".join(rows[0])
            yield from ("  " + " | ".join(str(cell) for cell in row.values()) for row in rows)
