"""A deployment whose parts are killed (-9) under load: nothing hangs, nothing is lost, nothing slips through."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.e2e.deployment import POLICY, URL, Deployment, Embedded, ScaledOut, eventually
from tests.e2e.load import Payload, Sent, run_load
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


def kill_each(plan: Plan, kills: Kills, outages: list[tuple[float, float]]) -> None:
    """Kill and restore one part after the other; note when the proxy itself was away."""
    for name, kill_and_restore in (*kills.items(),) * plan.rounds:
        time.sleep(plan.between_kills / 2)
        begin = time.monotonic()
        kill_and_restore()
        if name == "proxy":
            outages.append((begin, time.monotonic()))
        time.sleep(plan.between_kills / 2)


def role_kill(deployment: Embedded | ScaledOut, role: str) -> Callable[[], None]:
    def run() -> None:
        deployment.restart_role(role, deployment.kill(role))

    return run


async def under_load(deployment: Deployment, kills: Kills, plan: Plan) -> tuple[list[Sent], list[tuple[float, float]]]:
    outages: list[tuple[float, float]] = []
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
    killing = asyncio.get_running_loop().run_in_executor(None, kill_each, plan, kills, outages)
    sent = await run_load(address, trust, URL, plan.payload, rate=plan.rate, going_on=lambda _: not killing.done())
    await killing
    return sent, outages


def check(deployment: Deployment, sent: list[Sent], outages: list[tuple[float, float]]) -> None:
    away = [one for one in sent if any(one.begin <= end and one.begin + one.seconds >= begin for begin, end in outages)]
    reached = [one for one in sent if one not in away]
    print(f"{len(sent)} sent, {len(away)} around the proxy's own death, {Counter((s.kind, s.status) for s in sent)}")
    print(
        f"slowest answer {max(one.seconds for one in reached):.3f} s, slowest of the proxy's own "
        f"{max(one.seconds for one in reached if one.status == 403):.3f} s"
    )
    broken = [f"{one.begin - sent[0].begin:.3f} s: {one.error}" for one in reached if one.status == 0]
    assert broken == [], (
        f"every request that reached a proxy was answered, not so {len(broken)}: {broken[:5]}; "
        f"away: {[(round(a - sent[0].begin, 3), round(b - sent[0].begin, 3)) for a, b in outages]}"
    )
    # Client, origin, proxy, worker, broker and Redis share two cores, and a part that restarts takes both.
    own = [one for one in reached if one.status == 403]
    print(
        f"{sum(one.seconds > DEADLINE + SLACK for one in own)} of the proxy's {len(own)} own answers after the deadline"
    )
    assert max(one.seconds for one in reached) < HANGING
    assert {one.status for one in sent if one.kind == "protected"} <= {0, 403}, "nothing protected slipped through"
    assert {one.status for one in sent if one.kind == "text"} <= {0, 201}
    blocked = Counter(one.incident for one in sent if one.status == 403)
    assert set(blocked.values()) == {1}
    assert "" not in blocked
    eventually(lambda: blocked.keys() <= {uid(event) for event in deployment.alerts()}, seconds=30, what="all alerts")
    kinds = {uid(event): event["unmapped"]["safelight"]["kind"] for event in deployment.alerts()}
    wrong = [
        one for one in sent if one.kind == "unrelated" and one.status == 403 and kinds[one.incident] != "uninspected"
    ]
    assert wrong == []
    matched = sum(kinds[incident] == "match" for incident in blocked)
    print(f"{len(blocked)} blocked, {matched} by a match, {len(blocked) - matched} uninspected")
    assert matched > len(blocked) / 4


def uid(event: dict[str, object]) -> object:
    info = event["finding_info"]
    return info["uid"] if isinstance(info, dict) else None


def check_added(deployment: Deployment, added: dict[str, bytes]) -> None:
    assert added, "at least one image was added while parts died"
    known = {row["name"] for row in deployment.rows("set", "show", "designs")[0]["references"]}
    assert added.keys() <= known
    with deployment.client() as client:
        for name, data in added.items():
            assert client.post(URL, content=data).status_code == 403, name


def survive(deployment: Embedded | ScaledOut, kills: Kills, plan: Plan) -> None:
    """Load a deployment, kill its parts, and check every answer and every alert."""
    deployment.protect("designs", PROTECTED)
    deployment.apply(STRICT)
    added: dict[str, bytes] = {}
    with adding(deployment, added, plan.between_adds):
        sent, outages = asyncio.run(under_load(deployment, kills, plan))
    check(deployment, sent, outages)
    check_added(deployment, added)
