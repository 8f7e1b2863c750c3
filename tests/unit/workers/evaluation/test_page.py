"""The page: one file, nothing from elsewhere, nothing of a name's own markup."""

import re
from html.parser import HTMLParser

from workers.evaluation.page import render
from workers.evaluation.tables import Plot, Point, Report, Section, Table, columns, heat_columns

VOID = {"meta", "line", "circle", "polyline"}


class Balance(HTMLParser):
    """Notes what is opened and closed, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def report() -> Report:
    table = Table(
        name="t",
        title="Methods <1>",
        columns=(*columns(("m", "method", "text"), ("met", "", "met")), *heat_columns(["crop"])),
        rows=({"m": "<script>alert(1)</script>", "met": False, "crop": 0.25}, {"m": "b", "met": True, "crop": None}),
        note="as measured",
    )
    plot = Plot(name="p", title="P", x_title="x", y_title="y", points=(Point(label="a", x=1.0, y=1.0),))
    sections = (
        Section(name="recall", title="Recall", text="All & more", tables=(table, table), plots=(plot,)),
        Section(name="empty", title="Empty", text="", tables=()),
    )
    return Report(encoder="f1 & co", facts={"machine": "x86 <64>", "cores": 2}, sections=sections)


def test_the_page_is_whole_and_stands_alone() -> None:
    page = render(report())
    balance = Balance()
    balance.feed(page)
    assert (balance.open, balance.wrong) == ([], [])
    assert balance.addresses == ["#recall", "#empty"]
    assert "script" not in balance.seen
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    assert balance.seen.count("table") == 2
    assert balance.seen.count("svg") == 1


def test_values_are_shown_as_what_they_are() -> None:
    page = render(report())
    assert '<td class="heat" style="--v:0.250">0.250</td>' in page
    assert '<td class="missed">missed</td>' in page
    assert "&lt;script&gt;" in page
    assert "x86 &lt;64&gt;" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
