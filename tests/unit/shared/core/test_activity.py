from __future__ import annotations

from typing import Any

import pytest

from shared.core.activity import KNOWN_HEADS, MAX_PATH, Catalogue, ReadValues
from shared.errors import ConfigError
from shared.types import Account, Activity, ActivityContext, Direction, IdScope, Role, Selector, StepKind
from tests.factories import make_actor, make_head

APP = """
[app]
name = "drive"
tags = ["storage", "example"]
hosts = ["drive.example", "*.drive.example"]
written = 2026-11-21
source = "https://drive.example/docs"
"""
RULES = """
[[rule]]
activity = "share"
methods = ["POST"]
path = '^/v1/items/[^/]+/share$'

[[rule]]
activity = "move_within"
hosts = ["api.example"]
query = { Parent = '.+', mode = '' }

[[rule]]
activity = "copy"
host = 'api\\d+\\.example'
header = { x-copy-source = '.+' }

[[rule]]
activity = "download"
path = '^/export/'

[[rule]]
activity = "print"
direction = "inbound"
path = '^/'
query = { print = '1' }
"""
SHARED_HOST = """
[app]
name = "mail"
tags = ["mail"]
hosts = ["mail.example"]
written = 2026-11-21
source = "https://mail.example/docs"

[[rule]]
activity = "send"
hosts = ["drive.example"]
path = '^/mail/send$'
"""
CATALOGUE = Catalogue.from_toml({"drive.toml": APP + RULES, "mail.toml": SHARED_HOST})


def classify(direction: Direction = Direction.OUTBOUND, **head: Any) -> ActivityContext:
    return CATALOGUE.classify(make_head(headers=head.pop("headers", ()), **head), direction, make_actor())


def told(direction: Direction = Direction.OUTBOUND, **head: Any) -> tuple[str, Activity]:
    context = classify(direction, **head)
    return context.app, context.activity


def test_the_rule_that_fits_says_where_the_details_are() -> None:
    rule = """
[[rule]]
activity = "upload"
path = '^/up/(?P<id>[^/]+)(?P<more>/x)?$'
step = "part"
select = { session = "path:id" }
"""
    catalogue = Catalogue.from_toml({"drive.toml": APP + rule})
    found = catalogue.selection(make_head(host="drive.example", path="/Up/Ab7"), Direction.OUTBOUND)
    assert found is not None
    assert (found.app, found.step, dict(found.groups)) == ("drive", StepKind.PART, {"id": "Ab7"})
    assert set(found.select) == {Role.SESSION}
    for path, direction in (("/other", Direction.OUTBOUND), ("/up/1", Direction.INBOUND)):
        assert catalogue.selection(make_head(host="drive.example", path=path), direction) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "REPORT"])
def test_requests_to_unknown_hosts_are_uploads(method: str) -> None:
    assert told(method=method, host="unknown.example") == ("", Activity.UPLOAD)


@pytest.mark.parametrize(
    ("method", "activity"), [("delete", Activity.DELETE), ("COPY", Activity.COPY), ("MOVE", Activity.MOVE_WITHIN)]
)
def test_methods_that_say_what_they_do_at_unknown_hosts(method: str, activity: Activity) -> None:
    assert told(method=method, host="unknown.example") == ("", activity)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_responses_of_unknown_hosts_are_downloads(method: str) -> None:
    assert told(Direction.INBOUND, method=method, host="unknown.example") == ("", Activity.DOWNLOAD)


def test_the_context_says_who_and_where() -> None:
    context = classify(host="WWW.Drive.Example.", method="GET")
    assert context == ActivityContext(
        activity=Activity.UPLOAD,
        direction=Direction.OUTBOUND,
        host="www.drive.example",
        app="drive",
        tags=("storage", "example"),
        account=Account.UNKNOWN,
        actor=make_actor(),
    )


