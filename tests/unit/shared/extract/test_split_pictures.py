from __future__ import annotations

import io
from itertools import pairwise

import pytest
from PIL import Image

from shared.extract.budget import WINDOW, Steps
from shared.extract.split_pictures import Joined, SplitPictures
from tests.unit.shared.extract.pictures import TIFF

LIMIT = 1 << 20


def picture(kind: str, **options: object) -> bytes:
    """A real picture: its structure is what is tested."""
    noise = Image.effect_noise((90, 70), 60).convert("P" if kind == "GIF" else "RGB")
    out = io.BytesIO()
    noise.save(out, kind, **options)
    return out.getvalue()


def frames() -> bytes:
    pictures = [Image.effect_noise((60, 50), 20 * number + 20).convert("P") for number in range(3)]
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], comment=b"a comment")
    return out.getvalue()


WHOLE = {
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "progressive": picture("JPEG", progressive=True, exif=b"Exif\0\0" + b"\xff\xd9" * 9),
    "gif": picture("GIF"),
    "animated": frames(),
    "webp": picture("WEBP"),
    "bmp": picture("BMP"),
}


def run(steps: Steps[Joined]) -> Joined:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Joined = done.value
            return result


def feed(split: SplitPictures, *pieces: bytes) -> list[Joined]:
    return [run(split.add(piece, is_text=False)) for piece in pieces]


def cut(data: bytes, size: int) -> list[bytes]:
    edges = [0, *range(40, len(data), size), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_judged_at_once(kind: str) -> None:
    split = SplitPictures(LIMIT)
    assert feed(split, WHOLE[kind]) == [Joined(now=WHOLE[kind])]
    assert split.finish() is None


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_last_message_brings_the_whole_picture(kind: str, size: int) -> None:
    pieces = cut(WHOLE[kind], size)
    split = SplitPictures(LIMIT)
    joined = feed(split, *pieces)
    assert joined[0] == Joined(now=pieces[0], early=True)
    assert [each.now for each in joined[1:-1]] == pieces[1:-1]
    assert joined[-1] == Joined(now=WHOLE[kind])
    assert split.finish() is None


def test_text_in_between_is_no_part() -> None:
    first, second = cut(WHOLE["png"], len(WHOLE["png"]))
    split = SplitPictures(LIMIT)
    assert feed(split, first) == [Joined(now=first, early=True)]
    assert run(split.add(b'{"sent": 40}', is_text=True)) == Joined(now=b'{"sent": 40}')
    assert feed(split, second) == [Joined(now=WHOLE["png"])]


def test_what_is_no_picture_is_judged_as_it_is() -> None:
    split = SplitPictures(LIMIT)
    assert feed(split, b"hello", TIFF) == [Joined(now=b"hello"), Joined(now=TIFF)]


def test_another_picture_ends_the_one_before() -> None:
    split = SplitPictures(LIMIT)
    begun = WHOLE["png"][:60]
    joined = feed(split, begun, WHOLE["jpeg"])
    assert joined == [Joined(now=begun, early=True), Joined(now=WHOLE["jpeg"], later=begun)]


def test_what_never_becomes_whole_is_given_out_at_the_end() -> None:
    split = SplitPictures(LIMIT)
    feed(split, WHOLE["gif"][:60], WHOLE["gif"][60:90])
    assert split.finish() == WHOLE["gif"][:90]


def test_what_is_collected_is_bounded() -> None:
    split = SplitPictures(100)
    endless = b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT" + bytes(60)
    assert feed(split, endless, bytes(50), b"more") == [
        Joined(now=endless, early=True),
        Joined(now=bytes(50), too_large=True),
        Joined(now=b"more"),
    ]
    assert feed(split, endless * 2) == [Joined(now=endless * 2, too_large=True)]


def test_no_step_takes_in_more_than_a_window() -> None:
    """A message may have as many bytes as are held of one."""
    head = b"BM" + (LIMIT // 2 + 300).to_bytes(4, "little") + bytes(8) + b"\x28\0\0\0" + b"\x01\0\0\0" * 2
    begin = head + b"\x01\0\x18\0" + bytes(272)
    split = SplitPictures(LIMIT)
    assert [joined.early for joined in feed(split, begin)] == [True]
    steps = sum(1 for _ in split.add(bytes(LIMIT // 2), is_text=False))
    assert steps >= LIMIT // 2 // WINDOW - 1
    assert split.finish() is None, "it was whole"
