from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from PIL import Image

from shared.extract import split_pictures
from shared.extract.budget import WINDOW, finished
from shared.extract.split_pictures import Joined, SplitPictures
from tests.unit.shared.extract.pictures import TIFF

LIMIT = 1 << 20


def grain(width: int, height: int, seed: int) -> Image.Image:
    """Noise that is the same in every run: how long a picture's last piece is depends on it."""
    return Image.frombytes("L", (width, height), random.Random(seed).randbytes(width * height))


def picture(kind: str, **options: object) -> bytes:
    """A real picture: its structure is what is tested."""
    noise = grain(90, 70, 0).convert("P" if kind == "GIF" else "RGB")
    out = io.BytesIO()
    noise.save(out, kind, **options)
    return out.getvalue()


def frames() -> bytes:
    pictures = [grain(60, 50, number).convert("P") for number in range(3)]
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


def feed(split: SplitPictures, *pieces: bytes) -> list[Joined]:
    return [finished(split.add(piece, is_text=False, now=0.0)) for piece in pieces]


def tell(split: SplitPictures, *texts: str, now: float = 0.0) -> list[Joined]:
    return [finished(split.add(text.encode(), is_text=True, now=now)) for text in texts]


def cut(data: bytes, size: int) -> list[bytes]:
    edges = [0, *range(40, len(data), size), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_judged_at_once(kind: str) -> None:
    split = SplitPictures(LIMIT)
    assert feed(split, WHOLE[kind]) == [Joined(now=WHOLE[kind])]
    assert split.finish() == []


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_last_message_brings_the_whole_picture(kind: str, size: int) -> None:
    pieces = cut(WHOLE[kind], size)
    split = SplitPictures(LIMIT)
    joined = feed(split, *pieces)
    assert joined[0] == Joined(now=pieces[0], early=True)
    assert [each.now for each in joined[1:-1]] == pieces[1:-1]
    assert joined[-1] == Joined(now=WHOLE[kind])
    assert split.finish() == []


def test_text_in_between_is_no_part() -> None:
    first, second = cut(WHOLE["png"], len(WHOLE["png"]))
    split = SplitPictures(LIMIT)
    assert feed(split, first) == [Joined(now=first, early=True)]
    assert finished(split.add(b'{"sent": 40}', is_text=True, now=0.0)) == Joined(now=b'{"sent": 40}')
    assert feed(split, second) == [Joined(now=WHOLE["png"])]


def test_what_is_no_picture_is_judged_as_it_is() -> None:
    split = SplitPictures(LIMIT)
    assert feed(split, b"hello", TIFF) == [Joined(now=b"hello"), Joined(now=TIFF)]


def test_another_picture_ends_the_one_before() -> None:
    split = SplitPictures(LIMIT)
    begun = WHOLE["png"][:60]
    joined = feed(split, begun, WHOLE["jpeg"])
    assert joined == [Joined(now=begun, early=True), Joined(now=WHOLE["jpeg"], later=[begun])]


def test_what_never_becomes_whole_is_given_out_at_the_end() -> None:
    split = SplitPictures(LIMIT)
    feed(split, WHOLE["gif"][:60], WHOLE["gif"][60:90])
    assert split.finish() == [WHOLE["gif"][:90]]


def test_what_is_collected_is_bounded() -> None:
    split = SplitPictures(100)
    endless = b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT" + bytes(60)
    assert feed(split, endless, bytes(50), b"more") == [
        Joined(now=endless, early=True),
        Joined(now=bytes(50), limits=[split_pictures.TOO_LARGE]),
        Joined(now=b"more"),
    ]
    assert feed(split, endless * 2) == [Joined(now=endless * 2, limits=[split_pictures.TOO_LARGE])]


def test_no_step_takes_in_more_than_a_window() -> None:
    """A message may have as many bytes as are held of one."""
    head = b"BM" + (LIMIT // 2 + 300).to_bytes(4, "little") + bytes(8) + b"\x28\0\0\0" + b"\x01\0\0\0" * 2
    begin = head + b"\x01\0\x18\0" + bytes(272)
    split = SplitPictures(LIMIT)
    assert [joined.early for joined in feed(split, begin)] == [True]
    steps = sum(1 for _ in split.add(bytes(LIMIT // 2), is_text=False, now=0.0))
    assert steps >= LIMIT // 2 // WINDOW - 1
    assert split.finish() == [], "it was whole"


def varint(number: int) -> bytes:
    return bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80,)) + varint(number >> 7)


def written(offset: int, data: bytes) -> bytes:
    """A message as of an upload service: a nested name, an offset, and bytes in a message of their own."""
    inner = b"\x0a" + varint(len(data)) + data + b"\x15sums"
    return b"\x0a\x06\x0a\x04name" + b"\x10" + varint(offset) + b"\x22" + varint(len(inner)) + inner


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("size", [30, 1000])
def test_a_field_of_protobuf_goes_on_where_it_began(kind: str, size: int) -> None:
    split, offset, messages = SplitPictures(LIMIT), 0, []
    for piece in cut(WHOLE[kind], size):
        messages.append(written(offset, piece))
        offset += len(piece)
    joined = feed(split, *messages, b"\x18\x01")
    assert [each.now for each in joined] == [*messages, b"\x18\x01"]
    assert [each.early for each in joined] == [True] + [False] * len(messages)
    assert [each.whole for each in joined[:-2]] == [[]] * (len(messages) - 1)
    assert joined[-2].whole == [WHOLE[kind]]
    assert not split.is_open


def test_a_whole_picture_in_a_field_is_found_as_it_stands() -> None:
    split = SplitPictures(LIMIT)
    message = written(0, WHOLE["png"])
    assert feed(split, message) == [Joined(now=message)]


def test_a_field_may_begin_with_the_next_picture() -> None:
    split = SplitPictures(LIMIT)
    first, second = cut(WHOLE["jpeg"], len(WHOLE["jpeg"]))
    joined = feed(split, written(0, WHOLE["png"][:60]), written(0, first), written(60, second))
    assert [each.later for each in joined] == [[], [WHOLE["png"][:60]], []]
    assert joined[2].whole == [WHOLE["jpeg"]]


def test_heads_of_the_same_length_are_left_out() -> None:
    split = SplitPictures(LIMIT)
    pieces = cut(WHOLE["png"], 2000)
    joined = feed(split, *(b"\xffpart" + bytes((number,)) + piece for number, piece in enumerate(pieces)))
    assert joined[-1].whole == [WHOLE["png"]]


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def texts(data: bytes, size: int = 400) -> list[str]:
    """Pieces of one base64."""
    text = base64_of(data)
    return [text[at : at + size] for at in range(0, len(text), size)]


TEXTS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "key": lambda pieces: [json.dumps({"type": "chunk", "data": each}) for each in pieces],
    "data URI": lambda pieces: [
        json.dumps({"data": ("" if number else "data:image/png;base64,") + each}) for number, each in enumerate(pieces)
    ],
    "socket.io": lambda pieces: [f'42["chunk",{{"i":{i},"d":"{each}"}}]' for i, each in enumerate(pieces)],
    "socket.io list": lambda pieces: [f'42["chunk","{each}"]' for each in pieces],
    "SignalR": lambda pieces: [json.dumps({"arguments": [7, {"part": each}]}) + "\x1e" for each in pieces],
    "JSON in JSON": lambda pieces: [json.dumps({"m": json.dumps({"chunk": each})}) for each in pieces],
    "bare": list,
    "numbered lines": lambda pieces: [f"part {number}/9: {each}" for number, each in enumerate(pieces)],
    "events": lambda pieces: [f"event: x\nid: {number}\ndata: {each}\n\n" for number, each in enumerate(pieces)],
    "tag": lambda pieces: [f"<m><body>{each}</body></m>" for each in pieces],
    "one event": lambda pieces: ["".join(f"data: {each}\n" for each in pieces) + "\n"],
    "one list": lambda pieces: [json.dumps([{"part": n, "data": each} for n, each in enumerate(pieces)])],
}


@pytest.mark.parametrize("way", TEXTS)
@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("size", [97, 400, 4000])
def test_base64_in_several_messages(way: str, kind: str, size: int) -> None:
    split = SplitPictures(LIMIT)
    pieces = texts(WHOLE[kind], size)
    messages = TEXTS[way](pieces)
    joined = tell(split, *messages)
    assert [each.now.decode() for each in joined] == messages
    if len(pieces) > 1:
        assert [each.whole for each in joined] == [[]] * (len(messages) - 1) + [[WHOLE[kind]]]
        assert [each.early for each in joined] == [True] + [False] * (len(messages) - 1)
    assert not split.is_open


def test_pieces_that_are_encoded_each_for_itself() -> None:
    split = SplitPictures(LIMIT)
    pieces = [WHOLE["jpeg"][at : at + 301] for at in range(0, len(WHOLE["jpeg"]), 301)]
    joined = tell(split, *(json.dumps({"d": base64_of(piece)}) for piece in pieces))
    assert joined[-1].whole == [WHOLE["jpeg"]]


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_padding_may_be_left_out(extra: int) -> None:
    picture = WHOLE["png"][:8] + extra.to_bytes(4) + b"tEXt" + bytes(extra + 4) + WHOLE["png"][8:]
    split = SplitPictures(LIMIT)
    pieces = texts(picture)
    pieces[-1] = pieces[-1].rstrip("=")
    joined = tell(split, *(json.dumps({"d": each}) for each in pieces))
    assert joined[-1].whole == [picture]


def numbered(pieces: Sequence[str], name: str, numbers: Sequence[int], file: str = "a") -> list[str]:
    """Messages as of an upload of numbered pieces."""
    return [
        json.dumps({"file": file, name: number, "total": len(pieces), "data": piece})
        for number, piece in zip(numbers, pieces, strict=True)
    ]


@pytest.mark.parametrize("name", ["index", "seq", "chunkNo", "i", "offset", "bytesOffset"])
@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4], [0, 4, 3, 2, 1], [2, 1, 0, 4, 3], [0, 1, 1, 0, 2, 3, 4]])
def test_numbered_pieces_come_in_any_order(name: str, order: list[int]) -> None:
    size = len(base64_of(WHOLE["png"])) // 5 // 4 * 4 + 4
    pieces = texts(WHOLE["png"], size)
    step = size * 3 // 4 if "offset" in name.lower() else 1
    messages = numbered(pieces, name, [step * number for number in range(5)])
    split = SplitPictures(LIMIT)
    joined = tell(split, *(messages[number] for number in order))
    assert joined[-1].whole == [WHOLE["png"]]
    assert [each.whole for each in joined[:-1]] == [[]] * (len(order) - 1)


