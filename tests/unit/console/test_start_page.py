"""What a browser shows at the console's address."""

import re

from console.start_page import HEADERS, start_page

PAGE = start_page(version="1.2.3", prefix="/api/v1", address="http://console:8088")


def test_it_says_what_is_there_and_how_to_ask() -> None:
    assert re.findall(r'href="([^"]+)"', PAGE) == ["/api/v1/openapi.json", "/api/v1/health", "/proxy.pac", "/wpad.dat"]
    assert "Safelight 1.2.3" in PAGE
    assert '"Authorization: Bearer $(cat safelight-data/console-token)" http://console:8088/api/v1/alerts' in PAGE


def test_it_loads_and_runs_nothing() -> None:
    assert not re.search(r"<script|<link|src=|@import", PAGE)
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none'")


def test_what_a_browser_says_is_no_markup() -> None:
    assert "<b>" not in start_page(version="1", prefix="/api/v1", address='http://"<b>')