def test_a_rule_asks_for_method_and_path_without_case() -> None:
    assert told(host="drive.example", path="/V1/Items/7/SHARE") == ("drive", Activity.SHARE)
    assert told(host="drive.example", path="/v1/items/7/share", method="PUT") == ("drive", Activity.UPLOAD)
    assert told(host="drive.example", path="/v1/items/7/8/share") == ("drive", Activity.UPLOAD)


def test_a_rule_asks_for_the_query() -> None:
    assert told(host="api.example", query="mode=&parent=a%2Fb") == ("drive", Activity.MOVE_WITHIN)
    assert told(host="api.example", query="?PARENT=x&mode") == ("drive", Activity.MOVE_WITHIN)
    assert told(host="api.example", query="parent=x&mode=y") == ("", Activity.UPLOAD)
    assert told(host="api.example", query="parent=&mode=") == ("", Activity.UPLOAD)


def test_a_rule_asks_for_headers() -> None:
    assert told(host="api2.example", headers=(("x-copy-source", "/a"),)) == ("drive", Activity.COPY)
    assert told(host="api2.example", headers=(("x-other", "/a"),)) == ("", Activity.UPLOAD)


def test_a_rule_has_a_direction() -> None:
    page: dict[str, Any] = {"host": "drive.example", "method": "GET", "path": "/export/1"}
    assert told(Direction.INBOUND, **page) == ("drive", Activity.DOWNLOAD)
    assert told(Direction.INBOUND, **{**page, "path": "/", "query": "print=1"}) == ("drive", Activity.PRINT)
    assert told(**{**page, "query": "print=1"}) == ("drive", Activity.UPLOAD)


def test_rules_of_all_apps_come_before_lists_of_hosts() -> None:
    assert told(host="drive.example", path="/mail/send") == ("mail", Activity.SEND)
    assert told(host="drive.example", path="/mail/receive") == ("drive", Activity.UPLOAD)


@pytest.mark.parametrize("host", ["evildrive.example", "drive.example.evil.test", "drive-example", "", "drive.exampl"])
def test_look_alikes_are_unknown(host: str) -> None:
    assert told(host=host, path="/v1/items/7/share") == ("", Activity.UPLOAD)


def test_only_the_start_of_a_path_is_looked_at() -> None:
    assert told(host="drive.example", path="/v1/items/" + "x" * MAX_PATH + "/share") == ("drive", Activity.UPLOAD)


def test_what_is_remembered_of_a_head_is_of_one_direction_and_one_actor() -> None:
    head = make_head(host="drive.example", path="/x", query="print=1", headers=())
    alone = Catalogue(entries=CATALOGUE.entries)
    actors = [make_actor(), make_actor(user="other@corp.example"), make_actor()]
    for direction in [*Direction, *Direction]:
        for actor in actors:
            known = CATALOGUE.classify(head, direction, actor)
            assert known == alone.classify(
                make_head(host="drive.example", path="/x", query="print=1"), direction, actor
            )
            assert (known.direction, known.actor) == (direction, actor)


def test_more_heads_than_are_remembered_change_nothing() -> None:
    heads = [make_head(host="drive.example", path=f"/v1/items/{number}/share") for number in range(KNOWN_HEADS + 2)]
    heads += [make_head(host="unknown.example", path=f"/{number}") for number in range(2)]
    for _ in range(2):
        found = [CATALOGUE.classify(head, Direction.OUTBOUND, make_actor()).activity for head in heads]
        assert found == [Activity.SHARE] * (KNOWN_HEADS + 2) + [Activity.UPLOAD] * 2


def test_names_for_policies() -> None:
    assert CATALOGUE.apps == {"drive", "mail"}
    assert CATALOGUE.tags == {"storage", "example", "mail"}


def test_no_catalogue_knows_no_app() -> None:
    assert Catalogue.from_toml({}).classify(make_head(), Direction.OUTBOUND, make_actor()).app == ""


def test_two_files_cannot_describe_one_app() -> None:
    with pytest.raises(ConfigError, match=r"b\.toml: app\.name: 'drive' is in a\.toml already"):
        Catalogue.from_toml({"a.toml": APP, "b.toml": APP})


