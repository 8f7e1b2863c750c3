"""Any bytes, and any container with any damage, give pictures or named problems within the budget."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.extract.pipeline import extract
from shared.types import Direction, HttpHead, HttpMessage
from tests.container_factories import (
    JPEG,
    PNG,
    make_docx,
    make_ole,
    make_pdf,
    make_seven_zip,
    make_tar,
    make_zip,
)
from workers.unpacking.budget import Limits
from workers.unpacking.names import MAX_PATH
from workers.unpacking.unpack import unpack
from workers.unpacking.walk import Found, Unread

LIMITS = Limits(
    max_inflated_bytes=4 << 20, ratio_floor=1 << 20, max_entries=200, max_images=20, max_image_bytes=1 << 20,
    max_pages=5, max_page_pixels=40_000, max_pixels=200_000, max_problems=10, seconds=20.0,
)  # fmt: skip
TAR = make_tar({"a.png": PNG, "b/c.jpg": JPEG})
CONTAINERS = [
    make_zip({"a.png": PNG, "b.jpg": JPEG, "c.txt": b"text" * 50}),
    make_zip({"nested.docx": make_docx(PNG)}, 0),
    TAR,
    gzip.compress(TAR),
    bz2.compress(TAR),
    lzma.compress(TAR),
    make_seven_zip({"a.png": PNG}),
    make_ole({"Pictures": PNG, "large": JPEG + bytes(5000)}),
    make_pdf(JPEG, attachments={"a.zip": make_zip({"a.png": PNG})}),
    PNG + make_zip({"b.jpg": JPEG}),
]
MAGICS = [b"PK\x03\x04", b"PK\x05\x06", b"%PDF-1.7\n", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]
MAGICS += [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x28\xb5\x2f\xfd", b"\x89PNG\r\n\x1a\n", b""]


def check(data: bytes) -> None:
    finds: list[Found | Unread] = []
    unpack(data, LIMITS, finds.append)
    found = [find for find in finds if isinstance(find, Found)]
    assert len(found) <= LIMITS.max_images
    assert sum(len(find.data) for find in found) <= LIMITS.max_image_bytes
    assert len(finds) - len(found) <= LIMITS.max_problems + 1
    for find in finds:
        assert len(find.path) <= MAX_PATH
        assert find.path.isprintable()
    for find in found:
        assert hashlib.sha256(find.data).hexdigest() == find.sha256


@given(st.sampled_from(MAGICS), st.binary(max_size=2000))
def test_any_bytes(magic: bytes, data: bytes) -> None:
    check(magic + data)


@settings(max_examples=200)
@given(st.sampled_from(CONTAINERS), st.data())
def test_any_damage(container: bytes, data: st.DataObject) -> None:
    damaged = bytearray(container)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.sampled_from([0, 1, 1, 4]))] = data.draw(st.binary(max_size=4))
        if not damaged:
            break
    check(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]) if data.draw(st.booleans()) else bytes(damaged))


@given(st.sampled_from(CONTAINERS[:-1]), st.binary(max_size=300))
def test_a_container_in_any_protocol_is_found_whole(container: bytes, before: bytes) -> None:
    head = HttpHead(method="POST", scheme="https", host="a.example", port=443, path="/")
    parts = extract(HttpMessage(head=head, body=container, direction=Direction.OUTBOUND)).parts
    assert [part.data for part in parts] == [container] or parts[0].media_type.startswith("image/")
    boundary = b"--cut\r\n\r\n" + before.replace(b"--cut", b"") + b"\r\n--cut\r\n\r\n" + container + b"\r\n--cut--\r\n"
    headers = (("content-type", "multipart/form-data; boundary=cut"),)
    message = HttpMessage(
        head=HttpHead(method="POST", scheme="https", host="a.example", port=443, path="/", headers=headers),
        body=boundary,
        direction=Direction.OUTBOUND,
    )
    assert container in [part.data for part in extract(message).parts]
