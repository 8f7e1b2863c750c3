"""Each rule of the catalogue with an address it is for; pages and look-alikes that no rule may take."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proxy_addon.activities.catalogue import STALE_DAYS, age_days, load_catalogue, stale
from shared.core.activity import Catalogue
from shared.core.catalogue_file import parse_app
from shared.errors import ConfigError
from shared.extract.budget import Limits
from shared.extract.selecting import open_message
from shared.types import Activity, ActivityContext, Direction, Headers, HttpMessage
from tests.factories import make_actor, make_head
from tests.unit.shared.extract.pictures import run

CATALOGUE = load_catalogue()

# app, activity, method, address, header fields as @name:value ("_" for a blank), a body where that tells.
LINES = (Path(__file__).parent / "addresses.txt").read_text().splitlines()


def parsed(line: str) -> tuple[str, str, str, str, Headers, str]:
    app, activity, method, address, *rest = line.split()
    fields = [word[1:].split(":", 1) for word in rest if word.startswith("@")]
    headers = tuple((name, value.replace("_", " ")) for name, value in fields)
    return app, activity, method, address, headers, "".join(word for word in rest if not word.startswith("@"))


ADDRESSES = [parsed(line) for line in LINES]

NOT_IN_THE_CATALOGUE = """
POST evilgoogleapis.com/upload/drive/v3/files
POST www.googleapis.com.evil.example/upload/drive/v3/files
POST www.googleapis.com/upload/unknown/v1/files
POST graph.microsoft.com/v1.0/me/calendar/events
POST graph.microsoft.com.evil.example/v1.0/me/drive/items/1/createLink
PUT evils3.amazonaws.com.example/key
PUT ec2.eu-west-1.amazonaws.com/
PUT blob.core.windows.net.example/box/a
POST myslack.com/api/files.upload
POST notdropbox.com/2/files/upload
POST notclaude.ai/api/organizations/o1/upload
POST discord.com.example/api/v9/channels/12/attachments
POST upload.xx.com/i/media/upload.json
POST fakegithub.com/upload/policies/assets
POST sharepoint.com.example/_api/SP.MoveCopyUtil.MoveFileByPath
POST www.example.com/upload
""".strip().splitlines()

PLAIN_PAGES = """
google-drive GET drive.google.com/drive/my-drive
github GET github.com/o/r
github POST github.com/session
slack POST app.slack.com/api/users.list
x GET x.com/home
claude GET claude.ai/chats
dropbox POST api.dropboxapi.com/2/files/list_folder
sharepoint GET corp.sharepoint.com/sites/s/SitePages/Home.aspx
""".strip().splitlines()


def classify(
    catalogue: Catalogue, direction: Direction, method: str, address: str, headers: Headers = (), body: str = ""
) -> ActivityContext:
    url = urlsplit(f"https://{address}")
    head = make_head(method=method, host=url.hostname, path=url.path, query=url.query, headers=headers)
    message = run(open_message(HttpMessage(head=head, body=body.encode(), direction=direction), {}, Limits()))
    return catalogue.classify(head, direction, make_actor(), message.values)


def direction_of(activity: str) -> Direction:
    return Direction.INBOUND if activity == Activity.DOWNLOAD else Direction.OUTBOUND


@pytest.mark.parametrize(("app", "activity", "method", "address", "headers", "body"), ADDRESSES)
def test_an_address_of_each_rule(
    app: str, activity: str, method: str, address: str, headers: Headers, body: str
) -> None:
    context = classify(CATALOGUE, direction_of(activity), method, address, headers, body)
    assert (context.app, context.activity) == (app, activity)


RULES = [(entry, number) for entry in CATALOGUE.entries for number in range(len(entry.rules))]


@pytest.mark.parametrize(("entry", "number"), RULES, ids=lambda value: getattr(value, "name", value))
def test_each_rule_has_an_address(entry: object, number: int) -> None:
    known = next(each for each in CATALOGUE.entries if each is entry)
    nowhere = parse_app("x", '[app]\nname = "x"\nwritten = 2026-11-21\nsource = ""').hosts
    alone = Catalogue(entries=(replace(known, rules=(known.rules[number],), hosts=nowhere),))
    activity = known.rules[number].activity
    assert any(
        classify(alone, direction_of(activity), method, address, headers, body).app == known.name
        for app, told, method, address, headers, body in ADDRESSES
        if (app, told) == (known.name, activity)
    )


@pytest.mark.parametrize("line", NOT_IN_THE_CATALOGUE)
def test_look_alikes_and_others(line: str) -> None:
    method, address = line.split()
    context = classify(CATALOGUE, Direction.OUTBOUND, method, address)
    assert (context.app, context.tags, context.activity) == ("", (), Activity.UPLOAD)


@pytest.mark.parametrize("line", PLAIN_PAGES)
def test_plain_pages_are_known_by_their_host_alone(line: str) -> None:
    app, method, address = line.split()
    context = classify(CATALOGUE, Direction.OUTBOUND, method, address)
    assert (context.app, context.activity) == (app, Activity.UPLOAD)
    assert classify(CATALOGUE, Direction.INBOUND, method, address).activity is Activity.DOWNLOAD


def test_every_app_says_what_it_is_and_where_that_was_read() -> None:
    for entry in CATALOGUE.entries:
        assert entry.file == f"{entry.name}.toml"
        assert entry.tags
        assert entry.rules
        assert entry.source.startswith("https://")
        assert entry.written >= date(2026, 11, 21)


def test_the_tags_for_policies() -> None:
    assert {"storage", "mail", "chat", "ai", "social", "code"} <= CATALOGUE.tags


# --- Applications of one's own, and old ones ---

OWN = """
[app]
name = "NAME"
tags = ["own"]
hosts = ["api.intranet.example"]
written = 2026-11-21
source = "https://wiki.intranet.example/uploads"

