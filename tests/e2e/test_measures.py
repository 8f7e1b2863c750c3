"""Redaction and coaching from outside: real pictures, real workers, over both shapes of a deployment."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from console.demo.origin import HOST
from tests.e2e.deployment import URL, Deployment
from workers.training.drawing import draw

SECRET = draw("poster", 11)


def encoded(picture: Image.Image, image_format: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format)
    return file.getvalue()


def screenshot() -> Image.Image:
    """The protected drawing as one part of a larger picture, from (80, 60) on, 600 pixels wide."""
    page = draw("dashboard", 12).resize((1600, 1000))
    page.paste(SECRET.resize((600, round(600 * SECRET.height / SECRET.width))), (80, 60))
    return page


@pytest.fixture(scope="module")
def protected(deployment: Deployment) -> Deployment:
    deployment.protect("posters", {"poster.png": encoded(SECRET)})
    return deployment


def apply(deployment: Deployment, **then: object) -> None:
    policy = {"name": "p", "when": {"any": [{"set": "posters"}]}, "then": then, "deadline_ms": 10_000}
    deployment.apply(policy)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_the_protected_part_of_a_download_is_boxed(protected: Deployment, image_format: str) -> None:
    apply(protected, action="redact")
    page = screenshot()
    path = f"/page-{image_format}"
    protected.origin.files[path] = (f"image/{image_format.lower()}", encoded(page, image_format))
    with protected.client() as client:
        reply = client.get(f"https://{HOST}{path}")
    assert reply.headers["x-safelight"].startswith('redact; policy="p"; ')
    seen = Image.open(io.BytesIO(reply.content))
    assert (seen.format, seen.size) == (image_format, page.size)
    pixels = np.asarray(seen.convert("RGB")).astype(int)
    bottom = 60 + round(600 * SECRET.height / SECRET.width)
    assert pixels[80 : bottom - 20, 100:660].max() < 12, "the drawing is gone"
    untouched = np.abs(pixels - np.asarray(page).astype(int))[:, 800:]
    assert untouched.mean() < 5, "the rest is there"


def test_an_upload_arrives_redacted(protected: Deployment) -> None:
    apply(protected, action="redact", redact={"how": "blur"})
    data = encoded(screenshot(), "JPEG")
    with protected.client(http2=True) as client:
        reply = client.post(URL, files={"file": ("page.jpg", data, "image/jpeg")})
        other = client.post(URL, content=encoded(draw("floor_plan", 23)), headers={"content-type": "image/png"})
        signed = client.post(URL, content=data, headers={"x-amz-content-sha256": "0" * 64})
    assert reply.status_code == other.status_code == 201
    assert reply.headers["x-safelight"].startswith("redact; ")
    assert "x-safelight" not in other.headers
    incident = reply.headers["x-safelight"].split('incident="')[1].rstrip('"')
    assert protected.alert(incident)["disposition"] == "Corrected"
    assert (signed.status_code, signed.json()["note"]) == (403, "not redacted: signed_body")


def test_a_reason_lets_an_upload_through(protected: Deployment) -> None:
    apply(protected, action="coach", pass_minutes=5)
    data = encoded(SECRET)
    with protected.client() as client:
        stopped = client.post(URL, content=data, headers={"content-type": "image/png"})
        assert (stopped.status_code, stopped.headers["x-safelight"][:5]) == (403, "coach")
        page = client.get(stopped.json()["justify"])
        ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert ticket is not None
        place = f"https://{HOST}/.well-known/safelight/coach"
        given = client.post(place, data={"ticket": ticket[1], "reason": "needed for the tender"})
        passed = client.post(URL, content=data, headers={"content-type": "image/png"})
        other = client.post(URL, content=encoded(SECRET, "BMP"), headers={"content-type": "image/bmp"})
    assert (given.status_code, passed.status_code, other.status_code) == (200, 201, 403)
    told = next(alert for alert in protected.alerts() if alert.get("comment"))
    assert (told["comment"], told["action"], told["finding_info"]["types"]) == (
        "needed for the tender",
        "Allowed",
        ["justified"],
    )
