"""Edited copies, how they fare, and the table of it."""

import hashlib
import io

import pytest
from PIL import Image

from shared.types import Verdict
from tests.factories import make_match
from tests.image_factories import make_picture
from workers.evaluation.robustness import Copy, Outcome, Subject, copies_of, open_picture, tabulate, try_copy
from workers.evaluation.strengths import STRENGTHS

SUBJECTS = [Subject(name=f"{seed}.png", reference=f"r{seed}", image=make_picture(seed=seed)) for seed in (1, 2)]


class Inspector:
    """Finds one match of the set `designs` in everything."""

    def __init__(self, reference: str, score: float) -> None:
        self._match = make_match(set="designs", reference=reference, score=score, matched=score >= 85)

    async def inspect(self, data: bytes, sha256: str) -> Verdict:
        assert hashlib.sha256(data).hexdigest() == sha256
        return Verdict(sha256=sha256, matches=(make_match(set="other", score=99.0), self._match))


def outcome(transformation: str, score: float, *, name: str = "1.png", found: bool = True) -> Outcome:
    return Outcome(
        name=name, transformation=transformation, strength="strong", found=found, matched=score >= 85, score=score
    )


def test_every_image_is_edited_in_every_way() -> None:
    copies, count = copies_of(SUBJECTS)
    first = next(copies)
    assert count == 2 * sum(len(steps) for steps in STRENGTHS.values())
    assert (first.subject, first.transformation, first.strength) == (SUBJECTS[0], "jpeg", "quality 60")
    assert Image.open(io.BytesIO(first.data)).format == "JPEG"


@pytest.mark.parametrize(
    ("reference", "score", "found", "matched"),
    [("r1", 95.0, True, True), ("r1", 60.0, True, False), ("r2", 95.0, False, True)],
)
async def test_a_copy_is_found_by_its_reference_and_matched_by_its_set(
    reference: str, score: float, found: bool, matched: bool
) -> None:
    copy = Copy(subject=SUBJECTS[0], transformation="jpeg", strength="quality 60", data=b"a file")
    result = await try_copy(Inspector(reference, score), "designs", copy)
    assert (result.found, result.matched, result.score, result.name) == (found, matched, score, "1.png")
    nothing = await try_copy(Inspector(reference, score), "elsewhere", copy)
    assert (nothing.found, nothing.matched, nothing.score) == (False, False, 0.0)


def test_the_worst_rows_come_first() -> None:
    rows = tabulate([
        outcome("jpeg", 99.0),
        outcome("jpeg", 95.0, name="2.png"),
        outcome("crop", 90.0),
        outcome("crop", 0.0, name="2.png", found=False),
        outcome("blur", 86.0),
        outcome("blur", 88.0),
    ])  # fmt: skip
    assert [(row.transformation, row.matched, row.found, row.tried) for row in rows] == [
        ("crop", 1, 1, 2),
        ("blur", 2, 2, 2),
        ("jpeg", 2, 2, 2),
    ]
    assert (rows[0].worst_image, rows[0].lowest_score, rows[0].mean_score) == ("2.png", 0.0, 45.0)


def test_pictures_are_opened_upright_on_white() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    stream = io.BytesIO()
    make_picture(60, 40).save(stream, "JPEG", exif=turned)
    assert open_picture(stream.getvalue()).size == (40, 60)
    stream = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(stream, "PNG")
    opened = open_picture(stream.getvalue())
    assert (opened.mode, opened.getpixel((3, 3))) == ("RGB", (255, 255, 255))
