from __future__ import annotations

from datetime import date

import pytest

from shared.core.catalogue_file import parse_app
from shared.errors import ConfigError
from shared.types import Activity, Cancel, Direction, Role, Source, StepKind

APP = """
[app]
name = "drive"
hosts = ["drive.example"]
written = 2026-11-21
source = "https://drive.example/docs"
"""


def test_what_is_left_out_has_a_default() -> None:
    entry = parse_app("drive.toml", APP + '[[rule]]\nactivity = "download"\n[[rule]]\nactivity = "copy"')
    assert (entry.name, entry.tags, entry.written) == ("drive", (), date(2026, 11, 21))
    assert [(rule.activity, rule.direction) for rule in entry.rules] == [
        (Activity.DOWNLOAD, Direction.INBOUND),
        (Activity.COPY, Direction.OUTBOUND),
    ]
    assert entry.rules[0].host.fullmatch("drive.example")
    assert not entry.rules[0].methods


def test_globs_do_not_cross_into_other_names() -> None:
    entry = parse_app("a.toml", APP.replace('"drive.example"', '"s3.*.example", "*.up.example"'))
    assert [bool(entry.hosts.fullmatch(host)) for host in ("s3.eu.example", "a.b.up.example")] == [True, True]
    assert not any(map(entry.hosts.fullmatch, ("s3xeu.example", "up.example", "x.up.example.org", "s3.eu.example/x")))


PART = """
[[rule]]
activity = "upload"
path = '^/(?P<id>[^/]+)$'
step = "part"
"""


def test_a_rule_says_where_a_step_has_its_details() -> None:
    select = 'select = { session = "path:id", offset = ["header:x-offset", "content-range"] }\n'
    select += 'cancel = { method = "POST", header = { X-End = "1" } }'
    (rule,) = parse_app("a.toml", APP + PART + select).rules
    assert (rule.step, rule.cancel) == (StepKind.PART, Cancel(method="POST", headers=(("x-end", "1"),)))
    assert {role: [each.source for each in selectors] for role, selectors in rule.select.items()} == {
        Role.SESSION: [Source.PATH],
        Role.OFFSET: [Source.HEADER, Source.CONTENT_RANGE],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[app", "a.toml: not TOML"),
        ("", r"a.toml.app: is missing"),
        ("app = 1", r"a.toml.app: must be a dict"),
        (APP + "[other]", r"a.toml.other: unknown key; known are account, app, rule"),
        (APP.replace("written", "seen"), r"a.toml: app.seen: unknown key"),
        (APP.replace('name = "drive"', ""), r"a.toml: app.name: is missing"),
        (APP.replace('"drive"', '"My Drive"'), r"a.toml: app.name: must be lower-case"),
        (APP + 'tags = ["A b"]', r"a.toml: app.tags: must be lower-case"),
        (APP.replace("2026-11-21", '"today"'), r"a.toml: app.written: must be a date"),
        (APP.replace('["drive.example"]', '"drive.example"'), r"a.toml: app.hosts: must be a list"),
        (APP.replace('["drive.example"]', "[1]"), r"a.toml: app.hosts: must be a list of strings"),
        ("rule = [1]\n" + APP, r"a.toml: rule\[0\]: a table is needed"),
        (APP + "[[rule]]", r"a.toml: rule\[0\].activity: is missing"),
        (APP + '[[rule]]\nactivity = "steal"', r"a.toml: rule\[0\].activity: 'steal' is none of upload,"),
        (
            APP + '[[rule]]\nactivity = "copy"\ndirection = "up"',
            r"rule\[0\].direction: 'up' is none of outbound, inbound",
        ),
        (APP + '[[rule]]\nactivity = "copy"\nmethods = ["get"]', r"rule\[0\].methods: must be upper-case"),
        (APP + "[[rule]]\nactivity = \"copy\"\npath = '('", r"rule\[0\].path: is no regular expression"),
        (APP + "[[rule]]\nactivity = \"copy\"\nquery = { a = '(' }", r"rule\[0\].query.a: is no regular expression"),
        (APP + '[[rule]]\nactivity = "copy"\nquery = { a = 1 }', r"rule\[0\].query.a: must be a regular expression"),
        (APP + "[[rule]]\nactivity = \"copy\"\nhost = 'a'\nhosts = ['b']", r"rule\[0\].host: stands beside hosts"),
        (APP + '[[rule]]\nactivity = "copy"\nurl = "x"', r"rule\[0\].url: unknown key"),
        (APP + PART + 'select = { session = "url" }\ncancel = {}', r"rule\[0\].cancel.method: is missing"),
        (APP + PART + 'select = { session = "url" }\ncancel = { method = "x" }', r"cancel.method: must be upper-case"),
        (
            APP + PART + 'select = { session = "url" }\ncancel = { method = "PUT", header = { a = 1 } }',
            r"cancel.header: must hold strings",
        ),
        (APP + '[[rule]]\nactivity = "copy"\nbody = { "json:$.a" = "(" }', r"rule\[0\].body.json:\$.a: is no regular"),
        (APP + '[[rule]]\nactivity = "copy"\nbody = { "json:a" = "x" }', r"rule\[0\].body: 'json:a': 'a' is no path"),
        (APP + '[[rule]]\nactivity = "copy"\nbody = { "query:a" = "x" }', r"rule\[0\].body: 'query:a': a condition is"),
        (APP + '[[rule]]\nactivity = "copy"\nbody = { "reply.json:$.a" = "x" }', r"rule\[0\].body: .* a condition is"),
        (APP + 'ids = "world"', r"a.toml: app.ids: 'world' is none of app, host, user"),
        (APP + PART.replace('"part"', '"parts"'), r"rule\[0\].step: 'parts' is none of start, part,"),
        (APP + PART, r"rule\[0\].select.session: is missing"),
        (APP + PART + "select = 1", r"rule\[0\].select: must be a dict"),
        (APP + PART + 'select = { size = "url" }', r"rule\[0\].select.size: unknown key"),
        (APP + PART + "select = { session = 1 }", r"rule\[0\].select.session: must be a str"),
        (APP + PART + "select = { session = [] }", r"rule\[0\].select.session: is empty"),
        (
            APP + PART + 'select = { session = "cookie:a" }',
            r"rule\[0\].select.session: 'cookie:a': 'cookie' is none of",
        ),
        (APP + PART + 'select = { session = "path:ID" }', r"rule\[0\].select.session: the path has no group 'ID'"),
        (
            APP.replace('hosts = ["drive.example"]', "") + '[[rule]]\nactivity = "copy"',
            r"rule\[0\].hosts: is missing, and the app has none",
        ),
    ],
)
def test_a_slip_is_an_error_that_names_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_app("a.toml", text)
