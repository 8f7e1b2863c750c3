"""The versioned wire format: one leading version byte, then MessagePack.

A reader accepts its own version only; a deployment is upgraded by draining the bus, whose messages live for a minute,
and by migrating the log.  Golden files in ``tests/golden`` hold the bytes still.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from shared.errors import WireError
from shared.types import (
    Alert,
    IndexEvent,
    InspectionReply,
    InspectionRequest,
    KnownVerdict,
    RedactionReply,
    RedactionRequest,
    ReferenceAdded,
    ReferenceRemoved,
    RememberedObject,
    SetCreated,
    SetDeleted,
    SetRolledBack,
    SetThreshold,
    Verdict,
)

WIRE_VERSION: Final = 2
_PREFIX: Final = bytes([WIRE_VERSION])

_EVENT_KINDS: Final[dict[str, type[IndexEvent]]] = {
    "set_created": SetCreated,
    "set_threshold": SetThreshold,
    "set_deleted": SetDeleted,
    "set_rolled_back": SetRolledBack,
    "reference_added": ReferenceAdded,
    "reference_removed": ReferenceRemoved,
}
_KIND_OF_EVENT: Final = {kind: name for name, kind in _EVENT_KINDS.items()}
_encode = msgspec.msgpack.Encoder().encode
_REDACTION: Final = "redaction"
_REDACTION_HEAD: Final = b"\x92" + _encode(_REDACTION)  # an array of two, and the first of them


# To look at what a type consists of takes 7 ms the first time: now, not in an event loop when the first answer comes.
for _answer in (InspectionReply, RedactionReply, RememberedObject, KnownVerdict):
    msgspec.msgpack.Decoder(_answer)


def _decode[T](data: bytes, kind: type[T]) -> T:
    if data[:1] != _PREFIX:
        raise WireError(f"wire version {data[0] if data else 'missing'}, this program speaks {WIRE_VERSION}")
    try:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise WireError(f"not a {kind.__name__}: {error}") from error


def encode_request(request: InspectionRequest) -> bytes:
    """Encode a request."""
    return _PREFIX + _encode(request)


def decode_request(data: bytes) -> InspectionRequest:
    """Decode a request; raises WireError."""
    return _decode(data, InspectionRequest)


def encode_reply(reply: InspectionReply) -> bytes:
    """Encode a reply."""
    return _PREFIX + _encode(reply)


def decode_reply(data: bytes) -> InspectionReply:
    """Decode a reply; raises WireError."""
    return _decode(data, InspectionReply)


def is_redaction(data: bytes) -> bool:
    """Tell whether a message is about a redaction: a pair of its kind and itself, where inspections are themselves."""
    return data.startswith(_PREFIX + _REDACTION_HEAD)


def encode_redaction(message: RedactionRequest | RedactionReply) -> bytes:
    """Encode a redaction's request or reply."""
    return _PREFIX + _encode((_REDACTION, message))


def decode_redaction_request(data: bytes) -> RedactionRequest:
    """Decode a redaction's request; raises WireError."""
    return _decode(data, tuple[Literal["redaction"], RedactionRequest])[1]


def decode_redaction_reply(data: bytes) -> RedactionReply:
    """Decode a redaction's reply; raises WireError."""
    return _decode(data, tuple[Literal["redaction"], RedactionReply])[1]


def encode_alert(alert: Alert) -> bytes:
    """Encode an alert for the outbox and the alert log."""
    return _PREFIX + _encode(alert)


def decode_alert(data: bytes) -> Alert:
    """Decode an alert; raises WireError."""
    return _decode(data, Alert)


def encode_event(event: IndexEvent) -> bytes:
    """Encode an entry of the index log."""
    return _PREFIX + _encode((_KIND_OF_EVENT[type(event)], event))


def decode_event(data: bytes) -> IndexEvent:
    """Decode an entry of the index log; raises WireError."""
    name, raw = _decode(data, tuple[str, msgspec.Raw])
    kind = _EVENT_KINDS.get(name)
    if kind is None:
        raise WireError(f"unknown index event {name!r}")
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise WireError(f"not a {name}: {error}") from error


def encode_object(known: RememberedObject) -> bytes:
    """Encode what is remembered of an application's object."""
    return _PREFIX + _encode(known)


def decode_object(data: bytes) -> RememberedObject:
    """Decode what is remembered of an application's object; raises WireError."""
    return _decode(data, RememberedObject)


def encode_known(known: KnownVerdict) -> bytes:
    """Encode a verdict that is kept."""
    return _PREFIX + _encode(known)


def decode_known(data: bytes) -> KnownVerdict:
    """Decode a verdict that is kept; raises WireError."""
    return _decode(data, KnownVerdict)


def encode_sets(sets: tuple[SetCreated, ...]) -> bytes:
    """Encode the sets of a snapshot."""
    return _PREFIX + _encode(sets)


def decode_sets(data: bytes) -> tuple[SetCreated, ...]:
    """Decode the sets of a snapshot; raises WireError."""
    return _decode(data, tuple[SetCreated, ...])


def verdict_to_builtins(verdict: Verdict) -> dict[str, object]:
    """Return a verdict as plain JSON-ready values, field names as in the contract."""
    return cast("dict[str, object]", msgspec.to_builtins(verdict))
