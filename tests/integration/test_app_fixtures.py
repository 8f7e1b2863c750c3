"""Each row of how real applications upload, played through a running proxy: what it is taken for, and what is found.

Every exchange is played as it is documented, then again in a mutated order, then with a picture that is protected, and
what follows the upload (sharing, moving …) where only that is forbidden.  Look-alikes must not be taken for it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from proxy_addon.activities.catalogue import load_catalogue
from proxy_addon.uploads.recognition import Recognition, load_protocols
from shared.core.activity import Catalogue, Possible, ReadValues
from shared.core.objects import NAMING
from shared.core.policy import Policy, Selectors
from shared.extract.budget import Limits
from shared.extract.upload_steps import read_steps
from shared.types import (
    Activity,
    ActivityContext,
    Actor,
    Direction,
    HttpHead,
    HttpMessage,
    ImageJudgement,
    Inquiry,
    Part,
    Selection,
    UninspectedReason,
    UploadStep,
)
from tests.app_fixtures import Fixture, Step, load_fixtures, picture
from tests.balances import Balance
from tests.factories import make_judgement, make_match, make_policy, make_verdict
from tests.memory_store import MemoryStore
from tests.origins import Answer, Origin, Seen, TestAuthority, serve_origin
from tests.proxies import KnowingJudge, RunningProxy, Setup, serve_proxy
from tests.unit.shared.extract.pictures import run

FIXTURES: Final = load_fixtures()
NAMES: Final = [fixture.name for fixture in FIXTURES]
CATALOGUE: Final = load_catalogue()
RECOGNITION: Final = Recognition(CATALOGUE, load_protocols())
DIGEST: Final = hashlib.sha256(picture()).hexdigest()
EVERYTHING: Final = (make_policy(deadline_ms=20_000),)
BY_NAME: Final = (make_policy(when=Selectors(activities=NAMING), deadline_ms=20_000),)
pytestmark = pytest.mark.timeout(60)
on_the_stage = pytest.mark.asyncio(loop_scope="module")
each_fixture = pytest.mark.parametrize("fixture", FIXTURES, ids=NAMES)


class DigestJudge(KnowingJudge):
    """Finds the picture by its digest, protected or not."""

    def __init__(self) -> None:
        super().__init__()
        self.protects = False

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.asked += parts
        return [self._judge(part) for part in parts]

    def _judge(self, part: Part) -> ImageJudgement:
        matches = (make_match(),) if self.protects and part.sha256 == DIGEST else ()
        verdict = make_verdict(sha256=part.sha256, matches=matches)
        return make_judgement(locator=part.locator, sha256=part.sha256, size=len(part.data), verdict=verdict)


class WatchedCatalogue:
    """The catalogue, and what it said of each direction: of a batch, of each request in it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.told: dict[Direction, list[ActivityContext]] = defaultdict(list)

    def classify(
        self, head: HttpHead, direction: Direction, actor: Actor, values: ReadValues | None = None
    ) -> ActivityContext:
        context = self._catalogue.classify(head, direction, actor, values)
        self.told[direction].append(context)
        return context

    def told_by_body(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        return self._catalogue.told_by_body(head, actor)

    def of_host(self, head: HttpHead, actor: Actor) -> tuple[Possible, ...]:
        return self._catalogue.of_host(head, actor)

    def selection(self, head: HttpHead, direction: Direction, values: ReadValues | None = None) -> Selection | None:
        return self._catalogue.selection(head, direction, values)


@dataclass
class Stage:
    """The proxy, an origin that answers what the step says, and a client."""

    proxy: RunningProxy
    setup: Setup
    judge: DigestJudge
    catalogue: WatchedCatalogue
    origin: Origin
    client: httpx.AsyncClient
    reply: list[Answer] = field(default_factory=lambda: [Answer()])
    sent: int = 0
    origin_sent: int = 0

    def begin(self, policies: Sequence[Policy], *, protects: bool) -> None:
        """Start from nothing."""
        self.setup.policies, self.judge.protects = policies, protects
        assert isinstance(self.setup.store, MemoryStore)
        self.setup.store.blobs.clear()
        self.setup.store.keys.clear()
        self.setup.recorder.alerts.clear()

    async def play(self, step: Step) -> httpx.Response:
        self.judge.asked.clear()
        self.catalogue.told.clear()
        line = step.reply.line.split()
        headers = tuple((name.lower(), value) for name, value in step.reply.headers)
        media_type = step.reply.header("content-type") or "application/json"
        others = tuple(pair for pair in headers if pair[0] != "content-type")
        self.reply[0] = Answer(body=step.reply.body, media_type=media_type, status=int(line[0]), headers=others)
        return await self.ask(step.method, step.url, step.request.body, step.request.headers)

    async def ask(self, method: str, url: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> httpx.Response:
        """Send a request and count: what the client sends reaches the origin whole, or not at all and is blocked."""
        begun = len(self.origin.seen)
        reply = await self.client.request(method, url, content=body, headers=list(headers))
        target = reply.request.url.raw_path.decode()
        same = [each for each in self.origin.seen[begun:] if (each.method, each.target) == (method, target)]
        bodies = [each.body for each in same]  # and no cancellation of an upload, which the proxy sends by itself
        assert bodies == [body] or (bodies == [] and reply.headers["x-safelight"].startswith("block")), url
        self.sent += len(body)
        self.origin_sent += len(bodies) * len(self.reply[0].body) * (method != "HEAD")
        return reply

    async def check_balance(self) -> None:
        """All bytes that were sent, here and there, came and are booked, each once."""
        balance = Balance(self.setup)
        await balance.settled()
        got = (balance.received(Direction.OUTBOUND), balance.received(Direction.INBOUND))
        assert got == (self.sent, self.origin_sent)

    def saw_image(self) -> bool:
        return DIGEST in {part.sha256 for part in self.judge.asked}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One proxy for all fixtures, the name of every host at the origin."""
    folder: Path = tmp_path_factory.mktemp("apps")
    hosts = sorted({host for fixture in FIXTURES for host in fixture.hosts})
    authority = TestAuthority(folder)
    judge, catalogue = DigestJudge(), WatchedCatalogue(CATALOGUE)
    setup = Setup(judge=judge, classifier=catalogue, store=MemoryStore())
    reply = [Answer()]

    def answer(_: Seen) -> Answer:
        return reply[0]

    async with serve_origin(answer, authority.context(*hosts)) as origin:
        resolve = {f"{host}:443": f"127.0.0.1:{origin.port}" for host in hosts}
        async with (
            serve_proxy(setup, folder, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client() as client,
        ):
            stage = Stage(proxy, setup, judge, catalogue, origin, client, reply)
            yield stage
            await stage.check_balance()


def step_of(step: Step) -> list[UploadStep]:
    """What the catalogue and the protocols say of a part: without a proxy, from the request alone."""
    url = urlsplit(step.url)
    headers = tuple((name.lower(), value) for name, value in step.request.headers)
    head = HttpHead(
        method=step.method,
        scheme=url.scheme,
        host=url.hostname or "",
        port=443,
        path=url.path,
        query=url.query,
        headers=headers,
    )
    selection = RECOGNITION.selection(head)
    assert selection is not None, "no step of an upload"
    message = HttpMessage(head=head, body=step.request.body, direction=Direction.OUTBOUND)
    return list(run(read_steps(selection, message, Limits())).steps)


def check_told(stage: Stage, step: Step) -> None:
    direction = Direction.INBOUND if step.activity == Activity.DOWNLOAD else Direction.OUTBOUND
    told = [(context.app, context.activity) for context in stage.catalogue.told[direction]]
    assert (step.app, step.activity) in told, step.request.line


@each_fixture
@on_the_stage
async def test_what_it_is_taken_for_and_what_is_found(stage: Stage, fixture: Fixture) -> None:
    stage.begin(EVERYTHING, protects=False)
    seen = False
    for step in fixture.steps:
        reply = await stage.play(step)
        assert reply.status_code == int(step.reply.line.split()[0]), (step.request.line, reply.text)
        check_told(stage, step)
        if not (seen and step.session):  # a commit may be judged again
            assert stage.saw_image() == step.image, step.request.line
        seen |= step.image
    reasons = {alert.finding.reason.partition(":")[0] for alert in stage.setup.recorder.alerts}
    assert reasons <= {UninspectedReason.UNKNOWN_OBJECT}


@each_fixture
def test_the_key_and_the_place_of_each_part(fixture: Fixture) -> None:
    for step in fixture.steps:
        if step.session:
            (found,) = step_of(step)
            assert (found.session, found.offset) == (step.session, step.offset), step.request.line


@each_fixture
@on_the_stage
async def test_a_protected_picture_is_blocked_where_it_becomes_whole(stage: Stage, fixture: Fixture) -> None:
    stage.begin(EVERYTHING, protects=True)
    for step in fixture.steps:
        reply = await stage.play(step)
        if step.image:
            assert reply.headers.get("x-safelight", "").startswith("block"), step.request.line
        elif not any(each.image for each in fixture.steps[: fixture.steps.index(step)]):
            assert "x-safelight" not in reply.headers, step.request.line
    assert bool(stage.setup.recorder.alerts) == any(step.image for step in fixture.steps)


@each_fixture
@on_the_stage
async def test_in_a_mutated_order(stage: Stage, fixture: Fixture) -> None:
    stage.begin(EVERYTHING, protects=False)
    seen = False
    for number in fixture.mutated:
        step = fixture.steps[number]
        await stage.play(step)
        check_told(stage, step)
        seen |= stage.saw_image()
    assert seen == any(step.image for step in fixture.steps)


@on_the_stage
@pytest.mark.parametrize(
    "fixture", [each for each in FIXTURES if any(step.names for step in each.steps)], ids=lambda each: each.name
)
async def test_what_names_an_object_is_decided_by_what_it_held(stage: Stage, fixture: Fixture) -> None:
    stage.begin(BY_NAME, protects=True)
    for step in fixture.steps:
        reply = await stage.play(step)
        expected = "block" if step.names else ""
        assert reply.headers.get("x-safelight", "").partition(";")[0] == expected, step.request.line


@each_fixture
@on_the_stage
async def test_look_alikes_are_not_taken_for_it(stage: Stage, fixture: Fixture) -> None:
    assert fixture.lookalikes
    stage.begin(EVERYTHING, protects=False)
    for method, url in fixture.lookalikes:
        stage.catalogue.told.clear()
        stage.reply[0] = Answer()
        await stage.ask(method, url, b"" if method == "GET" else picture())
        apps = [context.app for context in stage.catalogue.told[Direction.OUTBOUND]]
        assert apps, url
        assert fixture.app not in apps, url


def test_every_fixture_says_where_it_was_read() -> None:
    assert all(fixture.source.startswith("https://") for fixture in FIXTURES)
    assert len({fixture.row for fixture in FIXTURES}) == len(FIXTURES)
