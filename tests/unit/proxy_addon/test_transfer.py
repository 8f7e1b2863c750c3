"""One transfer: ruled on its head, judged on its body, and by on_uninspected where anything breaks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Rewritten
from proxy_addon.ruling import PASS, Ruling, Treatment, come
from proxy_addon.uploads.downloads import RangeNote
from proxy_addon.uploads.note import Note
from shared.core.activity import ReadValues
from shared.core.policy import OnUninspected, Policy, Selectors
from shared.extract.pipeline import Extraction, Limits
from shared.types import (
    Action,
    Activity,
    ActivityContext,
    Actor,
    Alert,
    Decision,
    Direction,
    HttpHead,
    HttpMessage,
    ImageJudgement,
    Inquiry,
    Mode,
    Part,
    Selection,
    UninspectedReason,
)
from tests.factories import make_actor, make_head, make_policy
from tests.proxies import KnowingJudge, ListRecorder, PlainClassifier, RecallingJudge, Setup, make_image

BLOCKS = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK))
ALLOWS = make_policy(on_uninspected=OnUninspected(default=Action.ALLOW))
MONITORS = make_policy(mode=Mode.MONITOR)
ABOUT_UPLOADS = make_policy(name="no-uploads", images=None, when=Selectors(activities=frozenset({Activity.UPLOAD})))
ABOUT_DOWNLOADS = make_policy(
    name="no-downloads", images=None, when=Selectors(activities=frozenset({Activity.DOWNLOAD}))
)


def make_message(body: bytes) -> HttpMessage:
    return HttpMessage(head=make_head(), body=body, direction=Direction.OUTBOUND)


async def rule(setup: Setup, **overrides: Any) -> Ruling:
    head = make_head(**overrides)
    return await come(setup.transfers().request_head(lambda: (head, make_actor())))


async def upload(setup: Setup, body: bytes) -> Reply | Rewritten | None:
    """Take a request through both stages; return the answer in the origin's place."""
    ruling = await rule(setup)
    if ruling.reply is not None or ruling.case is None:
        return ruling.reply
    return await setup.transfers().body(ruling.case, lambda: make_message(body))


async def test_without_policies_not_even_the_head_is_read() -> None:
    def unread() -> tuple[HttpHead, Actor]:
        raise AssertionError("read")

    assert await come(Setup().transfers().request_head(unread)) is PASS
    assert await come(Setup().transfers().response_head(unread, make_head)) is PASS


@pytest.mark.parametrize(
    ("policy", "head", "treatment"),
    [
        (BLOCKS, {}, Treatment.HOLD),
        (MONITORS, {}, Treatment.COPY),
        (BLOCKS, {"headers": (("content-type", "video/mp4"),)}, Treatment.TEE),
        (BLOCKS, {"headers": (("content-length", "0"),)}, Treatment.STREAM),
        (BLOCKS, {"headers": (("content-length", "1048576"),)}, Treatment.HOLD),
        (make_policy(when=Selectors(hosts=("other.example",))), {}, Treatment.STREAM),
    ],
)
async def test_the_head_says_how_the_body_is_treated(
    policy: Policy, head: dict[str, Any], treatment: Treatment
) -> None:
    ruling = await rule(Setup(policies=[policy]), **head)
    assert (ruling.treatment, ruling.reply) == (treatment, None)


@pytest.mark.parametrize(("policy", "blocked"), [(BLOCKS, True), (ALLOWS, False)])
async def test_a_body_that_is_declared_too_large(policy: Policy, blocked: bool) -> None:
    setup = Setup(policies=[policy])
    ruling = await rule(setup, headers=(("content-length", "1048577"),))
    assert (ruling.reply is not None, ruling.treatment) == (blocked, Treatment.STREAM)
    (alert,) = setup.recorder.alerts
    assert alert.finding.reason.startswith("too_large")
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="too_large") == 1


async def test_policies_about_the_transfer_are_decided_on_the_head() -> None:
    setup = Setup(policies=[ABOUT_UPLOADS, BLOCKS])
    assert (await rule(setup)).reply is not None
    assert [alert.finding.policy for alert in setup.recorder.alerts] == ["no-uploads"]


async def test_a_download_is_decided_on_the_heads_of_its_request() -> None:
    setup = Setup(policies=[ABOUT_DOWNLOADS])
    assert (await rule(setup, method="GET")).reply is not None
    (alert,) = setup.recorder.alerts
    assert (alert.context.direction, alert.context.activity) == (Direction.INBOUND, Activity.DOWNLOAD)


async def test_a_request_that_only_fetches_is_no_upload() -> None:
    setup = Setup(policies=[ABOUT_UPLOADS])
    assert (await rule(setup, method="GET")).reply is None
    assert setup.recorder.alerts == []


