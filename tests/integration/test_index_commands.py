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


def test_a_set_goes_back_to_an_earlier_revision(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    (safelight.folder / "picture.jpg").write_bytes(encode(draw("poster", 1, size=(640, 480))))
    safelight("set", "create", "designs")
    (added,) = safelight("set", "add", "designs", "picture.jpg", "--json").rows
    safelight("set", "remove", "designs", added["reference"])
    safelight("index", "compact")
    rows = safelight("set", "history", "designs", "--json").rows
    assert [(row["revision"], row["what"]) for row in rows] == [(1, "created"), (2, "added"), (3, "removed")]
    assert (rows[1]["name"], rows[2]["kept"]) == ("picture.jpg", True)
    (back,) = safelight("set", "rollback", "designs", "2", "--json").rows
    assert back == {"set": "designs", "revision": 2, "added": 1, "removed": 0, "threshold": 85.0}
    assert b"rolled back to 2" in safelight("set", "history", "designs", "--limit", "1").out
    (found,) = safelight("check", "picture.jpg", "--json", status=1).rows
    assert found["matches"][0]["set"] == "designs"
    safelight("set", "delete", "designs", "--purge")
    assert "no longer kept" in safelight("set", "rollback", "designs", "2", status=2).err
