"""One supervisor on a folder at a time, and not before the roles of the last one have ended."""

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from console.supervisor_lock import SupervisorLock
from shared.errors import ConfigError


async def test_a_second_supervisor_is_told_at_once(tmp_path: Path) -> None:
    first, second = SupervisorLock(tmp_path / "run"), SupervisorLock(tmp_path / "run")
    await first.acquire()
    with pytest.raises(ConfigError, match=f"runs already on {tmp_path}"):
        await second.acquire()
    second.release()
    first.release()
    await second.acquire()
    second.release()


async def test_other_folders_are_free(tmp_path: Path) -> None:
    first, second = SupervisorLock(tmp_path / "a" / "run"), SupervisorLock(tmp_path / "b" / "run")
    await first.acquire()
    await second.acquire()
    first.release()
    second.release()


async def test_the_roles_of_a_killed_supervisor_are_waited_for(tmp_path: Path) -> None:
    killed, following = SupervisorLock(tmp_path / "run"), SupervisorLock(tmp_path / "run")
    await killed.acquire()
    role = await asyncio.create_subprocess_exec("cat", stdin=PIPE, pass_fds=(killed.descriptor,))
    killed.release()
    with pytest.raises(ConfigError, match="still run"):
        await following.acquire(patience=0.0)
    following.release()
    await role.communicate()
    await following.acquire(patience=0.0)
    following.release()


async def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigError, match="data_dir"):
        await SupervisorLock(tmp_path / "data" / "run").acquire()
