"""``safelight index migrate`` with nothing running: another encoder, and back, without the images."""

from pathlib import Path

from tests.commands import Ended
from tests.encoder_copies import COPY, NEW, OLD, install_copy
from tests.integration.command_line import CommandLine
from workers.training.drawing import draw
from workers.training.edits import encode


def picture(seed: int, family: str = "poster") -> bytes:
    return encode(draw(family, seed, size=(480, 360)))


def matched(ended: Ended) -> tuple[str, set[str]]:
    """The encoder of a verdict, and what the picture matched."""
    (row,) = ended.rows
    assert ended.status == 1
    return row["encoder"], {match["name"] for match in row["matches"] if match["matched"]}


def test_to_another_encoder_and_back_and_to_it_for_good(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    install_copy(tmp_path / "data")
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    forms = tmp_path / "forms"
    forms.mkdir()
    for number in range(6):
        (forms / f"{number}.jpg").write_bytes(picture(number, "document_page"))
    before = safelight.run_all(
        [
            ("set", "create", "designs"),
            ("set", "add", "designs", "0.jpg"),
            ("classifier", "train", "papers", "--label", "form", "--images", "forms"),
            ("index", "migrate", "--to", COPY, "--json"),
            ("check", "0.jpg", "--json"),
            ("set", "add", "designs", "1.jpg"),
            ("index", "migrate", "--to", NEW),
            ("index", "status", "--json"),
            ("index", "migrate", "--status"),
        ]
    )
    *_, there, found, _, again, status, ways = before
    assert [ended.status for ended in before] == [0, 0, 0, 0, 1, 0, 0, 0, 0], before
    assert there.rows[0].items() >= {"encoder": NEW, "other": OLD, "phase": "switched", "workers": []}.items()
    assert matched(found) == (NEW, {"0.jpg"})
    assert "papers" in {label["classifier"] for label in found.rows[0]["labels"]}
    assert "in force already" in again.text
    assert (status.rows[0]["encoder"], status.rows[0]["encoders"]) == (NEW, {NEW: 2})
    assert "--rollback goes back to it" in ways.text

    back, found, beside, early, switched, alone, last, none = safelight.run_all(
        [
            ("index", "migrate", "--rollback", "--json"),
            ("check", "1.jpg", "--json"),
            ("index", "migrate", "--to", COPY, "--no-switch", "--json"),
            ("index", "migrate", "--finish"),
            ("index", "migrate", "--switch"),
            ("index", "migrate", "--finish", "--json"),
            ("check", "1.jpg", "--json"),
            ("index", "migrate", "--rollback"),
        ]
    )
    assert back.rows[0].items() >= {"encoder": OLD, "other": NEW, "phase": "switched"}.items()
    assert matched(found) == (OLD, {"1.jpg"}), "enrolled by the other encoder"
    assert (beside.rows[0]["encoder"], beside.rows[0]["phase"]) == (OLD, "shadow")
    assert (early.status, "--switch or --rollback first" in early.err) == (2, True)
    assert switched.status == 0
    expected = {"encoder": NEW, "other": None, "phase": "settled", "classifiers": ["papers"]}
    assert alone.rows[0].items() >= expected.items()
    assert matched(last) == (NEW, {"1.jpg"})
    assert "papers" in {label["classifier"] for label in last.rows[0]["labels"]}
    assert (none.status, "no change is under way" in none.err) == (2, True)


def test_what_is_missing_is_said_and_nothing_changes(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    install_copy(tmp_path / "data")
    (tmp_path / "data" / "converters" / f"{NEW}.to.{OLD}.json").unlink()
    (tmp_path / "0.jpg").write_bytes(picture(0))
    *_, unknown, nothing, switch, way, status = safelight.run_all(
        [
            ("set", "create", "designs"),
            ("set", "add", "designs", "0.jpg"),
            ("index", "migrate", "--to", "nonsense"),
            ("index", "migrate"),
            ("index", "migrate", "--switch"),
            ("index", "migrate", "--to", COPY),
            ("index", "migrate", "--status", "--json"),
        ]
    )
    assert (unknown.status, "known: " in unknown.err) == (2, True)
    assert (nothing.status, "say one of --to" in nothing.err) == (2, True)
    assert (switch.status, "no encoder to switch to" in switch.err) == (2, True)
    assert (way.status, "encoder converter --from" in way.err) == (1, True)
    assert (status.rows[0]["encoder"], status.rows[0]["phase"]) == (OLD, "settled")
