from __future__ import annotations

from pathlib import Path

import pytest

from proxy_addon.tls.certificates import system_bundle
from proxy_addon.uploads.cancelling import Cancellation, Canceller, cancellation
from shared.telemetry import Metrics
from shared.types import Cancel
from tests.factories import make_head
from tests.origins import Answer, TestAuthority, serve_origin

PART = make_head(
    method="PATCH",
    path="/files/7",
    query="sig=s",
    headers=(
        ("host", "files.vendor.example"),
        ("authorization", "Bearer t"),
        ("cookie", "c=1"),
        ("content-length", "5"),
        ("content-range", "bytes 0-4/9"),
        ("upload-offset", "0"),
        ("transfer-encoding", "chunked"),
        ("x-goog-upload-command", "upload"),
        ("x-http-method-override", "PATCH"),
    ),
)


def test_the_request_carries_what_the_user_sent_and_no_body() -> None:
    cancel = Cancel(method="POST", headers=(("x-goog-upload-command", "cancel"),))
    assert cancellation(PART, cancel) == Cancellation(
        scheme="https",
        host="files.vendor.example",
        port=443,
        method="POST",
        target="/files/7?sig=s",
        headers=(("authorization", "Bearer t"), ("cookie", "c=1"), ("x-goog-upload-command", "cancel")),
    )


async def send(what: Cancellation, place: str, trusted: Path) -> Metrics:
    metrics = Metrics()
    canceller = Canceller({f"{what.host}:{what.port}": place}, trusted, metrics)
    canceller.start(what)
    await canceller.finish()
    return metrics


def outcome(metrics: Metrics) -> dict[str, float]:
    outcomes = ("cancelled", "refused", "failed", "skipped")
    counts = {name: metrics.value("safelight_proxy_upload_cancels_total", outcome=name) for name in outcomes}
    return {name: count for name, count in counts.items() if count}


async def test_it_is_sent_over_tls_to_where_the_proxy_connects(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    what = cancellation(PART, Cancel(method="DELETE"))
    async with serve_origin(
        lambda _: Answer(body=b"", status=204), authority.context(PART.host, http2=False)
    ) as origin:
        place = f"127.0.0.1:{origin.port}"
        assert outcome(await send(what, place, authority.file)) == {"cancelled": 1}
        assert outcome(await send(what, place, system_bundle())) == {"failed": 1}
    (seen,) = origin.seen
    assert (seen.method, seen.target, seen.sni, seen.body) == ("DELETE", "/files/7?sig=s", PART.host, b"")
    assert (seen.header("host"), seen.header("authorization")) == (PART.host, "Bearer t")


@pytest.mark.parametrize(("status", "expected"), [(499, "cancelled"), (404, "cancelled"), (403, "refused")])
async def test_what_the_origin_says_is_counted(status: int, expected: str) -> None:
    head = make_head(scheme="http", port=80)
    async with serve_origin(lambda _: Answer(status=status)) as origin:
        metrics = await send(cancellation(head, Cancel(method="DELETE")), f"127.0.0.1:{origin.port}", system_bundle())
    assert outcome(metrics) == {expected: 1}


async def test_what_is_under_way_is_bounded() -> None:
    metrics = Metrics()
    head = make_head(scheme="http", port=80)
    async with serve_origin(lambda _: Answer(body=b"", status=204)) as origin:
        canceller = Canceller({f"{head.host}:80": f"127.0.0.1:{origin.port}"}, system_bundle(), metrics)
        for _ in range(66):
            canceller.start(cancellation(head, Cancel(method="DELETE")))
        await canceller.finish()
    assert outcome(metrics) == {"cancelled": 64, "skipped": 2}
