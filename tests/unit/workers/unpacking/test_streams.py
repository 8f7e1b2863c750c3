"""Compressed single files."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest
import zstandard

from shared.errors import ErrorCode
from tests.container_factories import PNG, make_tar
from tests.unit.workers.unpacking.walks import codes, limits_hit, paths, walk
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.streams import inner_path

CODERS = [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
NAMES = ["gzip", "bzip2", "xz", "zstd"]


@pytest.mark.parametrize("compress", CODERS, ids=NAMES)
def test_a_picture_and_an_archive_come_out(compress: Callable[[bytes], bytes]) -> None:
    assert paths(walk(compress(PNG))) == ["content"]
    assert paths(walk(compress(make_tar({"a/b.png": PNG})))) == ["a/b.png"]


@pytest.mark.parametrize("compress", CODERS, ids=NAMES)
def test_a_file_that_is_cut_is_truncated(compress: Callable[[bytes], bytes]) -> None:
    assert codes(walk(compress(PNG * 20)[:-20])) == [ErrorCode.TRUNCATED]


@pytest.mark.parametrize("compress", CODERS[:3], ids=NAMES[:3])
def test_streams_behind_each_other_are_one_file(compress: Callable[[bytes], bytes]) -> None:
    halves = compress(PNG[:100]) + compress(PNG[100:])
    (found,) = walk(halves).found
    assert found.data == PNG


@pytest.mark.parametrize("compress", CODERS, ids=NAMES)
def test_a_bomb_is_over_budget(compress: Callable[[bytes], bytes]) -> None:
    out = walk(compress(bytes(40 << 20)))
    assert (codes(out), limits_hit(out)) == ([ErrorCode.OVER_BUDGET], [Limit.RATIO])


@pytest.mark.parametrize("compress", CODERS, ids=NAMES)
def test_damage_is_corrupt(compress: Callable[[bytes], bytes]) -> None:
    whole = bytearray(compress(PNG * 20))
    whole[40:60] = bytes(20)
    assert set(codes(walk(bytes(whole)))) <= {ErrorCode.CORRUPT, ErrorCode.TRUNCATED}


def test_a_dictionary_of_gigabytes_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    packed = lzma.LZMACompressor(filters=filters)
    out = walk(packed.compress(b"text") + packed.flush())
    assert codes(out) == [ErrorCode.OVER_BUDGET]


def test_a_quine_ends_at_the_depth() -> None:
    data = PNG
    for _ in range(12):
        data = gzip.compress(data)
    out = walk(data, Limits(max_depth=8))
    assert (codes(out), limits_hit(out)) == ([ErrorCode.OVER_BUDGET], [Limit.DEPTH])


def test_the_name_loses_its_ending() -> None:
    assert inner_path("a/logs.tar.gz") == "a/logs.tar.gz/logs.tar"
    assert inner_path("a/logs.tgz") == "a/logs.tgz/logs.tar"
    assert (inner_path("a/odd"), inner_path("")) == ("a/odd", "")
