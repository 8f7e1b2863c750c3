"""Tar archives of every flavour, whole and damaged."""

from __future__ import annotations

import tarfile

import pytest

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_tar
from tests.unit.workers.unpacking.walks import codes, paths, walk
from workers.unpacking.tar import members

LONG = "folder-" * 20 + "/" + "name-" * 30 + ".png"


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_come_out(kind: int) -> None:
    assert paths(walk(make_tar({"a.png": PNG, "x/b.jpg": JPEG, "notes.txt": b"text"}, kind))) == ["a.png", "x/b.jpg"]


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read(kind: int) -> None:
    (member,) = members(make_tar({LONG: PNG}, kind))
    assert member.name == LONG


def test_what_lies_outside_is_named_inside() -> None:
    assert paths(walk(make_tar({"../../a.png": PNG, "/b.jpg": JPEG}))) == ["a.png", "b.jpg"]


def test_a_declared_size_is_not_believed() -> None:
    archive = bytearray(make_tar({"a.png": PNG}, tarfile.USTAR_FORMAT))
    archive[124:136] = b"\x80" + (1 << 62).to_bytes(11)
    archive[148:156] = b"%06o\0 " % (sum(archive[:148]) + 8 * 32 + sum(archive[156:512]))
    out = walk(bytes(archive))
    assert codes(out) == [ErrorCode.TRUNCATED]
    assert [found.path for found in out.found] == ["a.png"]


def test_a_cut_archive_gives_what_is_there() -> None:
    out = walk(make_tar({"a.png": PNG, "b.jpg": JPEG})[: 512 + 1024 + len(PNG) // 512 * 512 + 1100])
    assert [found.path for found in out.found][:1] == ["a.png"]


def test_a_damaged_header_is_corrupt() -> None:
    archive = bytearray(make_tar({"a.png": PNG, "b.jpg": JPEG}, tarfile.USTAR_FORMAT))
    second = 512 + -(-len(PNG) // 512) * 512
    archive[second] ^= 0xFF
    out = walk(bytes(archive))
    assert ([found.path for found in out.found], codes(out)) == (["a.png"], [ErrorCode.CORRUPT])
