"""What a user sees: protected images stop, everything else passes, every block has its alert.

The tests know the contract only: commands, configuration, HTTP through the proxy, files.
"""

import base64
import gzip
import io
import json
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from PIL import Image

from console.demo.origin import HOST
from tests.e2e.deployment import POLICY, URL, Deployment, eventually
from workers.training.drawing import draw
from workers.training.edits import edited, encode

PROTECTED = {f"{family}.jpg": encode(draw(family, 11)) for family in ("poster", "floor_plan", "dashboard")}
POSTER = PROTECTED["poster.jpg"]
UNRELATED = encode(draw("poster", 12))
STALL_LIMIT = 0.02

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def protected(deployment: Deployment) -> Iterator[Deployment]:
    """A deployment that protects three drawings; whatever the tests send must never hold the proxy's event loop."""
    assert [row["status"] for row in deployment.protect("designs", PROTECTED)] == ["added"] * 3
    deployment.apply(POLICY)
    before, stolen = long_stalls(deployment), steal_seconds()  # start-up may stall: nobody waits yet
    yield deployment
    excused = (steal_seconds() - stolen) // STALL_LIMIT
    held = long_stalls(deployment) - before
    assert held <= excused, (
        f"the event loop was held for more than {STALL_LIMIT} s, {held:.0f} times ({excused:.0f} excused)"
    )


def steal_seconds() -> float:
    """Return for how long a hypervisor has run somebody else while this machine wanted to run (proc_stat(5), steal)."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def long_stalls(deployment: Deployment) -> float:
    """Return how often the proxy's event loop was held longer than the limit."""
    lines = [line for line in deployment.metrics("proxy").splitlines() if "loop_stall_seconds" in line]
    below = next(float(line.split()[-1]) for line in lines if f'le="{STALL_LIMIT}"' in line)
    total = next(float(line.split()[-1]) for line in lines if "_count" in line)
    return total - below


def incident_of(response: httpx.Response) -> str:
    header = response.headers["x-safelight"]
    assert header.startswith('block; policy="no-design-leaves"; incident="'), header
    return str(header.split('incident="')[1].rstrip('"'))


@pytest.mark.parametrize("http2", [False, True])
def test_a_protected_image_is_blocked_and_the_soc_is_told(protected: Deployment, http2: bool) -> None:
    protected.origin.arrived.clear()
    with protected.client(http2=http2) as client:
        response = client.post(URL, content=POSTER, headers={"Content-Type": "image/jpeg"})
    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    incident = incident_of(response)
    problem = response.json()
    assert (problem["incident"], problem["policy"], problem["activity"]) == (incident, "no-design-leaves", "upload")
    event = protected.alert(incident)
    assert event["class_uid"] == 2006
    assert event["policy"]["name"] == "no-design-leaves"
    assert event["dst_endpoint"]["hostname"] == HOST
    assert event["file"]["hashes"][0]["value"] == sha256(POSTER).hexdigest()
    facts = event["unmapped"]["safelight"]
    assert (facts["kind"], facts["mode"], facts["activity"], facts["set"]) == (
        *("match", "enforce"),
        *("upload", "designs"),
    )
    assert facts["score"] >= 85
    assert sha256(POSTER).hexdigest() not in protected.origin.arrived


@pytest.mark.parametrize("edit", ["rotate_90", "jpeg_30", "half_size", "grey", "saturate", "caption"])
def test_an_edited_copy_is_blocked(protected: Deployment, edit: str) -> None:
    with protected.client() as client:
        incident_of(client.post(URL, content=edited(draw("poster", 11), edit, 1)))


def test_what_is_unrelated_arrives_byte_for_byte(protected: Deployment) -> None:
    bodies = [UNRELATED, b"plain text " * 1000, b"", b"\xff\xd8\xff half a header", bytes(range(256)) * 64]
    with protected.client() as plain, protected.client(http2=True) as multiplexed:
        for body in bodies:
            for client in (plain, multiplexed):
                response = client.post(URL, content=body)
                assert (response.status_code, response.text) == (201, sha256(body).hexdigest())
                assert "x-safelight" not in response.headers


def test_every_kind_of_body_is_looked_into(protected: Deployment) -> None:
    data_uri = f"data:image/jpeg;base64,{base64.b64encode(POSTER).decode()}"
    png = io.BytesIO()
    draw("poster", 11).save(png, "PNG")
    with protected.client() as client:
        forms = [
            client.post(URL, files={"note": (None, "hello"), "file": ("a.jpg", POSTER, "application/octet-stream")}),
            client.post(URL, files=[("a", ("1.jpg", UNRELATED)), ("b", ("2.jpg", POSTER))]),
            client.post(URL, json={"messages": [{"content": [{"image_url": {"url": data_uri}}]}]}),
            client.post(URL, json={"image": base64.b64encode(POSTER).decode()}),
            client.post(URL, content=gzip.compress(POSTER), headers={"Content-Encoding": "gzip"}),
            client.post(URL, content=POSTER, headers={"Content-Type": "application/x-www-form-urlencoded"}),
            client.post(URL, content=png.getvalue(), headers={"Content-Type": "text/plain"}),
        ]
    for response in forms:
        incident_of(response)