def test_two_uploads_at_once_are_told_apart() -> None:
    messages = [numbered(texts(WHOLE[kind], 3000), "n", range(len(texts(WHOLE[kind], 3000))), kind) for kind in WHOLE]
    split = SplitPictures(LIMIT)
    first, second = messages[0], messages[1]
    mixed = [each for pair in zip(first, second, strict=False) for each in pair]
    mixed += first[len(second) :] + second[len(first) :]
    whole = [picture for each in tell(split, *mixed) for picture in each.whole]
    assert sorted(whole) == sorted([WHOLE["png"], WHOLE["jpeg"]])


def test_every_message_may_have_an_id_of_its_own() -> None:
    split = SplitPictures(LIMIT)
    pieces = texts(WHOLE["png"])
    joined = tell(split, *(json.dumps({"messageId": f"m{n}", "d": each}) for n, each in enumerate(pieces)))
    assert joined[-1].whole == [WHOLE["png"]]


def test_what_is_under_way_is_bounded_in_number_and_time() -> None:
    split = SplitPictures(LIMIT)
    begun = [json.dumps({"id": f"{number}", "d": texts(WHOLE["png"])[0]}) for number in range(5)]
    joined = tell(split, *begun)
    beginning = base64.b64decode(texts(WHOLE["png"])[0])
    assert [each.later for each in joined] == [[]] * 4 + [[beginning]]
    assert joined[-1].limits == [split_pictures.TOO_MANY]
    (late,) = tell(split, "hello", now=split_pictures.OPEN_SECONDS + 1)
    assert (late.later, late.limits) == ([beginning] * 4, [split_pictures.TOO_SLOW] * 4)
    assert not split.is_open


def test_pieces_that_begin_nothing_are_forgotten() -> None:
    split = SplitPictures(LIMIT)
    pieces = texts(WHOLE["png"], -(-len(base64_of(WHOLE["png"])) // 45))  # about as long each: short ones are no strays
    strays = numbered(pieces, "index", range(len(pieces)))
    tell(split, *strays[1:])
    kept = split_pictures.MAX_STRAYS
    joined = tell(split, strays[0])
    assert len(strays) > kept + 2
    assert joined[0].whole == []
    assert tell(split, *strays[1 : len(strays) - kept])[-1].whole == [WHOLE["png"]]
