import ipaddress

import pytest

from proxy_addon.identity.proxy_header import SIGNATURE, ProxyHeaderError, Source, header_length, parse

V4 = ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("192.0.2.1").packed + b"\xc3\x50\x01\xbb"
V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("2001:db8::1").packed + b"\xc3\x50\x01\xbb"


def version_2(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(payload).to_bytes(2) + payload


GOOD = [
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n", Source("192.0.2.7", 50000)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n", Source("2001:db8::7", 50000)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (version_2(0x21, 0x11, V4), Source("192.0.2.7", 50000)),
    (version_2(0x21, 0x11, V4 + b"\x04\x00\x01x"), Source("192.0.2.7", 50000)),
    (version_2(0x21, 0x21, V6), Source("2001:db8::7", 50000)),
    (version_2(0x20, 0x00, b""), None),
    (version_2(0x20, 0x11, V4), None),
    (version_2(0x21, 0x00, b""), None),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_headers(header: bytes, source: Source | None) -> None:
    assert parse(header) == source


@pytest.mark.parametrize("header", [header for header, _ in GOOD])
def test_the_length_is_known_before_the_next_byte_is_asked_for(header: bytes) -> None:
    for end in range(len(header)):
        length = header_length(header[:end])
        assert length in (None, len(header))
    assert header_length(header) == len(header)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 50000\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 99999\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.777 192.0.2.1 1 2\r\n",
        b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 \xff 192.0.2.1 1 2\r\n",
        b"PROXY UNKNOWN" + b" " * 100 + b"\r\n",
        version_2(0x21, 0x11, V4[:11]),
        version_2(0x21, 0x21, V4),
        version_2(0x21, 0x12, V4),
        version_2(0x22, 0x11, V4),
        version_2(0x11, 0x11, V4),
    ],
)
def test_whatever_is_not_exactly_a_header_is_an_error(header: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(header)


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXIED",
        b"\x16\x03\x01",
        b"\r\n\r\nX",
        b"PROXY TCP4 " + b"1" * 100,
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_does_not_begin_like_a_header_is_an_error_at_once(begin: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        header_length(begin)
