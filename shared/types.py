"""Frozen values that cross a boundary between rooms, roles or machines.

Every class here is immutable, keyword-only and validated once, where it is made; code behind a boundary does not
check again.  Nothing here does I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from shared.errors import ErrorCode

SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
PDQ_HEX: Final = SHA256_HEX  # a PDQ hash is 256 bits too: 64 hexadecimal digits, first bit first
SET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Headers = tuple[tuple[str, str], ...]
"""Header fields in order of arrival, names in lower case."""


class Direction(StrEnum):
    """Which way the bytes of a message go, seen from the company."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Activity(StrEnum):
    """What a user does with an object in an application."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE = "delete"
    SHARE = "share"
    MOVE_WITHIN = "move_within"
    MOVE_OUTSIDE = "move_outside"
    COPY = "copy"
    SEND = "send"
    PRINT = "print"


class Account(StrEnum):
    """Whose account a transfer goes to."""

    PERSONAL = "personal"
    COMPANY = "company"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What a policy does.  ``delete``, ``quarantine`` and ``tag`` are for scans of hosted stores."""

    ALLOW = "allow"
    COACH = "coach"
    REDACT = "redact"
    BLOCK = "block"
    TAG = "tag"
    QUARANTINE = "quarantine"
    DELETE = "delete"


RESTRICTIVENESS: Final[tuple[Action, ...]] = (
    Action.ALLOW,
    Action.TAG,
    Action.COACH,
    Action.REDACT,
    Action.QUARANTINE,
    Action.BLOCK,
    Action.DELETE,
)
"""Least restrictive first.  Transfers know allow, coach, redact, block; scans tag, quarantine, delete."""


class Mode(StrEnum):
    """``monitor`` decides and records but does not act."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class Severity(StrEnum):
    """Of an alert, as in OCSF."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Relation(StrEnum):
    """How a picture relates to a reference."""

    COPY = "copy"
    SAME_LAYOUT = "same_layout"


class UninspectedReason(StrEnum):
    """Why an image or a transfer could not be judged: the keys of a policy's ``on_uninspected``."""

    TIMEOUT = "timeout"
    ENCRYPTED = "encrypted"
    OPAQUE = "opaque"
    TOO_LARGE = "too_large"
    UNDECODABLE = "undecodable"
    UNKNOWN_OBJECT = "unknown_object"
    DEFAULT = "default"


