"""Goes through a container and everything nested in it, and hands out the pictures.

The walk decides by first bytes what something is, never by its name or declared type.  What is neither a picture nor a
container (XML, HTML, a mail, an OLE stream) is searched for pictures and containers with the proxy's own means
(``shared.extract``).  A picture is read a second time where a container lies behind or inside it: a JPEG that is a ZIP
as well is both.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.errors import ErrorCode
from shared.extract import pipeline
from shared.extract.budget import Steps, finished
from shared.extract.sniff import SNIFF_BYTES, sniff, sniff_container
from shared.types import Direction, HttpHead, HttpMessage
from workers.unpacking.budget import Budget, BudgetSpentError, Limit, Limits
from workers.unpacking.names import inside

_SEARCH: Final = pipeline.Limits(
    # The walk's own budget bounds these; the proxy's figures are for one message.
    max_images=10_000,
    max_base64_candidates=10_000_000,
    max_problems=8,
)
_HEAD: Final = HttpHead(method="POST", scheme="", host="", port=0, path="")
_PDF: Final = re.compile(rb"%PDF-[12]\.[0-9]")
_END_OF_ZIP: Final = b"PK\x05\x06"
_ZIP_TAIL: Final = 22 + 0xFFFF
_SEVEN_ZIP: Final = b"7z\xbc\xaf\x27\x1c"
_RAR: Final = b"Rar!\x1a\x07"
COMPARED_BYTES: Final = 1 << 20
"""A file's, up to which it is compared with a magic number everywhere at once."""
_NAMELESS: Final = "content"
"""What a compressed picture is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A picture's file and its path inside the container."""

    path: str
    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What could not be read, by its path (empty: the container itself); ``limit`` where one was hit."""

    path: str
    code: ErrorCode
    message: str
    limit: Limit | None = None


type Opener = Callable[[Walk, bytes, str, int], None]


class Walk:
    """One container's walk; ``take`` is handed what is found as it is found."""

    def __init__(
        self,
        size: int,
        limits: Limits,
        openers: dict[str, Opener],
        take: Callable[[Found | Unread], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = Budget(limits, size, clock)
        self._openers = openers
        self._take = take
        self._digests: set[str] = set()
        self._problems = 0
        self._doubted: str | None = None

    def run(self, data: bytes) -> None:
        """Walk; any bytes give pictures and problems.  Raises nothing but MemoryError."""
        try:
            self.visit(data, "", 0)
        except BudgetSpentError as spent:
            self._take(Unread(path="", code=ErrorCode.OVER_BUDGET, message=str(spent), limit=spent.limit))

    def problem(self, code: ErrorCode, path: str, message: str, limit: Limit | None = None) -> None:
        """Report what could not be read; that a second reading is none is no problem."""
        if path == self._doubted and code in (ErrorCode.CORRUPT, ErrorCode.TRUNCATED):
            return
        self._problems += 1
        if self._problems <= self.budget.limits.max_problems:
            self._take(Unread(path=path, code=code, message=" ".join(message.split())[:200], limit=limit))

    def image(self, data: bytes, path: str) -> None:
        """Hand out a picture, each once."""
        digest = hashlib.sha256(data).hexdigest()
        if digest in self._digests:
            return
        self.budget.spend_image(len(data))
        self._digests.add(digest)
        self._take(Found(path=path or _NAMELESS, data=data, sha256=digest))

    def member(self, chunks: Iterable[bytes], path: str, depth: int) -> None:
        """Read a member, each chunk charged as it comes out, and take it for what it is."""
        self.visit(b"".join(self.charged(chunks)), path, depth + 1)

    def charged(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Charge what passes; raises BudgetSpentError."""
        for chunk in chunks:
            self.budget.spend_inflated(len(chunk))
            yield chunk

    def visit(self, data: bytes, path: str, depth: int) -> None:
        """Take bytes for what they are."""
        self.budget.spend_entry()
        head = data[:SNIFF_BYTES]
        kind = sniff_container(head)
        if sniff(head) is not None:
            if depth:
                self.image(data, path)
            for second, at in second_readings(data):
                self._doubted = path
                self._open(second, data[at:], path, depth)
                self._doubted = None
        elif kind is not None:
            self._open(kind, data, path, depth)
        else:
            self._search(data, path, depth)

    def finish[T](self, steps: Steps[T]) -> T:
        """Return what a computation returns, as long as there is time; raises BudgetSpentError."""
        return finished(steps, self.budget.tick)

    def _open(self, kind: str, data: bytes, path: str, depth: int) -> None:
        if depth > self.budget.limits.max_depth:
            message = f"more than {self.budget.limits.max_depth} containers inside each other"
            self.problem(ErrorCode.OVER_BUDGET, path, message, Limit.DEPTH)
            return
        opener = self._openers.get(kind)
        if opener is None:
            self.problem(ErrorCode.OPAQUE, path, f"{kind} is not opened")
            return
        try:
            opener(self, data, path, depth)
        except (BudgetSpentError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - hostile bytes meet four libraries here
            self.problem(ErrorCode.CORRUPT, path, f"{kind} cannot be read: {type(error).__name__} {error}")

    def _search(self, data: bytes, path: str, depth: int) -> None:
        """Look for pictures and containers in what has no structure that is known here."""
        message = HttpMessage(head=_HEAD, body=data, direction=Direction.OUTBOUND)
        found = self.finish(pipeline.extract_steps(message, _SEARCH))
        for problem in found.problems:
            if problem.code is not ErrorCode.OPAQUE or problem.locator != "body":
                self.problem(problem.code, inside(path, problem.locator, 0), problem.message)
        for number, part in enumerate(found.parts, start=1):
            place = inside(path, part.name or part.locator, number)
            self.budget.spend_inflated(len(part.data))
            if depth > self.budget.limits.max_depth:
                self.image(part.data, place)
            else:
                self.visit(part.data, place, depth + 1)


def second_readings(data: bytes) -> list[tuple[str, int]]:
    """Return what else a picture's file may be read as, and where that begins: a polyglot, or a file hidden behind."""
    found = []
    if _may_hold(data, _END_OF_ZIP) and data.rfind(_END_OF_ZIP, max(0, len(data) - _ZIP_TAIL)) >= 0:
        found.append(("zip", 0))
    if _may_hold(data, b"%PDF") and (pdf := _PDF.search(data)) is not None:
        found.append(("pdf", pdf.start()))
    for kind, magic in (("7z", _SEVEN_ZIP), ("rar", _RAR)):
        if _may_hold(data, magic) and (at := data.find(magic)) >= 0:
            found.append((kind, at))
    return found


def _may_hold(data: bytes, magic: bytes) -> bool:
    """Tell whether ``magic`` has to be looked for: of a photograph of 60 KB it takes a quarter of the time to tell.

    Its first three bytes are compared everywhere at once, which takes three times the memory of a file.
    """
    if len(data) > COMPARED_BYTES:
        return True
    each = np.frombuffer(data, np.uint8)
    first, second, third = magic[:3]
    return bool(((each[:-2] == first) & (each[1:-1] == second) & (each[2:] == third)).any())
