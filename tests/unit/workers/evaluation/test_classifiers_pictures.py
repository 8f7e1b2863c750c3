"""What classifiers are measured on: folders of a user, or archives with classes and photographs."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from shared.errors import UsageError
from workers.evaluation.classifiers_pictures import A_SOURCE, TESTED, blocks_of, natural_classes, not_of


def folder_of(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(f"{folder.name} {number}".encode())


def archive(path: Path, **classes: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, count in classes.items():
            for number in range(count):
                data = f"{path.stem} {name} {number}".encode()
                entry = tarfile.TarInfo(f"{name}/{number}.jpg")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def test_each_folder_is_a_class_and_one_of_them_is_other(tmp_path: Path) -> None:
    for name, count in (("receipt", 30), ("plan", 100), ("few", 14), ("other", 7)):
        folder_of(tmp_path / name, count)
    (block,) = blocks_of(tmp_path, [5, 20])
    assert Counter(one.label for one in block.shown) == {"receipt": 30, "plan": 20 + TESTED}
    assert {one.read() for one in block.others} == {f"other {number}".encode() for number in range(7)}
    assert all(one.unseen for one in block.shown)


def test_pictures_that_teach_other_are_asked_for_no_more(tmp_path: Path) -> None:
    for name, count in (("receipt", 30), ("other", 30)):
        folder_of(tmp_path / name, count)
    (block,) = blocks_of(tmp_path, [5], background=400)
    taught, asked = ({one.read() for one in shown} for shown in (block.background, block.others))
    assert (len(taught), len(asked)) == (10, 20)
    assert not taught & asked


@pytest.mark.parametrize("folders", [{"receipt": 30}, {"receipt": 14, "other": 9}, {}])
def test_what_measures_nothing_is_refused(tmp_path: Path, folders: dict[str, int]) -> None:
    for name, count in folders.items():
        folder_of(tmp_path / name, count)
    with pytest.raises(UsageError, match="folder of 15 images or more for each class, and one named other"):
        blocks_of(tmp_path, [5])


def test_archives_give_documents_and_natural_classes_against_unseen_photographs(tmp_path: Path) -> None:
    archive(tmp_path / "classes" / "documents.tar", receipt=90, chart=40, few=3)
    archive(tmp_path / "photos" / "clothing.tar", hat=40, shoes=50, coat=30, sock=6)
    archive(tmp_path / "photos" / "tiny_imagenet64.tar", frog=90)
    documents, natural = blocks_of(tmp_path, [5], background=50)
    sizes = Counter(one.label for one in documents.shown)
    assert sizes == {"documents/receipt": 5 + TESTED, "documents/chart": 40}
    # Every unseen file is there where a class has more than are needed: a quarter of 90, about.
    receipts = [one.unseen for one in documents.shown if one.label == "documents/receipt"]
    assert receipts == sorted(receipts, reverse=True)
    assert set(receipts) == {True, False}
    assert {one.label.split("/")[0] for one in documents.others} == {"clothing"}
    assert {one.label for one in natural.shown} == {"clothing/hat", "clothing/shoes"}
    # What teaches `other` is what an encoder's training has seen; no other picture is of it.
    assert len(documents.background) == 50
    assert not any(one.unseen for one in documents.background)
    assert all(one.unseen for one in documents.others)
    assert {one.label for one in natural.others} <= {"clothing/coat", "clothing/sock"}
    assert all(one.unseen for block in (documents, natural) for one in block.others)


def test_natural_classes_are_the_largest_of_sources_that_have_several() -> None:
    sizes = {"photos/clothing/hat": 40, "photos/clothing/shoes": 60, "photos/clothing/coat": 50}
    sizes |= {"photos/pets/cats": 90, "photos/pets/cat_breeds": 80, "photos/pets/dogs": 70}
    sizes |= {"photos/bsds500/photo": 200, "classes/documents/receipt": 300, "photos/scenes/few": 9}
    chosen = natural_classes(sizes, 10)
    assert chosen == ["photos/clothing/coat", "photos/clothing/shoes", "photos/pets/cat_breeds", "photos/pets/dogs"]
    assert A_SOURCE == 2


def test_other_pictures_show_no_class_under_whatever_name() -> None:
    groups = ["photos/a/forest", "photos/b/forest", "photos/b/sea", "photos/pets/cats"]
    assert not_of(["photos/a/forest"], groups) == ["photos/b/sea"]
