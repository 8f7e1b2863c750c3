"""Checks passwords without holding the event loop.

A bcrypt check takes 2 ms to seconds, by the file's cost: it runs in threads of its own, so that a flood of wrong
passwords delays neither name resolution nor the store.  What was right is remembered for a while, keyed by a digest
under a random key: clients send their password with every connection.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from proxy_addon.identity.identifiers import Asked, Challenge
from proxy_addon.identity.passwords import Passwords
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Actor

THREADS: Final = 2
WAITING_MOST: Final = 64
"""Checks that wait for a thread; whoever comes then is asked to try again."""
REMEMBERED_MOST: Final = 4096
REMEMBERED_SECONDS: Final = 300.0
CREDENTIALS_MOST: Final = 1024
"""Characters of a Proxy-Authorization header that are looked at."""


class PasswordIdentifier:
    """Takes the user from Basic credentials (RFC 7617), and asks for them where nobody knows the user yet."""

    def __init__(self, passwords: Callable[[], Passwords], realm: str, clock: Clock, metrics: Metrics) -> None:
        self._passwords = passwords
        self._challenge = f'Basic realm="{realm}", charset="UTF-8"'
        self._clock = clock
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()  # digest -> when it is forgotten
        self._checked: Passwords | None = None  # what the remembered ones were checked against
        self._checks: dict[bytes, asyncio.Future[bool]] = {}

    async def identify(self, asked: Asked, known: Actor) -> Actor:
        """Return the actor with the user's name; raises Challenge where there is none and the password is not right."""
        given = parse_basic(asked.credentials)
        if given is None:
            if known.user:
                return known
            self._count("missing")
            raise Challenge(self._challenge)
        if await self._check(*given):
            self._count("accepted")
            return replace(known, user=given[0])
        self._count("refused")
        raise Challenge(self._challenge)

    async def _check(self, user: str, password: str) -> bool:
        passwords, now = self._passwords(), self._clock.monotonic()
        if passwords is not self._checked:
            self._right.clear()
            self._checks.clear()
            self._checked = passwords
        digest = hmac.digest(self._key, f"{user}:{password}".encode(), "sha256")
        if self._right.get(digest, 0.0) > now:
            self._right.move_to_end(digest)
            return True
        check = self._checks.get(digest)
        if check is None:
            if len(self._checks) >= WAITING_MOST:
                self._count("overload")
                return False
            loop = asyncio.get_running_loop()
            check = self._checks[digest] = loop.run_in_executor(self._threads, passwords.check, user, password)
            check.add_done_callback(lambda done: self._settle(digest, done))
        # Shielded: others may wait for the same answer.
        right = await asyncio.shield(check)
        if right and passwords is self._checked:
            self._remember(digest, now)
        return right

    def _settle(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        if self._checks.get(digest) is done:
            del self._checks[digest]

    def _remember(self, digest: bytes, now: float) -> None:
        self._right[digest] = now + REMEMBERED_SECONDS
        self._right.move_to_end(digest)
        while len(self._right) > REMEMBERED_MOST:
            self._right.popitem(last=False)

    def _count(self, outcome: str) -> None:
        self._metrics.count("safelight_proxy_authentications_total", outcome=outcome)


def parse_basic(header: str) -> tuple[str, str] | None:
    """Return user and password of a ``Proxy-Authorization`` header's value; None: there are none."""
    scheme, _, credentials = header[:CREDENTIALS_MOST].strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:  # not base64, or what it holds is not UTF-8
        return None
    user, colon, password = text.partition(":")
    return (user, password) if user and colon and "\0" not in text else None
