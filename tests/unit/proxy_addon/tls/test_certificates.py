"""The CA that endpoints trust, and the authorities that the proxy trusts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy_addon.tls.certificates import ca_folder, export_ca, system_bundle, trusted_bundle
from shared.errors import ConfigError
from tests.origins import TestAuthority


def test_the_ca_is_made_once_and_exported_without_its_key(tmp_path: Path) -> None:
    pem = export_ca(tmp_path / "new" / "data", "pem")
    assert b"PRIVATE" not in pem
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.subject.rfc4514_string() == "O=Safelight,CN=Safelight CA"
    assert export_ca(tmp_path / "new" / "data", "der") == certificate.public_bytes(Encoding.DER)
    assert export_ca(tmp_path / "new" / "data", "pem") == pem


def test_the_key_is_the_owners_alone(tmp_path: Path) -> None:
    folder = ca_folder(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0
    secret = [file for file in folder.iterdir() if b"PRIVATE" in file.read_bytes()]
    assert secret
    assert all(file.stat().st_mode & 0o077 == 0 for file in secret)


def test_several_processes_at_once_get_the_same_ca(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        exported = list(threads.map(lambda _: export_ca(tmp_path, "pem"), range(4)))
    assert len(set(exported)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["ca"]


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="certificate authority"):
        export_ca(tmp_path / "file", "pem")


def test_an_upstream_ca_adds_to_the_systems(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    joined = trusted_bundle(authority.file, tmp_path / "run").read_bytes()
    assert system_bundle().read_bytes() in joined
    assert authority.file.read_bytes() in joined
    assert trusted_bundle(None, tmp_path / "run") == system_bundle()


@pytest.mark.parametrize("content", [None, b"", b"junk", b"-----BEGIN CERTIFICATE-----\njunk\n"])
def test_an_upstream_ca_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "upstream.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"upstream_ca .*upstream\.pem"):
        trusted_bundle(file, tmp_path)
