"""Names inside containers lead nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.unpacking.names import MAX_PATH, clean, inside


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("word/media/image1.png", "word/media/image1.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\windows\\a.png", "windows/a.png"),
        ("C:\\a.png", "C:/a.png"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("a\x00\x1b[31mb", "a[31mb"),
        ("\ud800.png", "?.png"),
        ("./a//b/.", "a/b"),
    ],
)
def test_a_name_is_cleaned(name: str, shown: str) -> None:
    assert clean(name) == shown


def test_a_member_without_a_name_has_its_number() -> None:
    assert (inside("a.zip", "..", 7), inside("", "", 3)) == ("a.zip/7", "3")


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_any_name_gives_a_path(path: str, name: str) -> None:
    shown = inside(clean(path), name, 1)
    assert 0 < len(shown) <= MAX_PATH
    assert shown.isprintable()
    assert not shown.startswith("/")
    assert ".." not in shown.split("/")
