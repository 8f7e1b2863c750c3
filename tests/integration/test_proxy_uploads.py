"""Uploads in several requests through a running proxy: parts pass, and what they make up is blocked at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from shared.core.policy import OnUninspected, Selectors
from shared.types import Action, Mode, UninspectedReason
from tests.factories import make_policy
from tests.memory_store import MemoryStore
from tests.origins import Origin, TestAuthority, serve_origin
from tests.proxies import RunningProxy, Setup, make_image, serve_proxy
from tests.upload_origins import AzureOrigin, GoogleOrigin, S3Origin, ScottyOrigin, TusOrigin, UploadOrigin

POLICY = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK), deadline_ms=5000)
SECRET, PUBLIC = make_image(5000, protected=True), make_image(5000)
# The mark lies across the first cut.
CUTS = (20, 3000)
TUS = {"tus-resumable": "1.0.0"}
PATCH = {**TUS, "content-type": "application/offset+octet-stream"}


def cut(body: bytes, cuts: Sequence[int] = CUTS) -> list[tuple[int, bytes]]:
    """Return the pieces and where they begin."""
    places = [0, *cuts, len(body)]
    return [(start, body[start:end]) for start, end in pairwise(places)]


class Client:
    """Sends to the origin whatever host is asked for, through one proxy."""

    def __init__(self, proxy: RunningProxy, http: httpx.AsyncClient, scheme: str = "http") -> None:
        self.proxy = proxy
        self._http = http
        self._scheme = scheme

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        address = f"{self._scheme}://origin.example{target}"
        answer = await self._http.request(method, address, content=body, headers=headers)
        assert answer.http_version == ("HTTP/2" if self._scheme == "https" else "HTTP/1.1")
        return answer


@asynccontextmanager
async def through_proxy(
    tmp_path: Path, origin: Origin, setup: Setup, hosts: Sequence[str] = ("origin.example",)
) -> AsyncIterator[Client]:
    resolve = {f"{host}:80": f"127.0.0.1:{origin.port}" for host in hosts}
    async with serve_proxy(setup, tmp_path, resolve=resolve) as proxy, proxy.client() as http:
        yield Client(proxy, http)


@asynccontextmanager
async def between(tmp_path: Path, held: UploadOrigin, setup: Setup, version: str) -> AsyncIterator[Client]:
    """A client and an origin that speak this version of HTTP, plain or over TLS, with a proxy between them."""
    if version == "HTTP/1.1":
        async with serve_origin(held) as origin, through_proxy(tmp_path, origin, setup) as client:
            yield client
        return
    authority = TestAuthority(tmp_path)
    async with serve_origin(held, authority.context("origin.example")) as origin:
        resolve = {"origin.example:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(setup, tmp_path, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client(http2=True) as http,
        ):
            yield Client(proxy, http, "https")
        assert {seen.http for seen in origin.seen if seen.body} == {"2"}


Upload = Callable[[Client, bytes], Awaitable[list[httpx.Response]]]


async def tus(client: Client, body: bytes) -> list[httpx.Response]:
    created = await client.send("POST", "/files/", headers={**TUS, "upload-length": str(len(body))})
    location = created.headers["location"]
    return [
        await client.send("PATCH", location, piece, {**PATCH, "upload-offset": str(offset)})
        for offset, piece in cut(body)
    ]


async def tus_with_its_first_bytes(client: Client, body: bytes) -> list[httpx.Response]:
    headers = {**PATCH, "upload-length": str(len(body))}
    (_, first), *rest = cut(body)
    created = await client.send("POST", "/files/", first, headers)
    return [
        created,
        *[
            await client.send("PATCH", created.headers["location"], piece, {**PATCH, "upload-offset": str(offset)})
            for offset, piece in rest
        ],
    ]


async def tus_joined(client: Client, body: bytes) -> list[httpx.Response]:
    places = []
    for _, piece in cut(body):
        headers = {**TUS, "upload-length": str(len(piece)), "upload-concat": "partial"}
        created = await client.send("POST", "/files/", headers=headers)
        places.append(created.headers["location"])
        await client.send("PATCH", places[-1], piece, {**PATCH, "upload-offset": "0"})
    return [await client.send("POST", "/files/", headers={**TUS, "upload-concat": f"final;{' '.join(places)}"})]


async def google(client: Client, body: bytes) -> list[httpx.Response]:
    created = await client.send("POST", "/upload/drive/v3/files?uploadType=resumable", b'{"name": "a.png"}')
    target = created.headers["location"].removeprefix("https://www.googleapis.com")
    answers = []
    for offset, piece in cut(body):
        end = offset + len(piece)
        total = str(len(body)) if end == len(body) else "*"
        ranged = {"content-range": f"bytes {offset}-{end - 1}/{total}"}
        answers.append(await client.send("PUT", target, piece, ranged))
    return answers


async def google_told_at_the_end(client: Client, body: bytes) -> list[httpx.Response]:
    created = await client.send("POST", "/upload/drive/v3/files?uploadType=resumable")
    target = created.headers["location"].removeprefix("https://www.googleapis.com")
    for offset, piece in cut(body):
        await client.send("PUT", target, piece, {"content-range": f"bytes {offset}-{offset + len(piece) - 1}/*"})
    return [await client.send("PUT", target, b"", {"content-range": f"bytes */{len(body)}"})]


async def scotty(client: Client, body: bytes) -> list[httpx.Response]:
    command = "x-goog-upload-command"
    created = await client.send("POST", "/up", headers={command: "start", "x-goog-upload-protocol": "resumable"})
    target = created.headers["x-goog-upload-url"].removeprefix("https://photos.example")
    answers = []
    for offset, piece in cut(body):
        what = "upload, finalize" if offset + len(piece) == len(body) else "upload"
        headers = {command: what, "x-goog-upload-offset": str(offset)}
        answers.append(await client.send("POST", target, piece, headers))
    return answers


async def s3(client: Client, body: bytes) -> list[httpx.Response]:
    created = await client.send("POST", "/bucket/key?uploads")
    name = created.text.partition("<UploadId>")[2].partition("<")[0]
    pieces = list(enumerate((piece for _, piece in cut(body)), 1))
    # Out of order, and the first part again.
    answers = [
        await client.send("PUT", f"/bucket/key?partNumber={number}&uploadId={name}", piece)
        for number, piece in [*reversed(pieces), pieces[0]]
    ]
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber></Part>" for number, _ in pieces)
    commit = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    return [*answers, await client.send("POST", f"/bucket/key?uploadId={name}", commit)]


async def azure(client: Client, body: bytes) -> list[httpx.Response]:
    pieces = [(f"block{number}", piece) for number, (_, piece) in enumerate(cut(body))]
    answers = [
        await client.send("PUT", f"/c/blob?comp=block&blockid={name}&sig=s", piece) for name, piece in reversed(pieces)
    ]
    listed = "".join(f"<Latest>{name}</Latest>" for name, _ in pieces)
    commit = f"<BlockList>{listed}</BlockList>".encode()
    return [*answers, await client.send("PUT", "/c/blob?comp=blocklist&sig=s", commit)]


PROTOCOLS = [
    pytest.param(TusOrigin, tus, True, id="tus"),
    pytest.param(TusOrigin, tus_with_its_first_bytes, True, id="tus-creation-with-upload"),
    pytest.param(TusOrigin, tus_joined, False, id="tus-concatenation"),
    pytest.param(GoogleOrigin, google, False, id="content-range"),
    pytest.param(GoogleOrigin, google_told_at_the_end, False, id="content-range-size-last"),
    pytest.param(ScottyOrigin, scotty, True, id="google-upload"),
    pytest.param(S3Origin, s3, False, id="s3"),
    pytest.param(AzureOrigin, azure, False, id="azure"),
]


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(("kind", "upload", "cancels"), PROTOCOLS)
async def test_a_protected_image_is_blocked_where_it_becomes_whole(
    tmp_path: Path, kind: type[UploadOrigin], upload: Upload, cancels: bool, version: str
) -> None:
    held = kind()
    setup = Setup(policies=[POLICY])
    async with between(tmp_path, held, setup, version) as client:
        answers = await upload(client, SECRET)
        await setup.parts.close()
        assert [answer.status_code < 400 for answer in answers] == [*[True] * (len(answers) - 1), False]
        assert answers[-1].status_code == 403
        assert answers[-1].headers["x-safelight"].startswith("block; ")
        assert not [body for body in held.objects.values() if body == SECRET]
        assert bool(held.cancelled) is cancels
        assert [alert.finding.kind for alert in setup.recorder.alerts] == ["match"]


@pytest.mark.parametrize(("kind", "upload", "cancels"), PROTOCOLS)
async def test_a_document_is_judged_where_it_becomes_whole(
    tmp_path: Path, kind: type[UploadOrigin], upload: Upload, cancels: bool
) -> None:
    held, document = kind(), b"%PDF-1.7\n" + SECRET
    setup = Setup(policies=[POLICY])
    async with between(tmp_path, held, setup, "HTTP/1.1") as client:
        answers = await upload(client, document)
        await setup.parts.close()
        assert [answer.status_code < 400 for answer in answers] == [*[True] * (len(answers) - 1), False]
        assert not [body for body in held.objects.values() if body == document]
    whole = [part for part in setup.judge.asked if part.data == document]
    assert {part.media_type for part in whole} == {"application/pdf"}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(("kind", "upload", "cancels"), PROTOCOLS)
async def test_other_images_arrive_byte_for_byte(
    tmp_path: Path, kind: type[UploadOrigin], upload: Upload, cancels: bool, version: str
) -> None:
    held = kind()
    setup = Setup(policies=[POLICY])
    async with between(tmp_path, held, setup, version) as client:
        answers = await upload(client, PUBLIC)
        assert [answer.status_code for answer in answers if answer.status_code >= 400] == []
        assert list(held.objects.values()) == [PUBLIC]
        assert not held.cancelled
        assert PUBLIC in [part.data for part in setup.judge.asked]
        assert setup.recorder.alerts == []


def incident_of(answer: httpx.Response) -> str:
    return str(answer.headers["x-safelight"]).split('incident="')[1].rstrip('"')


async def test_what_was_blocked_stays_blocked_under_one_incident(tmp_path: Path) -> None:
    setup = Setup(policies=[POLICY])
    async with serve_origin(S3Origin()) as origin, through_proxy(tmp_path, origin, setup) as client:
        answers = await s3(client, SECRET)
        name = "u0"
        again = await client.send("POST", f"/bucket/key?uploadId={name}", b"<C><PartNumber>1</PartNumber></C>")
        part = await client.send("PUT", f"/bucket/key?partNumber=4&uploadId={name}", b"more")
        assert {incident_of(answer) for answer in (answers[-1], again, part)} == {incident_of(again)}
        assert len(setup.recorder.alerts) == 1
        assert (await s3(client, PUBLIC))[-1].status_code == 200


async def test_the_first_part_is_enough_where_it_already_tells(tmp_path: Path) -> None:
    held = TusOrigin()
    setup = Setup(policies=[POLICY])
    async with serve_origin(held) as origin, through_proxy(tmp_path, origin, setup) as client:
        created = await client.send("POST", "/files/", headers={**TUS, "upload-length": "5000"})
        first = await client.send("PATCH", created.headers["location"], SECRET[:2500], {**PATCH, "upload-offset": "0"})
        await setup.parts.close()
        assert first.status_code == 403
        assert held.cancelled == ["u0"]


@pytest.mark.parametrize("restarted", [False, True], ids=["another proxy", "restarted"])
async def test_an_upload_goes_on_elsewhere(tmp_path: Path, restarted: bool) -> None:
    held, store = GoogleOrigin(), MemoryStore()
    first, second = (Setup(policies=[POLICY], store=store) for _ in range(2))
    (_, begin), (middle, body), (last, end) = cut(SECRET)
    target = "/upload/drive/v3/files?uploadType=resumable&upload_id=u0"
    async with serve_origin(held) as origin:
        async with through_proxy(tmp_path / "1", origin, first) as client:
            await client.send("POST", "/upload/drive/v3/files?uploadType=resumable")
            await client.send("PUT", target, begin, {"content-range": f"bytes 0-{middle - 1}/*"})
            if not restarted:
                ranged = {"content-range": f"bytes {middle}-{last - 1}/*"}
                assert (await client.send("PUT", target, body, ranged)).status_code == 308
        async with through_proxy(tmp_path / "2", origin, second) as client:
            # Some bytes again, as clients do that do not know what arrived.
            ranged = {"content-range": f"bytes {middle - 5}-{last - 1}/*"}
            assert (await client.send("PUT", target, SECRET[middle - 5 : last], ranged)).status_code == 308
            ranged = {"content-range": f"bytes {last}-{len(SECRET) - 1}/{len(SECRET)}"}
            blocked = await client.send("PUT", target, end, ranged)
    assert blocked.status_code == 403
    assert held.objects == {}


async def test_parts_that_come_at_once(tmp_path: Path) -> None:
    held = S3Origin()
    setup = Setup(policies=[POLICY])
    async with serve_origin(held) as origin, through_proxy(tmp_path, origin, setup) as client:
        await client.send("POST", "/bucket/key?uploads")
        pieces = list(enumerate((piece for _, piece in cut(SECRET, range(20, 5000, 500))), 1))
        answers = await asyncio.gather(
            *(client.send("PUT", f"/bucket/key?partNumber={number}&uploadId=u0", piece) for number, piece in pieces)
        )
        assert {answer.status_code for answer in answers} == {200}
        listed = "".join(f"<PartNumber>{number}</PartNumber>" for number, _ in pieces)
        blocked = await client.send("POST", "/bucket/key?uploadId=u0", f"<C>{listed}</C>".encode())
        assert blocked.status_code == 403


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK])
async def test_parts_that_nobody_saw_are_unknown(tmp_path: Path, action: Action) -> None:
    policy = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.UNKNOWN_OBJECT: action}))
    setup, store = Setup(policies=[policy]), MemoryStore()
    setup.store = store
    async with serve_origin(S3Origin()) as origin, through_proxy(tmp_path, origin, setup) as client:
        await client.send("POST", "/bucket/key?uploads")
        await client.send("PUT", "/bucket/key?partNumber=1&uploadId=u0", PUBLIC)
        store.blobs.clear()
        answer = await client.send("POST", "/bucket/key?uploadId=u0", b"<C><PartNumber>1</PartNumber></C>")
    assert (answer.status_code == 403) is (action is Action.BLOCK)
    assert [alert.finding.reason.partition(":")[0] for alert in setup.recorder.alerts] == ["unknown_object"]


async def test_what_the_spool_has_no_room_for_is_too_large(tmp_path: Path) -> None:
    setup = Setup(policies=[POLICY], upload_spool=4000)
    async with serve_origin(GoogleOrigin()) as origin, through_proxy(tmp_path, origin, setup) as client:
        answers = await google(client, PUBLIC)
    assert [answer.status_code for answer in answers] == [308, 308, 403]
    assert answers[-1].json()["reason"] == "too_large"
    assert setup.metrics.value("safelight_proxy_limit_hits_total", limit="upload_spool") == 1


async def test_contradicting_parts_are_read_either_way(tmp_path: Path) -> None:
    setup = Setup(policies=[POLICY])
    async with serve_origin(S3Origin()) as origin, through_proxy(tmp_path, origin, setup) as client:
        await client.send("POST", "/bucket/key?uploads")
        for body in (SECRET, PUBLIC):
            for number, (_, piece) in enumerate(cut(body), 1):
                await client.send("PUT", f"/bucket/key?partNumber={number}&uploadId=u0", piece)
        listed = "".join(f"<PartNumber>{number}</PartNumber>" for number in (1, 2, 3))
        answer = await client.send("POST", "/bucket/key?uploadId=u0", f"<C>{listed}</C>".encode())
    assert answer.status_code == 403


async def test_watching_policies_hold_nothing_back(tmp_path: Path) -> None:
    held = GoogleOrigin()
    setup = Setup(policies=[make_policy(mode=Mode.MONITOR)])
    async with serve_origin(held) as origin, through_proxy(tmp_path, origin, setup) as client:
        answers = await google(client, SECRET)
    assert answers[-1].status_code == 200
    assert list(held.objects.values()) == [SECRET]
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.ALLOW]


async def test_without_a_policy_about_images_nothing_is_kept(tmp_path: Path) -> None:
    held, store = GoogleOrigin(), MemoryStore()
    policy = make_policy(images=None, when=Selectors(hosts=("other.example",)))
    async with serve_origin(held) as origin, through_proxy(tmp_path, origin, Setup([policy], store=store)) as client:
        assert (await google(client, SECRET))[-1].status_code == 200
    assert (store.keys, store.blobs) == ({}, {})


async def test_a_store_that_is_down_is_a_matter_of_policy(tmp_path: Path) -> None:
    store = MemoryStore()
    store.down = True
    for action, status in ((Action.BLOCK, 403), (Action.ALLOW, 308)):
        setup = Setup(policies=[make_policy(on_uninspected=OnUninspected(default=action))], store=store)
        async with serve_origin(GoogleOrigin()) as origin, through_proxy(tmp_path, origin, setup) as client:
            assert (await google(client, SECRET))[0].status_code == status