TOLD_BY_BODY = """
[app]
name = "files"
hosts = ["files.example"]
written = 2026-11-21
source = "https://files.example/docs"
ids = "host"

[[rule]]
activity = "delete"
methods = ["PATCH"]
path = '^/items/(?P<id>\\w+)$'
body = { "json:$.trashed" = 'true', "form:really" = 'yes|no' }
select = { object = "path:id" }

[[rule]]
activity = "move_within"
methods = ["PATCH"]
path = '^/items/(?P<id>\\w+)$'
query = { to = '.+' }

[[rule]]
activity = "share"
methods = ["PATCH"]
path = '^/items/'
body = { "json:$.public" = 'true' }

[[rule]]
activity = "copy"
path = '^/copy$'
select = { object = "json:$.from", becomes = "json:$.to" }
"""
FILES = Catalogue.from_toml({"files.toml": TOLD_BY_BODY})


def values(**found: str) -> ReadValues:
    def read(selector: Selector) -> list[str]:
        key = selector.name or str(selector.keys[0])
        return ["first", found[key]] if key in found else []

    return read


def after_body(query: str = "", **found: str) -> Activity:
    head = make_head(method="PATCH", host="files.example", path="/items/7", query=query, headers=())
    return FILES.classify(head, Direction.OUTBOUND, make_actor(), values(**found)).activity


def possible(**head: Any) -> list[Activity]:
    values = {"method": "PATCH", "host": "files.example", "path": "/items/7", "headers": ()}
    return [each.context.activity for each in FILES.told_by_body(make_head(**{**values, **head}), make_actor())]


def test_a_body_tells_where_all_its_conditions_fit() -> None:
    assert after_body(trashed="true", really="yes") is Activity.DELETE
    assert after_body(trashed="true", really="perhaps") is Activity.UPLOAD
    assert after_body(trashed="true", public="true") is Activity.SHARE
    assert after_body(query="to=x", public="true") is Activity.MOVE_WITHIN


def test_what_the_head_alone_tells_is_not_what_the_body_does() -> None:
    head = make_head(method="PATCH", host="files.example", path="/items/7", headers=())
    told = [
        FILES.classify(head, Direction.OUTBOUND, make_actor(), read).activity
        for read in (None, values(public="true"), None, values(trashed="true", really="yes"))
    ]
    assert told == [Activity.UPLOAD, Activity.SHARE, Activity.UPLOAD, Activity.DELETE]


def test_the_head_alone_never_fits_a_condition_on_the_body() -> None:
    assert (
        FILES.classify(
            make_head(method="PATCH", host="files.example", path="/items/7"), Direction.OUTBOUND, make_actor()
        ).activity
        is Activity.UPLOAD
    )


def test_what_a_request_may_turn_out_to_be() -> None:
    assert possible() == [Activity.DELETE, Activity.SHARE, Activity.UPLOAD]
    assert possible(query="to=x") == [Activity.DELETE, Activity.MOVE_WITHIN]
    assert possible(path="/items/7", host="other.example") == []
    assert possible(method="POST") == []
    assert possible(path="/copy", method="POST") == [Activity.COPY]


def test_where_the_details_are_depends_on_the_body() -> None:
    head = make_head(method="PATCH", host="files.example", path="/items/7", headers=())
    assert FILES.selection(head, Direction.OUTBOUND) is None
    told = FILES.selection(head, Direction.OUTBOUND, values(trashed="true", really="no"))
    assert told is not None
    assert (told.app, told.ids, dict(told.groups)) == ("files", IdScope.HOST, {"id": "7"})
    deletes = FILES.told_by_body(head, make_actor())[0]
    assert deletes.selection == told


def test_all_that_may_happen_at_a_host() -> None:
    batch = make_head(host="files.example", path="/$batch")
    found = [each.context.activity for each in FILES.of_host(batch, make_actor())]
    assert found == [Activity.DELETE, Activity.MOVE_WITHIN, Activity.SHARE, Activity.COPY, Activity.UPLOAD]
    assert FILES.of_host(make_head(host="other.example"), make_actor()) == ()
