"""Parts and heads."""

import pytest

from shared.types import HttpHead, Part


def test_a_part_has_a_real_digest() -> None:
    with pytest.raises(ValueError, match="sha256"):
        Part(data=b"", media_type="image/png", locator="body", sha256="ABC")


def test_the_first_of_repeated_headers_counts() -> None:
    head = HttpHead(method="GET", scheme="http", host="a", port=80, path="/", headers=(("a", "1"), ("a", "2")))
    assert head.header("a") == "1"
    assert head.header("b") == ""
