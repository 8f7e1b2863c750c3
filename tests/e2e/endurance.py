"""A deployment whose parts are killed (-9) under load: nothing hangs, nothing is lost, nothing slips through."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.deployment import POLICY, URL, Deployment, Embedded, ScaledOut, eventually
from tests.e2e.endurance_report import MATCHED, UNANSWERED, Course, Death, publish, report
from tests.e2e.load import Payload, Sent, run_load
from tests.e2e.memory_watch import growing, watched
from tests.servers import KafkaBroker, RedisServer
from workers.training.drawing import draw
from workers.training.edits import encode

DEADLINE: Final = 1.5
SLACK: Final = 0.25
HANGING: Final = 10.0
"""Seconds: whoever waits longer calls it hanging.  How late answers are is measured by `make bench`."""
PROTECTED: Final = {f"{number}.jpg": encode(draw("poster", 100 + number, size=(640, 480))) for number in range(4)}
UNRELATED: Final = tuple(encode(draw("dashboard", 200 + number, size=(640, 480))) for number in range(4))
TEXTS: Final = tuple(b"line of text\n" * (number + 1) * 500 for number in range(4))
# Whatever cannot be judged is blocked: then a protected image that passes is a leak, and no excuse is left.
STRICT: Final = {**POLICY, "on_uninspected": "block", "deadline_ms": int(DEADLINE * 1000)}

WARM_UP: Final = 3.0

Kills = Mapping[str, Callable[[], None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rate`` of requests a second, what each is, the seconds around a kill and between two additions to the set."""

    rate: float
    payload: Callable[[int], Payload]
    between_kills: float
    between_adds: float
    rounds: int = 1


@contextmanager
def adding(deployment: Deployment, added: dict[str, bytes], between: float) -> Iterator[None]:
    """Add image after image by the command line until the block ends; keep those whose command exited 0."""
    over = threading.Event()

    def add() -> None:
        number = 0
        while not over.wait(between):
            name = f"during-{number}.jpg"
            data = encode(draw("floor_plan", 300 + number, size=(640, 480)))
            number += 1
            try:
                deployment.add("designs", {name: data})
            except AssertionError:  # the command failed and said so: the user knows that the image is not protected
                continue
            added[name] = data

    thread = threading.Thread(target=add)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_each(plan: Plan, kills: Kills, deaths: list[Death]) -> None:
    """Kill and restore one part after the other; note when each was away."""
    for part, kill_and_restore in (*kills.items(),) * plan.rounds:
        time.sleep(plan.between_kills / 2)
        killed = time.monotonic()
        kill_and_restore()
        deaths.append(Death(part=part, killed=killed, back=time.monotonic()))
        time.sleep(plan.between_kills / 2)


def role_kill(deployment: Embedded | ScaledOut, role: str) -> Callable[[], None]:
    """Return what kills a role and waits until it is ready again."""

    def run() -> None:
        deployment.restart_role(role, deployment.kill(role))

    return run


async def under_load(deployment: Deployment, kills: Kills, plan: Plan) -> tuple[list[Sent], list[Death]]:
    """Load a deployment while its parts are killed."""
    deaths: list[Death] = []
    known = [deployment.proxy]

    def address() -> str:
        # While the proxy is away its run file is old or missing: the client goes on to dial the last address.
        run = deployment.run("proxy")
        if "proxy" in run:
            known[0] = f"http://{run['proxy']}"
        return known[0]

    trust = deployment.trust()
    # First connections and first verdicts are slow on a cold deployment, which is not what is measured here.
    await run_load(address, trust, URL, plan.payload, rate=10, going_on=lambda passed: passed < WARM_UP)
    killing = asyncio.get_running_loop().run_in_executor(None, kill_each, plan, kills, deaths)
    sent = await run_load(address, trust, URL, plan.payload, rate=plan.rate, going_on=lambda _: not killing.done())
    await killing
    return sent, deaths


