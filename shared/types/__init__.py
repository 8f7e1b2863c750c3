"""Frozen values that cross a boundary between rooms, roles or machines.

Every class here is immutable, keyword-only and validated once, where it is made; code behind a boundary does not
check again.  Nothing here does I/O.
"""

from shared.types.decisions import (
    Alert,
    Decision,
    Finding,
    ImageJudgement,
)
from shared.types.facts import (
    DecodedImage,
    Evidence,
    HashHit,
    ImageInfo,
    LabelScore,
    ReferenceMatch,
    Verdict,
    VerdictError,
)
from shared.types.http import (
    ActivityContext,
    Actor,
    HttpHead,
    HttpMessage,
    Part,
)
from shared.types.index import (
    IndexEvent,
    Reference,
    ReferenceAdded,
    ReferenceRemoved,
    SetCreated,
    SetDeleted,
    SetThreshold,
)
from shared.types.messages import (
    BusMessage,
    Delivery,
    InspectionReply,
    InspectionRequest,
    LogEntry,
    Versioned,
)
from shared.types.vocabulary import (
    PDQ_HEX,
    RESTRICTIVENESS,
    SET_NAME,
    SHA256_HEX,
    Account,
    Action,
    Activity,
    Direction,
    Headers,
    Matcher,
    Mode,
    Relation,
    Severity,
    UninspectedReason,
)

__all__ = [
    "PDQ_HEX",
    "RESTRICTIVENESS",
    "SET_NAME",
    "SHA256_HEX",
    "Account",
    "Action",
    "Activity",
    "ActivityContext",
    "Actor",
    "Alert",
    "BusMessage",
    "Decision",
    "DecodedImage",
    "Delivery",
    "Direction",
    "Evidence",
    "Finding",
    "HashHit",
    "Headers",
    "HttpHead",
    "HttpMessage",
    "ImageInfo",
    "ImageJudgement",
    "IndexEvent",
    "InspectionReply",
    "InspectionRequest",
    "LabelScore",
    "LogEntry",
    "Matcher",
    "Mode",
    "Part",
    "Reference",
    "ReferenceAdded",
    "ReferenceMatch",
    "ReferenceRemoved",
    "Relation",
    "SetCreated",
    "SetDeleted",
    "SetThreshold",
    "Severity",
    "UninspectedReason",
    "Verdict",
    "VerdictError",
    "Versioned",
]
