"""A transfer: who sends what where, before anything is known about its images."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.types.vocabulary import SHA256_HEX, Account, Activity, Direction, Headers


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
        for key, value in self.headers:  # a generator takes three times as long, ten times a request
            if key == name:
                return value
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMessage:
    """A whole request or response; ``body`` still carries its content-encoding.

    For a response, ``request`` is the head of the request it answers.  ``exchange`` is the same for a request and its
    response, and for no others of this process; empty where that is not known.
    """

    head: HttpHead
    body: bytes
    direction: Direction
    request: HttpHead | None = None
    exchange: str = ""


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