async def test_a_transfer_policy_in_monitor_mode_records_and_goes_on() -> None:
    setup = Setup(policies=[replace(ABOUT_UPLOADS, mode=Mode.MONITOR), BLOCKS])
    ruling = await rule(setup)
    assert (ruling.reply, ruling.treatment) == (None, Treatment.HOLD)
    assert [(alert.finding.policy, alert.enforced) for alert in setup.recorder.alerts] == [("no-uploads", Action.ALLOW)]


async def test_both_directions_record_a_policy_once() -> None:
    setup = Setup(policies=[make_policy(name="everything", images=None, mode=Mode.MONITOR)])
    await rule(setup)
    assert len(setup.recorder.alerts) == 1


async def test_a_body_that_holds_nothing_passes_at_once() -> None:
    setup = Setup(policies=[BLOCKS])
    transfers = setup.transfers()
    ruling = await come(transfers.request_head(lambda: (make_head(), make_actor())))
    case = ruling.case
    assert case is not None
    assert transfers.passes_at_once(case, lambda: (make_head(), b'{"a": 1}'), ruling.upload)
    assert setup.metrics.value("safelight_proxy_decisions_total", action="allow", mode="enforce") == 1
    of_an_app = replace(case, context=replace(case.context, app="google-drive"))
    note = Note(selection=Selection(app="tus"))
    for asked, body, upload in (
        (case, make_image(), None),
        (of_an_app, b"{}", None),
        (replace(case, told_by_body=True), b"{}", None),
        (case, b"{}", note),
        (case, b"{}", RangeNote(keys=("range", "blocked"), partial=True)),
    ):
        assert not transfers.passes_at_once(asked, lambda body=body: (make_head(), body), upload)  # type: ignore[misc]
    assert setup.judge.asked == []


@pytest.mark.parametrize("protected", [False, True])
async def test_a_picture_that_is_known_passes_at_once_where_it_may(protected: bool) -> None:
    setup = Setup(policies=[BLOCKS], judge=RecallingJudge())
    transfers, image = setup.transfers(), make_image(protected=protected)
    ruling = await rule(setup)
    assert ruling.case is not None
    message = make_message(image)
    for already in (False, True):
        at_once = transfers.passes_at_once(ruling.case, lambda: (message.head, image), ruling.upload)
        assert at_once == (already and not protected)
        if not at_once:
            assert (await transfers.body(ruling.case, lambda: message) is not None) == protected
    action = "block" if protected else "allow"
    assert setup.metrics.value("safelight_proxy_decisions_total", action=action, mode="enforce") == 2
    assert len(setup.judge.asked) == 1
    assert len(setup.recorder.alerts) == (2 if protected else 0)


@pytest.mark.error_logs("stage body failed")
async def test_a_body_that_cannot_be_read_is_not_passed() -> None:
    def unreadable() -> tuple[HttpHead, bytes]:
        raise OSError("gone")

    ruling = await rule(Setup(policies=[BLOCKS]))
    assert ruling.case is not None
    assert not Setup(policies=[BLOCKS]).transfers().passes_at_once(ruling.case, unreadable, None)


async def test_a_match_is_answered_and_recorded_first() -> None:
    setup = Setup(policies=[BLOCKS])
    reply = await upload(setup, make_image(protected=True))
    (alert,) = setup.recorder.alerts
    assert isinstance(reply, Reply)
    assert f'incident="{alert.incident}"' in dict(reply.headers)["X-Safelight"]
    assert await upload(setup, make_image()) is None
    assert len(setup.recorder.alerts) == 1


async def test_a_body_that_has_passed_is_recorded_as_such() -> None:
    setup = Setup(policies=[MONITORS])
    case = (await rule(setup)).case
    assert case is not None
    await setup.transfers().afterwards(case, make_message(make_image(protected=True)))
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.ALLOW]


PREFLIGHT = {
    "method": "OPTIONS",
    "headers": (("origin", "https://app.example"), ("access-control-request-method", "POST")),
}


async def test_a_preflight_of_what_will_be_refused_is_admitted_and_not_recorded() -> None:
    """The script's own request is refused then, where the script can read why."""
    setup = Setup(policies=[ABOUT_UPLOADS])
    reply = (await rule(setup, **PREFLIGHT)).reply
    assert reply is not None
    assert (reply.status, dict(reply.headers)["Access-Control-Allow-Origin"]) == (204, "https://app.example")
    assert setup.recorder.alerts == []