def test_a_protected_download_becomes_a_placeholder_page_or_problem(protected: Deployment) -> None:
    width, height = draw("poster", 11).size
    protected.origin.files["/poster.jpg"] = ("image/jpeg", POSTER)
    protected.origin.files["/other.jpg"] = ("image/jpeg", UNRELATED)
    with protected.client() as client:
        url = f"https://{HOST}/poster.jpg"
        picture = client.get(url, headers={"Sec-Fetch-Dest": "image"})
        page = client.get(url, headers={"Accept": "text/html,*/*"})
        problem = client.get(url, headers={"Accept": "application/json"})
        other = client.get(f"https://{HOST}/other.jpg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(picture.content)).size == (width, height)
    assert page.status_code == 403
    assert page.headers["content-type"].startswith("text/html")
    assert incident_of(page) in page.text
    assert problem.status_code == 403
    assert problem.json()["activity"] == "download"
    assert other.content == UNRELATED


def test_enrolment_is_searchable_within_a_second_while_traffic_flows(protected: Deployment) -> None:
    late = encode(draw("street_map", 13))
    with protected.client() as client:
        assert client.post(URL, content=late).status_code == 201
        assert protected.add("designs", {"late.jpg": late})[0]["status"] == "added"
        returned = time.monotonic()
        response = client.post(URL, content=late)
        while response.status_code != 403 and time.monotonic() < returned + 3:
            response = client.post(URL, content=late)
        assert time.monotonic() - returned < 1.0
        incident_of(response)


def test_delete_then_add_again(protected: Deployment) -> None:
    image = {"again.jpg": encode(draw("circuit", 14))}
    (added,) = protected.add("designs", image)
    assert protected.add("designs", image)[0]["status"] == "duplicate"
    protected.safelight("set", "remove", "designs", added["reference"])
    with protected.client() as client:
        eventually(
            lambda: client.post(URL, content=image["again.jpg"]).status_code == 201,
            seconds=2,
            what="removed image passes",
        )
        assert protected.add("designs", image)[0]["status"] == "added"
        eventually(
            lambda: client.post(URL, content=image["again.jpg"]).status_code == 403, seconds=2, what="added image stops"
        )


def test_a_rejected_file_is_reported(protected: Deployment) -> None:
    folder = protected.folder / "mixed"
    folder.mkdir(exist_ok=True)
    (folder / "broken.jpg").write_bytes(POSTER[:200])
    (folder / "notes.txt").write_text("no image")
    rows = protected.rows("set", "add", "designs", str(folder), "--recursive", status=1)
    assert {row["status"] for row in rows} == {"rejected"}
    assert all(row["error"] for row in rows)


def test_policies_reload_and_monitor_mode_only_records(protected: Deployment) -> None:
    protected.apply({**POLICY, "mode": "monitor"})
    with protected.client() as client:
        eventually(lambda: client.post(URL, content=POSTER).status_code == 201, seconds=2, what="monitor mode passes")
        before = len(protected.alerts())
        assert client.post(URL, content=POSTER).status_code == 201
        eventually(lambda: len(protected.alerts()) > before, seconds=2.5, what="the alert of a monitored transfer")
        assert protected.alerts()[-1]["unmapped"]["safelight"]["mode"] == "monitor"
        protected.apply(POLICY)
        eventually(lambda: client.post(URL, content=POSTER).status_code == 403, seconds=2, what="enforced again")


def test_a_policy_that_does_not_validate_changes_nothing(protected: Deployment) -> None:
    bad = protected.folder / "bad.yaml"
    bad.write_text("policies:\n  - name: x\n    when: {any: [{set: nowhere}]}\n    then: {action: block}\n")
    protected.safelight("policy", "apply", str(bad), status=2)
    assert [row["name"] for row in protected.rows("policy", "list")] == ["no-design-leaves"]


def test_check_says_what_a_worker_would_say(protected: Deployment) -> None:
    files = {"copy.jpg": edited(draw("poster", 11), "grey", 1), "other.jpg": UNRELATED, "broken.jpg": POSTER[:99]}
    for name, data in files.items():
        (protected.folder / name).write_bytes(data)
    paths = [str(protected.folder / name) for name in files]
    copy, other, broken = protected.rows("check", *paths, status=1)
    assert copy["matches"][0]["name"] == "poster.jpg"
    assert copy["matches"][0]["matched"]
    assert not any(match["matched"] for match in other["matches"])
    assert other["image"]["format"] == "JPEG"
    assert broken["error"]["code"] in {"truncated", "corrupt"}
    protected.safelight("check", str(protected.folder / "nothing.jpg"), status=2)


def test_the_api_shows_sets_policies_and_alerts(protected: Deployment) -> None:
    base = f"http://{protected.run('console')['console']}/api/v1"
    token = (protected.data_dir / "console-token").read_text().strip()
    with protected.client() as client:
        protected.alert(incident_of(client.post(URL, content=POSTER, headers={"Content-Type": "image/jpeg"})))
    assert httpx.get(f"{base}/health").json()["status"] == "ok"
    assert httpx.get(f"{base}/openapi.json").json()["info"]["title"] == "Safelight"
    assert httpx.get(f"{base}/sets").status_code == 401
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as api:
        assert "designs" in {entry["name"] for entry in api.get(f"{base}/sets").json()}
        assert api.get(f"{base}/sets/nowhere").status_code == 404
        assert api.get(f"{base}/policies").json()["policies"][0]["name"] == "no-design-leaves"
        assert api.get(f"{base}/alerts?count=5").json()[0]["class_uid"] == 2006


def test_a_large_json_is_looked_into(protected: Deployment) -> None:
    filler = base64.b64encode(bytes(7_000_000)).decode()
    document = json.dumps({"filler": filler, "image": base64.b64encode(POSTER).decode()})
    with protected.client() as client:
        incident_of(client.post(URL, content=document.encode(), headers={"Content-Type": "application/json"}))
