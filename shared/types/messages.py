"""What travels over the bus, and what the store gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.types.facts import Verdict
from shared.types.vocabulary import Priority

CLAIM_CHECK_BYTES: Final = 512 << 10
"""Larger values go through the store: brokers and the local hub refuse messages of about 1 MiB."""
BLOB_SECONDS: Final = 60.0
"""How long the store keeps what a claim check stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionRequest:
    """A proxy asks for a verdict.  Exactly one of ``payload`` and ``blob`` (a claim check) is set.

    ``sent_at`` is wall time in seconds since 1970, ``budget_ms`` how long the asker waits from then on: machines
    share no monotonic clock.  ``reply_to`` is the asker's reply partition, ``priority`` whom it goes before,
    ``size`` the image's bytes, which a claim check does not tell.
    ``classifiers`` names those whose labels a policy asks for; no other is computed.  ``near_cache`` as in Inquiry.
    """

    id: str
    sha256: str
    budget_ms: int
    sent_at: float
    reply_to: int
    size: int
    payload: bytes | None = None
    blob: str | None = None
    attempt: int = 1
    priority: Priority = Priority.UPLOAD
    classifiers: tuple[str, ...] = ()
    near_cache: bool = False

    def __post_init__(self) -> None:
        if (self.payload is None) == (self.blob is None):
            raise ValueError("exactly one of payload and blob must be set")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionReply:
    """The answer; ``id`` and ``sha256`` are echoed so that the asker can check that it answers *its* question."""

    id: str
    sha256: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class BusMessage:
    """One message on the bus: a sealed value and the plain headers that route it.

    ``partition`` is the reply partition (requests: where to answer; replies: where this goes).
    """

    key: bytes
    value: bytes
    correlation_id: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request handed to a worker; ``token`` is the adapter's own, needed to commit it."""

    message: BusMessage
    token: tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """A key's value; ``version`` counts its writes from 1."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of an append-only log; positions are dense and start at 1."""

    position: int
    value: bytes
