"""An image is replaced wherever and however it is written, and nothing else changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.extract.budget import Limits, Steps
from shared.extract.splice import Replacement, splice_steps

OLD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 3 + b"\xfb\xff\xfe\xff\xbf?" * 9
NEW = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\xff\xfb\xef\xbe" * 77 + b"n"
ANOTHER = b"\xff\xd8\xff\xe0" + bytes(reversed(range(256))) * 2


def run[T](steps: Steps[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def splice(body: bytes, *pairs: tuple[bytes, bytes], limits: Limits | None = None) -> bytes:
    changes = [Replacement(original=old, new=new) for old, new in pairs or [(OLD, NEW)]]
    return run(splice_steps(body, changes, limits or Limits()))


def mime(image: bytes, line_end: bytes = b"\r\n") -> bytes:
    text = base64.b64encode(image)
    lines = [text[at : at + 76] for at in range(0, len(text), 76)]
    return line_end.join(
        [b"--cut", b"Content-Transfer-Encoding: base64", b"Content-Type: image/png", b"", *lines, b"--cut--", b""]
    )


def escaped(image: bytes) -> bytes:
    """JSON as PHP writes it."""
    return json.dumps({"a": "data:image/png;base64," + base64.b64encode(image).decode()}).replace("/", "\\/").encode()


def unicode_escaped(image: bytes) -> bytes:
    text = base64.b64encode(image).decode()
    for char in "+/=":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f'{{"image": "{text}"}}'.encode()


def form(image: bytes) -> bytes:
    return urlencode({"note": "a b", "image": base64.b64encode(image).decode()}).encode()


def in_a_mail_in_json(image: bytes) -> bytes:
    """Gmail's API: base64url of a mail that holds base64."""
    return json.dumps({"raw": base64.urlsafe_b64encode(b"Subject: x\r\n\r\n" + mime(image)).decode()}).encode()


WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda image: image,
    "form-data": lambda image: (
        b'--cut\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + image + b"\r\n--cut--\r\n"
    ),
    "twice": lambda image: image + b"----" + image,
    "JSON": lambda image: json.dumps({"image": base64.b64encode(image).decode(), "z": 1}).encode(),
    "JSON without padding": lambda image: json.dumps({"i": base64.b64encode(image).decode().rstrip("=")}).encode(),
    "base64url": lambda image: json.dumps({"i": base64.urlsafe_b64encode(image).decode()}).encode(),
    "base64url without padding": lambda image: b'"' + base64.urlsafe_b64encode(image).rstrip(b"=") + b'"',
    "data URI": lambda image: b"url(data:image/png;base64," + base64.b64encode(image) + b") no-repeat",
    "escaped JSON": escaped,
    "escaped twice": lambda image: json.dumps({"body": escaped(image).decode()}).encode(),
    "unicode escapes": unicode_escaped,
    "form": form,
    "form with a data URI": lambda image: (
        b"image=" + quote(b"data:;base64," + base64.b64encode(image), safe="").encode()
    ),
    "form with escaped JSON": lambda image: b"json=" + quote_plus(escaped(image)).encode(),
    "mail": mime,
    "lines of text": lambda image: b"a\n" + base64.b64encode(image).rstrip(b"=") + b"\nnext line",
    "mail with bare line feeds": lambda image: mime(image, b"\n"),
    "mail in JSON": in_a_mail_in_json,
    "base64 of form-data at the start of a group": lambda image: base64.b64encode(
        b"--cut\r\nA: bc\r\n\r\n" + image + b"\r\n--"
    ),
    "base64 of form-data in lines": lambda image: mime(b"--cut\r\nA: b\r\n\r\n" + image + b"\r\n--cut--" + bytes(99)),
    "base64 of form-data": lambda image: base64.b64encode(b"--cut\r\nA: b\r\n\r\n" + image + b"\r\n--cut--"),
    "raw and base64": lambda image: image + b"\n" + base64.b64encode(image),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("size", [len(OLD), len(OLD) - 1, len(OLD) - 2])
