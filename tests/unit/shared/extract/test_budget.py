from __future__ import annotations

import hashlib
from collections import deque

from shared.errors import ErrorCode
from shared.extract.budget import MAX_NAME, WINDOW, Findings, ImageSink, Limits, Steps, finished
from tests.unit.shared.extract.pictures import JPEG, PNG


def add(findings: Findings, data: bytes, name: str = "") -> None:
    deque(findings.add_span(data, 0, len(data), media_type="image/png", locator="body", name=name), maxlen=0)


def test_a_sink_returns_what_was_written_and_its_hash() -> None:
    sink = ImageSink(100)
    sink.write(b"abc")
    sink.write(memoryview(b"def"))
    assert sink.finish() == (b"abcdef", hashlib.sha256(b"abcdef").hexdigest())


def test_a_sink_may_be_written_past_its_estimate() -> None:
    sink = ImageSink(2)
    sink.write(b"abcdef")
    assert sink.finish()[0] == b"abcdef"


def test_a_whole_body_is_not_copied_and_a_slice_is_copied_once() -> None:
    findings = Findings(Limits())
    add(findings, JPEG)
    body = b"--" + PNG + b"--"
    steps = findings.add_span(body, 2, len(body) - 2, media_type="image/png", locator="x", name="")
    assert list(steps) == [None]
    whole, part = findings.result().parts
    assert whole.data is JPEG
    assert part.data == PNG


def test_large_images_are_hashed_in_steps() -> None:
    data = PNG + bytes(5 * WINDOW)
    findings = Findings(Limits())
    assert len(list(findings.add_span(data, 0, len(data), media_type="image/png", locator="", name=""))) == 6
    assert findings.result().parts[0].sha256 == hashlib.sha256(data).hexdigest()


def test_the_same_image_twice_is_one_part() -> None:
    findings = Findings(Limits(max_images=1))
    add(findings, PNG, "first.png")
    add(findings, PNG, "second.png")
    assert findings.result().problems == ()
    add(findings, JPEG, "third.jpg")
    result = findings.result()
    assert [part.name for part in result.parts] == ["first.png"]
    assert [problem.code for problem in result.problems] == [ErrorCode.OVER_BUDGET]


def test_names_are_cut() -> None:
    findings = Findings(Limits())
    add(findings, PNG, "x" * 1000)
    assert len(findings.result().parts[0].name) == MAX_NAME


def test_each_budget_says_once_that_it_is_used_up() -> None:
    findings = Findings(Limits(max_base64_bytes=10, max_base64_candidates=1))
    assert findings.spend_base64(10, "x")
    assert findings.spend_candidate("x", 1)
    assert not findings.spend_base64(1, "x")
    assert not findings.spend_candidate("x", 1)
    assert findings.full
    assert [problem.code for problem in findings.result().problems] == [ErrorCode.OVER_BUDGET]


def test_problems_are_bounded_and_exhaustion_is_still_told() -> None:
    findings = Findings(Limits(max_problems=3, max_images=0))
    for number in range(5):
        findings.report(ErrorCode.OPAQUE, str(number), 1, "closed")
    assert not findings.has_room("x", 1)
    codes = [problem.code for problem in findings.result().problems]
    assert codes == [ErrorCode.OPAQUE, ErrorCode.OPAQUE, ErrorCode.OVER_BUDGET]


def test_a_computation_is_finished_without_its_pauses() -> None:
    def counting() -> Steps[int]:
        yield
        yield
        return 7

    assert finished(counting()) == 7
