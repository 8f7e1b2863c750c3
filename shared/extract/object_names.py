"""Which of an application's objects a request or its reply names, by the catalogue's selectors: pure."""

from __future__ import annotations

from typing import Final

from shared.extract.ranges import address_in
from shared.extract.selecting import Message
from shared.types import Actor, HttpHead, IdScope, ObjectName, Role, Selection, Selector, Source

MAX_OBJECTS: Final = 1000
"""Objects that one message names at most; the largest batch calls have as many (Dropbox, S3)."""


SESSION_SCOPE: Final = "session"
"""Stands for what an upload's session id belongs to, so that it is never taken for an object's."""

ANY_APP: Final = "url"
"""Stands for the application of an object that is known by its address: that may be another one's storage."""


def object_names(
    selection: Selection, role: Role, request: Message, reply: Message | None, actor: Actor
) -> tuple[ObjectName, ...]:
    """Return the objects of ``role`` (``OBJECT`` or ``BECOMES``), those of all its selectors, each once."""
    scope = _scope(selection.ids, request.message.head, actor)
    names = (
        _name(selection.app, scope, selector, value)
        for selector in selection.select.get(role, ())
        if (source := reply if selector.reply else request) is not None
        for value in source.values(selector)[:MAX_OBJECTS]
        if value.strip("/")
    )
    return tuple(dict.fromkeys(names))[:MAX_OBJECTS]


def session_names(selection: Selection, request: Message) -> tuple[ObjectName, ...]:
    """Return what an object is known by while it is uploaded in several requests: its session."""
    names = (
        ObjectName(app=selection.app, id=value, scope=SESSION_SCOPE)
        for selector in selection.select.get(Role.SESSION, ())
        for value in request.values(selector)[:MAX_OBJECTS]
        if value
    )
    return tuple(dict.fromkeys(names))[:MAX_OBJECTS]


def address_name(value: str, head: HttpHead) -> ObjectName | None:
    """Return the object that is uploaded to an address in the reply to ``head``, None where it is no address."""
    address = address_in(value, head)
    return None if address is None else ObjectName(app=ANY_APP, id=address)


def _name(app: str, scope: str, selector: Selector, value: str) -> ObjectName:
    if selector.source is Source.URL:
        return ObjectName(app=ANY_APP, id=value)
    # A path and an id in a header may differ in the first slash alone ("/bucket/key" in x-amz-copy-source).
    return ObjectName(app=app, id=value.lstrip("/"), scope=scope)


def _scope(ids: IdScope, head: HttpHead, actor: Actor) -> str:
    match ids:
        case IdScope.HOST:
            return head.host
        case IdScope.USER:
            return actor.user or actor.ip
        case IdScope.APP:
            return ""
