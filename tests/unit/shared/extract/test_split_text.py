"""Whole uploads are in ``test_split_pictures``; here are the bounds of what waits for a piece that is missing."""

from __future__ import annotations

import base64

from shared.extract.budget import finished
from shared.extract.split_text import MAX_AHEAD, SplitText
from shared.extract.text_pieces import Piece, Place
from tests.websocket_ends import png

PNG = png(b"text")
LONG = b"a" * 300  # so that no number may be taken for a size

PLACE = Place(before=b'"d":"')


def piece(number: int, content: bytes, media_type: str = "") -> Piece:
    text = base64.b64encode(content)
    head = b'{"seq":%d,"d":"' % number
    end = len(head) + len(text)
    return Piece(data=head + text + b'"}', start=len(head), end=end, place=PLACE, media_type=media_type)


def begun() -> SplitText:
    first = piece(0, PNG[:200], "image/png")
    text = SplitText(first, 0.0)
    finished(text.add(first))
    return text


def test_a_piece_that_never_comes_is_not_waited_for_for_ever() -> None:
    text = begun()
    for number in range(2, MAX_AHEAD + 2):
        finished(text.add(piece(number, LONG)))
    assert text.collected() == PNG[:200]
    assert text.size > 200 + 300 * MAX_AHEAD
    finished(text.add(piece(MAX_AHEAD + 2, b"end")))
    assert text.collected() == PNG[:200] + LONG * MAX_AHEAD + b"end"


def test_a_piece_sent_again_is_dropped() -> None:
    text = begun()
    for number in (1, 1, 2, 1, 2):
        finished(text.add(piece(number, b"%03d" % number)))
    assert text.collected() == PNG[:200] + b"001002"
    assert text.is_repeated(piece(0, PNG[:200], "image/png"))
    assert not text.is_repeated(piece(9, PNG[:200], "image/png"))


def test_what_follows_the_end_is_left_out() -> None:
    first = piece(0, PNG, "image/png")
    text = SplitText(first, 0.0)
    finished(text.add(first))
    assert text.is_whole
    finished(text.add(piece(1, b"more")))
    assert text.collected() == PNG


def test_a_piece_as_short_as_its_number_is_not_taken_for_the_next() -> None:
    text = begun()
    for number, content in ((3, b"ccc"), (4, b"ddd"), (1, b"aaa"), (2, b"bbb")):
        finished(text.add(piece(number, content)))
    assert text.collected() == PNG[:200] + b"aaabbbcccddd"
