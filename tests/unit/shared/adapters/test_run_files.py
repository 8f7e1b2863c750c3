"""A role's run file says who it is and where it listens."""

import json
import os
from pathlib import Path

import pytest

from shared.adapters.run_files import RunFile, read_run_file
from shared.errors import ConfigError


def test_addresses_add_up_and_the_file_goes_at_the_end(tmp_path: Path) -> None:
    run = RunFile(tmp_path / "run", "proxy")
    run.announce("metrics", "127.0.0.1:1")
    run.announce("proxy", "127.0.0.1:2")
    expected = {"role": "proxy", "pid": os.getpid(), "metrics": "127.0.0.1:1", "proxy": "127.0.0.1:2"}
    assert read_run_file(tmp_path / "run", "proxy") == expected
    run.remove()
    assert read_run_file(tmp_path / "run", "proxy") == {}


def test_a_file_that_another_process_has_taken_over_stays(tmp_path: Path) -> None:
    run = RunFile(tmp_path, "worker")
    run.announce("metrics", "127.0.0.1:1")
    (tmp_path / "worker.json").write_text(json.dumps({"pid": os.getpid() + 1}))
    run.remove()
    assert (tmp_path / "worker.json").exists()


def test_half_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "worker.json").write_text('{"pid":')
    assert read_run_file(tmp_path, "worker") == {}
    (tmp_path / "worker.json").write_text("[]")
    assert read_run_file(tmp_path, "worker") == {}


def test_a_folder_that_cannot_be_written_to_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder belongs")
    with pytest.raises(ConfigError, match=r"cannot write to .*run: "):
        RunFile(tmp_path / "run", "worker").announce("metrics", "127.0.0.1:1")
