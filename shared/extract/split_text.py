"""One picture whose base64 comes in several pieces, in the order of their numbers where they have any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.extract.base64_text import decode, next_window, plain
from shared.extract.budget import Steps
from shared.extract.picture_walk import PictureWalk
from shared.extract.text_pieces import Piece

MAX_AHEAD: Final = 64
"""Pieces that have come before one that is missing; then it is not waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fed:
    """A piece that has been taken in; ``size`` is that of what it stands for, in bytes."""

    number: int
    size: int
    characters: int

    def is_followed_by(self, number: int, piece: Piece, *, counts_pieces: bool) -> bool:
        """Tell whether ``piece`` is the next one: numbers count pieces, or bytes before a piece or up to its end."""
        step = number - self.number
        if counts_pieces:
            return step == 1
        return step in {self.size, self.characters, piece.size, piece.size * 3 // 4}

    def numbers_pieces(self, number: int) -> bool:
        """Tell whether numbers count pieces, by that of another piece than the first, which this is.

        No offset in the picture lies before the first piece's end.
        """
        return number - self.number < self.size and self.number not in {self.size, self.characters}


class SplitText:
    """Collects the pieces that belong to a first one."""

    def __init__(self, first: Piece, now: float) -> None:
        self.place = first.place
        self.touched = now
        self.owner, self._counts = first.members()
        self.is_owned = False  # whether another piece has named the same owner
        self._characters = first.size
        self._walk = PictureWalk(first.media_type)
        self._carry = b""  # characters that are no whole byte yet
        self._pieces = 0
        self._key: bytes | None = None  # the member that numbers the pieces
        self._counts_pieces = True  # or else bytes
        self._last = _Fed(number=0, size=0, characters=0)
        self._ahead: dict[int, Piece] = {}

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._walk.size + sum(len(each.data) for each in self._ahead.values())

    @property
    def is_whole(self) -> bool:
        """Whether the picture's end has come."""
        return self._walk.is_whole

    def is_repeated(self, piece: Piece) -> bool:
        """Tell whether a piece is the first one, sent again."""
        return piece.size == self._characters and piece.members()[1] == self._counts

    def collected(self) -> bytes:
        """Return what has come of the picture; what follows a gap is left out."""
        return self._walk.collected()

    def add(self, piece: Piece) -> Steps[None]:
        """Take in a piece; one that has come before is dropped, one that comes too early waits."""
        if self.is_whole:
            return
        counts = piece.members()[1]
        if self._pieces == 1:
            self._find_key(piece)
        number = None if self._key is None else counts.get(self._key)
        if number is None or self._follows(number, piece):
            yield from self._feed(piece, number)
        elif number > self._last.number:
            self._ahead[number] = piece
        while self._ahead and not self.is_whole:
            number = min(self._ahead)
            is_next = self._follows(number, self._ahead[number])
            if not is_next and len(self._ahead) <= MAX_AHEAD:
                return
            yield from self._feed(self._ahead.pop(number), number)

    def _find_key(self, second: Piece) -> None:
        """Find what numbers the pieces: a member that is not the same for the first two of them."""
        counts = second.members()[1]
        changed = [name for name, value in counts.items() if value != self._counts.get(name, value)]
        last = {
            name: _Fed(number=self._counts[name], size=self._last.size, characters=self._last.characters)
            for name in changed
        }
        by_piece = {name: fed.numbers_pieces(counts[name]) for name, fed in last.items()}
        fits = [
            name for name, fed in last.items() if fed.is_followed_by(counts[name], second, counts_pieces=by_piece[name])
        ]
        self._key = next(iter(fits or changed), None)
        if self._key is not None:
            self._last, self._counts_pieces = last[self._key], by_piece[self._key]

    def _follows(self, number: int, piece: Piece) -> bool:
        return self._last.is_followed_by(number, piece, counts_pieces=self._counts_pieces)

    def _feed(self, piece: Piece, number: int | None) -> Steps[None]:
        before, at = self._walk.size, piece.start
        while at < piece.end and not self.is_whole:
            begin = at
            raw, at, _ = next_window(piece.data, at, piece.end)
            text = self._carry + plain(raw)
            # What follows padding begins anew: pieces may have been encoded each for itself.
            is_padded = at - begin > len(raw)
            usable = len(text) if is_padded else len(text) // 4 * 4
            self._carry = text[usable:]
            yield from self._walk.feed(decode(text[:usable]))
            yield
        if self._carry and not self.is_whole:
            yield from self._walk.try_end(decode(self._carry))  # padding may be left out
        self._pieces += 1
        size = self._walk.size - before
        self._last = _Fed(number=self._last.number if number is None else number, size=size, characters=piece.size)