@pytest.mark.parametrize("policy", [BLOCKS, replace(ABOUT_UPLOADS, mode=Mode.MONITOR)])
async def test_other_preflights_are_the_origin_s(policy: Policy) -> None:
    ruling = await rule(Setup(policies=[policy, BLOCKS]), **PREFLIGHT)
    assert (ruling.reply, ruling.treatment) == (None, Treatment.HOLD), "a body in it is inspected as any other"


# --- A fault in every stage ------------------------------------------------------------------------------------------


class BrokenClassifier(PlainClassifier):
    def classify(
        self, head: HttpHead, direction: Direction, actor: Actor, values: ReadValues | None = None
    ) -> ActivityContext:
        raise RuntimeError("a bug in the classifier")


class BrokenJudge(KnowingJudge):
    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        raise RuntimeError("a bug in the gateway")


class JunkJudge(KnowingJudge):
    """Returns what ``decide`` cannot work with."""

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        return [replace(each, verdict=7) for each in await super().verdicts(parts, inquiry)]  # type: ignore[arg-type]


class BrokenRecorder(ListRecorder):
    async def commit(self, alerts: Sequence[Alert]) -> None:
        raise RuntimeError("a bug in the outbox")


def broken_extract(message: HttpMessage, limits: Limits) -> Generator[None, None, Extraction]:
    yield
    raise RuntimeError("a bug in the extraction")


def broken_reply(
    request: HttpHead, decision: Decision, incident: str, activity: Activity, size: tuple[int, int] | None
) -> Reply:
    raise RuntimeError("a bug in the reply")


BROKEN: dict[str, dict[str, Any]] = {
    "head": {"classifier": BrokenClassifier()},
    "extract": {"extract": broken_extract},
    "gateway": {"judge": BrokenJudge()},
    "decide": {"judge": JunkJudge()},
}


@pytest.mark.error_logs("stage .* failed")
@pytest.mark.parametrize("stage", BROKEN)
@pytest.mark.parametrize(("policy", "blocked"), [(BLOCKS, True), (ALLOWS, False)])
async def test_a_fault_is_decided_by_on_uninspected(stage: str, policy: Policy, blocked: bool) -> None:
    setup = Setup(policies=[policy], **BROKEN[stage])
    reply = await upload(setup, make_image())
    assert (reply is not None) == blocked
    (alert,) = setup.recorder.alerts
    assert (alert.finding.kind, alert.enforced) == ("uninspected", Action.BLOCK if blocked else Action.ALLOW)
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason=UninspectedReason.DEFAULT) == 1


@pytest.mark.error_logs("stage .* failed")
@pytest.mark.parametrize(("policy", "blocked"), [(BLOCKS, True), (ALLOWS, False)])
async def test_a_head_that_cannot_be_read(policy: Policy, blocked: bool) -> None:
    setup = Setup(policies=[policy])

    def unreadable() -> tuple[HttpHead, Actor]:
        raise RuntimeError("a bug in the conversion")

    ruling = await come(setup.transfers().request_head(unreadable))
    assert (ruling.reply is not None) == blocked


@pytest.mark.error_logs("stage .* failed")
async def test_a_transfer_policy_goes_by_on_uninspected_where_the_head_cannot_be_ruled_on() -> None:
    setup = Setup(policies=[ABOUT_UPLOADS], classifier=BrokenClassifier())
    assert (await rule(setup)).reply is None  # its on_uninspected allows
    setup.policies = [replace(ABOUT_UPLOADS, on_uninspected=OnUninspected(default=Action.BLOCK))]
    assert (await rule(setup)).reply is not None


@pytest.mark.error_logs("stage .* failed")
@pytest.mark.parametrize("policy", [BLOCKS, ALLOWS])
@pytest.mark.parametrize(("protected", "blocked"), [(True, True), (False, False)])
async def test_a_fault_after_the_decision_does_not_change_it(policy: Policy, protected: bool, blocked: bool) -> None:
    for broken in ({"recorder": BrokenRecorder()}, {"reply": broken_reply}):
        setup = Setup(policies=[policy], **broken)
        reply = await upload(setup, make_image(protected=protected))
        assert (reply is not None) == blocked
        if isinstance(reply, Reply):
            assert dict(reply.headers)["X-Safelight"].startswith("block; ")
            assert dict(reply.headers)["Cache-Control"] == "no-store"


@pytest.mark.error_logs("stage .* failed")
@pytest.mark.parametrize(("policy", "blocked"), [(BLOCKS, True), (ALLOWS, False)])
async def test_uninspected_too_goes_by_on_uninspected_where_it_breaks(policy: Policy, blocked: bool) -> None:
    setup = Setup(policies=[policy])
    case = (await rule(setup)).case
    assert case is not None
    reason: Any = ["not hashable"]
    reply = await setup.transfers().uninspected(case, reason, "a bug in the caller")
    assert (reply is not None) == blocked
