"""Uploads as boto3 makes them, through a running proxy, to moto's S3 under Amazon's own host names.

Over TLS, boto3 sends bodies as ``aws-chunked`` with a checksum as trailer, and a large file's parts several at once.
"""

from __future__ import annotations

import asyncio
import io
import logging
import random
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from shared.core.policy import OnUninspected
from shared.types import Action
from tests.factories import make_policy
from tests.origins import TestAuthority
from tests.proxies import MARK, Setup, make_image, serve_proxy

REGION: Final = "eu-central-1"
PART: Final = 5 << 20
"""The smallest that S3 takes, save for the last part."""
LARGE: Final = make_image(2 * PART + 4321)
CUT: Final = PART - 4
PROTECTED: Final = LARGE[:CUT] + MARK + LARGE[CUT + len(MARK) :]
"""Its mark lies across the first two parts."""


@dataclass
class S3:
    """A running S3; ``seen`` holds each request's method, query and content coding, in their order."""

    port: int = 0
    seen: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def serve_s3(host: str, authority: TestAuthority) -> Iterator[S3]:
    """Moto's server with TLS, which its own ThreadedMotoServer has not; all of one process share their buckets."""
    s3, moto = S3(), DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        coding = environ.get("HTTP_CONTENT_ENCODING", "")
        s3.seen.append((environ["REQUEST_METHOD"], environ["QUERY_STRING"], coding))
        return moto(environ, start_response)

    tls = authority.context(host, http2=False)
    server = make_server("127.0.0.1", 0, application, True, request_handler=MotoRequestHandler, ssl_context=tls)
    s3.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, name="s3")
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Behind:
    """A client of S3 behind a proxy; its calls block."""

    client: Any
    bucket: str
    s3: S3
    setup: Setup

    async def call(self, operation: str, /, **arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, operation), Bucket=self.bucket, **arguments)

    async def upload(self, key: str, body: bytes) -> None:
        """In parts, several at once."""
        parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=3)
        await asyncio.to_thread(self.client.upload_fileobj, io.BytesIO(body), self.bucket, key, Config=parts)

    async def get(self, key: str, **arguments: Any) -> bytes:
        answer = await self.call("get_object", Key=key, **arguments)
        return bytes(await asyncio.to_thread(answer["Body"].read))

    async def keys(self) -> list[str]:
        return [each["Key"] for each in (await self.call("list_objects_v2")).get("Contents", [])]


@asynccontextmanager
async def behind_a_proxy(tmp_path: Path) -> AsyncIterator[Behind]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    authority = TestAuthority(tmp_path)
    policy = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK), deadline_ms=20_000)
    setup = Setup(policies=[policy], max_object=1 << 24, upload_spool=1 << 26)
    bucket = f"drawings-{secrets.token_hex(4)}"
    host = f"{bucket}.s3.{REGION}.amazonaws.com"
    with serve_s3(host, authority) as s3:
        resolve = {f"{host}:443": f"127.0.0.1:{s3.port}"}
        async with serve_proxy(setup, tmp_path, resolve=resolve, upstream_ca=authority.file) as proxy:
            trusted = tmp_path / "proxy-ca.pem"
            trusted.write_text(proxy.ca)
            client = boto3.client(
                "s3",
                region_name=REGION,
                aws_access_key_id="someone",
                aws_secret_access_key="secret",
                verify=str(trusted),
                config=Config(
                    proxies={"https": f"http://{proxy.address}"}, retries={"total_max_attempts": 1}, read_timeout=60
                ),
            )
            behind = Behind(client, bucket, s3, setup)
            await behind.call("create_bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
            yield behind
            await asyncio.to_thread(client.close)


async def test_a_protected_object_is_refused_and_others_arrive(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path) as behind:
        await behind.call("put_object", Key="other.png", Body=make_image())
        with pytest.raises(ClientError) as refused:
            await behind.call("put_object", Key="protected.png", Body=make_image(protected=True))
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert await behind.keys() == ["other.png"]
        assert await behind.get("other.png") == make_image()
        assert {coding for method, _, coding in behind.s3.seen if method == "PUT"} == {"", "aws-chunked"}
        assert [alert.finding.kind for alert in behind.setup.recorder.alerts] == ["match"]


async def test_a_file_in_parts_is_refused_at_its_end_and_taken_back(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path) as behind:
        with pytest.raises(ClientError) as refused:
            await behind.upload("protected.png", PROTECTED)
        assert refused.value.operation_name == "CompleteMultipartUpload"
        assert await behind.keys() == []
        assert (await behind.call("list_multipart_uploads")).get("Uploads", []) == []
        coded = [coding for _, query, coding in behind.s3.seen if "partNumber" in query]
        assert coded == ["aws-chunked"] * 3
        assert [alert.finding.kind for alert in behind.setup.recorder.alerts] == ["match"]


async def test_another_file_in_parts_arrives_byte_for_byte(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path) as behind:
        await behind.upload("other.png", LARGE)
        assert await behind.get("other.png") == LARGE
        assert LARGE in [part.data for part in behind.setup.judge.asked]
        assert behind.setup.recorder.alerts == []


async def upload_by_hand(behind: Behind, body: bytes) -> None:
    """Part after part in an order of their own, one of them twice, and committed by their numbers."""
    upload = {
        "Key": "by-hand.png",
        "UploadId": (await behind.call("create_multipart_upload", Key="by-hand.png"))["UploadId"],
    }
    pieces = [(number, body[start : start + PART]) for number, start in enumerate(range(0, len(body), PART), 1)]
    done = {}
    for number, piece in [*random.sample(pieces, len(pieces)), pieces[1]]:
        part = await behind.call("upload_part", **upload, PartNumber=number, Body=piece)
        done[number] = {"PartNumber": number, "ETag": part["ETag"]}
    parts = [done[number] for number in sorted(done)]
    await behind.call("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})


async def test_parts_out_of_order_make_the_same_file(tmp_path: Path) -> None:
    async with behind_a_proxy(tmp_path) as behind:
        await upload_by_hand(behind, LARGE)
        with pytest.raises(ClientError, match="AccessDenied"):
            await upload_by_hand(behind, PROTECTED)
        assert await behind.get("by-hand.png") == LARGE


@pytest.mark.parametrize("protected", [False, True])
async def test_a_download_by_ranges_ends_where_it_becomes_a_protected_image(tmp_path: Path, protected: bool) -> None:
    body, size = make_image(9000), 3000
    if protected:
        body = body[: 2 * size] + MARK + body[2 * size + len(MARK) :]
    async with behind_a_proxy(tmp_path) as behind:
        behind.setup.policies = []
        await behind.call("put_object", Key="drawing.png", Body=body)
        behind.setup.policies = [make_policy(deadline_ms=20_000)]
        ranges = [f"bytes={start}-{start + size - 1}" for start in (0, size)]
        begun = b"".join([await behind.get("drawing.png", Range=each) for each in ranges])
        assert begun == body[: 2 * size]
        if protected:
            with pytest.raises(ClientError, match="AccessDenied"):
                await behind.get("drawing.png", Range=f"bytes={2 * size}-")
        else:
            assert begun + await behind.get("drawing.png", Range=f"bytes={2 * size}-") == body