def check(course: Course, missing: set[str]) -> None:
    """Nothing is lost, nothing slips through; ``missing`` are incidents that no alert came of."""
    sent = course.sent
    broken = [f"{one.begin - sent[0].begin:.3f} s: {one.error}" for one in sent if course.outcome(one) == UNANSWERED]
    assert broken == [], f"every request that reached a proxy was answered, not so {len(broken)}: {broken[:5]}"
    # Client, origin, proxy, worker, broker and Redis share two cores, and a part that restarts takes both.
    reached = [one for one in sent if not any(each.part == "proxy" and each.concerns(one) for each in course.deaths)]
    assert max(one.seconds for one in reached) < HANGING
    assert {one.status for one in sent if one.kind == "protected"} <= {0, 403}, "nothing protected slipped through"
    assert {one.status for one in sent if one.kind == "text"} <= {0, 201}
    blocked = Counter(one.incident for one in sent if one.status == 403)
    assert set(blocked.values()) == {1}
    assert "" not in blocked
    assert missing == set(), "every block has its alert"
    wrong = [one for one in sent if one.kind == "unrelated" and course.outcome(one) == MATCHED]
    assert wrong == []
    assert sum(course.kinds[incident] == "match" for incident in blocked) > len(blocked) / 4


def incidents(deployment: Deployment, sent: Sequence[Sent]) -> tuple[dict[str, str], set[str]]:
    """Return the kinds of all alerts by incident, and the blocks of which no alert has come in time."""
    blocked = {one.incident for one in sent if one.status == 403}
    with suppress(AssertionError):  # what is missing is reported with everything else
        eventually(lambda: blocked <= {uid(event) for event in deployment.alerts()}, seconds=30, what="all alerts")
    kinds = {uid(event): event["unmapped"]["safelight"]["kind"] for event in deployment.alerts()}
    return kinds, blocked - kinds.keys()


def uid(event: dict[str, Any]) -> str:
    return str(event["finding_info"]["uid"])


def check_added(deployment: Deployment, added: dict[str, bytes]) -> None:
    assert added, "at least one image was added while parts died"
    known = {row["name"] for row in deployment.rows("set", "show", "designs")[0]["references"]}
    assert added.keys() <= known
    with deployment.client() as client:
        for name, data in added.items():
            assert client.post(URL, content=data).status_code == 403, name


def survive(deployment: Embedded | ScaledOut, kills: Kills, plan: Plan, name: str) -> None:
    """Load a deployment, kill its parts, say what was seen, and check every answer and every alert."""
    deployment.protect("designs", PROTECTED)
    deployment.apply(STRICT)
    added: dict[str, bytes] = {}
    with watched(deployment) as lives, adding(deployment, added, plan.between_adds):
        sent, deaths = asyncio.run(under_load(deployment, kills, plan))
    kinds, missing = incidents(deployment, sent)
    course = Course(name=name, sent=sent, deaths=deaths, lives=lives, kinds=kinds, deadline=DEADLINE + SLACK)
    publish(report(course))
    check(course, missing)
    assert growing(lives) == [], "memory is flat"
    check_added(deployment, added)


def survive_embedded(folder: Path, plan: Plan, name: str) -> None:
    """Everything in one command, whose parts are killed one after the other."""
    deployment = Embedded(folder)
    with running(deployment):
        survive(deployment, {role: role_kill(deployment, role) for role in ("worker", "alerts", "proxy")}, plan, name)


def survive_scaled_out(folder: Path, kafka: KafkaBroker, redis: RedisServer, plan: Plan, name: str) -> None:
    """Each role a process of its own, and the servers between them killed as well."""
    deployment = ScaledOut(folder, bootstrap=kafka.bootstrap, redis_url=redis.url)
    kills = {
        "worker": role_kill(deployment, "worker"),
        "broker": kafka.restart,
        "redis": redis.restart,
        "proxy": role_kill(deployment, "proxy"),
    }
    with running(deployment):
        survive(deployment, kills, plan, name)


@contextmanager
def running(deployment: Embedded | ScaledOut) -> Iterator[None]:
    """Start a deployment, and stop it whatever happens."""
    deployment.start()
    try:
        yield
    finally:
        deployment.stop()
