"""ZIP archives: honest, damaged, hostile."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from shared.errors import ErrorCode
from tests.container_factories import JPEG, PNG, make_docx, make_zip
from tests.unit.workers.unpacking.walks import codes, limits_hit, paths, walk
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.zip_archive import central_entries, local_entries

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_members_come_out(method: int) -> None:
    archive = make_zip({"a.png": PNG, "x/b.jpg": JPEG, "notes.txt": b"text"}, method)
    out = walk(archive)
    assert paths(out) == ["a.png", "x/b.jpg"]
    assert [found.data for found in out.found] == [PNG, JPEG]


def test_pictures_of_a_document_have_their_places() -> None:
    archive = make_zip({"mail/report.docx": make_docx(PNG, JPEG)})
    assert paths(walk(archive)) == [
        "mail/report.docx/word/media/image1.png",
        "mail/report.docx/word/media/image2.png",
    ]


def test_a_picture_in_several_places_is_one() -> None:
    assert paths(walk(make_zip({"a.png": PNG, "b.png": PNG}))) == ["a.png"]


def test_what_stands_before_an_archive_does_not_hide_it() -> None:
    assert paths(walk(PNG + make_zip({"b.jpg": JPEG}))) == ["b.jpg"]
    assert paths(walk(b"MZ" + bytes(1000) + make_zip({"b.jpg": JPEG}))) == ["bytes@1002/b.jpg"]


def test_sizes_that_are_only_told_afterwards_do_not_matter() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", PNG)
        archive.writestr("b.jpg", JPEG)
    assert paths(walk(bytes(pipe.written))) == ["a.png", "b.jpg"]
    cut = bytes(pipe.written[: pipe.written.rfind(b"PK\x01\x02")])
    assert [entry.name for entry in local_entries(cut)] == ["a.png", "b.jpg"]


def test_zip64_fields_are_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("a.png", "w", force_zip64=True) as member:
        member.write(PNG)
    assert paths(walk(file.getvalue())) == ["a.png"]


def test_encrypted_entries_are_told_and_the_others_read() -> None:
    archive = bytearray(make_zip({"secret.png": JPEG, "a.png": PNG}))
    local, central = archive.find(b"PK\x03\x04"), archive.find(b"PK\x01\x02")
    archive[local + 6] |= 1
    archive[central + 8] |= 1
    out = walk(bytes(archive))
    assert codes(out) == [ErrorCode.ENCRYPTED]
    assert [found.path for found in out.found] == ["a.png"]


def test_an_archive_without_its_directory_is_truncated_and_read_all_the_same() -> None:
    archive = make_zip({"a.png": PNG, "b.jpg": JPEG})
    out = walk(archive[: archive.find(b"PK\x01\x02")])
    assert codes(out) == [ErrorCode.TRUNCATED]
    assert [found.path for found in out.found] == ["a.png", "b.jpg"]


def test_an_unknown_method_is_opaque() -> None:
    archive = bytearray(make_zip({"a.png": PNG}))
    struct.pack_into("<H", archive, archive.find(b"PK\x01\x02") + 10, 97)
    assert codes(walk(bytes(archive))) == [ErrorCode.OPAQUE]


def test_a_damaged_member_fails_alone() -> None:
    archive = bytearray(make_zip({"a.png": PNG, "b.jpg": JPEG}))
    archive[35:45] = b"\xff" * 10
    out = walk(bytes(archive))
    assert codes(out) == [ErrorCode.CORRUPT]
    assert [found.path for found in out.found] == ["b.jpg"]


def overlapping(entries: int, size: int) -> bytes:
    """Return an archive whose entries all stand for the same compressed bytes (Fifield 2019)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(size)) + packer.flush()
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(packed), size, 1, 0) + b"a"
    head = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(packed), size, 1, 0, 0, 0, 0, 0, 0)
    directory = (head + b"a") * entries
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), len(local) + len(packed), 0)
    return local + packed + directory + end


def test_overlapping_entries_are_charged_each_time() -> None:
    out = walk(overlapping(2000, 1 << 20))
    assert (codes(out), limits_hit(out)) == ([ErrorCode.OVER_BUDGET], [Limit.RATIO])


def test_archives_in_archives_end_at_the_depth_and_the_entries() -> None:
    data = make_zip({f"{number}.png": PNG + bytes([number]) for number in range(16)})
    for _ in range(12):
        data = make_zip({f"{number}.zip": data for number in range(2)}, zipfile.ZIP_DEFLATED)
    deep = walk(data, Limits(max_depth=4, seconds=60.0))
    assert {*limits_hit(deep)} == {Limit.DEPTH}
    wide = walk(data, Limits(max_depth=40, max_entries=200, seconds=60.0))
    assert limits_hit(wide) == [Limit.ENTRIES]


def test_what_was_found_before_the_budget_is_spent_stays() -> None:
    archive = make_zip({"a.png": PNG, "zeros.bin": bytes(40 << 20), "b.jpg": JPEG})
    out = walk(archive)
    assert [found.path for found in out.found] == ["a.png"]
    assert limits_hit(out) == [Limit.RATIO]


def test_images_are_bounded() -> None:
    archive = make_zip({f"{number}.png": PNG + bytes([number]) for number in range(5)})
    out = walk(archive, Limits(max_images=3))
    assert (len(out.found), limits_hit(out)) == (3, [Limit.IMAGES])


def test_a_directory_that_points_nowhere_is_an_error() -> None:
    archive = bytearray(make_zip({"a.png": PNG}))
    struct.pack_into("<I", archive, archive.find(b"PK\x01\x02") + 42, 1 << 30)
    with pytest.raises(ValueError, match="nowhere"):
        list(central_entries(bytes(archive)))
    assert codes(walk(bytes(archive))) == [ErrorCode.CORRUPT]
