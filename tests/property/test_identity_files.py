"""What comes from the network or from an operator's file is read, or is an error with a name; nothing else."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.identity.authentication import parse_basic
from proxy_addon.identity.directory import parse_address, parse_directory
from proxy_addon.identity.identifiers import TrustedProxies
from proxy_addon.identity.passwords import Passwords
from proxy_addon.identity.proxy_header import SIGNATURE, V1_MOST, V2_MOST, ProxyHeaderError, header_length, parse
from shared.errors import ConfigError

begins = st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN"])
headers = st.tuples(begins, st.binary(max_size=200), st.sampled_from([b"", b"\r\n"])).map(b"".join)


@given(headers)
def test_any_bytes_are_a_proxy_header_or_its_error(data: bytes) -> None:
    with suppress(ProxyHeaderError):
        length = header_length(data)
        if length is None:
            assert len(data) < max(V1_MOST, 16)
        else:
            assert length <= max(V2_MOST, len(data))
            if length <= len(data):
                source = parse(data[:length])
                assert source is None or parse_address(source.ip) is not None


@given(st.text())
def test_any_text_is_a_password_file_or_its_error(text: str) -> None:
    with suppress(ConfigError):
        Passwords.parse(text)


@given(st.text(), st.booleans())
def test_any_text_is_a_directory_or_its_error(text: str, is_json: bool) -> None:
    with suppress(ConfigError):
        parse_directory(text, is_json=is_json)


@given(st.text())
def test_any_credentials_are_read_or_are_none(text: str) -> None:
    given_credentials = parse_basic(f"Basic {text}")
    assert given_credentials is None or ":" not in given_credentials[0]


@given(st.lists(st.text()))
def test_any_chain_of_hops_gives_an_address(lines: list[str]) -> None:
    assert parse_address(TrustedProxies(["10.0.0.0/8"]).client("10.0.0.1", lines)) is not None
