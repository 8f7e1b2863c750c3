"""Origins that take uploads in several requests, each written after its protocol's document.

What they hold in ``objects`` is what others could see: an upload that was not finished is not in it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.origins import Answer, Seen

_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class UploadOrigin(ABC):
    """Common ground: unfinished uploads by their ids, and what was made of them."""

    uploads: dict[str, bytearray] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)

    @abstractmethod
    def __call__(self, seen: Seen) -> Answer:
        """Answer a request."""

    def new(self) -> str:
        """Begin an upload."""
        name = f"u{len(self.uploads) + len(self.objects) + len(self.cancelled)}"
        self.uploads[name] = bytearray()
        return name

    def finish(self, name: str) -> None:
        """Make an upload visible."""
        self.objects[name] = bytes(self.uploads.pop(name))

    def cancel(self, name: str) -> bool:
        """Give an upload up."""
        if self.uploads.pop(name, None) is None:
            return False
        self.cancelled.append(name)
        return True


@dataclass
class TusOrigin(UploadOrigin):
    """https://tus.io/protocols/resumable-upload, with creation, creation-with-upload, termination, concatenation."""

    lengths: dict[str, int | None] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)

    def __call__(self, seen: Seen) -> Answer:
        name = seen.target.removeprefix("/files/")
        if seen.header("tus-resumable") != "1.0.0":
            return self._answer(412)
        if seen.method == "POST":
            return self._create(seen)
        if name not in self.uploads:
            return self._answer(410 if name in self.cancelled else 404)
        if seen.method == "DELETE":
            self.cancel(name)
            return self._answer(204)
        if seen.method == "HEAD":
            return self._answer(200, ("upload-offset", str(len(self.uploads[name]))))
        if seen.method != "PATCH" or seen.header("content-type") != "application/offset+octet-stream":
            return self._answer(415)
        if int(seen.header("upload-offset")) != len(self.uploads[name]):
            return self._answer(409)
        return self._take(name, seen, 204)

    def _create(self, seen: Seen) -> Answer:
        concat = seen.header("upload-concat")
        name = self.new()
        if concat.startswith("final;"):
            for path in concat.removeprefix("final;").split():
                self.uploads[name] += self.objects.pop(path.removeprefix("/files/"))
            self.finish(name)
            return self._answer(201, ("location", f"/files/{name}"))
        if concat:
            self.partial.add(name)
        self.lengths[name] = int(seen.header("upload-length")) if seen.header("upload-length") else None
        return self._take(name, seen, 201, ("location", f"/files/{name}"))

    def _take(self, name: str, seen: Seen, status: int, *headers: tuple[str, str]) -> Answer:
        if seen.header("upload-length"):
            self.lengths[name] = int(seen.header("upload-length"))
        self.uploads[name] += seen.body
        offset = len(self.uploads[name])
        if offset == self.lengths[name]:
            self.finish(name)
        return self._answer(status, ("upload-offset", str(offset)), *headers)

    def _answer(self, status: int, *headers: tuple[str, str]) -> Answer:
        return Answer(body=b"", status=status, headers=(("tus-resumable", "1.0.0"), *headers))


@dataclass
class GoogleOrigin(UploadOrigin):
    """https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable: one session an address.

    Bytes that are there already are ignored.
    """

    def __call__(self, seen: Seen) -> Answer:
        query = parse_qs(urlsplit(seen.target).query)
        if "upload_id" not in query:
            name = self.new()
            address = f"https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable&upload_id={name}"
            return Answer(body=b"", headers=(("location", address),))
        name = query["upload_id"][0]
        if seen.method == "DELETE":
            return Answer(body=b"", status=499 if self.cancel(name) else 404)
        if name not in self.uploads:
            return Answer(body=b"", status=404)
        match = _RANGE.fullmatch(seen.header("content-range"))
        if match is None:
            self.uploads[name] += seen.body
            return self._done(name)
        held = self.uploads[name]
        if match[1] is not None:
            start = int(match[1])
            if start > len(held):
                return Answer(body=b"", status=503)
            held += seen.body[len(held) - start :]
        if match[3] != "*" and len(held) == int(match[3]):
            return self._done(name)
        reached = (("range", f"bytes=0-{len(held) - 1}"),) if held else ()
        return Answer(body=b"", status=308, headers=reached)

    def _done(self, name: str) -> Answer:
        self.finish(name)
        return Answer(body=b'{"id": "%s"}' % name.encode(), media_type="application/json")


@dataclass
class ScottyOrigin(UploadOrigin):
    """https://developers.google.com/photos/library/guides/resumable-uploads"""

    def __call__(self, seen: Seen) -> Answer:
        commands = [command.strip() for command in seen.header("x-goog-upload-command").split(",")]
        if commands == ["start"]:
            name = self.new()
            return self._answer("active", ("x-goog-upload-url", f"https://photos.example/up?upload_id={name}"))
        name = parse_qs(urlsplit(seen.target).query)["upload_id"][0]
        if name not in self.uploads:
            return Answer(body=b"", status=404)
        if commands == ["cancel"]:
            self.cancel(name)
            return self._answer("cancelled")
        if "upload" in commands:
            assert int(seen.header("x-goog-upload-offset")) == len(self.uploads[name])
            self.uploads[name] += seen.body
        if "finalize" in commands:
            self.finish(name)
            return self._answer("final")
        return self._answer("active")

    def _answer(self, status: str, *headers: tuple[str, str]) -> Answer:
        return Answer(body=b"", headers=(("x-goog-upload-status", status), *headers))


@dataclass
class S3Origin(UploadOrigin):
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html: the last part of a number counts."""

    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def __call__(self, seen: Seen) -> Answer:
        query = parse_qs(urlsplit(seen.target).query, keep_blank_values=True)
        if "uploads" in query:
            name = self.new()
            self.parts[name] = {}
            xml = f'<?xml version="1.0"?><R xmlns="http://s3/"><Key>k</Key><UploadId>{name}</UploadId></R>'
            return Answer(body=xml.encode(), media_type="application/xml")
        name = query["uploadId"][0]
        if name not in self.uploads:
            return Answer(body=b"<Error><Code>NoSuchUpload</Code></Error>", status=404)
        if seen.method == "PUT":
            self.parts[name][int(query["partNumber"][0])] = seen.body
            return Answer(body=b"", headers=(("etag", '"x"'),))
        for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", seen.body):
            self.uploads[name] += self.parts[name][int(number)]
        self.finish(name)
        return Answer(body=b"<R/>", media_type="application/xml")


@dataclass
class AzureOrigin(UploadOrigin):
    """https://learn.microsoft.com/en-us/rest/api/storageservices/put-block-list"""

    blocks: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, seen: Seen) -> Answer:
        parts = urlsplit(seen.target)
        query = parse_qs(parts.query)
        if query["comp"] == ["block"]:
            self.blocks[query["blockid"][0]] = seen.body
        else:
            listed = re.findall(rb"<Latest>([^<]+)</Latest>", seen.body)
            self.objects[unquote(parts.path)] = b"".join(self.blocks[name.decode()] for name in listed)
            self.blocks.clear()
        return Answer(body=b"", status=201)
