from __future__ import annotations

from collections.abc import Sequence

from shared.core.selectors import parse_selector
from shared.extract.budget import Limits
from shared.extract.object_names import ANY_APP, MAX_OBJECTS, address_name, object_names, session_names
from shared.extract.selecting import Message, open_message
from shared.types import Direction, Headers, HttpMessage, IdScope, ObjectName, Role, Selection
from tests.factories import make_actor, make_head
from tests.unit.shared.extract.pictures import run


def opened(body: bytes = b"", headers: Headers = (), **groups: str) -> Message:
    message = HttpMessage(head=make_head(headers=headers, query="v=1"), body=body, direction=Direction.OUTBOUND)
    return run(open_message(message, groups, Limits()))


def names(
    *selectors: str,
    request: Message,
    reply: Message | None = None,
    ids: IdScope = IdScope.APP,
    role: Role = Role.OBJECT,
    user: str = "u1",
) -> list[ObjectName]:
    parsed = tuple(parse_selector(text, role) for text in selectors)
    selection = Selection(app="drive", ids=ids, select={role: parsed})
    return list(object_names(selection, role, request, reply, make_actor(user=user, ip="192.0.2.7")))


def ids_of(found: Sequence[ObjectName]) -> list[str]:
    return [name.id for name in found]


def test_all_selectors_count_each_id_once() -> None:
    request = opened(b'{"ids": ["a", "b", "a", ""]}', id="b")
    assert ids_of(names("path:id", "json:$.ids[*]", request=request)) == ["b", "a"]
    assert names("json:$.missing", request=request) == []


def test_the_reply_names_what_was_made() -> None:
    request, reply = opened(), opened(b'{"id": "new"}', (("location", "/x"),))
    assert ids_of(names("reply.json:$.id", request=request, reply=reply)) == ["new"]
    assert names("reply.json:$.id", request=request) == []
    assert ids_of(names("reply.json:$.id", request=request, reply=reply, role=Role.BECOMES)) == ["new"]


def test_ids_that_are_not_unique_in_the_app_have_a_scope() -> None:
    request = opened(key="a/b")
    scopes = [names("path:key", request=request, ids=ids)[0].scope for ids in IdScope]
    assert scopes == ["", "files.vendor.example", "u1"]
    assert names("path:key", request=request, ids=IdScope.USER, user="")[0].scope == "192.0.2.7"


def test_a_key_and_its_path_are_the_same_object() -> None:
    request = opened(b"", (("x-copy-source", "/bucket/key"),), key="bucket/key")
    assert len(names("path:key", "header:x-copy-source", request=request)) == 1


def test_an_address_is_known_whatever_the_application() -> None:
    (name,) = names("url", request=opened())
    assert name == ObjectName(app=ANY_APP, id="files.vendor.example/upload?v=1")
    assert address_name("https://files.vendor.example/upload?v=1", make_head()) == name
    assert address_name("no address", make_head()) is None


def test_objects_are_bounded() -> None:
    many = b'{"ids": [' + b",".join(b"%d" % number for number in range(MAX_OBJECTS + 5)) + b"]}"
    assert len(names("json:$.ids[*]", request=opened(many))) == MAX_OBJECTS


def test_a_session_is_no_object() -> None:
    selector = parse_selector("path:id", Role.SESSION)
    selection = Selection(app="drive", select={Role.SESSION: (selector,)})
    (session,) = session_names(selection, opened(id="7"))
    (named,) = names("path:id", request=opened(id="7"))
    assert (session.app, session.id) == (named.app, named.id)
    assert session != named
