"""Web servers for tests: plain or TLS, HTTP/1.1 and HTTP/2, that remember what reached them."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import h2.config
import h2.connection
import h2.events
import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as the origin got it."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    http: str
    sni: str | None
    connection: int

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the origin answers; ``chunked`` leaves the length out."""

    body: bytes = b"received"
    media_type: str = "text/plain"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False

    def fields(self) -> list[tuple[str, str]]:
        length = [("transfer-encoding", "chunked")] if self.chunked else [("content-length", str(len(self.body)))]
        return [("content-type", self.media_type), *self.headers, *length]


@dataclass
class Origin:
    """A running server."""

    answer: Callable[[Seen], Answer]
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        tls = writer.get_extra_info("ssl_object")
        sni = getattr(tls.context, "test_sni", None) if tls else None
        try:
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await _Http2(self, reader, writer, sni, self.connections).run()
            else:
                await _http1(self, reader, writer, sni, self.connections)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """Cut what is still connected."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _http1(
    origin: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sni: str | None, number: int
) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        head, body = None, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert head is not None
        seen = Seen(
            method=head.method.decode(),
            target=head.target.decode(),
            headers=tuple((name.decode(), value.decode()) for name, value in head.headers),
            body=bytes(body),
            http="1.1",
            sni=sni,
            connection=number,
        )
        origin.seen.append(seen)
        answer = origin.answer(seen)
        response = h11.Response(status_code=answer.status, headers=answer.fields())
        writer.write(connection.send(response) or b"")
        for start in range(0, len(answer.body) if seen.method != "HEAD" else 0, 65536):
            writer.write(connection.send(h11.Data(data=answer.body[start : start + 65536])) or b"")
            await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        if connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


class _Http2:
    """HTTP/2 with one answer at a time and flow control."""

    def __init__(
        self,
        origin: Origin,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sni: str | None,
        number: int,
    ) -> None:
        self._origin, self._reader, self._writer, self._sni, self._number = origin, reader, writer, sni, number
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, list[tuple[str, str]]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._outgoing: dict[int, bytes] = {}

    async def run(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        while data := await self._reader.read(65536):
            for event in self._h2.receive_data(data):
                self._take(event)
            self._send_bodies()
            await self._flush()

    def _take(self, event: object) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._heads[event.stream_id] = [(str(name), str(value)) for name, value in event.headers]
            self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._answer(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._outgoing.pop(event.stream_id, None)

    def _answer(self, stream: int) -> None:
        fields = self._heads.pop(stream)
        pseudo = dict(fields[:4])
        seen = Seen(
            method=pseudo[":method"],
            target=pseudo[":path"],
            headers=tuple(("host" if name == ":authority" else name, value) for name, value in fields),
            body=bytes(self._bodies.pop(stream)),
            http="2",
            sni=self._sni,
            connection=self._number,
        )
        self._origin.seen.append(seen)
        answer = self._origin.answer(seen)
        fields_out = [(name, value) for name, value in answer.fields() if name != "transfer-encoding"]
        self._h2.send_headers(stream, [(":status", str(answer.status)), *fields_out])
        self._outgoing[stream] = answer.body if seen.method != "HEAD" else b""

    def _send_bodies(self) -> None:
        for stream in list(self._outgoing):
            while True:
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                piece, rest = self._outgoing[stream][:room], self._outgoing[stream][room:]
                if not piece and rest:
                    break
                self._h2.send_data(stream, piece, end_stream=not rest)
                self._outgoing[stream] = rest
                if not rest:
                    del self._outgoing[stream]
                    break

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


@asynccontextmanager
async def serve_origin(
    answer: Callable[[Seen], Answer] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Origin]:
    """Serve on a free loopback port."""
    origin = Origin(answer or (lambda _: Answer()))
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
        await origin.end()


class TestAuthority:
    """A certificate authority for origins."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test origins")])
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = folder / "origins-ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str, http2: bool = True) -> ssl.SSLContext:
        """Return a server's context with a certificate for ``names``; it remembers the last SNI."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = _builder(subject, self._name, key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        file = self._folder / f"{names[0]}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = _RememberingContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
        context.sni_callback = _remember
        return context


class _RememberingContext(ssl.SSLContext):
    test_sni: str | None = None


def _remember(_: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    assert isinstance(context, _RememberingContext)
    context.test_sni = name


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 30 * _DAY)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
