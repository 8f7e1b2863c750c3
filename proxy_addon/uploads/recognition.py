"""Which requests are steps of an upload: the application's rules say so, else the protocols that any host may speak.

``protocols/*.toml`` has the format of the catalogue.  A protocol's rule is only about the steps: what application and
activity a request is remains the catalogue's word.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Protocol

from shared.core.activity import Catalogue
from shared.types import Direction, HttpHead, Selection


class Rules(Protocol):
    """Says what the rule for a request selects: a catalogue."""

    def selection(self, head: HttpHead, direction: Direction) -> Selection | None:
        """Return the rule's selectors; None where no rule fits."""
        ...


def load_protocols() -> Catalogue:
    """Read the protocols that ship with the program.  Raises ConfigError naming the file and the key."""
    folder = files("proxy_addon") / "protocols"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".toml")}
    return Catalogue.from_toml(texts)


class Recognition:
    """Tells steps of uploads from other requests, by their heads."""

    def __init__(self, rules: Rules, protocols: Rules) -> None:
        self._rules = rules
        self._protocols = protocols

    def selection(self, head: HttpHead) -> Selection | None:
        """Return what to select from a request that may be a step, None for any other."""
        for rules in (self._rules, self._protocols):
            found = rules.selection(head, Direction.OUTBOUND)
            if found is not None and found.step is not None:
                return found
        return None
