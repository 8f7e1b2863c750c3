import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import coverage
from shared.core.coverage import OTHER, Count, Outcome, Record, Row, Table, decode_record, encode_record
from shared.errors import WireError
from shared.types import Direction, UninspectedReason

OUT, IN = Direction.OUTBOUND, Direction.INBOUND


def table(**sizes: int) -> Table:
    made = Table()
    for host, size in sizes.items():
        made.add(Row(host, OUT, "opaque"), Count(1, size))
    return made


def test_every_reason_has_its_outcome() -> None:
    assert {reason for reason in UninspectedReason if coverage.OUTCOMES[reason] is not Outcome.FAILED} == set()
    assert coverage.OUTCOMES[coverage.BYPASS] is Outcome.BYPASSED
    assert set(coverage.OUTCOMES.values()) == set(Outcome)


def test_the_hosts_with_the_most_bytes_are_kept_by_name() -> None:
    made = table(a=1, b=30, c=20)
    made.add(Row("b", IN, "inspected"), Count(2, 5))
    made.add(Row(OTHER, OUT, "opaque"), Count(3, 4))
    assert made.largest(1).rows == {
        Row("b", OUT, "opaque"): Count(1, 30),
        Row("b", IN, "inspected"): Count(2, 5),
        Row(OTHER, OUT, "opaque"): Count(5, 25),
    }


def test_a_run_replaces_its_part_and_the_next_one_adds() -> None:
    record = Record(run="1", now=table(a=1))
    record = record.succeeded_by("1", table(a=5))
    assert record.total().rows == table(a=5).rows
    record = record.succeeded_by("2", table(a=2, b=1))
    record = record.succeeded_by("2", table(a=3, b=1))
    assert record.total().rows == {Row("a", OUT, "opaque"): Count(2, 8), Row("b", OUT, "opaque"): Count(1, 1)}


rows = st.builds(Row, st.text(max_size=20), st.sampled_from(Direction), st.sampled_from(list(coverage.OUTCOMES)))
counts = st.builds(Count, st.integers(0, 1 << 50), st.integers(0, 1 << 60))
tables = st.builds(Table, st.dictionaries(rows, counts, max_size=20))


@given(tables, tables)
def test_a_record_is_read_as_it_was_written(now: Table, before: Table) -> None:
    record = Record(run="r", now=now, before=before)
    assert decode_record(encode_record(record)) == record


@given(tables, st.integers(0, 5))
def test_no_byte_is_lost_where_hosts_are_summed(whole: Table, hosts: int) -> None:
    def sums(of: Table) -> dict[tuple[str, str], tuple[int, int]]:
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for row, count in of.rows.items():
            before = found.get((row.direction, row.reason), (0, 0))
            found[row.direction, row.reason] = (before[0] + count.count, before[1] + count.bytes)
        return found

    assert sums(whole.largest(hosts)) == sums(whole)
    assert len({row.host for row in whole.largest(hosts).rows} - {OTHER}) <= hosts


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"v":2}', b'{"v":1,"run":"","now":[["a"]],"before":[]}', b"\xff"]
)
def test_what_is_no_record_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_record(data)


def test_hours_and_keys() -> None:
    assert coverage.hour_of(7_199.9) == 1
    assert coverage.record_key(491_000, 3) == "coverage/491000/3"
