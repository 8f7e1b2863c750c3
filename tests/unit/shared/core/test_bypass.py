import pytest

from shared.core.bypass import Bypass, decode_bypass, encode_bypass, newest, parse_duration
from shared.errors import UsageError, WireError

ON = Bypass(id="1", on=True, changed_at=100.0, until=160.0, who="root@host", reason="an outage")
OFF = Bypass(id="2", on=False, changed_at=120.0, until=120.0, who="root@host", reason="over")


def test_it_ends_by_itself() -> None:
    assert ON.active(159.9)
    assert not ON.active(160.0)
    assert not OFF.active(110.0)


def test_the_newest_record_counts() -> None:
    assert newest(ON, None, OFF) is OFF
    assert newest(OFF, ON) is OFF
    assert newest(None, None) is None


def test_a_record_is_read_as_it_was_written() -> None:
    assert decode_bypass(encode_bypass(ON)) == ON


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v": 1}',
        encode_bypass(ON).replace(b'"v": 1', b'"v": 2'),
        encode_bypass(ON).replace(b"160.0", b'"x"'),
    ],
)
def test_what_is_no_record_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_bypass(data)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2 h", 7200), ("7D", 604_800)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "0m", "1.5h", "30 minutes"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


def test_a_duration_that_is_too_long_is_an_error() -> None:
    assert parse_duration("24h", 86_400) == 86_400
    with pytest.raises(UsageError, match="longer than the 24 hours"):
        parse_duration("25h", 86_400)
