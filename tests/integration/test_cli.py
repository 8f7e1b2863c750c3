"""The command line with nothing running: what it prints, how it exits, what it says when something is wrong."""

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.integration.command_line import CommandLine
from workers.training.drawing import draw
from workers.training.edits import encode

PICTURE = encode(draw("poster", 1, size=(640, 480)))
OTHER = encode(draw("dashboard", 2, size=(640, 480)))
POLICIES = """\
# kept as written
policies:
  - name: no-design-leaves
    when: {any: [{set: designs}]}
    then: {action: coach}
  - {name: blank, then: {action: redact}}
  - {name: last, then: {action: allow}}
"""
OPTIONS: Final = {"relation": "copy", "thorough": None, "prior": 0.01, "keep_thumbnail": False}
SECRETS = {"SAFELIGHT_STORE": "redis://user:hunter2@127.0.0.1:6379/0", "SAFELIGHT_KAFKA__SASL_PASSWORD": "hunter2"}


@pytest.fixture
def safelight(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A set `designs` with one picture; tests only read it."""
    safelight = CommandLine(tmp_path_factory.mktemp("enrolled"))
    (safelight.folder / "picture.jpg").write_bytes(PICTURE)
    (safelight.folder / "other.jpg").write_bytes(OTHER)
    (safelight.folder / "broken.jpg").write_bytes(PICTURE[:300])
    safelight("set", "create", "designs")
    safelight("set", "add", "designs", "picture.jpg")
    return safelight


# --- global options, usage, configuration ---


def test_global_options_stand_before_and_after_the_command(safelight: CommandLine) -> None:
    config = str(safelight.config)
    safelight("set", "create", "designs")
    orders = [
        ("--json", "--config", config, "set", "list"),
        ("set", "list", "--json", "--config", config),
        ("set", "--config", config, "list", "--json"),
        (f"--config={config}", "set", "list", "--json"),
    ]
    expected = [{"set": "designs", "threshold": 85.0, **OPTIONS, "references": 0}]
    for arguments in orders:
        ended = safelight.run(*arguments)
        assert (ended.status, ended.rows) == (0, expected), arguments


def test_the_configuration_is_found_by_its_variable(safelight: CommandLine) -> None:
    ended = safelight.run("config", "show", "--json", SAFELIGHT_CONFIG=str(safelight.config))
    assert ended.rows[0]["data_dir"] == str(safelight.data_dir)


def test_an_unknown_key_names_the_nearest(safelight: CommandLine) -> None:
    safelight.config.write_text("proxy: {listn: '127.0.0.1:1'}\n")
    ended = safelight("config", "show", status=2)
    assert ended.err == "safelight: unknown key proxy.listn; the nearest known one is proxy.listen\n"
    assert ended.out == b""


def test_a_wrong_variable_names_its_key(safelight: CommandLine) -> None:
    ended = safelight("config", "show", status=2, SAFELIGHT_WORKER__DECODERS="many")
    assert "worker.decoders" in ended.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_shown_secrets_are_masked(safelight: CommandLine, form: tuple[str, ...]) -> None:
    shown = safelight("config", "show", *form, status=0, **SECRETS).text
    assert "hunter2" not in shown
    assert "redis://user:***@127.0.0.1:6379/0" in shown
    assert "sasl.password" in shown


MISTAKES: Final = (
    (("nonsense",), "nonsense"),
    (("set", "create"), "name"),
    (("set", "create", "x", "--threshold", "101"), "100"),
    (("set", "create", "No Name"), "no name for an image set"),
    (("set", "show", "nope"), "no image set nope"),
    (("set", "delete", "nope"), "no image set nope"),
    (("set", "remove", "nope", "r"), "no image set nope"),
    (("set", "create", "x", "--prior", "0"), "prior"),
    (("set", "create", "x", "--relation", "layout"), "layout"),
    (("set", "threshold", "nope", "80"), "no image set nope"),
    (("set", "calibrate", "nope"), "no image set nope"),
    (("set", "calibrate", "nope", "--target-fpr", "1"), "--target-fpr"),
    (("set", "calibrate", "nope", "--background", "missing"), "missing is not a folder"),
    (("set", "robustness", "nope", "x.jpg"), "no image set nope"),
    (("set", "add", "nope", "safelight.yaml"), "no image set nope"),
    (("set", "add", "nope", "missing.jpg"), "missing.jpg does not exist"),
    (("set", "add", "nope", "."), "--recursive"),
    (("policy", "apply", "missing.yaml"), "missing.yaml"),
    (("policy", "delete", "nope"), "nope"),
    (("policy", "show", "nope"), "nope"),
    (("check", "missing.jpg"), "missing.jpg"),
    (("check", "."), "is not a file"),
    (("ca", "export", "--format", "txt"), "txt"),
)


def test_mistakes_exit_2_with_a_sentence(safelight: CommandLine) -> None:
    ends = safelight.run_all([arguments for arguments, _ in MISTAKES])
    for (arguments, words), ended in zip(MISTAKES, ends, strict=True):
        assert (ended.status, ended.out) == (2, b""), arguments
        assert words in ended.err, arguments
        assert "Traceback" not in ended.err, arguments


def test_a_store_that_is_down_exits_2_with_a_sentence(safelight: CommandLine) -> None:
    ended = safelight("set", "list", status=2, SAFELIGHT_STORE="redis://127.0.0.1:1/0")
    assert ended.err.startswith("safelight: Redis: ")


def test_a_data_dir_that_cannot_be_made_exits_2_with_a_sentence(safelight: CommandLine) -> None:
    safelight.data_dir.write_text("a file")
    assert "data" in safelight("set", "list", status=2).err
    assert "data" in safelight("ca", "export", status=2).err


def test_a_reader_that_goes_away_is_no_traceback(safelight: CommandLine) -> None:
    process = safelight.start("config", "show")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 1
    assert safelight.log() == ""


def test_the_version_and_the_help_are_told(safelight: CommandLine) -> None:
    assert safelight.run("--version").text.startswith("safelight ")
    shown = safelight("--help").text
    for command in ("up", "proxy", "worker", "console", "alerts", "check", "set", "policy", "encoder", "config", "ca"):
        assert command in shown


# --- the certificate authority ---


def test_the_ca_is_made_once_before_the_first_up(safelight: CommandLine) -> None:
    pem = safelight("ca", "export").out
    certificate = x509.load_pem_x509_certificate(pem)
    assert b"PRIVATE" not in pem
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert safelight("ca", "export").out == pem
    assert safelight("ca", "export", "--format", "der").out == certificate.public_bytes(Encoding.DER)
    row = safelight("ca", "export", "-o", "ca.pem", "--json").rows
    assert row == [{"file": "ca.pem", "format": "pem"}]
    assert (safelight.folder / "ca.pem").read_bytes() == pem


# --- image sets ---


def test_the_life_of_a_set(safelight: CommandLine) -> None:
    (safelight.folder / "images").mkdir()
    (safelight.folder / "images" / "pump.jpg").write_bytes(PICTURE)
    (safelight.folder / "images" / "readme.txt").write_text("no image")
    assert safelight("set", "create", "designs", "--threshold", "90", "--json").rows == [
        {"set": "designs", "threshold": 90.0, **OPTIONS}
    ]
    assert "already" in safelight("set", "create", "designs", status=2).err

    added, rejected = safelight("set", "add", "designs", "images", "--recursive", "--json", status=1).rows
    digest = hashlib.sha256(PICTURE).hexdigest()
    reference = added["reference"]
    assert added == {
        "set": "designs",
        "path": "images/pump.jpg",
        "reference": reference,
        "sha256": digest,
        "status": "added",
        "error": None,
        "message": None,
        "warnings": [],
    }
    assert reference
    assert (rejected["path"], rejected["status"]) == ("images/readme.txt", "rejected")
    assert rejected["error"] == "not_an_image"
    again = safelight("set", "add", "designs", "images/pump.jpg", "--json").rows
    assert again == [added | {"status": "duplicate"}]

    listed = safelight("set", "list", "--json").rows
    assert listed == [{"set": "designs", "threshold": 90.0, **OPTIONS, "references": 1}]
    (shown,) = safelight("set", "show", "designs", "--json").rows
    (kept,) = shown.pop("references")
    assert shown == {"set": "designs", "threshold": 90.0, **OPTIONS}
    assert kept.pop("bytes")["total"] > 2048
    assert kept == {"reference": reference, "name": "pump.jpg", "sha256": digest}
    assert reference in safelight("set", "show", "designs").text

    removed = safelight("set", "remove", "designs", reference, "nope", "--json", status=1).rows
    assert removed == [
        {"set": "designs", "reference": reference, "status": "removed"},
        {"set": "designs", "reference": "nope", "status": "unknown"},
    ]
    assert safelight("set", "add", "designs", "images/pump.jpg", "--json").rows == [added]
    assert safelight("set", "delete", "designs", "--json").rows == [{"deleted": "designs"}]
    assert safelight("set", "list", "--json").rows == []


def test_files_that_cannot_be_taken_are_rejected_and_the_others_added(safelight: CommandLine) -> None:
    images = safelight.folder / "images"
    images.mkdir()
    (images / "a.jpg").write_bytes(PICTURE + b"\0" * 100_000)
    (images / os.fsdecode(b"b-\xff.jpg")).write_bytes(PICTURE)
    safelight("set", "create", "designs")
    limit = {"SAFELIGHT_PROXY__MAX_OBJECT": str(len(PICTURE))}
    ended = safelight("set", "add", "designs", "images", "--recursive", "--json", status=1, **limit)
    assert [(row["status"], row["error"]) for row in ended.rows] == [("rejected", "too_large"), ("added", None)]
    assert os.fsencode(ended.rows[1]["path"]) == b"images/b-\xff.jpg"
    safelight("set", "show", "designs")


def test_a_folder_without_files_is_said(safelight: CommandLine) -> None:
    (safelight.folder / "empty").mkdir()
    safelight("set", "create", "designs")
    ended = safelight("set", "add", "designs", "empty", "--recursive")
    assert (ended.text, ended.err) == ("", "there are no files below empty\n")


def test_a_files_name_makes_no_lines_and_no_colours(safelight: CommandLine) -> None:
    name, shown = "a\n\x1b[31mb.jpg", r"a\n\x1b[31mb.jpg"
    (safelight.folder / name).write_bytes(PICTURE)
    (safelight.folder / "other.jpg").write_bytes(OTHER)
    safelight("set", "create", "designs")
    commands = (("set", "add", "designs", name, "other.jpg"), ("set", "show", "designs"), ("set", "history", "designs"))
    for command, count in zip(commands, (2, 3, 3), strict=True):
        lines = safelight(*command).text.splitlines()
        assert (len(lines), sum(shown in line for line in lines)) == (count, 1), lines
    (line,) = safelight("check", name, status=1).text.splitlines()
    assert line.startswith(f"{shown}: match designs/{shown} score 100")


def test_nothing_on_standard_output_but_json(enrolled: CommandLine) -> None:
    for arguments in (("set", "show", "designs"), ("check", "other.jpg"), ("encoder", "list"), ("config", "show")):
        ended = enrolled(*arguments, "--json")
        assert all(isinstance(json.loads(line), dict) for line in ended.text.splitlines()), arguments
        assert "\x1b" not in ended.text


# --- check ---


def test_check_exits_1_where_something_matches(enrolled: CommandLine) -> None:
    matching, other, broken = enrolled("check", "picture.jpg", "other.jpg", "broken.jpg", "--json", status=1).rows
    assert [row["file"] for row in (matching, other, broken)] == ["picture.jpg", "other.jpg", "broken.jpg"]
    assert matching["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert (matching["matches"][0]["set"], matching["matches"][0]["matched"]) == ("designs", True)
    assert matching["matches"][0]["name"] == "picture.jpg"
    assert (matching["image"]["width"], matching["image"]["height"], matching["error"]) == (640, 480, None)
    assert not any(match["matched"] for match in other["matches"])
    assert broken["error"]["code"] in {"truncated", "corrupt"}
    assert broken["image"] is None


def test_check_exits_0_where_nothing_matches(enrolled: CommandLine) -> None:
    assert "other.jpg: no match" in enrolled("check", "other.jpg").text
    assert "broken.jpg: not inspected" in enrolled("check", "broken.jpg").text


def test_check_says_of_a_large_file_what_a_proxy_would_do(enrolled: CommandLine) -> None:
    (row,) = enrolled("check", "picture.jpg", "--json", SAFELIGHT_PROXY__MAX_OBJECT="1000").rows
    assert row["error"]["code"] == "too_large"
    assert row["sha256"] == hashlib.sha256(PICTURE).hexdigest()


# --- policies ---


def test_the_life_of_policies(enrolled: CommandLine) -> None:
    path = enrolled.folder / "policies.yaml"
    path.write_text(POLICIES)
    applied = enrolled("policy", "apply", "policies.yaml", "--json")
    (row,) = applied.rows
    assert row["applied"] == ["no-design-leaves", "blank", "last"]
    assert any("'blank': redact" in note for note in row["notes"]), "there is nothing to redact, and that is said"
    assert "'blank': redact" in applied.err
    listed = enrolled("policy", "list", "--json").rows
    assert [(one["name"], one["action"], one["mode"]) for one in listed] == [
        ("no-design-leaves", "coach", "enforce"),
        ("blank", "redact", "enforce"),
        ("last", "allow", "enforce"),
    ]
    assert enrolled("policy", "show").text.rstrip("\n") == POLICIES.rstrip("\n")
    assert "last" not in enrolled("policy", "show", "no-design-leaves").text

    path.write_text(POLICIES.replace("designs}", "elsewhere}"))
    wrong = enrolled("policy", "apply", "policies.yaml", status=2)
    assert "elsewhere" in wrong.err
    assert "line 4" in wrong.err
    assert enrolled("policy", "show", "--json").rows == [{"policies": POLICIES}]

    (deleted,) = enrolled("policy", "delete", "last", "--json").rows
    assert (deleted["deleted"], deleted["version"]) == ("last", row["version"] + 1)
    assert "# kept as written" in enrolled("policy", "show").text
    for name in ("no-design-leaves", "blank"):
        enrolled("policy", "delete", name)
    assert enrolled("policy", "list", "--json").rows == []


def test_encoders_are_listed(safelight: CommandLine) -> None:
    rows: list[dict[str, Any]] = safelight("encoder", "list", "--json").rows
    assert [row["default"] for row in rows].count(True) == 1
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_training_without_torch_says_what_to_install(safelight: CommandLine) -> None:
    (safelight.folder / "torch.py").write_text("raise ModuleNotFoundError\n")  # found before an installed one
    converter = ("converter", "--from", "f1-128-v2", "--to", "f1-128-v2.fp16")
    for arguments in (("export", "safelight.yaml", "-o", "x.onnx"), ("train", "--out", "x"), converter):
        assert "train extra" in safelight("encoder", *arguments, status=2).err
    (safelight.folder / "set.jsonl").touch()
    assert "train extra" in safelight("labels", "train", "--manifest", "set.jsonl", "-o", "x", status=2).err


# --- single roles ---


@pytest.mark.parametrize("role", ["proxy", "worker"])
def test_a_lone_role_without_a_hub_says_so(safelight: CommandLine, role: str) -> None:
    ended = safelight(role, status=2)
    assert "safelight up" in ended.err
    assert not list((safelight.data_dir / "run").glob("*.json"))


def _bound(key: str) -> Callable[[str], dict[str, str]]:
    return lambda address: {f"SAFELIGHT_{key}__LISTEN": address}


@pytest.mark.parametrize(
    ("role", "variable"),
    [("console", _bound("CONSOLE")), ("console", _bound("METRICS")), ("alerts", _bound("METRICS"))],
)
def test_a_port_in_use_is_a_sentence(
    safelight: CommandLine, role: str, variable: Callable[[str], dict[str, str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = safelight(role, status=2, **variable(address))
    assert f"{address} is in use" in ended.err


@pytest.mark.parametrize("role", ["console", "alerts", "worker", "proxy"])
def test_a_wrong_configuration_ends_every_role(safelight: CommandLine, role: str) -> None:
    (safelight.folder / "bad.key").write_text("no key")
    ended = safelight(role, status=2, SAFELIGHT_SECRETS__KEY_FILE=str(safelight.folder / "bad.key"))
    assert "bad.key" in ended.err
