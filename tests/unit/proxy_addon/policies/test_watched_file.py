from pathlib import Path

import pytest

from proxy_addon.policies import watched_file
from proxy_addon.policies.watched_file import WatchedFile
from shared.errors import ConfigError


def number(text: str) -> int:
    if not text.isdigit():
        raise ConfigError("not a number")
    return int(text)


@pytest.mark.error_logs("what was read last stays in force")
async def test_a_change_is_read_and_a_bad_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    file = WatchedFile("some.setting", path, number)
    assert file.current() == 1
    assert not await file.poll()
    path.write_text("22")
    assert await file.poll()
    assert file.current() == 22
    path.write_text("nonsense")
    assert not await file.poll()
    assert not await file.poll()  # said once
    path.unlink()
    assert not await file.poll()
    assert not await file.poll()
    assert file.current() == 22
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert "some.setting" in errors[0]
    assert "not a number" in errors[0]
    path.write_text("333")
    assert await file.poll()
    assert file.current() == 333


@pytest.mark.parametrize("content", [None, "nonsense", b"\xff"])
def test_at_the_start_a_bad_file_is_an_error_that_names_setting_and_file(
    tmp_path: Path, content: str | bytes | None
) -> None:
    path = tmp_path / "number"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=rf"some\.setting.*{path}"):
        WatchedFile("some.setting", path, number)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "number"
    with path.open("wb") as file:
        file.truncate(watched_file.FILE_MOST + 1)
    with pytest.raises(ConfigError, match="larger than"):
        WatchedFile("some.setting", path, number)
