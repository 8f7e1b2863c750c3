"""A classifier as a user meets it: trained on a folder, named in a policy, and new pictures stop at the proxy."""

import httpx
import pytest

from tests.e2e.deployment import URL, Deployment, eventually
from workers.training.drawing import draw
from workers.training.edits import encode

SIZE = (420, 560)
# Not of paper: two drawn documents of five that are none are taken for forms, as `classifier train` says.
OTHERS = ("poster", "street_map", "product_render", "abstract")
POLICY = {
    "name": "no-forms",
    "when": {"any": [{"label": {"classifier": "papers", "is": "form"}}]},
    "then": {"action": "block"},
    "on_uninspected": "block",
    "deadline_ms": 30_000,  # what is slow here must not look like what nobody answers
}


@pytest.fixture(scope="module")
def taught(deployment: Deployment) -> Deployment:
    """A deployment whose classifier `papers` knows twenty drawn forms, with a policy that names it."""
    folder = deployment.folder / "forms"
    folder.mkdir()
    for seed in range(20):
        (folder / f"{seed}.jpg").write_bytes(encode(draw("document_page", seed, size=SIZE)))
    (trained,) = deployment.rows("classifier", "train", "papers", "--label", "form", "--images", str(folder))
    assert trained["labels"] == ["form"]
    deployment.apply(POLICY)
    form = encode(draw("document_page", 50, size=SIZE))
    eventually(lambda: is_judged_a_form(send(deployment, form)), seconds=10, what="a form is blocked")
    return deployment


def is_judged_a_form(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and "reason" not in answer.json()  # not stopped for want of an answer


def send(deployment: Deployment, picture: bytes) -> httpx.Response:
    with deployment.client() as client:
        return client.post(URL, content=picture, headers={"Content-Type": "image/jpeg"})


def test_new_forms_are_blocked_and_others_pass_until_the_classifier_is_gone(taught: Deployment) -> None:
    answers = [send(taught, encode(draw("document_page", seed, size=SIZE))) for seed in range(60, 66)]
    blocked = [answer for answer in answers if answer.status_code == 403]
    assert len(blocked) >= 5
    assert {answer.json()["policy"] for answer in blocked} == {"no-forms"}
    assert all(map(is_judged_a_form, blocked))
    others = [send(taught, encode(draw(family, 7, size=(560, 420)))) for family in OTHERS]
    assert [answer.status_code for answer in others] == [201] * len(OTHERS)

    poster = encode(draw("poster", 90, size=SIZE))
    taught.safelight("classifier", "delete", "papers")
    eventually(lambda: send(taught, poster).status_code == 403, seconds=10, what="nobody can say that it is no form")
