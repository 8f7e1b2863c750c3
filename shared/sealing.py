"""The deployment's key: encrypts payloads on bus and store, signs index blobs.

One 32-byte secret, the same on every host; subkeys are derived with HKDF-SHA256 (RFC 5869), the tenant's name a part of
its info: what one tenant sealed or signed opens under no other, also where both were given the same secret.  Payloads
are sealed with AES-256-GCM (NIST SP 800-38D) under a random 96-bit nonce; the associated data binds a sealed value to
its place (a correlation id, a blob's name), so that a value cannot be moved to another question.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import ConfigError, IntegrityError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SIGNATURE_BYTES: Final = 32
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES
WINDOW_BYTES: Final = 128 << 10
"""Bytes encrypted in one call, some 0.1 ms: the GIL is held for it, and in one piece 10 MB would hold it for 50 ms."""

_WRONG_KEY: Final = (
    "a value does not open with this deployment's key: it was changed, or made with another one (every host needs the"
    " same secrets.key_file)"
)


class Sealer:
    """Seals, opens, signs and verifies with subkeys of one secret, ``tenant``'s own where it has a name."""

    def __init__(self, secret: bytes, tenant: str = "") -> None:
        if len(secret) != KEY_BYTES:
            raise ConfigError(f"the key must be {KEY_BYTES} bytes, this one has {len(secret)}")
        key = _derive(secret, "safelight payload encryption v1", tenant)
        self._cipher, self._algorithm = AESGCM(key), AES(key)
        self._signing_key = _derive(secret, "safelight index signing v1", tenant)

    def seal(self, plain: bytes | memoryview, place: str) -> bytes:
        """Encrypt ``plain``, bound to ``place``; 28 bytes longer."""
        nonce = os.urandom(NONCE_BYTES)
        if len(plain) <= WINDOW_BYTES:
            return nonce + self._cipher.encrypt(nonce, plain, place.encode())
        encryptor = Cipher(self._algorithm, GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(place.encode())
        # Into a buffer of the right size from the start: one that grows moves megabytes at once.
        buffer = io.BytesIO(bytes(len(plain) + OVERHEAD_BYTES))
        buffer.write(nonce)
        for window in _windows(plain):
            buffer.write(encryptor.update(window))
        buffer.write(encryptor.finalize() + encryptor.tag)
        return buffer.getvalue()

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt; raises IntegrityError for another key, another place or changed bytes."""
        if len(sealed) < OVERHEAD_BYTES:
            raise IntegrityError("sealed value is too short")
        try:
            if len(sealed) <= WINDOW_BYTES + OVERHEAD_BYTES:
                return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
            return self._open_large(memoryview(sealed), place)
        except InvalidTag as error:
            raise IntegrityError(_WRONG_KEY) from error

    def open_into(self, sealed: bytes | memoryview, place: str, out: memoryview) -> None:
        """Decrypt into ``out``, 28 bytes shorter than ``sealed``: 8 MiB in 1 ms, for which the GIL is held.

        Raises IntegrityError as ``open`` does; then ``out`` holds nothing to be used.
        """
        view = memoryview(sealed)
        if len(view) != len(out) + OVERHEAD_BYTES:
            raise IntegrityError("sealed value is of another length")
        try:
            self._cipher.decrypt_into(view[:NONCE_BYTES], view[NONCE_BYTES:], place.encode(), out)
        except InvalidTag as error:
            raise IntegrityError(_WRONG_KEY) from error

    def _open_large(self, sealed: memoryview, place: str) -> bytes:
        nonce, secret, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
        decryptor = Cipher(self._algorithm, GCM(bytes(nonce), bytes(tag))).decryptor()
        decryptor.authenticate_additional_data(place.encode())
        buffer = io.BytesIO(bytes(len(secret)))
        for window in _windows(secret):
            buffer.write(decryptor.update(window))
        decryptor.finalize()
        return buffer.getvalue()

    def sign(self, data: bytes) -> bytes:
        """Return the HMAC-SHA256 (RFC 2104) of ``data``."""
        return hmac.digest(self._signing_key, data, sha256)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raise IntegrityError unless ``signature`` is this deployment's for ``data``."""
        if not hmac.compare_digest(self.sign(data), signature):
            raise IntegrityError("signature does not fit; written with another key or changed since")


def _windows(data: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(view), WINDOW_BYTES):
        yield view[start : start + WINDOW_BYTES]
        time.sleep(0)  # lets go of the GIL, for the event loop of the thread that waits


def _derive(secret: bytes, purpose: str, tenant: str) -> bytes:
    info = f"{purpose} of {tenant}" if tenant else purpose
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(secret)


def load_or_create_key(path: Path) -> bytes:
    """Return the secret in ``path`` (64 hexadecimal digits), made where there is none.  Raises ConfigError."""
    text = secret_in_file(path, lambda: secrets.token_hex(KEY_BYTES))
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ConfigError(f"cannot read the key in {path}: {error}") from error


def secret_in_file(path: Path, make: Callable[[], str]) -> str:
    """Return the secret text in ``path``, made with mode 0600 where there is none.  Raises ConfigError.

    Several roles may start at once on a new machine: the file is linked into place whole, and the first one wins.
    """
    try:
        if not path.exists():
            _link_into_place(path, make())
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read or make the secret in {path}: {error}") from error
    if not text:
        raise ConfigError(f"{path} is empty: remove it, and a new secret is made")
    return text


def _link_into_place(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    candidate = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(candidate, path)
    finally:
        candidate.unlink()
