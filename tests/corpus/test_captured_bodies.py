"""Bodies of recorded traffic and real mails: each gives images and named problems, and what is declared is found."""

import email
from pathlib import Path
from typing import Final

import pytest

from shared.extract.pipeline import Extraction, extract
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.types import Direction, HttpMessage
from tests.corpus.captures import Body, bodies, files
from tests.factories import make_head

pytestmark = pytest.mark.corpus

DOCUMENTS: Final = "documents/documents.tar"
RASTER: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")


def inside(body: Body) -> Extraction:
    data, media_type, coding = body
    headers = (("content-type", media_type), ("content-encoding", coding))
    return extract(HttpMessage(head=make_head(headers=headers), body=data, direction=Direction.OUTBOUND))


def test_declared_pictures_of_recorded_traffic_are_found(corpus: Path) -> None:
    seen = found = 0
    missed = []
    for name, body in bodies(corpus):
        result = inside(body)
        seen, found = seen + 1, found + len(result.parts)
        if (
            body[1].startswith(RASTER)
            and not body[2]
            and sniff(body[0])
            and body[0] not in [p.data for p in result.parts]
        ):
            missed.append(name)
    assert missed == []
    assert seen > 400
    assert found > 150


def read_by_python(data: bytes) -> set[bytes]:
    parts = [part for part in email.message_from_bytes(data).walk() if not part.is_multipart()]
    contents = [part.get_payload(decode=True) for part in parts]
    return {content for content in contents if isinstance(content, bytes) and sniff(content[:SNIFF_BYTES])}


def test_pictures_of_mails_are_found(corpus: Path) -> None:
    mails = {name: data for name, data in files(corpus / DOCUMENTS) if name.endswith(".eml")}
    ours = {name: {part.data for part in inside((data, "message/rfc822", "")).parts} for name, data in mails.items()}
    missed = [name for name, data in mails.items() if not read_by_python(data) <= ours[name]]
    assert missed == []
    assert sum(map(len, ours.values())) > 20
