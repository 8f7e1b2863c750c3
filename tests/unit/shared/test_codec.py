"""The wire format: what goes in comes out, golden bytes stay, foreign bytes are refused by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared import codec
from shared.errors import ErrorCode, WireError
from shared.types import (
    ContainerInfo,
    Evidence,
    ImageInfo,
    IndexEvent,
    InspectionReply,
    InspectionRequest,
    LabelScore,
    Matcher,
    Obscuring,
    RedactionOrder,
    RedactionReply,
    RedactionRequest,
    Reference,
    ReferenceAdded,
    ReferenceMatch,
    ReferenceRemoved,
    Relation,
    SetCreated,
    SetDeleted,
    SetRolledBack,
    SetThreshold,
    UnreadPart,
    Verdict,
    VerdictError,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "wire.json"
REFERENCE = Reference(
    set="designs",
    reference="r1",
    name="pump.png",
    sha256="a" * 64,
    pdq="b" * 64,
    pdq_quality=100,
    encoder="e1",
    vectors=(b"\x00\x00\x80\x3f", b"\x00\x00\x00\x00"),
    views=b"\x01\x02",
    local=b"\x03",
    sketch=b"\x04",
    thumbnail=b"\x05",
    converted_from="e0",
)
MATCH = ReferenceMatch(
    set="designs",
    reference="r1",
    name="pump.png",
    matched=True,
    relation=Relation.COPY,
    score=96.5,
    raw_score=71.25,
    exact_score=0.5,
    similar_score=0.75,
    evidence=Evidence(inliers=61, region=(12, 40, 610, 402), transform="rotation 7", agreement=0.75),
    matched_by=(Matcher.PDQ, Matcher.LOCAL),
)
VERDICT = Verdict(
    sha256="c" * 64,
    image=ImageInfo(format="JPEG", width=1280, height=853, frames=1, frames_inspected=1, low_information=False),
    pdq="d" * 64,
    pdq_quality=99,
    matches=(MATCH,),
    encoder="e1",
    index_revision="e1:7",
    labels=(LabelScore(classifier="documents", label="receipt", score=91.0),),
    classifier_revision=4,
    timings_ms={"decode": 1.5},
    container=ContainerInfo(
        format="zip",
        images=2,
        images_inspected=1,
        unread=(UnreadPart(path="b.zip", error=VerdictError(code=ErrorCode.ENCRYPTED, message="locked")),),
    ),
    images=(Verdict(sha256="e" * 64, path="a.png"),),
)
EVENTS: tuple[IndexEvent, ...] = (
    SetCreated(name="designs", threshold=85.0, thorough=True, prior=0.001, keep_thumbnail=True),
    SetThreshold(name="designs", threshold=90.0, previous=85.0),
    SetDeleted(name="designs", kept="index/kept/1"),
    ReferenceAdded(reference=REFERENCE),
    ReferenceRemoved(set="designs", reference="r1", kept="index/kept/2"),
    SetRolledBack(name="designs", revision=7),
)
REQUEST = InspectionRequest(
    id="q1",
    sha256="c" * 64,
    budget_ms=1500,
    sent_at=1.5,
    reply_to=3,
    size=2,
    payload=b"\xff\xd8",
    classifiers=("documents",),
)
REPLY = InspectionReply(id="q1", sha256="c" * 64, verdict=VERDICT)

REDACTION_REQUEST = RedactionRequest(
    id="q2",
    sha256="c" * 64,
    budget_ms=800,
    sent_at=1.5,
    reply_to=3,
    size=2,
    order=RedactionOrder(regions=((12, 40, 610, 402),), how=Obscuring.BLUR),
    payload=b"\xff\xd8",
)
REDACTION_REPLY = RedactionReply(id="q2", sha256="c" * 64, blob="redacted/q2")


def encoded() -> dict[str, str]:
    values = {"request": codec.encode_request(REQUEST), "reply": codec.encode_reply(REPLY)}
    values["redaction_request"] = codec.encode_redaction(REDACTION_REQUEST)
    values["redaction_reply"] = codec.encode_redaction(REDACTION_REPLY)
    values |= {f"event_{number}": codec.encode_event(event) for number, event in enumerate(EVENTS)}
    return {name: value.hex() for name, value in values.items()}


def test_the_golden_bytes_stand_still() -> None:
    assert encoded() == json.loads(GOLDEN.read_text())


def test_everything_comes_back() -> None:
    assert codec.decode_request(codec.encode_request(REQUEST)) == REQUEST
    assert codec.decode_reply(codec.encode_reply(REPLY)) == REPLY
    assert codec.decode_redaction_request(codec.encode_redaction(REDACTION_REQUEST)) == REDACTION_REQUEST
    assert codec.decode_redaction_reply(codec.encode_redaction(REDACTION_REPLY)) == REDACTION_REPLY
    assert [codec.decode_event(codec.encode_event(event)) for event in EVENTS] == list(EVENTS)
    sets = tuple(event for event in EVENTS if isinstance(event, SetCreated))
    assert codec.decode_sets(codec.encode_sets(sets)) == sets != ()


def test_inspections_and_redactions_are_told_apart() -> None:
    inspections = codec.encode_request(REQUEST), codec.encode_reply(REPLY)
    redactions = codec.encode_redaction(REDACTION_REQUEST), codec.encode_redaction(REDACTION_REPLY)
    assert [codec.is_redaction(each) for each in (*inspections, *redactions)] == [False, False, True, True]
    for inspection, redaction in zip(inspections, redactions, strict=True):
        for decode in (codec.decode_redaction_request, codec.decode_redaction_reply):
            with pytest.raises(WireError):
                decode(inspection)
        for decode_other in (codec.decode_request, codec.decode_reply):
            with pytest.raises(WireError):
                decode_other(redaction)


@pytest.mark.parametrize("data", [b"", b"\x01\x80", b"\x02", b"\x02\xc1", b"\x02\x80", b"\x02\xa3abc"])
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for decode in (
        codec.decode_request,
        codec.decode_reply,
        codec.decode_event,
        codec.decode_sets,
        codec.decode_redaction_request,
        codec.decode_redaction_reply,
    ):
        with pytest.raises(WireError):
            decode(data)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(WireError, match="unknown index event"):
        codec.decode_event(codec.encode_event(SetDeleted(name="a")).replace(b"set_deleted", b"set_deletef"))


def test_a_request_with_neither_payload_nor_claim_check_is_refused() -> None:
    broken = codec.encode_request(REQUEST).replace(b"\xc4\x02\xff\xd8", b"\xc0")
    with pytest.raises(WireError):
        codec.decode_request(broken)


def test_a_verdict_as_json_has_the_contract_s_fields() -> None:
    plain = codec.verdict_to_builtins(VERDICT)
    assert json.loads(json.dumps(plain))["matches"][0]["evidence"]["region"] == [12, 40, 610, 402]
    assert list(plain) == [
        *("sha256", "image", "pdq", "pdq_quality", "matches", "labels", "hash_hits"),
        *("encoder", "index_revision", "classifier_revision", "degraded", "hurried", "near", "error", "timings_ms"),
        *("container", "images", "path"),
    ]
    failed = Verdict(sha256="c" * 64, error=VerdictError(code=ErrorCode.CORRUPT, message="bad"))
    assert codec.verdict_to_builtins(failed)["error"] == {"code": "corrupt", "message": "bad"}


def test_the_first_answer_finds_its_type_looked_at() -> None:
    """In a process of its own: msgspec notes on the class what it has found, once (7 ms)."""
    script = """
import shared.codec
from shared.types import InspectionReply, Verdict
print("__msgspec_cache__" in vars(InspectionReply), "__msgspec_cache__" in vars(Verdict))
"""
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["True", "True"]
