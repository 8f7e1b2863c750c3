"""What the demonstration sends: protected drawings, their edits, unrelated drawings of the same families, text."""

from __future__ import annotations

import base64
import json
import random
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, Self

import httpx

from console.demo.origin import CHAT, HOST
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS, edited, encode

PROTECTED: Final = 26
UNRELATED: Final = 65
TEXTS: Final = 6
DOWNLOADS: Final = 6
REDACTED: Final = 6
FORMS: Final = ("raw", "multipart", "json")
TIMEOUT: Final = 30.0

Way = Literal["upload", "download"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing by name; ``seed`` fixes every pixel."""

    family: str
    seed: int

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.family}-{self.seed}.jpg"

    def encoded(self) -> bytes:
        """The original as JPEG."""
        return encode(draw(self.family, self.seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One transfer: what it is, and whether it must be stopped, or pass with what is protected obscured."""

    kind: str
    name: str
    data: bytes
    must_block: bool
    must_redact: bool = False
    way: Way = "upload"

    @property
    def host(self) -> str:
        """Where it goes."""
        return CHAT if self.must_redact else HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to an item.

    ``intact`` is False where a passed body did not arrive byte for byte, or a redacted one arrived as it was sent.
    """

    item: Item
    blocked: bool
    redacted: bool
    status: int
    incident: str
    milliseconds: float
    intact: bool


def pictures(seed: int) -> tuple[list[Picture], list[Picture]]:
    """Return the protected and the unrelated drawings, spread evenly over the families, all different."""
    rng = random.Random(seed)
    seeds = rng.sample(range(1_000_000), PROTECTED + UNRELATED)
    drawn = [Picture(family=FAMILIES[index % len(FAMILIES)], seed=number) for index, number in enumerate(seeds)]
    return drawn[:PROTECTED], drawn[PROTECTED:]


def items(protected: Sequence[Picture], unrelated: Sequence[Picture], seed: int) -> Iterator[Item]:
    """Yield every transfer."""
    for picture in protected:
        image = draw(picture.family, picture.seed)
        yield Item(kind="original", name=picture.name, data=encode(image), must_block=True)
        for edit in EDITS:
            name = f"{edit}-{picture.name}"
            yield Item(kind=edit, name=name, data=edited(image, edit, seed + picture.seed), must_block=True)
    for picture in unrelated:
        yield Item(kind="unrelated", name=picture.name, data=picture.encoded(), must_block=False)
    for number in range(TEXTS):
        text = f"Minutes of meeting {number}: nothing to see here.\n" * (number + 1) * 40
        yield Item(kind="text", name=f"minutes-{number}.txt", data=text.encode(), must_block=False)
    for picture in protected[:DOWNLOADS]:
        yield Item(kind="protected", name=picture.name, data=picture.encoded(), must_block=True, way="download")
    for picture in protected[:REDACTED]:
        yield Item(kind="to the chat", name=picture.name, data=picture.encoded(), must_block=False, must_redact=True)
    for picture in unrelated[:DOWNLOADS]:
        yield Item(kind="unrelated", name=picture.name, data=picture.encoded(), must_block=False, way="download")


class BrowserTrust(ssl.SSLContext):
    """Trusts one CA and offers HTTP/2 first, as browsers do; httpx offers HTTP/1.1 first, and gets that."""

    @classmethod
    def in_ca(cls, pem: str) -> Self:
        """Return a context that trusts only ``pem``."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem)
        return context

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer ``h2`` before ``http/1.1``."""
        super().set_alpn_protocols(sorted(alpn_protocols, key="h2".__ne__))


class Browser:
    """A real HTTP client behind the proxy, over HTTP/1.1 and HTTP/2 in turn."""

    def __init__(self, proxy: str, trust: ssl.SSLContext) -> None:
        self._clients = [
            httpx.Client(proxy=proxy, verify=trust, http2=http2, timeout=TIMEOUT, trust_env=False)
            for http2 in (False, True)
        ]
        self._sent = 0

    def send(self, item: Item) -> tuple[httpx.Response, bytes, float]:
        """Return the response, the body that was sent (uploads) and the milliseconds it took."""
        client = self._clients[self._sent % len(self._clients)]
        form = FORMS[self._sent % len(FORMS)]
        self._sent += 1
        if item.way == "download":
            request = client.build_request("GET", f"https://{HOST}/{item.name}")
        else:
            request = _upload(client, item, form)
        body = request.read()
        begin = time.perf_counter()
        response = client.send(request)
        return response, body, (time.perf_counter() - begin) * 1000

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()


def _upload(client: httpx.Client, item: Item, form: str) -> httpx.Request:
    url = f"https://{item.host}/upload"
    content_type = "text/plain" if item.name.endswith(".txt") else "image/jpeg"
    if form == "multipart":
        return client.build_request("POST", url, files={"file": (item.name, item.data, content_type)})
    if form == "json":
        document = {"name": item.name, "file": f"data:{content_type};base64,{base64.b64encode(item.data).decode()}"}
        headers = {"Content-Type": "application/json"}
        return client.build_request("POST", url, content=json.dumps(document).encode(), headers=headers)
    return client.build_request("POST", url, content=item.data, headers={"Content-Type": content_type})


def judge(item: Item, response: httpx.Response, sent: bytes, milliseconds: float) -> Outcome:
    """Turn a response into an outcome."""
    header = response.headers.get("x-safelight", "")
    blocked, redacted = header.startswith("block"), header.startswith("redact")
    if item.way == "upload":
        as_sent = response.text == sha256(sent).hexdigest()
        intact = blocked or as_sent is not redacted
    else:
        intact = blocked or response.content == item.data
    incident = header.rpartition('incident="')[2].rstrip('"') if blocked or redacted else ""
    return Outcome(
        item=item,
        blocked=blocked,
        redacted=redacted,
        status=response.status_code,
        incident=incident,
        milliseconds=milliseconds,
        intact=intact,
    )
