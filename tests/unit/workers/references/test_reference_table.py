import numpy as np
import pytest

from shared.errors import IntegrityError
from shared.types import Reference
from tests.index_factories import make_reference, make_sha256, make_vector
from workers.encoders.embeddings import to_bytes
from workers.references.kept_bytes import total_bytes
from workers.references.reference_table import ReferenceRow, ReferenceTable

REFERENCES = [
    make_reference(1, set="b", name="größe.png", converted_from="older"),
    make_reference(2, set="a", vectors=(to_bytes(make_vector(2)), to_bytes(make_vector(3))), views=b"views"),
    make_reference(3, set="b", pdq="", pdq_quality=7, vectors=(), local=b"local", sketch=b"s", thumbnail=b"tn"),
    make_reference(4, set="a", encoder="another"),
]
IN_ORDER = [REFERENCES[1], REFERENCES[3], REFERENCES[0], REFERENCES[2]]


def every(table: ReferenceTable, *gone: int) -> tuple[ReferenceTable, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    alive = np.ones(len(table), dtype=np.bool_)
    alive[list(gone)] = False
    return table, alive


def test_references_come_back_set_by_set() -> None:
    table = ReferenceTable.of(REFERENCES)
    assert list(table) == IN_ORDER
    assert dict(table.sets) == {"a": range(2), "b": range(2, 4)}
    assert ReferenceTable.of(table) is table
    with pytest.raises(IndexError):
        table[4]


def test_a_row_reads_as_its_reference() -> None:
    table = ReferenceTable.of(REFERENCES)
    for row, whole in enumerate(IN_ORDER):
        read = ReferenceRow(table, row, whole.set)
        for field in ("set", "reference", "name", "sha256", "local", "sketch"):
            assert getattr(read, field) == getattr(whole, field)


def test_a_table_equals_one_of_the_same_references() -> None:
    assert ReferenceTable.of(REFERENCES) == ReferenceTable.of(IN_ORDER)
    assert ReferenceTable.of(REFERENCES) != ReferenceTable.of(REFERENCES[:3])
    assert ReferenceTable.of(REFERENCES[:1]) != ReferenceTable.of(REFERENCES[1:2])


def test_rows_are_found_by_key_and_by_digest() -> None:
    table = ReferenceTable.of([*REFERENCES, make_reference(1, set="c")])
    assert [table.number("b", "r1"), table.number("a", "r1"), table.number("c", "r1")] == [2, None, 4]
    assert table.number("nowhere", "r1") is None
    assert table.identical(make_sha256(1)) == [2, 4]
    for unknown in (make_sha256(99), "", "no digits"):
        assert table.identical(unknown) == []


def test_what_is_alive_of_several_tables_is_gathered_set_by_set() -> None:
    first = ReferenceTable.of(REFERENCES)
    second = ReferenceTable.of([make_reference(5, set="b"), make_reference(6, set="0"), make_reference(7, set="gone")])
    gathered = ReferenceTable.gathered([every(first, 1, 2), every(second, 2)])
    expected = [make_reference(6, set="0"), IN_ORDER[0], IN_ORDER[3], make_reference(5, set="b")]
    assert list(gathered) == expected
    assert gathered.set_names == ("0", "a", "b")
    assert gathered.encoder_counts() == {"encoder-1": 4}
    assert [gathered.number(each.set, each.reference) for each in expected] == [0, 1, 2, 3]


def test_nothing_is_a_table_too() -> None:
    for nothing in (
        ReferenceTable.of(()),
        ReferenceTable.gathered([]),
        ReferenceTable.gathered([every(ReferenceTable.of(()))]),
    ):
        assert (len(nothing), list(nothing), nothing.set_names, nothing.identical(make_sha256(1))) == (0, [], (), [])
        assert nothing.kept_bytes().total() == 0


def test_bytes_and_encoders_are_counted_without_an_object() -> None:
    table = ReferenceTable.of(REFERENCES)
    assert table.kept_bytes() == total_bytes(REFERENCES)
    assert table.kept_bytes(np.array([0, 3])) == total_bytes([IN_ORDER[0], IN_ORDER[3]])
    assert table.encoder_counts() == {"encoder-1": 3, "another": 1}


@pytest.mark.parametrize("overrides", [{"sha256": "junk"}, {"sha256": "ab"}, {"pdq": "xyz"}])
def test_digits_that_are_none_are_refused(overrides: dict[str, str]) -> None:
    broken: list[Reference] = [make_reference(1, **overrides)]
    with pytest.raises(IntegrityError, match=r"digest|SHA-256"):
        ReferenceTable.of(broken)
