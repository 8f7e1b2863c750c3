"""``safelight index``, as a user runs it."""

from pathlib import Path

from tests.integration.command_line import CommandLine
from workers.training.drawing import draw
from workers.training.edits import encode


def test_status_and_compact(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    (safelight.folder / "picture.jpg").write_bytes(encode(draw("poster", 1, size=(640, 480))))
    (empty,) = safelight("index", "status", "--json").rows
    assert (empty["references"], empty["snapshot"]["age_s"], empty["worker"], empty["sets"]) == (0, None, None, [])
    safelight("set", "create", "designs")
    safelight("set", "add", "designs", "picture.jpg")
    (before,) = safelight("index", "status", "--json").rows
    assert (before["references"], before["position"], before["lag"]) == (1, 2, 2)
    assert before["bytes"]["vectors"] == 1024
    assert list(before["encoders"].values()) == [1]
    (done,) = safelight("index", "compact", "--json").rows
    assert (done["compacted"], done["position"]) == (True, 2)
    (after,) = safelight("--json", "index", "status").rows
    assert (after["lag"], after["snapshot"]["position"], after["sets"][0]["set"]) == (0, 2, "designs")
    assert after["snapshot"]["bytes"] == done["bytes"] > 0
    assert b"nothing to do" in safelight("index", "compact").out
    assert b"designs: 1 references" in safelight("index", "status").out
    (found,) = safelight("check", "picture.jpg", "--json", status=1).rows
    assert found["matches"][0]["set"] == "designs"
