"""Only a folder that is there is synchronised, and nothing stays open."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.durable import sync_folder


def test_a_folder_is_synchronised_and_closed(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    sync_folder(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(OSError, match=path.name):
            sync_folder(path)
