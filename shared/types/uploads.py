"""Uploads in several requests: their steps, and where the catalogue says that a step's details are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from shared.types.vocabulary import Headers


class StepKind(StrEnum):
    """What a request does in an upload."""

    START = "start"
    """Opens it; where the bytes go and under which id is in the reply."""
    PART = "part"
    """Brings bytes."""
    COMMIT = "commit"
    """Ends it: what was uploaded becomes visible.  May bring the last bytes."""
    CANCEL = "cancel"
    """Gives it up."""
    STATUS = "status"
    """Asks how much has arrived."""


class Source(StrEnum):
    """Where a selector looks."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    JSON = "json"
    XML = "xml"
    FORM = "form"
    HEADER_JSON = "header-json"
    FORM_JSON = "form-json"
    URL = "url"
    CONTENT_RANGE = "content-range"
    BODY = "body"


class Role(StrEnum):
    """What a selected value is."""

    SESSION = "session"
    OFFSET = "offset"
    NUMBER = "number"
    LENGTH = "length"
    TOTAL = "total"
    DATA = "data"
    ORDER = "order"
    SOURCES = "sources"
    LEARN = "learn"
    OBJECT = "object"
    BECOMES = "becomes"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """One place of a value in a request or, with ``reply``, in the reply to it.

    ``name``: of the group, parameter, header, element or field.  ``keys``: the steps of a JSON path, a name, an index
    or None for every element.
    """

    source: Source
    reply: bool = False
    name: str = ""
    keys: tuple[str | int | None, ...] = ()


class IdScope(StrEnum):
    """Within what an application's object ids are unique."""

    APP = "app"
    HOST = "host"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """The request that, sent to the address of an upload's part, gives the upload up."""

    method: str
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the catalogue's rule for a request says about its details; ``groups`` are those of the rule's path."""

    app: str
    ids: IdScope = IdScope.APP
    step: StepKind | None = None
    select: Mapping[Role, tuple[Selector, ...]] = field(default_factory=lambda: MappingProxyType({}))
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadStep:
    """One step of one upload, as a request says it.

    ``session``: the upload's key, empty where only the reply gives it.  ``offset`` in bytes, or ``number``, the part's
    number or id, says where the bytes belong; where neither is known they are the upload's first.  ``total`` in bytes,
    None: not known yet.  ``span``: the bytes are ``body[span[0]:span[1]]``, None: it brings none.  ``order``: the
    numbers of the parts that the object is made of, empty: of all.  ``sources``: the keys of uploads that are joined.
    """

    kind: StepKind
    session: str = ""
    offset: int | None = None
    number: str = ""
    total: int | None = None
    span: tuple[int, int] | None = None
    order: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if min(self.offset or 0, self.total or 0) < 0:
            raise ValueError("offset and total are not negative")
