"""The structure of a progressive JPEG is found, and what does not keep to it is named or left to others."""

import struct
from itertools import pairwise

import pytest

from tests.image_factories import make_file, make_picture
from workers.decoding.formats.jpeg_scans import JpegFrame, MeanScan, jpeg_frame, mean_scans

DATA = make_file(make_picture(611, 407), "JPEG", progressive=True)
FRAME = DATA.index(b"\xff\xc2")
SCAN = DATA.index(b"\xff\xda")


def frame_of(data: bytes) -> JpegFrame:
    frame = jpeg_frame(data)
    assert frame is not None
    return frame


def scans_of(data: bytes) -> list[MeanScan]:
    return list(mean_scans(data, frame_of(data)))


def test_a_picture_of_halved_colours() -> None:
    frame = frame_of(DATA)
    assert (frame.width, frame.height, frame.across, frame.down, frame.luminous) == (611, 407, 2, 2, True)
    assert [frame.blocks(component) for component in frame.components] == [(51, 77), (26, 39), (26, 39)]
    assert (frame.units((0, 1, 2)), frame.units((0,)), frame.units((1,))) == ((26, 39), (51, 77), (26, 39))


def test_the_means_are_in_two_scans_of_which_the_second_refines() -> None:
    first, second = scans_of(DATA)
    assert (first.components, first.refines, first.low) == ((0, 1, 2), False, 1)
    assert (second.components, second.refines, second.low) == ((0, 1, 2), True, 0)
    assert all(0 < step < 256 for step in first.steps)


def test_intervals_begin_where_restart_markers_were() -> None:
    data = make_file(make_picture(611, 407), "JPEG", progressive=True, restart_marker_blocks=100)
    first = scans_of(data)[0]
    assert first.interval == 100
    assert len(first.starts) == -(-26 * 39 // 100)
    assert first.starts[0] == 0
    assert all(one < other for one, other in pairwise(first.starts))


def test_what_is_stuffed_is_taken_out() -> None:
    padded = DATA.replace(DATA[SCAN:], DATA[SCAN:].replace(b"\xff\xd9", b""))
    head = SCAN + 2 + int.from_bytes(DATA[SCAN + 2 : SCAN + 4])
    data = padded[:head] + b"\xff\x00" * 9 + padded[head:] + b"\xff\xd9"
    assert scans_of(data)[0].stream.startswith(b"\xff" * 9)


@pytest.mark.parametrize(
    "data",
    [
        make_file(make_picture(), "JPEG"),
        make_file(make_picture().convert("CMYK"), "JPEG", progressive=True),
        make_file(make_picture()),
        DATA[:FRAME],
        DATA[: FRAME + 8],
        DATA[: FRAME + 4] + b"\x0c" + DATA[FRAME + 5 :],
        DATA[: FRAME + 5] + bytes(4) + DATA[FRAME + 9 :],
        DATA[: FRAME + 11] + b"\x50" + DATA[FRAME + 12 :],
    ],
    ids=["baseline", "four colours", "a PNG", "no frame", "half a frame", "12 bits", "no pixels", "5 blocks across"],
)
def test_what_is_no_plain_progressive_picture_has_no_frame(data: bytes) -> None:
    assert jpeg_frame(data) is None


@pytest.mark.parametrize(
    ("marker", "content", "complaint"),
    [
        (0xDD, b"\0", "breaks off"),
        (0xC4, b"\0\1\2", "breaks off"),
        (0xC4, b"\0" + bytes([9]) + bytes(15) + b"\1\2", "breaks off"),
        (0xCC, b"\0\0", "a part that is none"),
        (0xDC, b"\0\1", "a part that is none"),
        (0xC4, b"\0" + bytes([3]) + bytes(15) + b"\0\1\2", "without its tables"),
        (0xC4, b"\0" + bytes([1]) + bytes(15) + b"\x10", "without its tables"),
        (0xDA, b"\1\0", "not as it should be"),
        (0xDA, b"\2\1\0\0\0\0", "not as it should be"),
        (0xDA, b"\2\2\0\1\0\0\0\0", "in no order"),
        (0xDA, b"\1\7\0\0\0\0", "not in"),
    ],
)
def test_what_cannot_be_followed_is_refused(marker: int, content: bytes, complaint: str) -> None:
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    with pytest.raises(ValueError, match=complaint):
        scans_of(DATA[:SCAN] + segment + DATA[SCAN:])


def test_bytes_of_nothing_take_no_longer_than_they_are() -> None:
    assert jpeg_frame(b"\xff\xd8" + b"\xff" * 4_000_000) is None
    assert jpeg_frame(b"\xff\xd8" + b"\xff\x01" * 2_000_000) is None
    assert len(scans_of(DATA[:-2] + b"\xff" * 4_000_000 + b"\xff\xd9")) == 2


def test_a_marker_that_is_none_ends_no_scan() -> None:
    head = SCAN + 2 + int.from_bytes(DATA[SCAN + 2 : SCAN + 4])
    assert len(scans_of(DATA[: head + 90] + b"\xff\x41" + DATA[head + 92 :])) == 2