[[rule]]
activity = "print"
hosts = ["www.googleapis.com", "api.intranet.example"]
path = '^/upload/drive/v3/files$'
"""


def told_at(catalogue: Catalogue, address: str) -> tuple[str, Activity]:
    context = classify(catalogue, Direction.OUTBOUND, "POST", address)
    return context.app, context.activity


def test_an_app_of_ones_own_is_added_and_tried_first(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace("NAME", "intranet"))
    (tmp_path / "notes.txt").write_text("no TOML")
    catalogue = load_catalogue(tmp_path)
    assert catalogue.apps == CATALOGUE.apps | {"intranet"}
    assert "own" in catalogue.tags
    assert told_at(catalogue, "api.intranet.example/upload/drive/v3/files") == ("intranet", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files") == ("intranet", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files/1") == ("google-drive", Activity.UPLOAD)


def test_an_app_of_ones_own_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace("NAME", "google-drive"))
    catalogue = load_catalogue(tmp_path)
    assert catalogue.apps == CATALOGUE.apps
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files") == ("google-drive", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files/1") == ("", Activity.UPLOAD)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OWN.replace("NAME", "Not A Name").encode(), r"/own\.toml: app\.name: must be lower-case"),
        (b"\xff", r"proxy\.apps_dir: cannot read .*: 'utf-8' codec"),
    ],
)
def test_a_slip_in_ones_own_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "own.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_catalogue(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"proxy\.apps_dir: cannot read .*missing"):
        load_catalogue(tmp_path / "missing")


def test_rules_grow_old() -> None:
    newest = max(entry.written for entry in CATALOGUE.entries)
    entry = replace(CATALOGUE.entries[0], written=newest)
    catalogue = Catalogue(entries=(entry,))
    last_day = newest + timedelta(days=STALE_DAYS)
    assert (age_days(entry, newest), age_days(entry, last_day), age_days(entry, date(2020, 1, 1))) == (0, STALE_DAYS, 0)
    assert stale(catalogue, last_day) == ()
    assert stale(catalogue, last_day + timedelta(days=1)) == (entry.name,)
