"""A label space as a user meets it: published from a folder, named in a policy, and a picture stops at the proxy."""

import httpx
import pytest

from tests.e2e.deployment import URL, Deployment, eventually
from tests.label_factories import write_network
from workers.encoders.encoder import Encoder
from workers.training.drawing import draw
from workers.training.edits import encode

SIZE = (420, 560)
FAMILIES = {"plan": "floor_plan", "board": "whiteboard", "map": "street_map"}
PICTURES = {label: encode(draw(family, 5, size=SIZE)) for label, family in FAMILIES.items()}
STRANGER = encode(draw("poster", 8, size=SIZE))
POLICY = {
    "name": "no-plans",
    "when": {"any": [{"label": {"classifier": "drawings", "is": "plan"}}]},
    "then": {"action": "block"},
    "on_uninspected": "block",
    "deadline_ms": 30_000,  # what is slow here must not look like what nobody answers
}


@pytest.fixture(scope="module")
def labelled(deployment: Deployment) -> Deployment:
    """A deployment whose label space `drawings` knows three drawings, with a policy that names one of its labels."""
    write_network(deployment.folder / "drawings", PICTURES, Encoder.load())
    (published,) = deployment.rows("labels", "publish", "drawings", "--from", str(deployment.folder / "drawings"))
    assert published["labels"] == 3
    deployment.apply(POLICY)
    eventually(lambda: send(deployment, STRANGER).status_code == 201, seconds=10, what="the label space answers")
    return deployment


def send(deployment: Deployment, picture: bytes) -> httpx.Response:
    with deployment.client() as client:
        return client.post(URL, content=picture, headers={"Content-Type": "image/jpeg"})


def test_what_has_the_label_is_blocked_and_all_else_passes_until_the_space_is_gone(labelled: Deployment) -> None:
    blocked = send(labelled, PICTURES["plan"])
    assert (blocked.status_code, blocked.json()["policy"]) == (403, "no-plans")
    assert "reason" not in blocked.json()  # judged, not stopped for want of an answer
    assert [send(labelled, PICTURES[label]).status_code for label in ("board", "map")] == [201, 201]
    shipped = len(labelled.rows("classifier", "list"))
    assert f"safelight_classifiers {shipped + 1:.1f}" in labelled.metrics("worker")

    labelled.safelight("labels", "delete", "drawings")
    eventually(lambda: send(labelled, STRANGER).status_code == 403, seconds=10, what="it is gone")
    assert "reason" in send(labelled, STRANGER).json()
