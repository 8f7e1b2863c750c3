"""What the adversary measured, as a reader sees it."""

import json
from typing import Any

import pytest

from shared.errors import IntegrityError
from workers.evaluation.adversary_rows import section_of
from workers.evaluation.tables import as_text


def row(**overrides: Any) -> dict[str, Any]:
    values = {
        "surface": "picture",
        "aim": "collision",
        "eps": 4,
        "adaptive": False,
        "defence": "none",
        "psnr": 37.4,
        "cosine_before": 0.1,
        "cosine": 0.95,
        "pairs": 40,
        "encoder": 36,
        "pdq": 0,
        "local": 0,
        "usual": 4,
        "thorough": 2,
        "proven": 0,
    }
    return {**values, **overrides}


def results(*rows: Any, **overrides: Any) -> str:
    values = {
        "encoder": "e-1",
        "threshold": 85.0,
        "pictures": 40,
        "poisoned": 12,
        "steps": 20,
        "canvas": 384,
        "side": 96,
        "seconds": 12.5,
        "rows": rows,
    }
    return json.dumps({**values, **overrides})


def test_of_a_collision_the_share_that_matches_is_shown() -> None:
    section = section_of(results(row()))
    (table,) = section.tables
    (shown,) = table.rows
    assert (table.name, section.seconds) == ("collision", 12.5)
    assert (shown["attack"], shown["surface"], shown["defence"]) == ("4/255", "at its own size", "none")
    assert (shown["encoder"], shown["pdq"], shown["usual"], shown["thorough"], shown["proven"]) == (
        0.9,
        0,
        0.1,
        0.05,
        0,
    )
    assert shown["at_most"] == pytest.approx(0.2144, abs=1e-4)  # Clopper-Pearson, 4 of 40, one side, 95 %


def test_of_an_evasion_the_share_that_is_not_found_is_shown() -> None:
    ((shown,),) = (table.rows for table in section_of(results(row(aim="evasion"))).tables)
    assert (shown["encoder"], shown["pdq"], shown["usual"], shown["proven"]) == (0.1, 1, 0.9, 1)


def test_every_aim_has_a_table_in_the_same_order() -> None:
    section = section_of(results(row(aim="poisoning"), row(aim="evasion"), row(), row(eps=8)))
    assert [(table.name, len(table.rows)) for table in section.tables] == [
        ("evasion", 1),
        ("collision", 2),
        ("poisoning", 1),
    ]
    assert "12 such references" in section.tables[2].note


def test_rows_without_an_attack_and_with_one_that_knows_the_defence() -> None:
    section = section_of(results(row(eps=0, psnr=None), row(adaptive=True, surface="input", defence="random crop")))
    plain, adaptive = section.tables[0].rows
    assert (plain["attack"], plain["psnr"]) == ("none", None)
    assert (adaptive["attack"], adaptive["surface"]) == ("4/255, knows the crop", "at the encoder's")
    assert "4/255, knows the crop" in as_text(section.tables[0], width=240)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 5000,
        "{}",
        results(1),
        results(row(pairs=0)),
        results(row(encoder=41)),
        results(row(local=-1)),
        results(row(surface="elsewhere")),
        results(row(aim="fame")),
        results(row(cosine="high")),
        results(row(), pictures=None),
        results(row(), pictures=float("inf")),
        results(row(), encoder="x" * (5 << 20)),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        section_of(text)
