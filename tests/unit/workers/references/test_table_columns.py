import json

import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import make_reference
from workers.references.byte_column import Bytes
from workers.references.reference_table import ReferenceTable
from workers.references.table_columns import META, from_columns, to_columns

TABLE = ReferenceTable.of(
    [make_reference(1, set="a"), make_reference(2, set="b", local=b"features", converted_from="older")]
)


def with_meta(**changes: object) -> dict[str, Bytes]:
    columns = to_columns(TABLE)
    meta = {**json.loads(columns[META].tobytes()), **changes}
    return {**columns, META: np.frombuffer(json.dumps(meta).encode(), np.uint8)}


@pytest.mark.parametrize("table", [TABLE, ReferenceTable.of(())], ids=["two", "none"])
def test_a_table_comes_back(table: ReferenceTable) -> None:
    assert from_columns(to_columns(table)) == table


def test_columns_are_used_as_they_are() -> None:
    columns = to_columns(TABLE)
    assert np.shares_memory(columns["vectors"], TABLE.vectors.data)
    assert np.shares_memory(from_columns(columns).vectors.data, columns["vectors"])


@pytest.mark.parametrize(
    "changes",
    [{"rows": 3}, {"rows": "x"}, {"sets": ["a"]}, {"encoders": []}, {"widths": {}}, {"widths": {"sha256": 8}}],
)
def test_columns_that_do_not_belong_together_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        from_columns(with_meta(**changes))


@pytest.mark.parametrize("name", ["vectors", "local.lengths", "key_hashes", "set_starts", META])
def test_a_column_that_is_missing_or_cut_off_is_refused(name: str) -> None:
    columns = to_columns(TABLE)
    with pytest.raises(IntegrityError):
        from_columns({**columns, name: columns[name][:-1]})
    del columns[name]
    with pytest.raises(IntegrityError):
        from_columns(columns)


def test_sets_must_hold_all_rows() -> None:
    for starts in ([0, 2, 1], [1, 1, 2], [0, 1, 1]):
        with pytest.raises(IntegrityError, match="sets"):
            from_columns({**to_columns(TABLE), "set_starts": np.array(starts, "<i8").view(np.uint8)})
