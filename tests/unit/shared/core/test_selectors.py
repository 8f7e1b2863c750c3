from __future__ import annotations

import pytest

from shared.core.selectors import check_roles, parse_selector
from shared.types import Role, Selector, Source, StepKind


@pytest.mark.parametrize(
    ("text", "role", "selector"),
    [
        ("path:id", Role.SESSION, Selector(source=Source.PATH, name="id")),
        ("query:uploadId", Role.SESSION, Selector(source=Source.QUERY, name="uploadid")),
        ("header:Upload-Offset", Role.OFFSET, Selector(source=Source.HEADER, name="upload-offset")),
        ("json:$", Role.NAME, Selector(source=Source.JSON)),
        ("json:$.files[0].id", Role.OBJECT, Selector(source=Source.JSON, keys=("files", 0, "id"))),
        ("json:$.part_ids[*]", Role.ORDER, Selector(source=Source.JSON, keys=("part_ids", None))),
        ("xml:PartNumber", Role.ORDER, Selector(source=Source.XML, name="PartNumber")),
        ("form:files[]", Role.DATA, Selector(source=Source.FORM, name="files[]")),
        ("form:a:b", Role.NAME, Selector(source=Source.FORM, name="a:b")),
        ("form-json:files:$[*].id", Role.SESSION, Selector(source=Source.FORM_JSON, name="files", keys=(None, "id"))),
        (
            "header-json:Dropbox-API-Arg:$.cursor.session_id",
            Role.SESSION,
            Selector(source=Source.HEADER_JSON, name="dropbox-api-arg", keys=("cursor", "session_id")),
        ),
        ("url", Role.SESSION, Selector(source=Source.URL)),
        ("content-range", Role.TOTAL, Selector(source=Source.CONTENT_RANGE)),
        ("body", Role.DATA, Selector(source=Source.BODY)),
        ("reply.header:Location", Role.LEARN, Selector(source=Source.HEADER, reply=True, name="location")),
        ("reply.json:$.id", Role.OBJECT, Selector(source=Source.JSON, reply=True, keys=("id",))),
        ("reply.json:$.id", Role.NUMBER, Selector(source=Source.JSON, reply=True, keys=("id",))),
    ],
)
def test_a_selector_says_where_a_value_stands(text: str, role: Role, selector: Selector) -> None:
    assert parse_selector(text, role) == selector


@pytest.mark.parametrize(
    ("text", "role", "message"),
    [
        ("cookie:id", Role.SESSION, "'cookie' is none of path, query,"),
        ("reply.query:id", Role.LEARN, "in a reply only header, header-json, json, xml"),
        ("header:x", Role.LEARN, "learn is read from the reply"),
        ("reply.header:x", Role.SESSION, "session is read from the request"),
        ("content-range", Role.SESSION, "content-range gives no session"),
        ("url", Role.OFFSET, "url gives no offset"),
        ("query:data", Role.DATA, "query gives no data"),
        ("body", Role.NAME, "body gives no name"),
        ("url:x", Role.SESSION, "url takes no name"),
        ("header", Role.SESSION, "a name is missing"),
        ("header:a:b", Role.SESSION, "a name has no colon"),
        ("json:id", Role.SESSION, r"'id' is no path such as"),
        ("json:$.a[x]", Role.SESSION, "is no path"),
        ("json:$..a", Role.SESSION, "is no path"),
        ("header-json:arg", Role.SESSION, "is no path"),
    ],
)
def test_a_slip_says_what_is_wrong(text: str, role: Role, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_selector(text, role)


URL = (Selector(source=Source.URL),)


@pytest.mark.parametrize(
    ("step", "select", "message"),
    [
        (None, {Role.SESSION: URL}, "session: a rule without a step has none"),
        (StepKind.PART, {Role.SESSION: URL, Role.ORDER: URL}, "order: a part has none"),
        (StepKind.CANCEL, {Role.SESSION: URL, Role.OFFSET: URL}, "offset: a cancel has none"),
        (StepKind.START, {Role.NAME: URL}, "learn: is missing"),
        (StepKind.COMMIT, {Role.NAME: URL}, "session: is missing"),
        (StepKind.STATUS, {}, "session: is missing"),
        (StepKind.PART, {Role.SESSION: (Selector(source=Source.PATH, name="id"),)}, "session: the path has no group"),
    ],
)
def test_roles_fit_their_step(step: StepKind | None, select: dict[Role, tuple[Selector, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_roles(step, select, frozenset({"other"}))


def test_what_is_joined_needs_no_key_of_its_own() -> None:
    check_roles(StepKind.COMMIT, {Role.SOURCES: URL}, frozenset())
    check_roles(None, {Role.OBJECT: (Selector(source=Source.PATH, name="id"),)}, frozenset({"id"}))
