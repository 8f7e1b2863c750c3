"""Pictures that an application sends in several messages of one connection, put together again.

A picture's own structure tells where it ends, so nothing has to be known of the application: a message that holds the
beginning of a picture which is not whole opens one, and what stands in the same place of the messages after it goes on
with it.  Such a place is a whole binary message, a field of a protobuf message, all that follows a head of the same
length, or base64 behind the same key or at the beginning of a line, numbered or not.

All but the last message have to pass before the whole can be judged, since applications wait for an acknowledgement of
each: the last message is the last place to block.

Sans I/O, one object a direction of a connection; ``now`` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.extract import embedded, protobuf
from shared.extract.base64_text import MIN_RUN
from shared.extract.budget import Steps
from shared.extract.picture_walk import PictureWalk
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.extract.split_text import SplitText
from shared.extract.text_pieces import Piece, Place, pieces_at, pieces_in

MAX_OPEN: Final = 4
"""Pictures that may be under way at once, in one direction of a connection."""
OPEN_SECONDS: Final = 120.0
"""Since the last message of a picture; a phone's upload may pause for a minute."""
MAX_HEAD: Final = 4096
"""Bytes of a binary message before a picture's beginning."""
MAX_STRAYS: Final = 16
MAX_STRAY_BYTES: Final = 1 << 20
"""Numbered pieces that came before the first one of their picture."""


@dataclass(slots=True, kw_only=True)
class Joined:
    """What to judge before a message passes, and what was collected in vain.

    ``now``: the message, or in its place the picture that it completes.  ``early``: it holds the beginning of a picture
    of which more seems to come; it may still be all there is, since some encoders leave the end out.  ``whole``:
    pictures that the message completes.  ``later``: what will not become whole any more.  ``limits``: the names of
    those that were hit; what had reached ``too_large`` is given up.
    """

    now: bytes
    early: bool = False
    whole: list[bytes] = field(default_factory=list)
    later: list[bytes] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def too_large(self) -> bool:
        """Whether a picture was given up because of its size."""
        return TOO_LARGE in self.limits


TOO_LARGE: Final = "split_picture_bytes"
TOO_MANY: Final = "split_picture_count"
TOO_SLOW: Final = "split_picture_seconds"


@dataclass(slots=True, kw_only=True)
class _Raw:
    """A picture in binary messages: at a path of protobuf fields, else behind ``offset`` bytes."""

    walk: PictureWalk
    touched: float
    path: protobuf.Path = ()
    offset: int = 0
    is_split: bool = False

    @property
    def size(self) -> int:
        return self.walk.size

    def collected(self) -> bytes:
        return self.walk.collected()

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        return protobuf.values_at(data, self.path) if self.path else [(self.offset, len(data))]