# --- HTTP as the rest of the program sees it -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is behind a transfer; empty strings where it is not known."""

    user: str = ""
    groups: tuple[str, ...] = ()
    device: str = ""
    ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHead:
    """A message's head.  ``path`` has no query; ``status`` is None for a request."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    headers: Headers = ()
    status: int | None = None

    def header(self, name: str) -> str:
        """Return the first value of ``name`` (lower case), or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMessage:
    """A whole request or response; ``body`` still carries its content-encoding.

    For a response, ``request`` is the head of the request it answers.
    """

    head: HttpHead
    body: bytes
    direction: Direction
    request: HttpHead | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityContext:
    """What is going on in a transfer: all that a policy's ``when`` can ask for before an image is seen."""

    activity: Activity
    direction: Direction
    host: str
    app: str = ""
    tags: tuple[str, ...] = ()
    account: Account = Account.UNKNOWN
    actor: Actor = field(default_factory=Actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One image found in a message.

    ``media_type`` is what the magic bytes say, never what was declared.  ``locator`` says where it was found, for
    example ``multipart[2]/file`` or ``json:$.messages[0].image``.
    """

    data: bytes
    media_type: str
    locator: str
    sha256: str
    name: str = ""

    def __post_init__(self) -> None:
        if not SHA256_HEX.fullmatch(self.sha256):
            raise ValueError("sha256 must be 64 lower-case hexadecimal digits")


# --- Facts about an image ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What the decoder saw; ``width`` and ``height`` in pixels after EXIF orientation."""

    format: str
    width: int
    height: int
    frames: int
    frames_inspected: int
    low_information: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """What leaves the sandbox: facts and small fixed-size pixels, never the picture itself.

    ``pdq`` holds the eight dihedral variants (64 hexadecimal digits each, the upright one first), ``pdq_quality``
    is 0..100, ``pixels`` is the encoder's input: ``side`` x ``side`` x 3 bytes, RGB, row by row.
    """

    info: ImageInfo
    pdq: tuple[str, ...]
    pdq_quality: int
    side: int
    pixels: bytes

    def __post_init__(self) -> None:
        if len(self.pixels) != self.side * self.side * 3:
            raise ValueError("pixels must be side x side x 3 bytes")
        if len(self.pdq) != 8:
            raise ValueError("pdq must hold the eight dihedral variants")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an analyst is shown: geometric agreement with the reference."""

    inliers: int
    region: tuple[int, int, int, int]
    transform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMatch:
    """How an image relates to one reference of a set.

    ``score`` (0..100) is fused and calibrated for the set at its present size; ``raw_score`` is on the encoder's
    cosine alone; ``exact_score`` and ``similar_score`` are 0..1.
    """

    set: str
    reference: str
    name: str
    matched: bool
    relation: Relation
    score: float
    raw_score: float
    exact_score: float
    similar_score: float
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """A classifier's answer; ``score`` 0..100."""

    classifier: str
    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HashHit:
    """An entry of a third-party hash list; ``distance`` in bits, 0 for exact kinds."""

    list: str
    kind: Literal["pdq", "sha256", "md5"]
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictError:
    """Why there are no facts."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Facts about one image, free of user data and cacheable by (sha256, index_revision)."""

    sha256: str
    image: ImageInfo | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    matches: tuple[ReferenceMatch, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    hash_hits: tuple[HashHit, ...] = ()
    encoder: str = ""
    index_revision: str = ""
    degraded: bool = False
    error: VerdictError | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)


# --- Asking and answering over the bus ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionRequest:
    """A proxy asks for a verdict.  Exactly one of ``payload`` and ``blob`` (a claim check) is set.

    ``sent_at`` is wall time in seconds since 1970, ``budget_ms`` how long the asker waits from then on: machines
    share no monotonic clock.  ``reply_to`` is the asker's reply partition.
    """

    id: str
    sha256: str
    budget_ms: int
    sent_at: float
    reply_to: int
    payload: bytes | None = None
    blob: str | None = None
    attempt: int = 1

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


# --- The store ---------------------------------------------------------------------------------------------------


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


# --- The index -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A protected image as the index keeps it: never the picture.

    ``reference`` is unique in its set.  ``vectors`` are L2-normalised float32 embeddings in little-endian bytes, the
    whole picture's first; ``pdq`` is the upright hash (empty where the quality is too low to use).
    """

    set: str
    reference: str
    name: str
    sha256: str
    pdq: str
    pdq_quality: int
    encoder: str
    vectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCreated:
    """An image set came into being."""

    name: str
    threshold: float
    relation: Literal["copy", "any"] = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeleted:
    """A set and all its references are gone."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAdded:
    """A reference was enrolled; the same (set, reference) again replaces it."""

    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRemoved:
    """A reference was withdrawn."""

    set: str
    reference: str


IndexEvent = SetCreated | SetDeleted | ReferenceAdded | ReferenceRemoved
"""What the index log holds.  Replaying it in order gives the same index everywhere."""


# --- Decisions and alerts --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJudgement:
    """One image of a transfer as ``decide`` sees it: a verdict, or why there is none."""

    locator: str
    sha256: str
    size: int
    name: str = ""
    verdict: Verdict | None = None
    uninspected: UninspectedReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A policy that applied, and the image and fact that made it."""

    policy: str
    action: Action
    mode: Mode
    severity: Severity
    notify: tuple[str, ...]
    kind: Literal["match", "uninspected"]
    reason: str
    locator: str = ""
    sha256: str = ""
    name: str = ""
    size: int = 0
    set: str = ""
    reference: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to a transfer.  ``policy`` names the finding that decided; None where nothing applied."""

    action: Action
    policy: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What the SOC is told: the incident of one finding's policy in one transfer.

    ``time`` is wall time in seconds since 1970; ``incident`` is the id that the ``X-Safelight`` header carries.
    ``enforced`` is what really happened to the transfer.
    """

    incident: str
    time: float
    context: ActivityContext
    method: str
    url: str
    finding: Finding
    enforced: Action
    encoder: str = ""
    index_revision: str = ""
