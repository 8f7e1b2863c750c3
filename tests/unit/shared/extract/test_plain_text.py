"""What is short and plain is known to hold nothing; whatever a search can find is not."""

from __future__ import annotations

import base64

import pytest

from shared.extract.base64_text import MIN_RUN
from shared.extract.plain_text import SHORT, holds_nothing

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    "text",
    [b"", b'{"items": [{"id": 1, "name": "one"}]}', b"<p>text</p>\r\n", b"a" * (MIN_RUN - 1), "Grüße".encode()],
)
def test_plain_text_holds_nothing(text: bytes) -> None:
    assert holds_nothing(text, 0, len(text))


@pytest.mark.parametrize(
    "text",
    [
        PNG + bytes(60),
        b'{"picture": "' + base64.b64encode(PNG + bytes(60)) + b'"}',
        b"a" * MIN_RUN,
        b"picture=%89PNG%0D%0A%1A%0A",
        b"text %PDF-1.7 text",
        b"text PK\x03\x04 text",
        b"text 7z\xbc\xaf\x27\x1c text",
        b" " * (SHORT + 1),
    ],
)
def test_what_may_hold_a_picture_is_searched(text: bytes) -> None:
    assert not holds_nothing(text, 0, len(text))


def test_only_the_stretch_counts() -> None:
    text = b"\0plain text%"
    assert holds_nothing(text, 1, len(text) - 1)
    assert not holds_nothing(text, 0, len(text) - 1)
    assert not holds_nothing(text, 1, len(text))
