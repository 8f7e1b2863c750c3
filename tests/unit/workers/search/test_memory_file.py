import gc

import pytest

from workers.search.memory_file import MemoryFile


def test_what_is_written_by_path_is_seen_in_memory_and_back() -> None:
    file = MemoryFile(4)
    file.map()[:] = b"abcd"
    assert file.path.read_bytes() == b"abcd"
    file.path.write_bytes(b"longer than that")
    assert bytes(file.map()) == b"longer than that"
    assert len(file) == 16


def test_bytes_are_written_at_their_places() -> None:
    file = MemoryFile(6)
    file.write(memoryview(b"def"), 3)
    file.write(memoryview(b"abc"), 0)
    assert bytes(file.map()) == b"abcdef"


@pytest.mark.parametrize("data", [b"", b"bytes"])
def test_a_file_of_bytes_holds_them(data: bytes) -> None:
    assert bytes(MemoryFile.of(data).map()) == MemoryFile.of(data).path.read_bytes() == data


def test_the_file_is_gone_with_the_object_but_not_its_mapping() -> None:
    file = MemoryFile.of(b"kept")
    path, view = file.path, file.map()
    target = path.readlink()
    del file
    gc.collect()
    assert not path.exists() or path.readlink() != target
    assert bytes(view) == b"kept"
