"""Documents through a whole deployment: one with a protected image is stopped, any other passes byte for byte."""

from hashlib import sha256

import pytest

from tests.container_factories import make_docx, make_pdf, make_seven_zip, make_tar, make_zip
from tests.e2e.deployment import POLICY, URL, Deployment, eventually
from workers.training.drawing import draw
from workers.training.edits import encode

SECRET = encode(draw("poster", 21))
OTHER = encode(draw("floor_plan", 22))


@pytest.fixture(scope="module")
def guarded(deployment: Deployment) -> Deployment:
    """A deployment that protects one drawing, and blocks what is locked."""
    rows = deployment.protect("documents", {"poster.jpg": SECRET})
    assert [row["status"] for row in rows] == ["added"]
    policy = {**POLICY, "when": {"any": [{"set": "documents"}]}, "on_uninspected": {"encrypted": "block"}}
    deployment.apply({**policy, "deadline_ms": 10_000})
    eventually(lambda: status_of(deployment, SECRET) == 403, seconds=10, what="the drawing is in the index")
    return deployment


def holding(image: bytes) -> list[bytes]:
    return [
        make_docx(OTHER, image),
        make_pdf(image),
        make_tar({"a/b.jpg": image}),
        make_zip({"report.docx": make_docx(image)}),
        make_seven_zip({"a.jpg": image}),
    ]


def status_of(deployment: Deployment, body: bytes) -> int:
    with deployment.client() as client:
        return client.post(URL, content=body).status_code


def test_a_protected_image_is_stopped_in_any_document(guarded: Deployment) -> None:
    for stopped, clean in zip(holding(SECRET), holding(OTHER), strict=True):
        assert status_of(guarded, stopped) == 403
        assert status_of(guarded, clean) == 201
        assert sha256(clean).hexdigest() in guarded.origin.arrived


def test_a_locked_archive_is_stopped_where_a_policy_says_so(guarded: Deployment) -> None:
    locked = make_seven_zip({"a.jpg": OTHER}, password="secret")
    assert status_of(guarded, locked) == 403


def test_the_alert_names_the_image_inside(guarded: Deployment) -> None:
    body = make_zip({"mail/report.docx": make_docx(SECRET)})
    with guarded.client() as client:
        response = client.post(URL, files={"file": ("outbox.zip", body)})
    assert response.status_code == 403
    event = guarded.alert(response.json()["incident"])
    assert event["file"]["name"] == "outbox.zip/mail/report.docx/word/media/image1.png"
    assert event["file"]["hashes"][0]["value"] == sha256(SECRET).hexdigest()
