"""Pictures of a folder: which are taken, as what, and what is passed over."""

from pathlib import Path

import pytest
from PIL import Image

from tests.image_factories import make_picture_files
from workers.training.dataset import held_out
from workers.training.folder import ORIENTATION, picture_paths, read_pictures


def test_a_folder_is_a_kind_and_a_flat_one_holds_all_kinds(tmp_path: Path) -> None:
    flat = make_picture_files(tmp_path / "flat", 3)
    assert len({item.group for item in read_pictures(picture_paths(flat), flat)}) == 3
    nested = make_picture_files(tmp_path / "nested", 2, "cats/{}.png")
    make_picture_files(nested, 2, "dogs/{}.png")
    assert {item.group for item in read_pictures(picture_paths(nested), nested)} == {"images/cats", "images/dogs"}


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    make_picture_files(tmp_path, 2)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a JPEG")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    assert sum(1 for _ in read_pictures(picture_paths(tmp_path), tmp_path)) == 2


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        picture_paths(tmp_path)


def test_only_wanted_files_are_read(tmp_path: Path) -> None:
    paths = picture_paths(make_picture_files(tmp_path, 24))
    unseen = sum(1 for _ in read_pictures(paths, tmp_path, held_out))
    assert 0 < unseen == sum(held_out(path.read_bytes()) for path in paths) < 24


def test_pictures_come_upright_and_without_transparency(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (70, 50), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    found = {item.image.size: item.image for item in read_pictures(picture_paths(tmp_path), tmp_path)}
    assert set(found) == {(60, 90), (70, 50)}
    assert found[70, 50].getpixel((0, 0)) == (255, 255, 255)


def test_a_file_that_is_too_large_or_gone_is_passed_over(tmp_path: Path) -> None:
    paths = picture_paths(make_picture_files(tmp_path, 2))
    assert list(read_pictures(paths, tmp_path, largest=100)) == []
    paths[0].unlink()
    assert len(list(read_pictures(paths, tmp_path))) == 1
