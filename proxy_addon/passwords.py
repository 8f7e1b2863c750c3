"""Passwords of proxy users: the file that Apache's ``htpasswd`` writes.

Read are bcrypt (``htpasswd -B``) and unsalted SHA-1 (``htpasswd -s``), as described in
https://httpd.apache.org/docs/2.4/misc/password_encryptions.html.  Everything else is an error that names the line.
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
            if not user or not (_SHA.fullmatch(hashed) or _BCRYPT.fullmatch(hashed)):
                raise ConfigError(
                    f"line {number}: needed is user:hash with a bcrypt (htpasswd -B) or SHA-1 (htpasswd -s) hash"
                )
            hashes[user] = hashed
        strongest = max((each for each in hashes.values() if each.startswith("$")), key=_cost, default=_NOBODY_SHA)
        return cls(MappingProxyType(hashes), strongest)

    def check(self, user: str, password: str) -> bool:
        """Tell whether a password is the user's; takes up to seconds, as the file's bcrypt cost says."""
        right = _fits(self.hashes.get(user, self.decoy), password.encode())
        return right and user in self.hashes


def _cost(hashed: str) -> int:
    return int(hashed[4:6])


def _fits(hashed: str, password: bytes) -> bool:
    if hashed.startswith("{SHA}"):
        digest = base64.b64encode(hashlib.sha1(password, usedforsecurity=False).digest())
        return hmac.compare_digest(digest, hashed.removeprefix("{SHA}").encode())
    return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed.encode())
