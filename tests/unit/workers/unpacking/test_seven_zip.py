"""7z archives in every compression, locked, damaged, hostile."""

from __future__ import annotations

import struct
import zlib

import py7zr
import pytest

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_seven_zip
from tests.unit.workers.unpacking.walks import codes, limits_hit, paths, walk
from workers.unpacking.budget import Limit, Limits

FILTERS: dict[str, list[dict[str, int]]] = {
    "LZMA2": [{"id": py7zr.FILTER_LZMA2, "preset": 7}],
    "LZMA": [{"id": py7zr.FILTER_LZMA}],
    "x86": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 7}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "Deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "Zstandard": [{"id": py7zr.FILTER_ZSTD}],
    "Brotli": [{"id": py7zr.FILTER_BROTLI, "level": 5}],
    "copy": [{"id": py7zr.FILTER_COPY}],
}


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())
def test_members_come_out(filters: list[dict[str, int]]) -> None:
    out = walk(make_seven_zip({"a.png": PNG, "x/b.jpg": JPEG, "notes.txt": b"text"}, filters))
    assert paths(out) == ["a.png", "x/b.jpg"]
    assert [found.data for found in out.found] == [PNG, JPEG]


def test_a_method_that_needs_a_thread_is_opaque() -> None:
    filters = [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}]
    assert codes(walk(make_seven_zip({"a.png": PNG}, filters))) == [ErrorCode.OPAQUE]


def test_a_locked_archive_is_encrypted() -> None:
    assert codes(walk(make_seven_zip({"a.png": PNG}, password="secret"))) == [ErrorCode.ENCRYPTED]


def test_a_cut_archive_is_truncated() -> None:
    assert codes(walk(make_seven_zip({"a.png": PNG})[:-10])) == [ErrorCode.TRUNCATED]


def test_damage_is_corrupt() -> None:
    archive = bytearray(make_seven_zip({"a.png": PNG}))
    archive[-5] ^= 0xFF
    assert codes(walk(bytes(archive))) == [ErrorCode.CORRUPT]


def test_a_header_is_bounded() -> None:
    start = struct.pack("<QQI", 0, 8 << 20, 0)
    archive = b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + bytes(8 << 20)
    assert codes(walk(archive)) == [ErrorCode.OVER_BUDGET]


def test_a_bomb_is_over_budget() -> None:
    out = walk(make_seven_zip({"a.png": PNG, "zeros": bytes(40 << 20)}))
    assert ([found.path for found in out.found], limits_hit(out)) == (["a.png"], [Limit.RATIO])


def test_entries_are_bounded() -> None:
    archive = make_seven_zip({f"{number}.txt": b"text" for number in range(20)})
    assert limits_hit(walk(archive, Limits(max_entries=10))) == [Limit.ENTRIES]
