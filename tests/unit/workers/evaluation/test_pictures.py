"""Where the pictures of an evaluation come from, and their roles."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import UsageError
from tests.image_factories import make_exif, make_file, make_picture
from workers.evaluation import pictures as of
from workers.evaluation.pictures import Picture
from workers.training.dataset import held_out


def picture(seed: int, source: str = "a") -> Picture:
    return Picture(source=source, group=source, stratum="pictures", opener=lambda: make_picture(48, 32, seed=seed))


def broken() -> Picture:
    return Picture(source="a", group="a", stratum="pictures", opener=lambda: of.read_picture(b"GIF89a, or not"))


def archive(path: Path, count: int) -> list[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [make_file(make_picture(40, 30, seed=n), "JPEG") for n in range(count)]
    with tarfile.open(path, "w") as tar:
        for number, data in enumerate(files):
            entry = tarfile.TarInfo(f"receipt/{number}.jpg")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return files


def test_near_duplicates_and_unreadable_files_are_dropped() -> None:
    again = Picture(source="a", group="a", stratum="pictures", opener=lambda: make_picture(480, 320, seed=1))
    kept = of.without_near_duplicates([picture(1), picture(2), again, broken(), picture(3)])
    assert [np.asarray(p.open()).mean() for p in kept] == [np.asarray(picture(n).open()).mean() for n in (1, 2, 3)]
    assert of.without_near_duplicates([]) == []


def test_near_duplicates_are_found_across_chunks() -> None:
    many = [picture(n) for n in range(of.CHUNK + 3)]
    assert len(of.without_near_duplicates([*many, picture(0), picture(of.CHUNK + 1)])) == len(many)


@pytest.mark.parametrize("data", [b"", b"no picture", make_file()[:60]])
def test_what_is_no_picture_is_an_os_error(data: bytes) -> None:
    with pytest.raises(OSError, match=r"."):
        of.read_picture(data)


def test_too_many_pixels_are_not_decoded() -> None:
    big = make_file(Image.new("1", (10_001, 5_000)), "PNG")
    with pytest.raises(OSError, match="too many"):
        of.read_picture(big)


def test_pictures_are_upright_and_on_white() -> None:
    turned = of.read_picture(make_file(make_picture(40, 20), "JPEG", exif=make_exif(6)))
    assert turned.size == (20, 40)
    clear = of.read_picture(make_file(Image.new("RGBA", (20, 20), (0, 0, 0, 0))))
    assert np.asarray(clear).min() == 255


def test_archives_give_what_no_training_saw(tmp_path: Path) -> None:
    files = archive(tmp_path / "classes" / "documents.tar", 24)
    found = list(of.read_archives(tmp_path))
    trained = list(of.read_trained(tmp_path, ("classes",)))
    assert len(found) == sum(map(held_out, files))
    assert len(found) + len(trained) == 24
    assert {(p.source, p.group, p.stratum) for p in found} == {
        ("classes/documents", "classes/documents/receipt", "documents")
    }
    assert not of.has_archives(tmp_path)


@pytest.mark.parametrize(
    ("source", "group", "stratum"),
    [
        ("classes/screenshots", "classes/screenshots/app_screenshot", "user interfaces"),
        ("classes/documents", "classes/documents/receipt", "documents"),
        ("photos/clothing", "photos/clothing/hat", "products"),
        ("photos/pets", "photos/pets/cats", "photographs"),
        ("drawn", "drawn/poster", "drawn"),
    ],
)
def test_the_kind_of_content(source: str, group: str, stratum: str) -> None:
    assert of.stratum_of(source, group) == stratum


def test_a_folder_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "cats" / "old").mkdir(parents=True)
    (tmp_path / "top.png").write_bytes(make_file())
    (tmp_path / "cats" / "old" / "one.JPG").write_bytes(make_file(image_format="JPEG"))
    (tmp_path / "notes.txt").write_text("no picture")
    found = list(of.read_folder(tmp_path))
    assert [(p.source, p.group) for p in found] == [("cats", "cats/old"), (tmp_path.name, tmp_path.name)]
    assert found[0].open().size == (320, 200)


def test_drawings_are_unseen_and_different() -> None:
    found = list(of.drawn_pictures(3, first=5))
    assert len({p.group for p in found}) == 3
    assert found[0].open().tobytes() == next(iter(of.drawn_pictures(1, first=5))).open().tobytes()


def test_a_few_pictures_are_cut_in_proportion() -> None:
    split = of.split_plain([picture(n) for n in range(52)], references=300)
    counts = (len(split.references), len(split.distractors), len(split.negatives))
    assert counts == (6, 24, 22)
    everyone = [*split.references, *split.distractors, *split.negatives]
    assert len(set(map(id, everyone))) == sum(counts)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(UsageError, match="different pictures"):
        of.split_plain([picture(1), picture(1), picture(2)], references=3)


@pytest.mark.corpus
def test_the_benchmark_has_its_size(corpus: Path) -> None:
    split = of.split_archives(corpus, 300)
    assert len(split.references) == 300
    assert len(split.distractors) >= 1200
    assert len(split.negatives) >= 1000
    assert not {id(p) for p in split.references} & {id(p) for p in (*split.distractors, *split.negatives)}
