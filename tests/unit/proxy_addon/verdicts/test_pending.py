"""A proxy holds so many questions and so many bytes, and not more."""

from __future__ import annotations

from proxy_addon.verdicts.pending import Pending


def test_questions_are_bounded_in_number() -> None:
    pending = Pending(questions=2)
    pending.opened(1)
    assert pending.admits(1)
    pending.opened(1)
    assert not pending.admits(1)
    pending.closed(1)
    assert pending.admits(1)


def test_and_in_bytes() -> None:
    pending = Pending(bytes=100)
    pending.opened(60)
    assert pending.admits(40)
    assert not pending.admits(41)


def test_one_alone_is_taken_whatever_its_size() -> None:
    assert Pending(bytes=100).admits(10_000)
