"""A message loses what is protected in it and nothing else, or is refused with the reason."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy_addon.responses.redaction import NoObscurer, Redaction
from proxy_addon.responses.rewriting import Rewritten
from shared.core.policy import Policy
from shared.errors import RedactionError, RedactionRefusal
from shared.extract.pipeline import extract
from shared.telemetry import Metrics
from shared.types import Action, Direction, Evidence, Headers, HttpMessage, ImageJudgement, Part, RedactionOrder
from tests.factories import make_head, make_judgement, make_match, make_policy, make_verdict
from tests.inspection_doubles import StillClock
from tests.proxies import MARK, make_image

SECRET, PLAIN = make_image(5000, protected=True), make_image(3000)
POLICY = make_policy(action=Action.REDACT)
FAR = 1e9


class MarkRemover:
    """Obscures an image by taking its mark out; ``answer`` may say otherwise."""

    def __init__(self, answer: Callable[[Part], bytes] | None = None) -> None:
        self.orders: list[RedactionOrder] = []
        self._answer = answer or (lambda part: part.data.replace(MARK, b"[black box]"))

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        assert deadline == FAR
        self.orders.append(order)
        return self._answer(part)


def message_of(body: bytes, *headers: tuple[str, str]) -> HttpMessage:
    return HttpMessage(head=make_head(headers=headers), body=body, direction=Direction.OUTBOUND)


def judged(message: HttpMessage) -> tuple[tuple[Part, ...], list[ImageJudgement]]:
    parts = extract(message).parts
    region = Evidence(inliers=50, region=(100, 100, 200, 200), transform="")
    return parts, [
        make_judgement(
            sha256=part.sha256,
            locator=part.locator,
            verdict=make_verdict(
                sha256=part.sha256, matches=(make_match(evidence=region),) if MARK in part.data else ()
            ),
        )
        for part in parts
    ]


async def redact(
    message: HttpMessage,
    obscurer: MarkRemover | NoObscurer | None = None,
    policies: tuple[Policy, ...] = (POLICY,),
    metrics: Metrics | None = None,
) -> Rewritten:
    parts, judgements = judged(message)
    redaction = Redaction(obscurer or MarkRemover(), StillClock(), metrics or Metrics())
    return await redaction.rewrite(message, policies, judgements, parts, FAR)


def form(*images: bytes) -> bytes:
    parts = [b'--cut\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + image + b"\r\n" for image in images]
    return b"".join(parts) + b"--cut--\r\n"


def in_json(*images: bytes) -> bytes:
    return json.dumps(
        {"images": [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in images]}
    ).encode()


CLEAN = SECRET.replace(MARK, b"[black box]")


@pytest.mark.parametrize(
    ("wrap", "media_type"),
    [(lambda *each: each[0], "image/png"), (form, "multipart/form-data; boundary=cut"), (in_json, "application/json")],
    ids=["raw", "form", "JSON"],
)
async def test_the_image_is_exchanged_and_the_rest_stays(wrap: Callable[..., bytes], media_type: str) -> None:
    obscurer, metrics = MarkRemover(), Metrics()
    after = await redact(message_of(wrap(SECRET, PLAIN), ("content-type", media_type)), obscurer, metrics=metrics)
    assert after.body == wrap(CLEAN, PLAIN)
    assert dict(after.edits.put)["content-length"] == str(len(after.body))
    assert [order.regions for order in obscurer.orders] == [((92, 92, 208, 208),)]
    assert metrics.value("safelight_proxy_redactions_total", outcome="redacted") == 1


async def test_every_copy_goes_and_each_image_is_asked_about_once() -> None:
    obscurer = MarkRemover()
    other = make_image(2000, protected=True)
    headers: Headers = (("content-type", "multipart/form-data; boundary=cut"),)
    after = await redact(message_of(form(SECRET, other, SECRET), *headers), obscurer)
    assert after.body == form(CLEAN, other.replace(MARK, b"[black box]"), CLEAN)
    assert len(obscurer.orders) == 2


async def test_codings_are_undone() -> None:
    after = await redact(message_of(gzip.compress(in_json(SECRET)), ("content-encoding", "gzip")))
    assert after.body == in_json(CLEAN)
    assert "content-encoding" in after.edits.drop


async def refused(message: HttpMessage, obscurer: MarkRemover | NoObscurer | None = None) -> RedactionRefusal:
    metrics = Metrics()
    with pytest.raises(RedactionError) as error:
        await redact(message, obscurer, metrics=metrics)
    assert metrics.value("safelight_proxy_redactions_total", outcome=error.value.reason) == 1
    return error.value.reason


async def test_what_cannot_be_redacted_says_why() -> None:
    assert await refused(message_of(SECRET), NoObscurer()) is RedactionRefusal.NOT_POSSIBLE_HERE
    assert await refused(message_of(SECRET, ("x-amz-content-sha256", "0" * 64))) is RedactionRefusal.SIGNED_BODY
    assert await refused(message_of(SECRET, ("content-range", "bytes 0-1/2"))) is RedactionRefusal.UPLOAD_SESSION
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SECRET), SECRET)
    assert await refused(message_of(chunked, ("content-encoding", "aws-chunked"))) is RedactionRefusal.SIGNED_BODY


async def test_an_obscured_image_that_is_not_found_again_lets_nothing_through() -> None:
    """For example one that a taken-over worker made: it must at least be an image, and another one."""
    for answer in (lambda _: b"no image", lambda part: part.data):
        assert await refused(message_of(SECRET), MarkRemover(answer)) is RedactionRefusal.NOT_LOCATED


async def test_without_an_order_nothing_passes_as_redacted() -> None:
    parts, judgements = judged(message_of(SECRET))
    redaction = Redaction(MarkRemover(), StillClock(), Metrics())
    for policies, known in (((make_policy(),), parts), ((POLICY,), ())):
        with pytest.raises(RedactionError) as error:
            await redaction.rewrite(message_of(SECRET), policies, judgements, known, FAR)
        assert error.value.reason is RedactionRefusal.NOT_LOCATED


async def test_a_rewrite_that_takes_too_long_is_none() -> None:
    body = form(SECRET) + b"x" * 1_000_000
    message = message_of(body, ("content-type", "multipart/form-data; boundary=cut"))
    parts, judgements = judged(message)

    class Immediate(MarkRemover):
        async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
            return CLEAN

    clock = StillClock()
    with pytest.raises(RedactionError) as error:
        await Redaction(Immediate(), clock, Metrics()).rewrite(message, [POLICY], judgements, parts, clock.now)
    assert error.value.reason is RedactionRefusal.TOO_LATE


async def test_large_bodies_take_turns_with_other_work() -> None:
    turns, done = 0, False
    loop = asyncio.get_running_loop()

    def other_work() -> None:
        nonlocal turns
        turns += 1
        if not done:
            loop.call_soon(other_work)

    loop.call_soon(other_work)
    large = SECRET + hashlib.shake_256(b"x").digest(3_000_000)
    await redact(message_of(large))
    done = True
    assert turns > 20


async def test_an_image_inside_a_document_is_refused() -> None:
    message = message_of(SECRET)
    parts, (judgement,) = judged(message)
    inside = replace(judgement, locator="body/word/media/image1.png", container="c" * 64)
    redaction = Redaction(MarkRemover(), StillClock(), Metrics())
    with pytest.raises(RedactionError) as error:
        await redaction.rewrite(message, (POLICY,), [judgement, inside], parts, FAR)
    assert error.value.reason is RedactionRefusal.IN_CONTAINER
