from __future__ import annotations

from dataclasses import replace

import pytest

from proxy_addon.uploads.session import Refusal, Session
from shared.errors import ExtractionError, WireError
from shared.extract.reassembly import Parts, Piece, SpoolLimits
from shared.types import Action, Decision
from tests.factories import make_finding

PIECES = (
    Piece(key="a", size=3, sha256="0" * 64, offset=0),
    Piece(key="b", size=2, sha256="1" * 64, number="part_7"),
)
REFUSAL = Refusal(policy="p", incident="i", kind="uninspected", reason="too_large: 2 TB")
LIMITS = SpoolLimits(max_bytes=100)


@pytest.mark.parametrize(
    "session",
    [
        Session(id="s"),
        Session(id="s", parts=Parts(pieces=PIECES, total=5), over="why", judged="j", finished=True, refusal=REFUSAL),
    ],
)
def test_what_is_written_is_read(session: Session) -> None:
    assert Session.decode("s", session.encode()) == session


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'"v"', b"\xff", b'{"v": 2}', b'{"v": 1, "pieces": [[1]]}', b'{"of": "another"}'],
)
def test_what_is_no_session_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        Session.decode("s", data)


def test_a_session_grows_within_its_limits() -> None:
    session = Session(id="s").with_piece(PIECES[0], None, LIMITS).with_piece(None, 7, LIMITS)
    assert session.parts == Parts(pieces=PIECES[:1], total=7)
    assert session.with_piece(PIECES[0], None, LIMITS) == session
    with pytest.raises(ExtractionError):
        session.with_piece(replace(PIECES[0], offset=99), None, LIMITS)


def test_a_part_gets_its_number_from_the_reply() -> None:
    session = Session(id="s", parts=Parts(pieces=PIECES))
    assert [piece.number for piece in session.with_number(PIECES[0], "part_9").parts.pieces] == ["part_9", "part_7"]
    assert session.with_number(None, "x") == session.with_number(PIECES[0], "") == session


def test_a_refusal_answers_as_the_decision_did() -> None:
    finding = make_finding(policy="p", kind="uninspected", reason="too_large: 2 TB")
    refusal = Refusal.of(Decision(action=Action.BLOCK, policy="p", findings=(finding,)), "i")
    assert refusal == REFUSAL
    again = refusal.decision()
    assert (again.action, again.policy, again.findings[0].kind) == (Action.BLOCK, "p", "uninspected")
    assert Refusal.of(Decision(action=Action.BLOCK), "i").decision().policy is None
