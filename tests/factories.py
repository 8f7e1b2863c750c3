"""Values for tests: each default is valid, each override is the point of the test."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from shared.core.policy import Policy
from shared.core.policy_conditions import ImageConditions, SetCondition
from shared.errors import ErrorCode
from shared.types import (
    Account,
    Action,
    Activity,
    ActivityContext,
    Actor,
    Alert,
    DecodedFrame,
    Direction,
    Finding,
    HttpHead,
    ImageInfo,
    ImageJudgement,
    Mode,
    ReferenceMatch,
    Relation,
    Severity,
    Verdict,
    VerdictError,
)

SHA256: Final = hashlib.sha256(b"an image").hexdigest()
SET: Final = "designs"


def make_actor(**overrides: Any) -> Actor:
    """Return a user of the company at a device of the company."""
    values: dict[str, Any] = {
        "user": "u1@corp.example",
        "groups": ("staff",),
        "device": "laptop-1",
        "ip": "192.0.2.7",
    }
    return Actor(**{**values, **overrides})


def make_context(**overrides: Any) -> ActivityContext:
    """Return an upload to an application of the catalogue."""
    values: dict[str, Any] = {
        "activity": Activity.UPLOAD,
        "direction": Direction.OUTBOUND,
        "host": "files.vendor.example",
        "app": "vendor-files",
        "tags": ("unsanctioned",),
        "account": Account.PERSONAL,
        "actor": make_actor(),
    }
    return ActivityContext(**{**values, **overrides})


def make_head(**overrides: Any) -> HttpHead:
    """Return the head of an upload by a program; ``headers`` replaces them all."""
    values: dict[str, Any] = {
        "method": "POST",
        "scheme": "https",
        "host": "files.vendor.example",
        "port": 443,
        "path": "/upload",
        "headers": (("content-type", "image/png"), ("accept", "*/*")),
    }
    return HttpHead(**{**values, **overrides})


def make_match(**overrides: Any) -> ReferenceMatch:
    """Return a copy that its set matches."""
    values: dict[str, Any] = {
        "set": SET,
        "reference": "r-1",
        "name": "pump.png",
        "matched": True,
        "relation": Relation.COPY,
        "score": 96.1,
        "raw_score": 71.3,
        "exact_score": 0.42,
        "similar_score": 0.98,
    }
    return ReferenceMatch(**{**values, **overrides})


def make_image_info(**overrides: Any) -> ImageInfo:
    """Return what a decoder sees of a photograph."""
    values: dict[str, Any] = {
        "format": "JPEG",
        "width": 1280,
        "height": 853,
        "frames": 1,
        "frames_inspected": 1,
        "low_information": False,
    }
    return ImageInfo(**{**values, **overrides})


def make_frame(**overrides: Any) -> DecodedFrame:
    """Return a picture of 2 x 2 pixels as the encoder takes it, with a hash."""
    values: dict[str, Any] = {
        "index": 0,
        "size": (1280, 853),
        "pdq": ("a" * 64,) * 8,
        "pdq_quality": 90,
        "pixels": bytes(12),
    }
    return DecodedFrame(**{**values, **overrides})


def make_verdict(**overrides: Any) -> Verdict:
    """Return the facts about an image that matches nothing."""
    values: dict[str, Any] = {
        "sha256": SHA256,
        "image": make_image_info(),
        "pdq": "0" * 64,
        "pdq_quality": 100,
        "encoder": "encoder-1",
        "index_revision": "rev-1",
    }
    return Verdict(**{**values, **overrides})


def make_error_verdict(code: ErrorCode, **overrides: Any) -> Verdict:
    """Return the verdict of an image without facts."""
    return Verdict(**{"sha256": SHA256, "error": VerdictError(code=code, message="no facts"), **overrides})


def make_judgement(**overrides: Any) -> ImageJudgement:
    """Return an image that matches nothing."""
    values: dict[str, Any] = {
        "locator": "body",
        "sha256": SHA256,
        "size": 2048,
        "name": "drawing.png",
        "verdict": make_verdict(),
    }
    return ImageJudgement(**{**values, **overrides})


def make_matching(**overrides: Any) -> ImageJudgement:
    """Return an image with one match; overrides are the match's."""
    return make_judgement(verdict=make_verdict(matches=(make_match(**overrides),)))


def make_policy(**overrides: Any) -> Policy:
    """Return a policy that blocks what matches the set."""
    values: dict[str, Any] = {
        "name": "no-design-leaves",
        "action": Action.BLOCK,
        "images": ImageConditions(any=(SetCondition(set=SET),)),
    }
    return Policy(**{**values, **overrides})


def make_finding(**overrides: Any) -> Finding:
    """Return the finding of a blocked match."""
    values: dict[str, Any] = {
        "policy": "no-design-leaves",
        "action": Action.BLOCK,
        "mode": Mode.ENFORCE,
        "severity": Severity.HIGH,
        "notify": ("admin",),
        "kind": "match",
        "reason": "set designs: copy of pump.png, score 96.1",
        "locator": "multipart[0]/file",
        "sha256": SHA256,
        "name": "drawing.png",
        "size": 2048,
        "set": SET,
        "reference": "r-1",
        "score": 96.1,
    }
    return Finding(**{**values, **overrides})


def make_alert(**overrides: Any) -> Alert:
    """Return the alert of a blocked upload."""
    values: dict[str, Any] = {
        "incident": "incident-1",
        "time": 1_800_000_000.25,
        "context": make_context(),
        "method": "POST",
        "url": "https://files.vendor.example/upload?signature=secret",
        "finding": make_finding(),
        "enforced": Action.BLOCK,
        "encoder": "encoder-1",
        "index_revision": "rev-1",
    }
    return Alert(**{**values, **overrides})
