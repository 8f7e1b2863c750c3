import base64
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.activities.catalogue import load_catalogue
from shared.core.accounts import AccountRule, account, names_pattern, parse_account
from shared.errors import ConfigError
from shared.types import Account, Actor, Direction, HttpHead
from tests.factories import make_head

ANYWHERE = re.compile(".*")
COMPANY = ("corp", "corp.example", "T0CORP", "org-corp", "11111111-2222-3333-4444-555555555555")
CATALOGUE = replace(load_catalogue(), company_accounts=COMPANY)
MSA = "9188040d-6c67-4c5b-b112-36a304b66dad"


def token(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"Bearer e30.{payload}.c2ln"


def graph(claims: object) -> HttpHead:
    path = "/v1.0/me/drive/root:/a.png:/content"
    return make_head(method="PUT", host="graph.microsoft.com", path=path, headers=(("authorization", token(claims)),))


@pytest.mark.parametrize(
    ("head", "whose"),
    [
        (make_head(host="corp.sharepoint.com"), Account.COMPANY),
        (make_head(host="corp-my.sharepoint.com"), Account.COMPANY),
        (make_head(host="vendor-my.sharepoint.com"), Account.PERSONAL),
        (make_head(host="onedrive.live.com"), Account.PERSONAL),
        (graph({"tid": COMPANY[-1]}), Account.COMPANY),
        (graph({"tid": MSA}), Account.PERSONAL),
        (graph({"tid": 3}), Account.UNKNOWN),
        (graph(["tid"]), Account.UNKNOWN),
        (make_head(host="corp.slack.com"), Account.COMPANY),
        (make_head(host="corp.enterprise.slack.com"), Account.COMPANY),
        (make_head(host="friends.slack.com"), Account.PERSONAL),
        (make_head(host="edgeapi.slack.com"), Account.UNKNOWN),
        (make_head(host="files.slack.com", path="/files-pri/T0CORP-F01/a.png"), Account.COMPANY),
        (make_head(host="corp.app.box.com"), Account.COMPANY),
        (make_head(host="docs.google.com", path="/a/corp.example/document/d/1"), Account.COMPANY),
        (make_head(host="docs.google.com", path="/document/d/1"), Account.UNKNOWN),
        (make_head(host="clients6.google.com", query="authuser=u1%40corp.example"), Account.COMPANY),
        (make_head(host="clients6.google.com", query="authuser=someone%40gmail.com"), Account.PERSONAL),
        (make_head(host="clients6.google.com", query="authuser=0"), Account.UNKNOWN),
        (make_head(host="api.openai.com", headers=(("openai-organization", "org-corp"),)), Account.COMPANY),
        (make_head(host="nobody.example"), Account.UNKNOWN),
    ],
)
def test_whose_account_it_is(head: HttpHead, whose: Account) -> None:
    assert CATALOGUE.classify(head, Direction.OUTBOUND, Actor()).account is whose


def test_without_the_companys_names_only_private_accounts_are_known() -> None:
    plain = load_catalogue()
    assert plain.classify(make_head(host="corp.sharepoint.com"), Direction.OUTBOUND, Actor()).account is Account.UNKNOWN
    assert plain.classify(make_head(host="onedrive.live.com"), Direction.OUTBOUND, Actor()).account is Account.PERSONAL
    assert plain.classify(graph({"tid": MSA}), Direction.OUTBOUND, Actor()).account is Account.PERSONAL


def test_names_may_hold_stars() -> None:
    rule = parse_account("t", {"from": "host", "pattern": r"^(?P<account>\w+)\."}, ANYWHERE)
    company = names_pattern(["corp*"])
    assert account([rule], make_head(host="Corp42.example"), company) is Account.COMPANY
    assert account([rule], make_head(host="other.example"), company) is Account.PERSONAL
    assert names_pattern([]) is None


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (1, "a table of"),
        ({"from": "host", "pattern": "(?P<account>.)", "more": 1}, "a table of"),
        ({"pattern": "(?P<account>.)"}, r"\.from"),
        ({"from": "host:x", "pattern": "(?P<account>.)"}, r"\.from"),
        ({"from": "query", "pattern": "(?P<account>.)"}, r"\.from"),
        ({"from": "body:x", "pattern": "(?P<account>.)"}, r"\.from"),
        ({"from": "host", "pattern": "("}, r"\.pattern"),
        ({"from": "host", "pattern": "x"}, r"\.pattern"),
        ({"from": "host", "pattern": "(?P<account>.)", "personal": True}, r"\.pattern"),
        ({"from": "host", "pattern": "x", "personal": "yes"}, r"\.pattern"),
        ({"from": "host", "pattern": "(?P<account>.)", "hosts": "x"}, r"\.hosts"),
    ],
)
def test_a_slip_is_named_by_its_place(table: object, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        parse_account("x.toml: account[0]", table, ANYWHERE)


BEARER: AccountRule = parse_account("t", {"from": "bearer:tid", "pattern": "(?P<account>.+)"}, ANYWHERE)


@given(st.one_of(st.text(), st.binary().map(lambda raw: f"Bearer a.{base64.urlsafe_b64encode(raw).decode()}.c")))
def test_any_authorization_is_read_or_passed_over(value: str) -> None:
    assert BEARER.find(make_head(headers=(("authorization", value),))) is None or "." in value
