from datetime import date
from pathlib import Path

import pytest

from proxy_addon.tls.do_not_decrypt import STALE_DAYS, load_exceptions, parse_categories
from shared.errors import ConfigError

ALL = ["banking", "health", "push", "updates"]
OWN = """
[[category]]
name = "payroll"
written = 2020-01-31
source = "https://intranet.example"
hosts = ["payroll.example", "*.payroll.example"]
"""


@pytest.mark.parametrize(
    ("host", "category"),
    [
        ("www.chase.com", "banking"),
        ("www.nhs.uk", "health"),
        ("7-courier.push.apple.com", "push"),
        ("swcdn.apple.com", "updates"),
        ("fe3.update.microsoft.com", "updates"),
        ("www.apple.com", None),
        ("chase.com.evil.example", None),
        ("evilchase.com", None),
        ("", None),
    ],
)
def test_the_shipped_list(host: str, category: str | None) -> None:
    assert load_exceptions(ALL).category(host) == category


def test_every_shipped_category_is_dated_and_says_where_it_is_from() -> None:
    shipped = load_exceptions(ALL)
    assert sorted(each.name for each in shipped.categories) == ALL
    assert all(each.source.startswith("https://") for each in shipped.categories)
    written = min(each.written for each in shipped.categories)
    assert shipped.stale(written) == ()
    later = date.fromordinal(written.toordinal() + STALE_DAYS + 1)
    assert set(shipped.stale(later)) == {each.name for each in shipped.categories if each.written == written}


def test_categories_are_chosen_and_added(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    chosen = load_exceptions(["health"], own)
    assert chosen.category("www.chase.com") is None
    assert chosen.category("www.nhs.uk") == "health"
    assert chosen.category("my.payroll.example") == "payroll"
    assert chosen.stale(date(2026, 1, 1)) == ("payroll",)


def test_an_unknown_category_and_an_unreadable_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weather is none of banking, health, push, updates"):
        load_exceptions(["weather"])
    with pytest.raises(ConfigError, match=r"do_not_decrypt_file: cannot read"):
        load_exceptions([], tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[category", "not TOML"),
        ("category = 1", "only"),
        ("other = 1", "only"),
        ("category = [1]", r"category\[0\]: needed"),
        (OWN.replace('name = "payroll"', ""), r"category\[0\]: needed"),
        (OWN.replace("payroll", "Pay Roll", 1), r"category\[0\]\.name"),
        (OWN.replace("2020-01-31", '"2020"'), "written must be a date"),
        (OWN.replace('"payroll.example"', '"https://payroll.example/"'), r"category\[0\]\.hosts"),
        (OWN.replace('"payroll.example"', '"*"'), "safelight bypass"),
        (OWN.replace('"payroll.example"', '"*.*"'), "safelight bypass"),
    ],
)
def test_a_slip_is_named_by_its_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        parse_categories(text)
