"""The PROXY protocol, versions 1 and 2: a load balancer says whose connection it passes on.

https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt.  Sans-I/O: ``header_length`` tells how much has to be read
before ``parse`` can say who it is.  The header is all or nothing: whatever is not exactly one is an error.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from shared.errors import SafelightError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIRST_READ: Final = len("PROXY UNKNOWN\r\n")
"""The shortest header there is: as much can be read before anything is known."""
FIXED_BYTES: Final = 16
"""Of version 2, up to and with its length."""
V1_MOST: Final = 107
"""Of a line of version 1, its CRLF included."""
V2_MOST: Final = 4096
"""Of a header of version 2; addresses take 36 bytes, the rest are extensions (TLVs) that are passed over."""

_LINE: Final = re.compile(rb"PROXY (?:UNKNOWN(?: [ -~]*)?|(TCP[46]) (\S+) (\S+) (\d{1,5}) (\d{1,5}))\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_SHORTEST: Final = {0x11: 12, 0x21: 36}  # TCP over IPv4, TCP over IPv6: bytes of addresses and ports
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}


class ProxyHeaderError(SafelightError):
    """A trusted load balancer did not begin with a PROXY header; its connection is closed."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose connection it is."""

    ip: str
    port: int


def header_length(begin: bytes) -> int | None:
    """Return the length of the header that begins so; None: more is needed.  Raises ProxyHeaderError.

    Never asks for bytes past the header: those belong to whatever comes next.
    """
    if begin[: len(SIGNATURE)] == SIGNATURE[: len(begin)]:
        if len(begin) < FIXED_BYTES:
            return None
        length = FIXED_BYTES + int.from_bytes(begin[14:16])
        if length > V2_MOST:
            raise ProxyHeaderError(f"a PROXY header of {length} bytes, at most {V2_MOST} are read")
        return length
    if begin[:6] != b"PROXY "[: len(begin)]:
        raise ProxyHeaderError("the connection does not begin with a PROXY header")
    end = begin.find(b"\r\n")
    if end >= 0:
        return end + 2
    if len(begin) >= V1_MOST:
        raise ProxyHeaderError(f"a PROXY line of more than {V1_MOST} bytes")
    return None


def parse(header: bytes) -> Source | None:
    """Read a whole header; None: the balancer speaks for itself (a health check).  Raises ProxyHeaderError."""
    return _version_2(header) if header.startswith(SIGNATURE) else _version_1(header)


def _version_1(line: bytes) -> Source | None:
    match = _LINE.fullmatch(line)
    if match is None or len(line) > V1_MOST:
        raise ProxyHeaderError("a malformed PROXY line")
    if match[1] is None:
        return None
    version = 4 if match[1] == b"TCP4" else 6
    addresses = [_address(text.decode("ascii", "replace"), version) for text in (match[2], match[3])]
    ports = [int(text) for text in (match[4], match[5])]
    if max(ports) > 65535:
        raise ProxyHeaderError("a port over 65535 in a PROXY line")
    return Source(addresses[0], ports[0])


def _version_2(header: bytes) -> Source | None:
    command, family, payload = header[12], header[13], header[FIXED_BYTES:]
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"version and command 0x{command:02x} in a PROXY header, known are 0x20 and 0x21")
    if command == _LOCAL or family == 0:
        return None
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        raise ProxyHeaderError(f"family 0x{family:02x} in a PROXY header is not TCP over IP")
    if len(payload) < _SHORTEST[family]:
        raise ProxyHeaderError("a PROXY header too short for its addresses")
    source = ipaddress.ip_address(payload[:size])
    return Source(str(source), int.from_bytes(payload[2 * size : 2 * size + 2]))


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ProxyHeaderError("a PROXY line without valid addresses") from None
    if address.version != version:
        raise ProxyHeaderError("a PROXY line whose addresses are of the other family")
    return str(address)
