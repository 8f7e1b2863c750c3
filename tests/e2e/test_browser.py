"""A real Chromium behind the proxy: what script code of a page sees when its uploads and downloads are stopped.

The page drives itself (tests/pages/uploads.html): a form in a frame and in a window, fetch to its own origin and to
another one, a body without a length, a picture dropped on the page, web sockets, downloads; each with a protected
picture, with one for which a reason is asked, and with an unrelated one.
"""

from __future__ import annotations

import io
import json
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from tests.browsers import Chromium, InThread
from tests.devtools import DevTools
from tests.e2e.deployment import Embedded, eventually
from tests.origins import Answer, Seen, TestAuthority, serve_origin
from tests.servers import ROOT
from tests.websocket_origins import serve_websocket
from workers.training.drawing import draw
from workers.training.edits import encode

PAGE: Final = (ROOT / "tests" / "pages" / "uploads.html").read_bytes()
SITE, API, SOCKET = "www.example.com", "api.example.com", "socket.example.com"
PICTURES: Final = {
    "protected": encode(draw("poster", 11)),
    "asked": encode(draw("floor_plan", 11)),
    "unrelated": encode(draw("poster", 12)),
}
POLICIES: Final = tuple(
    {"name": f"{action}-{name}", "when": {"any": [{"set": name}]}, "then": {"action": action}, "deadline_ms": 10_000}
    for name, action in (("protected", "block"), ("asked", "coach"))
)
STOPPED: Final = {"protected": ("block", "Blocked by policy"), "asked": ("coach", "A reason is asked for")}
REASON: Final = "The customer has asked for it"
MASK: Final = 0x5A
REPORT_SECONDS: Final = 60.0
PAGE_SECONDS: Final = 10.0
ALERT_SECONDS: Final = 2.0
"""Within this time an alert is delivered."""

# The first test waits for the whole run: eight commands, a deployment, a browser.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@dataclass
class Run:
    """What the page reported, and what reached the origins: bodies by path, messages of sockets."""

    report: dict[str, dict[str, Any]]
    arrived: dict[str, bytes]
    methods: list[tuple[str, str]]
    messages: list[bytes]
    deployment: Embedded


class Site:
    """The origins of the page."""

    def __init__(self, authority: TestAuthority) -> None:
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        """The page's report; before it an empty one, where the page waits for its user."""
        self.arrived: dict[str, bytes] = {}
        self.methods: list[tuple[str, str]] = []
        self.messages: list[bytes] = []
        self._http = authority.context(SITE, API)
        self._socket = authority.context(SOCKET, http2=False)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[dict[str, str]]:
        """Yield where the hosts really are."""
        async with serve_origin(self.answer, self._http) as origin, serve_websocket(self._socket) as socket:
            self.messages = socket.messages
            http = f"127.0.0.1:{origin.port}"
            yield {f"{SITE}:443": http, f"{API}:443": http, f"{SOCKET}:443": f"127.0.0.1:{socket.port}"}

    def answer(self, seen: Seen) -> Answer:
        self.methods.append((seen.method, seen.target))
        folder, _, name = seen.target.removeprefix("/").partition("/")
        if seen.target == "/report":
            self.reports.put(json.loads(seen.body))
            return Answer(body=b"")
        if seen.target == "/user":
            self.reports.put({})
            return Answer(body=b"")
        if seen.method == "GET":
            return _page(folder, name.removesuffix(".jpg"))
        allowed = (
            ("access-control-allow-origin", f"https://{SITE}"),
            ("access-control-allow-headers", "content-type, x-upload-name"),
        )
        if seen.method == "OPTIONS":
            return Answer(body=b"", headers=allowed)
        self.arrived[seen.target] = seen.body
        digest = sha256(seen.body).hexdigest().encode()
        return Answer(body=digest, status=201, headers=allowed if folder == "cross" else ())


