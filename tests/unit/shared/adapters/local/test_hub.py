"""Where the hub listens."""

from __future__ import annotations

import os
from pathlib import Path

from shared.adapters.local.hub import PATH_BYTES, hub_socket_path


def test_the_path_is_short_stable_and_of_one_data_dir(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 200)
    assert len(os.fsencode(hub_socket_path(deep))) < PATH_BYTES
    assert hub_socket_path(deep) == hub_socket_path(deep)
    assert hub_socket_path(deep) != hub_socket_path(tmp_path)


def test_the_runtime_folder_is_preferred_where_it_fits(tmp_path: Path) -> None:
    assert hub_socket_path(tmp_path, {"XDG_RUNTIME_DIR": "/dev"}).is_relative_to("/dev")
    too_long = tmp_path / ("x" * 100)
    too_long.mkdir()
    for unusable in (too_long, tmp_path / "missing", ""):
        assert hub_socket_path(tmp_path, {"XDG_RUNTIME_DIR": str(unusable)}).is_relative_to("/tmp")
    assert hub_socket_path(tmp_path, {}).is_relative_to("/tmp")
