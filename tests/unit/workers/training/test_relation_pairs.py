"""Pairs with a known relation: sides that never meet, edits that verify, documents by bond."""

import io
import random
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from workers.training.dataset import Item, held_out
from workers.training.drawing import draw
from workers.training.drawing.pairs import Bond, pair
from workers.training.relation_pairs import (
    EDITS,
    FIRST_SEED,
    SAME_OBJECT,
    SOURCES,
    TO_FIT,
    Amounts,
    Side,
    collect,
    drawn_pairs,
    edited,
    edited_pictures,
    look_alikes,
    plane_of,
    side_of,
    verified,
)


def test_a_quarter_is_held_out_and_the_sides_of_the_rest_are_fixed() -> None:
    payloads = [number.to_bytes(2, "big") for number in range(2000)]
    sides = [side_of(payload) for payload in payloads]
    assert all((side == Side.HELD_OUT) == held_out(payload) for side, payload in zip(sides, payloads, strict=True))
    assert 0.15 < sides.count(Side.VALIDATION) / len(sides) < 0.23


def test_no_seed_has_two_sides() -> None:
    most = max(TO_FIT.edits, *TO_FIT.bonds.values())
    firsts = sorted(FIRST_SEED.values())
    assert all(b - a > most for a, b in pairwise(firsts))


def test_amounts_are_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Amounts(edits=1, bonds={Bond.RECODED: -1}, pictures=1)


@pytest.mark.parametrize("name", sorted(set(EDITS)))
def test_every_edit_gives_another_picture(name: str) -> None:
    image, other = (draw("poster", seed, size=(300, 400)) for seed in (1, 2))
    query = edited(image, name, random.Random(1), other)
    assert query.mode == "RGB"
    assert query.size != image.size or np.asarray(query).tolist() != np.asarray(image).tolist()


def test_edited_pictures_verify_as_copies() -> None:
    pictures = [draw("poster", seed, size=(400, 500)) for seed in range(4)]
    pairs = list(edited_pictures(pictures, 1, 3))
    assert [pair.kind for pair in pairs] == list(EDITS[:3])
    assert all(pair.copy and pair.geometry.inliers >= 5 for pair in pairs)


def test_drawn_pairs_are_of_the_bonds_asked_for() -> None:
    pairs = list(drawn_pairs(Side.VALIDATION, {Bond.RECODED: 1, Bond.OTHER_CONTENT: 1}))
    assert [(each.kind, each.copy) for each in pairs] == [
        ("recoded", True),
        (f"other_content {pair(Bond.OTHER_CONTENT, FIRST_SEED[Side.VALIDATION]).kind}", False),
    ]


def test_two_pictures_that_share_a_part_look_alike_and_duplicates_are_left_out() -> None:
    first, second = (draw("document_page", seed, size=(400, 520)) for seed in (1, 2))
    second.paste(first.crop((0, 0, 400, 200)))
    items = [Item(source="s", group="s/pages", image=image) for image in (first, second, first)]
    found = list(look_alikes(items))
    assert found
    assert {pair.kind for pair in found} == {"look_alike pages"}
    assert not any(pair.copy or np.array_equal(pair.reference, pair.query) for pair in found)


def test_what_has_nothing_in_common_does_not_verify() -> None:
    blank = np.full((200, 200), 255, np.uint8)
    assert verified("blank", blank, plane_of(draw("poster", 1)), copy=False) is None


def archives(folder: Path) -> Path:
    for source in SOURCES:
        path = folder / f"{source}.tar"
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for number, group in enumerate(("pages", "pages", "pages", SAME_OBJECT[0])):
                stream = io.BytesIO()
                draw("poster", number, size=(160, 200)).save(stream, "JPEG", quality=70 + len(source) % 20)
                member = tarfile.TarInfo(f"{group}/{number}.jpg")
                member.size = len(stream.getvalue())
                archive.addfile(member, io.BytesIO(stream.getvalue()))
    return folder


def test_a_side_is_collected_with_progress(tmp_path: Path) -> None:
    amounts = Amounts(edits=2, bonds={Bond.RECODED: 1}, pictures=2)
    lines: list[str] = []
    found = collect(archives(tmp_path), Side.TRAINING, amounts, lines.append)
    assert any(pair.kind == "recoded" for pair in found)
    assert len(lines) == 4
    assert all(line.startswith("training") for line in lines)