def _page(folder: str, name: str) -> Answer:
    if folder == "masked":
        return Answer(body=bytes(byte ^ MASK for byte in PICTURES[name]), media_type="application/octet-stream")
    if folder == "pictures":
        return Answer(body=PICTURES[name], media_type="image/jpeg")
    return Answer(body=PAGE, media_type="text/html") if folder == "" else Answer(status=404)


def reported(site: Site, chromium: Chromium) -> dict[str, Any]:
    try:
        return site.reports.get(timeout=REPORT_SECONDS)
    except queue.Empty:
        pytest.fail(f"no report; requests: {site.methods}; {chromium.log.read_text()[-2000:]}")


def give_reason(chromium: Chromium) -> None:
    """What a user does with the page: the cursor stands in the field, the button comes after it."""
    with DevTools(chromium.profile) as devtools:
        page = devtools.page("A reason is asked for")
        eventually(lambda: devtools.focused(page) == "reason", seconds=PAGE_SECONDS, what="the cursor is in the field")
        devtools.write(page, REASON)
        devtools.press(page, "Tab")
        devtools.press(page, "Enter")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The page has done all it does, once."""
    folder = tmp_path_factory.mktemp("browser")
    authority = TestAuthority(folder)
    site = Site(authority)
    with InThread(site.serve) as resolve:
        proxy = {"listen": "127.0.0.1:0", "upstream_ca": str(authority.file), "resolve": resolve}
        deployment = Embedded(folder / "safelight", {"proxy": proxy})
        try:
            report = conversation(deployment, site, folder)
            assert "error" not in report, report
            yield Run(report, site.arrived, site.methods, site.messages, deployment)
        finally:
            deployment.stop()


def conversation(deployment: Embedded, site: Site, folder: Path) -> dict[str, Any]:
    """Start everything, and return what the page has to say."""
    deployment.start()
    for name in STOPPED:
        assert [row["status"] for row in deployment.protect(name, {f"{name}.jpg": PICTURES[name]})] == ["added"]
    deployment.apply(*POLICIES)
    arguments = (f"--proxy-server={deployment.proxy}", "--remote-debugging-port=0")
    trusted = [deployment.authority]
    with Chromium(folder / "chromium", trusted, f"https://{SITE}/", *arguments) as chromium:
        report = reported(site, chromium)
        if report:
            return report
        give_reason(chromium)
        return reported(site, chromium)


def refused(seen: dict[str, Any], name: str, activity: str = "upload") -> None:
    """Problem details that name policy, activity and incident, and the header that says the same."""
    action, title = STOPPED[name]
    problem = seen["problem"]
    assert (problem["status"], problem["title"], problem["policy"]) == (403, title, f"{action}-{name}")
    assert problem["activity"] == activity
    assert ("justify" in problem) == (action == "coach")
    if "mark" in seen:
        assert seen["mark"] == f'{action}; policy="{action}-{name}"; incident="{problem["incident"]}"'


@pytest.mark.parametrize("name", STOPPED)
@pytest.mark.parametrize("way", ["fetch", "cross", "stream", "drop"])
def test_scripts_read_why_their_upload_was_stopped(run: Run, way: str, name: str) -> None:
    seen = run.report[name][way]
    assert seen["status"] == 403, seen
    refused(seen, name)
    assert f"/{way}/{name}" not in run.arrived


@pytest.mark.parametrize("way", ["fetch", "cross", "stream", "drop"])
def test_an_unrelated_picture_arrives_as_it_was(run: Run, way: str) -> None:
    picture = PICTURES["unrelated"]
    seen = run.report["unrelated"][way]
    assert (seen["status"], seen["mark"], seen["text"]) == (201, None, sha256(picture).hexdigest())
    assert run.arrived[f"/{way}/unrelated"] == picture


def test_scripts_read_why_their_download_was_stopped(run: Run) -> None:
    for name in STOPPED:
        seen = run.report[name]["download"]
        assert seen["status"] == 403, seen
        refused(seen, name, "download")
    assert run.report["unrelated"]["download"]["size"] == len(PICTURES["unrelated"])


def test_the_browser_asked_before_it_wrote_to_another_origin(run: Run) -> None:
    assert ("OPTIONS", "/cross/unrelated") in run.methods


@pytest.mark.parametrize("name", PICTURES)
def test_a_dropped_picture_shows_its_progress_to_the_end(run: Run, name: str) -> None:
    seen = run.report[name]["drop"]
    assert seen["progress"][-1] == [seen["size"], seen["size"]] == [len(PICTURES[name])] * 2


def test_a_form_in_a_frame_is_stopped_with_what_its_page_can_read(run: Run) -> None:
    for name in STOPPED:
        refused(run.report[name]["frame"], name)
        assert f"/form/{name}" not in run.arrived
    body = run.arrived["/form/unrelated"]
    assert PICTURES["unrelated"] in body
    assert run.report["unrelated"]["frame"]["text"] == sha256(body).hexdigest()


def test_a_form_in_a_window_shows_a_page(run: Run) -> None:
    page = run.report["protected"]["window"]["first"]
    assert "does not allow this upload" in page["text"]
    assert "block-protected" in page["text"]
    assert "/window/protected" not in run.arrived
    body = run.arrived["/window/unrelated"]
    assert run.report["unrelated"]["window"] | {"milliseconds": 0} == {
        "first": {"heading": "", "text": sha256(body).hexdigest()},
        "milliseconds": 0,
    }


def test_a_script_cannot_give_the_reason_in_its_user_s_place(run: Run) -> None:
    seen = run.report["asked"]["window"]
    assert [seen[step]["heading"] for step in ("first", "given", "again")] == [
        "Please say why you need this upload",
        "This was not sent by you",
        "Please say why you need this upload",
    ]
    assert not {"/window/asked", "/window/asked-again"} & set(run.arrived)


def test_a_reason_that_the_user_gives_lets_the_form_pass(run: Run) -> None:
    seen = run.report["asked"]["window"]
    assert seen["user"]["heading"] == "Thank you, your reason is recorded"
    body = run.arrived["/window/asked-passed"]
    assert PICTURES["asked"] in body
    assert seen["passed"]["text"] == sha256(body).hexdigest()

    def reasons() -> list[str]:
        return [alert["comment"] for alert in run.deployment.alerts() if alert.get("comment")]

    assert eventually(reasons, seconds=ALERT_SECONDS, what="the alert with the reason") == [REASON]


@pytest.mark.parametrize("way", ["binary", "json"])
def test_a_web_socket_is_closed_for_a_policy_s_sake(run: Run, way: str) -> None:
    for name, (action, _) in STOPPED.items():
        seen = run.report[name][way]
        assert seen["code"] == 1008, seen
        assert seen["reason"].startswith(f'{action}; policy="{action}-{name}"; incident="'), seen
        assert not any(PICTURES[name] in message for message in run.messages)
    assert run.report["unrelated"][way]["answer"] in {sha256(message).hexdigest() for message in run.messages}


def test_only_the_unrelated_picture_came_through_web_sockets(run: Run) -> None:
    binary, text = sorted(run.messages, key=lambda message: message.startswith(b"{"))
    assert binary == PICTURES["unrelated"]
    assert json.loads(text)["type"] == "input_image"


def test_an_image_on_a_page_is_replaced_by_one_of_its_size(run: Run) -> None:
    for name, data in PICTURES.items():
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        shown = run.report[name]["image"]
        assert (shown["width"], shown["height"]) == picture.size
        far = np.abs(np.asarray(picture).mean(axis=(0, 1)) - shown["mean"]).max()
        assert (far < 3) == (name == "unrelated"), (name, far, shown)


def test_nobody_waits_long(run: Run) -> None:
    """The bound is that of a decision's deadline; figures are the benchmarks' concern."""
    waits = {f"{name}, {way}": seen["milliseconds"] for name, ways in run.report.items() for way, seen in ways.items()}
    print(waits)
    assert {what: ms for what, ms in waits.items() if not 0 < ms < 10_000} == {}
