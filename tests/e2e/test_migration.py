"""The encoder of a running deployment is changed, and changed back, while requests flow: none is without a verdict."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.config import load
from shared.ports import Store
from tests.e2e.deployment import POLICY, URL, Deployment, ScaledOut, eventually
from tests.e2e.load import Payload
from tests.encoder_copies import COPY, NEW, OLD, install_copy
from tests.servers import KafkaBroker, RedisServer
from workers.encoders.generations import Generation, GenerationBook, Phase
from workers.migration.roll_call import RollCall, WorkerWord
from workers.training.drawing import draw
from workers.training.edits import encode

SIZE = (480, 360)
OTHERS = ("street_map", "product_render", "abstract", "whiteboard")
SENDERS = 3
PAUSE = 0.2
"""Seconds between two requests of a sender: 10 to 15 a second of all together, where the machine keeps up."""
# What cannot be judged is blocked: then an unrelated image that passes was judged, and so was each that was blocked.
JUDGED = {"on_uninspected": "block", "deadline_ms": 20_000}
POLICIES = (
    {**POLICY, **JUDGED},
    {"name": "no-forms", "when": {"any": [{"label": {"classifier": "papers", "is": "form"}}]}, **JUDGED}
    | {"then": {"action": "block"}},
)


def picture(family: str, seed: int, quality: int = 90) -> bytes:
    return encode(draw(family, seed, size=SIZE), quality=quality)


def payloads() -> list[Payload]:
    """Protected drawings saved in many qualities, others, and forms; so many that most are judged, not remembered."""
    found = []
    for number in range(24):
        quality = 60 + number
        found.append(Payload("protected", picture("poster", number % 4, quality)))
        found.append(Payload("unrelated", picture(OTHERS[number % len(OTHERS)], 7, quality)))
        found.append(Payload("form", picture("document_page", 50 + number % 3, quality)))
    return found


@contextmanager
def flowing(deployment: Deployment, sent: list[tuple[str, int, str]]) -> Iterator[None]:
    """Send images until the block ends; note kind, status and the policy or what went wrong."""
    over, every = threading.Event(), payloads()

    def send(own: Sequence[Payload]) -> None:
        with deployment.client() as client:
            for number in range(10**6):
                if over.wait(PAUSE):
                    return
                payload = own[number % len(own)]
                answer = client.post(URL, content=payload.data, headers={"Content-Type": "image/jpeg"})
                blocked = answer.status_code == 403
                said = str(answer.json().get("reason") or answer.json()["policy"]) if blocked else ""
                sent.append((payload.kind, answer.status_code, said))

    senders = [threading.Thread(target=send, args=(every[first::SENDERS],)) for first in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        over.set()
        for sender in senders:
            sender.join()


def teach(deployment: Deployment) -> None:
    folder = deployment.folder / "forms"
    folder.mkdir()
    for seed in range(20):
        (folder / f"{seed}.jpg").write_bytes(picture("document_page", seed))
    deployment.protect("designs", {f"{seed}.jpg": picture("poster", seed) for seed in range(4)})
    deployment.rows("classifier", "train", "papers", "--label", "form", "--images", str(folder))
    deployment.apply(*POLICIES)


def blocked(deployment: Deployment, data: bytes) -> bool:
    with deployment.client() as client:
        return client.post(URL, content=data, headers={"Content-Type": "image/jpeg"}).status_code == 403


def serving(standing: dict[str, Any]) -> list[str]:
    return [worker["serving"] for worker in standing["workers"]]


@dataclass(frozen=True)
class Look:
    """What the store says of a change."""

    now: Generation | None
    words: tuple[WorkerWord, ...]

    def is_in(self, phase: Phase) -> bool:
        return self.now is not None and self.now.phase is phase

    def compares(self) -> bool:
        """Whether both workers have the other encoder loaded, and one has compared something."""
        both = [word.beside for word in self.words] == [NEW, NEW]
        return self.is_in(Phase.SHADOW) and both and any(word.tally.images for word in self.words)


async def look_at(store: Store) -> Look:
    return Look(await GenerationBook(store).read(), await RollCall(store, SystemClock()).present())


def killed_when(deployment: Deployment, arguments: Sequence[str], there: Callable[[Look], bool]) -> None:
    """Start a command and SIGKILL it as soon as the store looks like that; return what the store said then."""

    async def run() -> None:
        store = open_store(load(deployment.config))
        await store.start()
        command = deployment.spawn(*arguments)
        try:
            while True:
                if there(await look_at(store)):
                    return
                assert command.poll() is None, "it ended before it could be killed"
                await asyncio.sleep(0.002)
        finally:
            command.kill()
            command.wait()
            await store.stop()

    asyncio.run(run())


def check_answers(sent: Sequence[tuple[str, int, str]]) -> None:
    """Each was judged, and judged rightly: what could not be judged would be blocked, with a reason."""
    answers = Counter(sent)
    assert {said for *_, said in answers} <= {"no-design-leaves", "no-forms", ""}, "each was judged"
    assert [each for each in answers if each[0] == "protected"] == [("protected", 403, "no-design-leaves")]
    assert [each for each in answers if each[0] == "form"] == [("form", 403, "no-forms")]
    others = {each: number for each, number in answers.items() if each[0] == "unrelated"}
    assert others["unrelated", 201, ""] > 0.9 * sum(others.values()), others


def changing(tmp_path: Path, kafka: KafkaBroker, redis: RedisServer) -> ScaledOut:
    """Two workers with a set and a classifier, and a second encoder at hand; to be stopped."""
    share = {"worker": {"compare_share": 0.5}}
    deployment = ScaledOut(tmp_path / "safelight", bootstrap=kafka.bootstrap, redis_url=redis.url, settings=share)
    install_copy(deployment.data_dir)
    deployment.start()
    try:
        deployment.second_worker()
        teach(deployment)
        eventually(lambda: blocked(deployment, picture("poster", 0, 50)), seconds=20, what="the index is there")
    except BaseException:
        deployment.stop()
        raise
    return deployment


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.timeout(400)
def test_no_request_is_without_a_verdict_while_the_encoder_changes_there_and_back(
    tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer
) -> None:
    deployment = changing(tmp_path, killable_kafka, killable_redis)
    try:
        sent: list[tuple[str, int, str]] = []
        during = {"during.jpg": picture("poster", 11)}
        late = {"late.jpg": picture("poster", 12)}
        with flowing(deployment, sent):
            time.sleep(2)
            adding = threading.Thread(target=deployment.add, args=("designs", during))
            adding.start()
            (there,) = deployment.rows("index", "migrate", "--to", COPY, "--compare-for", "8")
            adding.join()
            assert (there["encoder"], there["phase"], serving(there)) == (NEW, "switched", [NEW, NEW])
            assert there["compared"]["images"] > 0
            at_switch = len(sent)
            deployment.add("designs", late)
            eventually(lambda: blocked(deployment, picture("poster", 11, 70)), seconds=20, what="enrolled meanwhile")
            time.sleep(3)
            (back,) = deployment.rows("index", "migrate", "--rollback")
            assert (back["encoder"], serving(back)) == (OLD, [OLD, OLD])
            at_return = len(sent)
            eventually(lambda: blocked(deployment, picture("poster", 12, 70)), seconds=20, what="enrolled by the new")
            time.sleep(3)
        print(f"{at_switch} before the switch, {at_return - at_switch} before the return, {len(sent)} in all")
        check_answers(sent)
        assert 0 < at_switch < at_return < len(sent)
    finally:
        deployment.stop()


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.timeout(600)
def test_a_change_goes_on_after_its_command_and_a_worker_were_killed_in_every_phase(
    tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer
) -> None:
    deployment = changing(tmp_path, killable_kafka, killable_redis)
    to = ("index", "migrate", "--to", COPY, "--compare-for")
    try:
        sent: list[tuple[str, int, str]] = []
        with flowing(deployment, sent):
            killed_when(deployment, (*to, "60"), lambda seen: seen.is_in(Phase.COPYING))
            (standing,) = deployment.rows("index", "migrate", "--status")
            assert (standing["encoder"], standing["phase"]) == (OLD, "copying")
            deployment.add("designs", {"half-way.jpg": picture("poster", 13)})
            killed_when(deployment, (*to, "60"), Look.compares)
            deployment.kill_second_worker()
            time.sleep(2)  # the other one takes over its share of the requests
            deployment.second_worker()
            (there,) = deployment.rows(*to, "3")
            assert (there["encoder"], there["phase"], serving(there)) == (NEW, "switched", [NEW, NEW])
            eventually(lambda: blocked(deployment, picture("poster", 13, 70)), seconds=20, what="enrolled half-way")
            deployment.kill_second_worker()
            deployment.second_worker()  # comes up with what is in force
            killed_when(deployment, ("index", "migrate", "--finish"), lambda seen: seen.is_in(Phase.SWITCHED))
            (alone,) = deployment.rows("index", "migrate", "--finish")
            assert (alone["encoder"], alone["other"], alone["phase"]) == (NEW, None, "settled")
            eventually(lambda: blocked(deployment, picture("poster", 2, 71)), seconds=20, what="what was there before")
        print(f"{len(sent)} requests, {Counter(sent)}")
        check_answers(sent)
    finally:
        deployment.stop()
