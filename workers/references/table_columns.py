"""A table of references as the columns of a snapshot: plain arrays of bytes, used as they are once they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from workers.references.byte_column import ByteColumn, Bytes
from workers.references.reference_table import BYTE_COLUMNS, DIGEST_BYTES, NUMBER_COLUMNS, ReferenceTable

META: Final = "meta"
"""JSON: how many rows, names of sets and encoders, the width of each column of equally long rows."""
LENGTHS: Final = ".lengths"
_NUMBERS: Final[dict[str, str]] = {
    "set_starts": "<i8",
    "key_hashes": "<i8",
    "encoder_of": "<u2",
    "source_of": "<u2",
    "pdq_quality": "<i2",
    "vector_counts": "<u2",
}
_LENGTH: Final = np.dtype("<u4")


def to_columns(table: ReferenceTable) -> dict[str, Bytes]:
    """Return a table's columns by name, without copying what is large."""
    columns = {name: _flat(getattr(table, name), _NUMBERS[name]) for name in NUMBER_COLUMNS}
    widths = {}
    for name in BYTE_COLUMNS:
        column: ByteColumn = getattr(table, name)
        columns[name] = column.data
        if column.starts is None:
            widths[name] = column.width
        else:
            columns[name + LENGTHS] = _flat(column.lengths(), _LENGTH)
    meta = {"rows": len(table), "sets": table.set_names, "encoders": table.encoders, "widths": widths}
    return {META: np.frombuffer(json.dumps(meta).encode(), np.uint8), **columns}


def from_columns(columns: Mapping[str, Bytes]) -> ReferenceTable:
    """Return the table of these columns, which stand for it from now on; raises IntegrityError."""
    try:
        meta = json.loads(columns[META].tobytes())
        rows = int(meta["rows"])
        values: dict[str, Any] = {name: columns[name].view(_NUMBERS[name]) for name in NUMBER_COLUMNS}
        values |= {name: _byte_column(columns, name, rows, meta["widths"]) for name in BYTE_COLUMNS}
        values |= {"set_names": tuple(map(str, meta["sets"])), "encoders": tuple(map(str, meta["encoders"]))}
        table = ReferenceTable(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"the columns of the index cannot be read: {error!r}") from error
    _check(table, rows)
    return table


def _byte_column(columns: Mapping[str, Bytes], name: str, rows: int, widths: Mapping[str, Any]) -> ByteColumn:
    if name in widths:
        return ByteColumn.equal(columns[name], rows, int(widths[name]))
    column = ByteColumn.laid_out(columns[name], columns[name + LENGTHS].view(_LENGTH).astype(np.int64))
    if len(column) != rows:
        raise IntegrityError(f"the column {name} of the index has {len(column)} rows, not {rows}")
    return column


def _check(table: ReferenceTable, rows: int) -> None:
    counts = {name: len(getattr(table, name)) for name in NUMBER_COLUMNS}
    if counts.pop("set_starts") != len(table.set_names) + 1 or set(counts.values()) != {rows}:
        raise IntegrityError("the columns of the index are not equally long")
    starts = table.set_starts
    if starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 0).any():
        raise IntegrityError("the sets of the index do not hold all its references")
    encoders = max(int(table.encoder_of.max(initial=0)), int(table.source_of.max(initial=0)))
    if rows and (encoders >= len(table.encoders) or table.sha256.width != DIGEST_BYTES):
        raise IntegrityError("the columns of the index name no encoder or no digest")


def _flat(numbers: npt.NDArray[Any], kind: str | np.dtype[Any]) -> Bytes:
    return np.ascontiguousarray(numbers, dtype=kind).view(np.uint8)


__all__ = ["META", "from_columns", "to_columns"]
