"""Label spaces as a user publishes them, on the command line."""

import json

import numpy as np
import pytest

from tests.integration.command_line import CommandLine
from tests.label_factories import make_card, write_network
from tests.onnx_factories import linear_model
from workers.encoders.encoder import Encoder
from workers.labels.network import MODEL_FILE
from workers.training.drawing import draw
from workers.training.edits import encode

PICTURES = {
    label: encode(draw(family, 3, size=(420, 560)))
    for label, family in {"form": "document_page", "plan": "floor_plan", "board": "whiteboard"}.items()
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A label space `scenes` with three labels, each of which is one drawing."""
    safelight = CommandLine(tmp_path_factory.mktemp("published"))
    write_network(safelight.folder / "network", PICTURES, Encoder.load())
    (row,) = safelight("labels", "publish", "scenes", "--from", "network", "--json").rows
    assert (row["label_space"], row["labels"], row["nearest"], row["within"]) == ("scenes", 3, 256, 50)
    for label, data in PICTURES.items():
        (safelight.folder / f"{label}.jpg").write_bytes(data)
    (safelight.folder / "poster.jpg").write_bytes(encode(draw("poster", 77, size=(420, 560))))
    return safelight


def test_what_is_checked_offline_has_its_labels(published: CommandLine) -> None:
    rows = published("check", "form.jpg", "poster.jpg", "--json").rows
    form, poster = ([one for one in row["labels"] if one["classifier"] == "scenes"] for row in rows)
    assert [one["label"] for one in form] == ["form"]
    assert form[0]["score"] > 95
    assert [one["label"] for one in poster] == ["other"]


def test_it_is_listed_and_shown(published: CommandLine) -> None:
    (listed,) = published("labels", "list", "--json").rows
    (shown,) = published("labels", "show", "scenes", "--json").rows
    assert listed.items() <= shown.items()
    assert (shown["names"], shown["figures"]) == (list(PICTURES), {"map": 0.5})
    assert "form, plan, board" in published("labels", "show", "scenes").text
    assert "scenes" not in {row["classifier"] for row in published("classifier", "list", "--json").rows}


def test_a_policy_may_name_it_and_no_other(published: CommandLine) -> None:
    for name, label, status in (
        ("scenes", "form", 0),
        ("scenes", "other", 0),
        ("builtin-documents", "receipt", 0),
        ("rooms", "form", 2),
        ("scenes", "from", 2),
        ("builtin-documents", "recipe", 2),
    ):
        condition = {"label": {"classifier": name, "is": label}}
        policy = {"name": "p", "when": {"any": [condition]}, "then": {"action": "block"}}
        (published.folder / "policies.yaml").write_text(json.dumps({"policies": [policy]}))
        published("policy", "apply", "policies.yaml", status=status)


def test_another_choice_is_published_taken_back_and_deleted(published: CommandLine) -> None:
    (first,) = published("labels", "publish", "second", "--from", "network", "--json").rows
    revision = str(first["revision"])
    _, checked, _, listed, history, _, gone = published.run_all(
        [
            ("labels", "publish", "second", "--from", "network", "--nearest", "2", "--within", "0"),
            ("check", "form.jpg", "--json"),
            ("labels", "rollback", "second", revision),
            ("labels", "list", "--json"),
            ("labels", "history", "second", "--json"),
            ("labels", "delete", "second"),
            ("labels", "show", "second"),
        ]
    )
    given = [one["label"] for one in checked.rows[0]["labels"] if one["classifier"] == "second"]
    assert (given[0], len(given)) == ("form", 2)
    assert {one["label_space"]: one["within"] for one in listed.rows} == {"scenes": 50, "second": 50}
    assert [one["note"] for one in history.rows] == ["3 labels", "3 labels", f"revision {revision} again"]
    assert gone.status == 2
    assert "no label space is named second; known: scenes" in gone.err


def test_a_network_that_no_worker_here_could_use_is_refused(published: CommandLine) -> None:
    encoder = Encoder.load()
    others, short, broken = (published.folder / name for name in ("others", "short", "broken"))
    write_network(others, PICTURES, encoder, named="encoder-9")
    write_network(broken, PICTURES, encoder)
    (broken / MODEL_FILE).write_bytes(b"\x08\x08" * 1000)
    short.mkdir()
    model = linear_model(np.eye(3, dtype=np.float32))
    (short / MODEL_FILE).write_bytes(model)
    make_card(model, encoder=encoder.id, side=encoder.side).write(short)
    ends = published.run_all([("labels", "publish", "new", "--from", str(each)) for each in (others, short, broken)])
    assert [end.status for end in ends] == [2, 2, 2]
    for end, complaint in zip(ends, ("behind encoder-9", "takes inputs of (3,)", "is not the file"), strict=True):
        assert complaint in end.err
    published("labels", "publish", "new", "--from", "network", "--nearest", "257", status=2)


def test_a_name_is_a_classifier_s_or_a_label_space_s(published: CommandLine) -> None:
    folder = published.folder / "forms"
    folder.mkdir()
    for seed in range(20):
        (folder / f"{seed}.jpg").write_bytes(encode(draw("document_page", seed, size=(210, 280))))
    refused = published("classifier", "train", "scenes", "--label", "form", "--images", "forms", status=2)
    assert "scenes is a label space, not a classifier" in refused.err
