"""The encoder of a running deployment is changed, and changed back, while requests flow: none is without a verdict."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deployment import POLICY, URL, Deployment, ScaledOut, eventually
from tests.e2e.load import Payload
from tests.encoder_copies import COPY, NEW, OLD, install_copy
from tests.servers import KafkaBroker, RedisServer
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


@pytest.mark.alone
@pytest.mark.e2e
@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.timeout(400)
def test_no_request_is_without_a_verdict_while_the_encoder_changes_there_and_back(
    tmp_path: Path, killable_kafka: KafkaBroker, killable_redis: RedisServer
) -> None:
    share = {"worker": {"compare_share": 0.5}}
    deployment = ScaledOut(
        tmp_path / "safelight", bootstrap=killable_kafka.bootstrap, redis_url=killable_redis.url, settings=share
    )
    install_copy(deployment.data_dir)
    deployment.start()
    try:
        deployment.second_worker()
        teach(deployment)
        eventually(lambda: blocked(deployment, picture("poster", 0, 50)), seconds=20, what="the index is there")
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
        answers = Counter(sent)
        assert {said for *_, said in answers} <= {"no-design-leaves", "no-forms", ""}, "each was judged"
        assert [each for each in answers if each[0] == "protected"] == [("protected", 403, "no-design-leaves")]
        assert [each for each in answers if each[0] == "form"] == [("form", 403, "no-forms")]
        others = {each: number for each, number in answers.items() if each[0] == "unrelated"}
        assert others["unrelated", 201, ""] > 0.9 * sum(others.values()), others
        assert 0 < at_switch < at_return < len(sent)
    finally:
        deployment.stop()