def test_it_is_as_if_the_other_image_had_been_sent(wrap: Callable[[bytes], bytes], size: int) -> None:
    old = OLD[:size]
    # Where the old one needed no padding nobody can tell whether its sender writes any.
    for new in (NEW, NEW[:-1], NEW[:-2]) if size % 3 else (NEW[: len(NEW) // 3 * 3],):
        assert splice(wrap(old), (old, new)) == wrap(new)


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_bodies_without_the_image_stay_as_they_are(wrap: Callable[[bytes], bytes]) -> None:
    assert splice(wrap(ANOTHER)) == wrap(ANOTHER)
    assert splice(wrap(OLD[:-1] + b"x")) == wrap(OLD[:-1] + b"x"), "the last byte is another one"
    assert splice(wrap(OLD[:60] + b"x" + OLD[61:])) == wrap(OLD[:60] + b"x" + OLD[61:])


def test_several_images_each_find_theirs() -> None:
    body = b"a" + OLD + b"b" + base64.b64encode(ANOTHER) + b"\nc" + OLD
    other = bytes(range(40))
    assert splice(body, (OLD, NEW), (ANOTHER, other)) == b"a" + NEW + b"b" + base64.b64encode(other) + b"\nc" + NEW


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_the_length_that_a_part_states_stays_true(line_end: bytes) -> None:
    def body(image: bytes, size: int) -> bytes:
        head = [b"--cut", b"Content-Type: image/png", b"Content-Length: %d" % size, b"X: y", b""]
        return line_end.join([*head, image, b"--cut--"])

    assert splice(body(OLD, len(OLD))) == body(NEW, len(NEW))
    assert splice(body(OLD, 7)) == body(NEW, 7), "a length that was wrong is not ours to mend"


def test_what_is_decoded_in_search_of_an_image_is_bounded() -> None:
    body = in_a_mail_in_json(OLD)
    assert splice(body, limits=Limits(max_base64_bytes=len(OLD))) == body


def test_an_empty_image_is_nowhere() -> None:
    assert splice(b"body", (b"", b"x")) == b"body"
    assert splice(b"a body", (b"a", b"x")) == b"x body"


def test_large_bodies_are_taken_in_steps() -> None:
    old, new = OLD * 400, NEW * 300
    body = b'{"a": "' + base64.b64encode(old) + b'"}' + b" " * 2_000_000 + old
    steps = splice_steps(body, [Replacement(original=old, new=new)], Limits())
    pauses = sum(1 for _ in steps)
    assert pauses > 100
    assert splice(body, (old, new)) == b'{"a": "' + base64.b64encode(new) + b'"}' + b" " * 2_000_000 + new


@given(
    before=st.binary(max_size=50).filter(lambda data: b"\x89PNG" not in data),
    image=st.binary(min_size=48, max_size=400).map(lambda data: b"\x89PNG" + data),
    new=st.binary(max_size=300),
    line=st.sampled_from([0, 4, 57, 76]),
    url_safe=st.booleans(),
    padded=st.booleans(),
    slash=st.sampled_from([b"/", b"\\/", b"\\\\/", b"%2F", b"\\u002f"]),
)
def test_any_image_in_any_base64_is_found(
    before: bytes, image: bytes, new: bytes, line: int, url_safe: bool, padded: bool, slash: bytes
) -> None:
    def write(raw: bytes) -> bytes:
        text = base64.urlsafe_b64encode(raw) if url_safe else base64.b64encode(raw)
        text = text if padded else text.rstrip(b"=")
        step = line or len(text) or 1
        lines = [text[at : at + step] for at in range(0, len(text), step)]
        return b"\r\n".join(each.replace(b"/", slash) for each in lines)

    body = before + b'"' + write(image) + b'"'
    after = splice(body, (image, new))
    assert after.startswith(before + b'"')
    assert after.endswith(b'"')
    assert base64.b64encode(image) not in after or image == new
    written = after[len(before) + 1 : -1].replace(b"\r\n", b"")
    for form_of, plain in (
        (b"\\\\/", b"/"),
        (b"\\/", b"/"),
        (b"%2F", b"/"),
        (b"\\u002f", b"/"),
        (b"-", b"+"),
        (b"_", b"/"),
    ):
        written = written.replace(form_of, plain)
    for pad in (b"%3D", b"\\u003d"):
        written = written.replace(pad, b"=")
    written = written.replace(b"%2B", b"+").replace(b"\\u002b", b"+")
    assert base64.b64decode(written + b"=" * (-len(written) % 4)) == new


@given(st.binary(max_size=2000), st.binary(min_size=1, max_size=60))
def test_any_bytes_are_taken(body: bytes, image: bytes) -> None:
    assert image not in splice(body + image, (image, b"")) or image in body + image
