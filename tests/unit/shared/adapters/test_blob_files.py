"""The spool folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shared.adapters.blob_files import ORPHAN_SECONDS, BlobFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def files(folder: Path) -> BlobFiles:
    files = BlobFiles(folder)
    files.prepare()
    files.prepare()
    return files


@pytest.mark.parametrize("durable", [True, False])
def test_every_write_is_a_file_of_its_own_for_this_user_alone(files: BlobFiles, folder: Path, durable: bool) -> None:
    first = files.write("../name/with:anything", b"one", durable=durable)
    second = files.write("../name/with:anything", b"two", durable=durable)
    assert (files.read(first), files.read(second)) == (b"one", b"two")
    assert {path.name for path in folder.iterdir()} == {first, second}
    assert stat.S_IMODE((folder / first).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_was_removed_reads_as_none_and_can_be_removed_again(files: BlobFiles) -> None:
    file = files.write("name", b"x", durable=False)
    files.remove([file])
    files.remove([file])
    assert files.read(file) is None


def test_only_old_files_that_nothing_points_to_are_orphans(files: BlobFiles, folder: Path) -> None:
    known = files.write("known", b"x", durable=False)
    orphan = files.write("orphan", b"x", durable=False)
    (folder / "half.part").write_bytes(b"x")
    written = (folder / orphan).stat().st_mtime
    files.remove_orphans({known}, written + ORPHAN_SECONDS / 2)
    assert len(list(folder.iterdir())) == 3
    files.remove_orphans({known}, written + ORPHAN_SECONDS + 10)
    assert [path.name for path in folder.iterdir()] == [known]
