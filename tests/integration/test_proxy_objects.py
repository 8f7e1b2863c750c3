"""Objects remembered, through running proxies: what was uploaded decides what may be shared, moved and copied."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from proxy_addon.activities.catalogue import load_catalogue
from shared.core.policy import OnUninspected, Policy, Selectors
from shared.types import Action, Activity, Mode, UninspectedReason
from tests.factories import make_policy
from tests.memory_store import MemoryStore
from tests.origins import Answer, Seen, TestAuthority, serve_origin
from tests.proxies import RunningProxy, Setup, make_image, serve_proxy

HOST: Final = "www.googleapis.com"
SECRET: Final = make_image(protected=True)
PLAIN: Final = make_image()
CATALOGUE: Final = load_catalogue()
UNKNOWN_BLOCKS: Final = OnUninspected(by_reason={UninspectedReason.UNKNOWN_OBJECT: Action.BLOCK})
pytestmark = pytest.mark.timeout(60)


def forbids(*activities: Activity, **overrides: Any) -> Policy:
    return make_policy(when=Selectors(activities=frozenset(activities)), **overrides)


@dataclass
class Drive:
    """An origin that keeps files: uploads get an id, copies another, the rest is agreed to."""

    files: dict[str, bytes] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def answer(self, seen: Seen) -> Answer:
        path, _, query = seen.target.partition("?")
        self.done.append(f"{seen.method} {seen.target}")
        if seen.method == "GET" and query == "alt=media":
            return Answer(body=self.files[path.rpartition("/")[2]], media_type="image/png")
        if path.endswith("/copy"):
            return self._keep(self.files[path.split("/")[-2]])
        return self._keep(seen.body) if path.startswith("/upload/") else Answer()

    def _keep(self, content: bytes) -> Answer:
        name = f"id-{len(self.files) + 1}"
        self.files[name] = content
        body = json.dumps({"kind": "drive#file", "id": name}).encode()
        return Answer(body=body, media_type="application/json; charset=UTF-8")


@dataclass
class User:
    """A client of the drive behind one proxy."""

    proxy: RunningProxy
    client: httpx.AsyncClient

    async def upload(self, image: bytes) -> str:
        url = f"https://{HOST}/upload/drive/v3/files?uploadType=media"
        reply = await self.client.post(url, content=image, headers={"content-type": "image/png"})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    async def ask(self, method: str, target: str, content: object = None) -> httpx.Response:
        return await self.client.request(method, f"https://{HOST}{target}", json=content)

    async def share(self, file: str) -> httpx.Response:
        return await self.ask("POST", f"/drive/v3/files/{file}/permissions", {"type": "anyone", "role": "reader"})

    @property
    def alerts(self) -> list[str]:
        return [alert.finding.reason for alert in self.proxy.setup.recorder.alerts]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def drive() -> Drive:
    return Drive()


@asynccontextmanager
async def users(
    drive: Drive, authority: TestAuthority, data_dir: Path, *setups: Setup
) -> AsyncIterator[tuple[User, ...]]:
    """A user behind a proxy for each setup, all of the same drive."""
    async with serve_origin(drive.answer, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        opened: list[User] = []
        async with asyncio.timeout(50):
            stack = [serve_proxy(each, data_dir, resolve=resolve, upstream_ca=authority.file) for each in setups]
            for each in stack:
                proxy = await each.__aenter__()
                opened.append(User(proxy, proxy.client()))
            try:
                yield tuple(opened)
            finally:
                for user, each in zip(opened, stack, strict=True):
                    await user.client.aclose()
                    await each.__aexit__(None, None, None)


def make_setup(store: MemoryStore, *policies: Policy) -> Setup:
    return Setup(policies=policies, classifier=CATALOGUE, store=store)


async def test_a_protected_image_may_be_uploaded_and_not_shared(
    drive: Drive, authority: TestAuthority, data_dir: Path
) -> None:
    """No policy is about uploads: they are not delayed, and judged all the same, since one is about sharing."""
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE))
    async with users(drive, authority, data_dir, setup) as (user,):
        secret, plain = await user.upload(SECRET), await user.upload(PLAIN)
        refused, allowed = await user.share(secret), await user.share(plain)
    assert (refused.status_code, allowed.status_code) == (403, 200)
    assert refused.json()["activity"] == "share"
    assert drive.done[2:] == [f"POST /drive/v3/files/{plain}/permissions"]
    (alert,) = setup.recorder.alerts
    assert (alert.context.app, alert.context.activity) == ("google-drive", Activity.SHARE)
    assert alert.finding.locator == f"object:{secret}/body"


@pytest.mark.parametrize(("policy", "status"), [(OnUninspected(), 200), (UNKNOWN_BLOCKS, 403)])
async def test_what_nobody_has_seen_goes_by_on_uninspected(
    drive: Drive, authority: TestAuthority, data_dir: Path, policy: OnUninspected, status: int
) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE, on_uninspected=policy))
    async with users(drive, authority, data_dir, setup) as (user,):
        reply = await user.share("id-99")
        assert user.alerts == ["unknown_object"]
    assert reply.status_code == status
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="unknown_object") == 1


async def test_another_proxy_knows_what_this_one_saw(drive: Drive, authority: TestAuthority, data_dir: Path) -> None:
    store = MemoryStore()
    setups = [make_setup(store, forbids(Activity.SHARE)) for _ in range(2)]
    async with users(drive, authority, data_dir, *setups) as (first, second):
        file = await first.upload(SECRET)
        assert setups[0].memory is not None
        assert (await first.share(file)).status_code == 403  # by now it is judged
        await setups[0].memory.close()
        assert (await second.share(file)).status_code == 403


async def test_a_download_tells_what_an_object_holds(drive: Drive, authority: TestAuthority, data_dir: Path) -> None:
    drive.files["old"] = SECRET
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE, on_uninspected=UNKNOWN_BLOCKS))
    async with users(drive, authority, data_dir, setup) as (user,):
        assert (await user.ask("GET", "/drive/v3/files/old?alt=media")).content == SECRET
        assert (await user.share("old")).status_code == 403
        assert user.alerts[0].startswith("set designs")


async def test_a_copy_inherits(drive: Drive, authority: TestAuthority, data_dir: Path) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE))
    async with users(drive, authority, data_dir, setup) as (user,):
        file = await user.upload(SECRET)
        copy = (await user.ask("POST", f"/drive/v3/files/{file}/copy", {"name": "harmless"})).json()["id"]
        assert copy != file
        assert (await user.share(copy)).status_code == 403


@pytest.mark.parametrize(
    ("activity", "method", "target", "content"),
    [
        (Activity.DELETE, "DELETE", "/drive/v3/files/FILE", None),
        (Activity.DELETE, "PATCH", "/drive/v3/files/FILE", {"trashed": True}),
        (Activity.DELETE, "POST", "/drive/v2/files/FILE/trash", None),
        (Activity.MOVE_WITHIN, "PATCH", "/drive/v3/files/FILE?addParents=p", {}),
        (Activity.MOVE_OUTSIDE, "POST", "/drive/v3/files/FILE/permissions?transferOwnership=true", {"role": "owner"}),
        (Activity.COPY, "POST", "/drive/v3/files/FILE/copy", None),
    ],
)
async def test_each_activity_that_names_an_object(
    drive: Drive,
    authority: TestAuthority,
    data_dir: Path,
    activity: Activity,
    method: str,
    target: str,
    content: object,
) -> None:
    setup = make_setup(MemoryStore(), forbids(activity))
    async with users(drive, authority, data_dir, setup) as (user,):
        secret, plain = await user.upload(SECRET), await user.upload(PLAIN)
        refused = await user.ask(method, target.replace("FILE", secret), content)
        allowed = await user.ask(method, target.replace("FILE", plain), content)
        renamed = await user.ask("PATCH", f"/drive/v3/files/{secret}", {"name": "new", "trashed": False})
    assert (refused.status_code, allowed.status_code, renamed.status_code) == (403, 200, 200)
    assert [alert.context.activity for alert in setup.recorder.alerts] == [activity]


@pytest.mark.parametrize(
    "body", [b'{"trashed": false, "trashed": true}', b'{"trashed": true,}', b'{"a": "' + b"x" * 40_000 + b'"}']
)
async def test_a_body_that_may_be_read_in_two_ways_counts_as_all_it_could_be(
    drive: Drive, authority: TestAuthority, data_dir: Path, body: bytes
) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.DELETE))
    async with users(drive, authority, data_dir, setup) as (user,):
        file = await user.upload(SECRET)
        url = f"https://{HOST}/drive/v3/files/{file}"
        reply = await user.client.patch(url, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 403


async def test_a_policy_about_the_transfer_itself_waits_for_the_body(
    drive: Drive, authority: TestAuthority, data_dir: Path
) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.DELETE, images=None))
    async with users(drive, authority, data_dir, setup) as (user,):
        deleted = await user.ask("PATCH", "/drive/v3/files/id-1", {"trashed": True})
        renamed = await user.ask("PATCH", "/drive/v3/files/id-1", {"name": "new"})
    assert (deleted.status_code, renamed.status_code) == (403, 200)


async def test_a_share_in_a_batch_is_found(drive: Drive, authority: TestAuthority, data_dir: Path) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE))
    async with users(drive, authority, data_dir, setup) as (user,):
        secret, plain = await user.upload(SECRET), await user.upload(PLAIN)
        replies = [
            await user.client.post(f"https://{HOST}/batch/drive/v3", **batch(plain, each)) for each in (plain, secret)
        ]
    assert [reply.status_code for reply in replies] == [200, 403]
    assert [alert.finding.locator for alert in setup.recorder.alerts] == [f"object:{secret}/body"]


def batch(*files: str) -> dict[str, Any]:
    parts = "".join(
        f"--cut\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
        f"POST /drive/v3/files/{file}/permissions?fields=id\r\nContent-Type: application/json\r\n\r\n"
        '{"role": "reader", "type": "anyone"}\r\n'
        for number, file in enumerate(files)
    )
    headers = {"content-type": "multipart/mixed; boundary=cut"}
    return {"content": f"{parts}--cut--\r\n".encode(), "headers": headers}


async def test_monitor_mode_records(drive: Drive, authority: TestAuthority, data_dir: Path) -> None:
    setup = make_setup(MemoryStore(), forbids(Activity.SHARE, mode=Mode.MONITOR))
    async with users(drive, authority, data_dir, setup) as (user,):
        assert (await user.share(await user.upload(SECRET))).status_code == 200
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.ALLOW]
    assert setup.recorder.alerts[0].finding.kind == "match"


async def test_a_store_that_is_down_leaves_it_to_the_policy(
    drive: Drive, authority: TestAuthority, data_dir: Path
) -> None:
    store = MemoryStore()
    setup = make_setup(store, forbids(Activity.SHARE, on_uninspected=UNKNOWN_BLOCKS))
    async with users(drive, authority, data_dir, setup) as (user,):
        store.down = True
        assert (await user.share("id-7")).status_code == 403
        assert user.alerts == ["unknown_object"]


async def test_nothing_is_judged_or_remembered_that_no_policy_could_ask_for(
    drive: Drive, authority: TestAuthority, data_dir: Path
) -> None:
    store = MemoryStore()
    setup = make_setup(store, make_policy(when=Selectors(activities=frozenset({Activity.SHARE}), apps=("box",))))
    async with users(drive, authority, data_dir, setup) as (user,):
        assert (await user.share(await user.upload(SECRET))).status_code == 200
    assert (setup.judge.asked, store.blobs, setup.recorder.alerts) == ([], {}, [])
