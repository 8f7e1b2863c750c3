"""Hostile YAML into a tree of values that know where they stand, within limits.

Only what a policy file needs is read: mappings with text keys, lists, text, numbers, true, false and null, as in YAML
1.2's core schema.  Tags, directives and several documents are refused, and a merge key is a key like any other.
Aliases are followed, and what they repeat is counted, so a few lines that would unfold into millions of values end at
MAX_NODES.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from shared.errors import PolicyError

MAX_BYTES: Final = 256 * 1024
"""Size of a policy file in UTF-8; a policy takes about 300 bytes."""
MAX_NODES: Final = 20_000
"""Values in a file, those that aliases repeat included; a policy has about 30."""
MAX_DEPTH: Final = 16
"""Nesting; ``policies[0].when.any[0].label.is`` is 7."""
MAX_NUMBER_LENGTH: Final = 32
"""Characters of a number: turning digits into integers takes quadratic time."""

_SHOWN: Final = 64  # characters of a name in an error message

TOP: Final = "the file"
"""Where an error stands that concerns the whole file."""

_DIRECTIVE: Final = re.compile(r"^%", re.MULTILINE)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_DECIMAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value; ``where`` is its path in the file, ``line`` counts from 1."""

    value: Scalar | tuple[Node, ...] | dict[str, Node]
    where: str
    line: int

    def fail(self, message: str) -> NoReturn:
        """Raise PolicyError for this place."""
        raise PolicyError(message, where=self.where, line=self.line)

    def mapping(self, known: Collection[str]) -> dict[str, Node]:
        """Return the keys and values; raises PolicyError on a key that is not known."""
        if not isinstance(self.value, dict):
            self.fail(f"must hold keys and values, not {self.kind}")
        for key, node in self.value.items():
            if key not in known:
                node.fail(f"unknown key {shown(key)}; {nearest(key, known)}")
        return self.value

    def items(self) -> tuple[Node, ...]:
        """Return the entries of a list that is not empty."""
        if not isinstance(self.value, tuple):
            self.fail(f"must be a list, not {self.kind}")
        if not self.value:
            self.fail("must not be empty; leave the key out")
        return self.value

    def text(self) -> str:
        """Return text that is not empty."""
        if not isinstance(self.value, str):
            self.fail(f"must be text, not {self.kind}{'; put it in quotes' if self.is_plain else ''}")
        if not self.value.strip():
            self.fail("must not be empty")
        return self.value

    def number(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fail(f"must be a number, not {self.kind}")
        if not low <= self.value <= high:
            self.fail(f"must be from {low:g} to {high:g}")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"must be true or false, not {self.kind}")
        return self.value

    def choice[T: str](self, allowed: Collection[T]) -> T:
        """Return the one of ``allowed`` that stands here."""
        chosen = next((each for each in allowed if each == self.value), None)
        if chosen is None:
            what = shown(self.value) if isinstance(self.value, str) else self.kind
            self.fail(f"must be one of {', '.join(allowed)}, not {what}")
        return chosen

    @property
    def is_plain(self) -> bool:
        """Whether this is a number, true or false, which quotes would make text."""
        return isinstance(self.value, int | float)

    @property
    def kind(self) -> str:
        """What stands here, in words."""
        if isinstance(self.value, dict):
            return "keys and values"
        if isinstance(self.value, tuple):
            return "a list"
        if self.value is None:
            return "nothing"
        return "text" if isinstance(self.value, str) else str(self.value).lower()


def shown(text: str) -> str:
    """Return text as an error message quotes it: the file may hold anything, at any length."""
    return repr(text[:_SHOWN])


def nearest(name: str, known: Collection[str]) -> str:
    """Return words that name the nearest known name."""
    # As plain text: the names of an enumeration would be told with its class.
    close = difflib.get_close_matches(name[:_SHOWN], sorted(map(str, known)), n=1, cutoff=0.0)
    return f"the nearest known one is {close[0]!r}" if close else "there are none"


