"""Passwords of proxy users: the file that Apache's ``htpasswd`` writes.

Read are bcrypt (``htpasswd -B``), Apache's salted MD5 in a thousand rounds (``-m``, its default) and unsalted SHA-1
(``-s``), as described in https://httpd.apache.org/docs/2.4/misc/password_encryptions.html.  Everything else is an error
that names the line.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import bcrypt

from shared.errors import ConfigError

BCRYPT_BYTES: Final = 72
"""bcrypt sees no more of a password; htpasswd cuts it there."""
_SHA: Final = re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}=")
_MD5: Final = re.compile(r"\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})")
MD5_BYTES: Final = 255
"""htpasswd takes no longer ones, and a thousand rounds over what a client may send would take a second."""
_MD5_ROUNDS: Final = 1000
_MD5_DIGITS: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MD5_ORDER: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_NOBODY_SHA: Final = "{SHA}" + base64.b64encode(bytes(20)).decode()


@dataclass(frozen=True, slots=True)
class Passwords:
    """Users and the hashes of their passwords."""

    hashes: Mapping[str, str]
    decoy: str  # checked for an unknown user, so that the answer takes as long as for a known one

    @classmethod
    def parse(cls, text: str) -> Passwords:
        """Read a file.  Raises ConfigError naming the line."""
        hashes: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            user, _, rest = entry.partition(":")
            hashed = rest.partition(":")[0]
            if not user or not any(known.fullmatch(hashed) for known in (_BCRYPT, _MD5, _SHA)):
                raise ConfigError(
                    f"line {number}: needed is user:hash with a bcrypt (htpasswd -B), MD5 (-m) or SHA-1 (-s) hash"
                )
            hashes[user] = hashed
        return cls(MappingProxyType(hashes), max(hashes.values(), key=_cost, default=_NOBODY_SHA))

    def check(self, user: str, password: str) -> bool:
        """Tell whether a password is the user's; takes up to seconds, as the file's bcrypt cost says."""
        right = _fits(self.hashes.get(user, self.decoy), password.encode())
        return right and user in self.hashes


def _cost(hashed: str) -> int:
    """How long a check takes, as an order: SHA-1 least, MD5 less than bcrypt of the least cost (4)."""
    return int(hashed[4:6]) if _BCRYPT.fullmatch(hashed) else 1 if hashed.startswith("$") else 0


def _fits(hashed: str, password: bytes) -> bool:
    if (md5 := _MD5.fullmatch(hashed)) is not None:
        fitting = password[:MD5_BYTES]
        return hmac.compare_digest(_apache_md5(fitting, md5[1].encode()), md5[2]) and fitting == password
    if hashed.startswith("{SHA}"):
        digest = base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest())
        return hmac.compare_digest(digest, hashed.removeprefix("{SHA}").encode())
    return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed.encode())


def _apache_md5(password: bytes, salt: bytes) -> str:
    """Poul-Henning Kamp's MD5 crypt, as APR has it (apr_md5_encode in crypto/apr_md5.c), without salt and prefix."""
    inner = _md5(password + salt + password)
    text = password + b"$apr1$" + salt
    text += (inner * (len(password) // len(inner) + 1))[: len(password)]
    length = len(password)
    while length:
        text += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = _md5(text)
    for number in range(_MD5_ROUNDS):
        odd = number & 1
        text = password if odd else digest
        text += salt if number % 3 else b""
        text += password if number % 7 else b""
        digest = _md5(text + (digest if odd else password))
    groups = [(digest[high] << 16 | digest[middle] << 8 | digest[low], 4) for high, middle, low in _MD5_ORDER]
    return "".join(_digits(value, count) for value, count in [*groups, (digest[11], 2)])


def _digits(value: int, count: int) -> str:
    return "".join(_MD5_DIGITS[value >> 6 * place & 63] for place in range(count))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