class SplitPictures:
    """Collects at most ``limit`` bytes of pictures."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._raw: list[_Raw] = []
        self._texts: list[SplitText] = []
        self._strays: list[Piece] = []
        self._latest: list[_Raw | SplitText] = []  # to which the last message added

    @property
    def is_open(self) -> bool:
        """Whether more of a picture is waited for, however little it is."""
        return bool(self._raw or self._texts)

    def add(self, data: bytes, *, is_text: bool, now: float) -> Steps[Joined]:
        """Take in a message."""
        joined = Joined(now=data)
        self._latest.clear()
        self._expire(now, joined)
        is_raw = not is_text and (yield from self._add_raw(data, now, joined))
        if is_text or (
            not is_raw and len(data) >= MIN_RUN and data[:MIN_RUN].isascii() and b"\0" not in data[:MIN_RUN]
        ):
            yield from self._add_text(data, now, joined)
        self._bound(joined)
        return joined

    def drop(self) -> None:
        """Forget the pictures that the last message is a part of: it did not pass."""
        for each in self._latest:
            self._close(each)

    def finish(self) -> list[bytes]:
        """Return what was collected of pictures that will not become whole any more."""
        rest = [each.collected() for each in self._under_way()]
        self._raw, self._texts, self._strays = [], [], []
        return rest

    def _under_way(self) -> list[_Raw | SplitText]:
        return [*self._raw, *self._texts]

    def _expire(self, now: float, joined: Joined) -> None:
        old = [each for each in self._under_way() if now - each.touched > OPEN_SECONDS]
        self._give_up(old, joined, TOO_SLOW)

    def _bound(self, joined: Joined) -> None:
        """Give up what has waited longest, where too many are under way."""
        under_way = sorted(self._under_way(), key=lambda each: each.touched)
        self._give_up(under_way[: max(len(under_way) - MAX_OPEN, 0)], joined, TOO_MANY)

    def _give_up(self, given_up: Iterable[_Raw | SplitText], joined: Joined, limit: str = "") -> None:
        for each in given_up:
            joined.later.append(each.collected())
            joined.limits += [limit] if limit else []
            self._close(each)

    def _close(self, closed: _Raw | SplitText) -> None:
        self._raw = [each for each in self._raw if each is not closed]
        self._texts = [each for each in self._texts if each is not closed]

    def _has_room(self, size: int, joined: Joined) -> bool:
        if sum(each.size for each in self._under_way()) + size <= self._limit:
            return True
        joined.limits.append(TOO_LARGE)
        return False

    def _add_raw(self, data: bytes, now: float, joined: Joined) -> Steps[bool]:
        """Take in a binary message; return whether it is a picture, or goes on with one, from its first byte on."""
        media_type = sniff(data[:SNIFF_BYTES])
        if media_type is not None:
            self._give_up([each for each in self._raw if not each.path and not each.offset], joined)
            yield from self._open(_Raw(walk=PictureWalk(media_type), touched=now), data, joined)
            return True
        taken = False
        for raw in list(self._raw):
            taken |= yield from self._go_on(raw, data, now, joined)
        if taken or len(data) < embedded.SMALLEST:
            return taken
        at = yield from embedded.first(data, 0, min(len(data), MAX_HEAD))
        if at is not None:
            path = protobuf.path_to(data, at) or ()
            media_type = sniff(data[at : at + SNIFF_BYTES]) or ""
            raw = _Raw(walk=PictureWalk(media_type), touched=now, path=path, offset=0 if path else at)
            yield from self._open(raw, data, joined)
        return False

    def _open(self, raw: _Raw, data: bytes, joined: Joined) -> Steps[None]:
        spans = raw.spans(data)
        if self._has_room(sum(end - start for start, end in spans), joined):
            self._raw.append(raw)
            yield from self._feed(raw, data, spans, joined)
            joined.early |= any(each is raw for each in self._raw)

    def _go_on(self, raw: _Raw, data: bytes, now: float, joined: Joined) -> Steps[bool]:
        spans = raw.spans(data)
        if not any(end > start for start, end in spans):
            return False
        begun = sniff(data[spans[0][0] : spans[0][0] + SNIFF_BYTES]) if raw.path or raw.offset else None
        if begun is not None:
            self._give_up([raw], joined)
            yield from self._open(
                _Raw(walk=PictureWalk(begun), touched=now, path=raw.path, offset=raw.offset), data, joined
            )
        elif self._has_room(sum(end - start for start, end in spans), joined):
            raw.touched = now
            yield from self._feed(raw, data, spans, joined)
        else:
            self._close(raw)
        return True

    def _feed(self, raw: _Raw, data: bytes, spans: Iterable[tuple[int, int]], joined: Joined) -> Steps[None]:
        self._latest.append(raw)
        for start, end in spans:
            yield from raw.walk.feed(data, start, end)
        if not raw.walk.is_whole:
            raw.is_split = True
            return
        self._close(raw)
        if not (raw.path or raw.offset):
            joined.now = raw.collected()
        elif raw.is_split:  # else it is found as it stands
            joined.whole.append(raw.collected())

    def _add_text(self, data: bytes, now: float, joined: Joined) -> Steps[None]:
        if not self._texts and len(data) < MIN_RUN:
            return
        taken: set[int] = set()
        for place in {text.place for text in self._texts}:
            for piece in (yield from pieces_at(data, place)):
                taken.add(piece.start)
                yield from self._take(piece, now, joined, taken)
        if len(data) < MIN_RUN:
            return
        for piece in (yield from pieces_in(data)):
            if piece.start in taken:
                continue
            if piece.media_type:
                yield from self._begin(piece, now, joined, taken)
            else:
                self._strays.append(piece)  # of which the first one may still come
        while len(self._strays) > MAX_STRAYS or sum(len(each.data) for each in self._strays) > MAX_STRAY_BYTES:
            self._strays.pop(0)

    def _take(self, piece: Piece, now: float, joined: Joined, taken: set[int]) -> Steps[None]:
        if piece.media_type:
            yield from self._begin(piece, now, joined, taken)
            return
        text = self._text_of(piece)
        if text is None:
            return
        if not self._has_room(piece.size * 3 // 4, joined):
            self._close(text)
            return
        text.touched = now
        self._latest.append(text)
        yield from text.add(piece)
        self._complete(text, joined)

    def _text_of(self, piece: Piece) -> SplitText | None:
        owner, _ = piece.members()
        there = [each for each in self._texts if each.place == piece.place]
        same = [each for each in there if each.owner == owner]
        if same:
            same[0].is_owned = True
            return same[0]
        # Around each piece there may be an id of its own message.
        return there[0] if len(there) == 1 and not there[0].is_owned else None

    def _begin(self, piece: Piece, now: float, joined: Joined, taken: set[int]) -> Steps[None]:
        owner, _ = piece.members()
        for before in [each for each in self._texts if (each.place, each.owner) == (piece.place, owner)]:
            if before.is_repeated(piece):
                return
            self._give_up([before], joined)
        if not self._has_room(piece.size * 3 // 4, joined):
            return
        text = SplitText(piece, now)
        yield from text.add(piece)
        if text.is_whole:
            return  # found as it stands
        self._texts.append(text)
        self._latest.append(text)
        joined.early = True
        strays = [each for each in self._strays if each.place == piece.place and each.members()[0] == owner]
        self._forget(piece.place)
        beside = [each for each in (yield from pieces_at(piece.data, piece.place)) if each.start > piece.end]
        for each in strays + beside:
            if each.media_type:
                break
            taken.add(each.start)
            yield from text.add(each)
        self._complete(text, joined)

    def _complete(self, text: SplitText, joined: Joined) -> None:
        if text.is_whole:
            self._close(text)
            self._forget(text.place)
            joined.whole.append(text.collected())

    def _forget(self, place: Place) -> None:
        self._strays = [each for each in self._strays if each.place != place]