def read_yaml(text: str) -> Node:
    """Return the root of a YAML document; raises PolicyError with the line where it is wrong or over a limit."""
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        raise PolicyError(f"has {size} bytes, more than {MAX_BYTES}", where=TOP)
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line = text.count("\n", 0, directive.start()) + 1
        raise PolicyError("a line that begins with % is a directive, which has no meaning here", where=TOP, line=line)
    try:
        return _Reader(text).root()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "characters that YAML does not allow"
        raise PolicyError(f"not valid YAML: {problem}", where=TOP, line=mark.line + 1 if mark else None) from error


@dataclass(slots=True)
class _Raw:
    """A value before its path is known; ``entries`` of a mapping are pairs, of a list single values."""

    line: int
    scalar: Scalar = None
    pairs: list[tuple[_Raw, _Raw]] | None = None
    entries: list[_Raw] | None = None


class _Reader:
    """Builds the tree from the parser's events: they come one by one, so depth is checked before it is built."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))
        self._anchors: dict[str, _Raw] = {}
        self._count = 0

    def root(self) -> Node:
        documents = [
            self._raw(next(self._events), depth=1) for event in self._events if isinstance(event, DocumentStartEvent)
        ]
        if len(documents) != 1:
            raise PolicyError(f"must hold one YAML document, not {len(documents)}", where=TOP)
        return self._placed(documents[0], where="", depth=1)

    def _raw(self, event: Any, depth: int) -> _Raw:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise PolicyError(f"nested more than {MAX_DEPTH} levels deep", where=TOP, line=line)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise PolicyError(f"unknown alias {shown(str(event.anchor))}", where=TOP, line=line)
            return self._anchors[event.anchor]
        if event.ctag is not None:
            raise PolicyError(f"tags such as {shown(str(event.ctag))} have no meaning here", where=TOP, line=line)
        raw = _Raw(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = raw
        if isinstance(event, ScalarEvent):
            raw.scalar = _scalar(event, line)
        elif isinstance(event, SequenceStartEvent):
            raw.entries = list(self._children(depth))
        else:
            children = list(self._children(depth))
            raw.pairs = list(zip(children[::2], children[1::2], strict=True))
        return raw

    def _children(self, depth: int) -> Iterator[_Raw]:
        for event in self._events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                return
            yield self._raw(event, depth + 1)

    def _placed(self, raw: _Raw, where: str, depth: int) -> Node:
        """Unfold aliases and say where everything stands."""
        self._count += 1
        place = where or TOP
        if self._count > MAX_NODES:
            raise PolicyError(f"holds more than {MAX_NODES} values, aliases unfolded", where=TOP, line=raw.line)
        if depth > MAX_DEPTH:  # only an alias inside its own anchor gets here
            raise PolicyError("an alias contains itself", where=TOP, line=raw.line)
        if raw.entries is not None:
            entries = (self._placed(each, f"{where}[{index}]", depth + 1) for index, each in enumerate(raw.entries))
            return Node(tuple(entries), place, raw.line)
        if raw.pairs is None:
            return Node(raw.scalar, place, raw.line)
        return Node(self._pairs(raw.pairs, where, depth), place, raw.line)

    def _pairs(self, pairs: list[tuple[_Raw, _Raw]], where: str, depth: int) -> dict[str, Node]:
        values: dict[str, Node] = {}
        for raw_key, raw_value in pairs:
            key = raw_key.scalar
            if not isinstance(key, str):
                raise PolicyError("a key must be text", where=where or TOP, line=raw_key.line)
            path = f"{where}.{key[:_SHOWN]}" if where else key[:_SHOWN]
            if key in values:
                raise PolicyError("this key is written twice", where=path, line=raw_key.line)
            values[key] = Node(self._placed(raw_value, path, depth + 1).value, path, raw_key.line)
        return values


def _scalar(event: Any, line: int) -> Scalar:
    text = str(event.value)
    plain = event.implicit[0]
    if not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if not _DECIMAL.fullmatch(text):
        return text
    if len(text) > MAX_NUMBER_LENGTH:
        raise PolicyError(f"a number of more than {MAX_NUMBER_LENGTH} characters", where=TOP, line=line)
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
