"""Apply, list, show and delete policies: one document for the whole deployment, replaced as a whole.

The text that was applied is what is stored: what an operator sees is what he wrote, comments included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.core.policy import Policy
from shared.core.policy_file import (
    POLICIES_KEY,
    KnownNames,
    PolicyDocument,
    notes,
    pack_document,
    parse,
    unpack_document,
)
from shared.errors import StoreError, UsageError
from shared.ports import Clock, Store

EMPTY: Final = "policies: []\n"
WRITE_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What ``apply`` did: the policies now in force and what an operator should know about them."""

    policies: tuple[Policy, ...]
    notes: tuple[str, ...]
    version: int


class PolicyBook:
    """The deployment's policies."""

    def __init__(self, store: Store, clock: Clock, known: Callable[[], Awaitable[KnownNames]]) -> None:
        self._store = store
        self._clock = clock
        self._known = known

    async def apply(self, text: str) -> Applied:
        """Replace the whole list; raises PolicyError and changes nothing where the file does not validate."""
        policies = parse(text, await self._known())
        version = await self._write(lambda _: text)
        return Applied(policies=policies, notes=notes(policies), version=version)

    async def text(self) -> str:
        """Return the document in force."""
        stored = await self._store.get(POLICIES_KEY)
        return unpack_document(stored.value).text if stored else EMPTY

    async def list(self) -> tuple[Policy, ...]:
        """Return the policies in force."""
        return parse(await self.text())

    async def show(self, name: str) -> str:
        """Return one policy's own YAML; raises UsageError for an unknown name."""
        document = _load(await self.text())
        return _dump({"policies": [document["policies"][_index(document, name)]]})

    async def delete(self, name: str) -> int:
        """Remove one policy and the comment above it; raises UsageError for an unknown name."""
        return await self._write(lambda text: _without(text, name))

    async def _write(self, change: Callable[[str], str]) -> int:
        for _ in range(WRITE_ATTEMPTS):
            stored = await self._store.get(POLICIES_KEY)
            text = change(unpack_document(stored.value).text if stored else EMPTY)
            value = pack_document(PolicyDocument(text=text, applied_at=self._clock.wall()))
            version = await self._store.compare_and_set(POLICIES_KEY, stored.version if stored else None, value)
            if version is not None:
                return version
        raise StoreError("the policies are being changed by others at the same time; try again")


def _without(text: str, name: str) -> str:
    """Return the document less one policy, every other line as it was written where that can be."""
    document = _load(text)
    index = _index(document, name)
    starts = [document["policies"].lc.item(number)[0] for number in range(len(document["policies"]))]
    del document["policies"][index]
    if not document["policies"]:
        return EMPTY  # an empty block list with a comment is dumped as what is no YAML
    cut = _cut(text.splitlines(keepends=True), starts, index)
    try:
        if _load(cut) == document:
            return cut
    except YAMLError:
        pass  # an anchor has gone, or the list is written in one line
    dumped = _dump(document)
    parse(dumped)
    return dumped


def _cut(lines: list[str], starts: list[int], index: int) -> str:
    """Leave out an item of a block list, given the line each begins at, with the comment right above it."""
    begin = _with_comment(lines, starts[index])
    if index + 1 < len(starts):
        end = _with_comment(lines, starts[index + 1])
    else:
        end = len(lines)
        while lines[end - 1].strip() == "" or _is_comment(lines[end - 1]):
            end -= 1
    return "".join(lines[:begin] + lines[end:])


def _with_comment(lines: list[str], start: int) -> int:
    while start > 0 and _is_comment(lines[start - 1]):
        start -= 1
    return start


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _load(text: str) -> Any:
    return YAML(typ="rt").load(text)


def _dump(document: Any) -> str:
    out = StringIO()
    YAML(typ="rt").dump(document, out)
    return out.getvalue()


def _index(document: Any, name: str) -> int:
    names = [policy["name"] for policy in document.get("policies") or []]
    if name not in names:
        known = ", ".join(names) or "none"
        raise UsageError(f"no policy is named {name}; known: {known}")
    return names.index(name)
