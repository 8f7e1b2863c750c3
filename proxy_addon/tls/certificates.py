"""The certificate authority that endpoints trust, and the authorities that this proxy trusts."""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
from pathlib import Path
from typing import Final, Literal

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from mitmproxy.certs import CertStore
from mitmproxy.options import CONF_BASENAME, KEY_SIZE

from shared.errors import ConfigError

CA_FOLDER: Final = "ca"
CA_NAME: Final = "Safelight"
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # BSD
)


def ca_folder(data_dir: Path) -> Path:
    """Return the CA's folder, made with a new CA where there is none.

    Several processes may start at once on a new machine: the folder is renamed into place whole, the first one wins.
    """
    folder = data_dir / CA_FOLDER
    if (folder / f"{CONF_BASENAME}-ca.pem").exists():
        return folder
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fresh = data_dir / f".{CA_FOLDER}.{secrets.token_hex(8)}"
        CertStore.create_store(fresh, CONF_BASENAME, KEY_SIZE, organization=CA_NAME, cn=f"{CA_NAME} CA")
        fresh.chmod(0o700)
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)
            if not (folder / f"{CONF_BASENAME}-ca.pem").exists():
                raise
    except OSError as error:
        raise ConfigError(f"cannot make the certificate authority in {folder}: {error}") from error
    return folder


def export_ca(data_dir: Path, format: Literal["pem", "der"]) -> bytes:  # noqa: A002 - the option's name
    """Return the CA's certificate, never its key; makes the CA where there is none.  Raises ConfigError."""
    file = ca_folder(data_dir) / f"{CONF_BASENAME}-ca-cert.pem"
    try:
        pem = file.read_bytes()
        return pem if format == "pem" else x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate authority in {file}: {error}") from error


def system_bundle() -> Path:
    """Return the PEM file of the system's authorities; certifi's where the system has none."""
    found = [os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_BUNDLES]
    return next((Path(file) for file in found if file and Path(file).is_file()), Path(certifi.where()))


def trusted_bundle(upstream_ca: Path | None, folder: Path) -> Path:
    """Return a PEM file of the authorities trusted for origins: the system's, and those of ``upstream_ca``.

    mitmproxy takes one file, in place of its own: the two are joined in ``folder``.  Raises ConfigError.
    """
    if upstream_ca is None:
        return system_bundle()
    try:
        extra = upstream_ca.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read proxy.upstream_ca {upstream_ca}: {error.strerror}") from error
    if _BEGIN not in extra:
        raise ConfigError(f"proxy.upstream_ca {upstream_ca} holds no PEM certificate")
    try:
        x509.load_pem_x509_certificates(extra)
    except ValueError as error:
        raise ConfigError(f"proxy.upstream_ca {upstream_ca} does not parse: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    joined = folder / "trusted-origins.pem"
    fresh = joined.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(system_bundle().read_bytes() + b"\n" + extra)
    fresh.replace(joined)
    return joined
