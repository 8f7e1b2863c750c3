import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from shared.errors import IntegrityError
from shared.sealing import Sealer
from tests.index_factories import ENCODER, SEALER, make_reference, make_set
from tests.index_snapshots import pack, unpack
from workers.index.snapshot import HEADER_LIMIT, PART_BYTES, VERSION, Snapshot, SnapshotReader, part_count
from workers.references.reference_table import ReferenceTable
from workers.search.vector_codes import CodeImage

SNAPSHOT = Snapshot(
    encoder=ENCODER,
    position=17,
    sets=(make_set("a"), make_set("b", threshold=50.0, relation="any")),
    references=ReferenceTable.of([make_reference(1, set="a"), make_reference(2, set="b")]),
    codes=CodeImage(planes=np.frombuffer(b"planes", np.uint8), codes=np.frombuffer(b"codes", np.uint8)),
)
LARGE = Snapshot(
    encoder=ENCODER,
    position=1,
    sets=(make_set(),),
    references=ReferenceTable.of(make_reference(seed, local=bytes([seed]) * (PART_BYTES // 2)) for seed in range(3)),
    codes=CodeImage(planes=np.zeros(1, np.uint8), codes=np.ones(PART_BYTES // 2 + 1, np.uint8)),
)


def same(one: Snapshot, other: Snapshot) -> bool:
    """Compare everything; codes by their bytes."""
    codes = [each.codes and (each.codes.planes.tobytes(), each.codes.codes.tobytes()) for each in (one, other)]
    return codes[0] == codes[1] and replace(one, codes=None) == replace(other, codes=None)


@pytest.mark.parametrize("snapshot", [SNAPSHOT, Snapshot(encoder=ENCODER, position=0, sets=())], ids=["full", "empty"])
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    assert same(unpack(pack(snapshot, SEALER), SEALER, encoder=ENCODER), snapshot)


def test_any_encoder_is_taken_where_none_is_asked_for() -> None:
    assert same(unpack(pack(SNAPSHOT, SEALER), SEALER), SNAPSHOT)


def test_another_encoders_snapshot_is_refused() -> None:
    with pytest.raises(IntegrityError, match="encoder-1, this worker has encoder-2"):
        unpack(pack(SNAPSHOT, SEALER), SEALER, encoder="encoder-2")


def test_another_deployments_snapshot_is_refused() -> None:
    with pytest.raises(IntegrityError, match="signature"):
        unpack(pack(SNAPSHOT, SEALER), Sealer(bytes(31) + b"\1"))


def test_neither_embeddings_nor_names_are_readable() -> None:
    data = b"".join(pack(SNAPSHOT, SEALER))
    assert SNAPSHOT.references[0].vectors[0] not in data
    assert b"1.png" not in data


@pytest.mark.parametrize("size", [0, 6, 20, 300, -1])
@pytest.mark.parametrize("place", [0, 1])
def test_a_cut_off_snapshot_is_refused(place: int, size: int) -> None:
    data = pack(SNAPSHOT, SEALER)
    shorter = data[place][:size]
    if shorter != data[place]:
        with pytest.raises(IntegrityError):
            unpack([*data[:place], shorter, *data[place + 1 :]], SEALER)


def test_a_part_that_was_changed_or_is_another_is_refused() -> None:
    header, *parts = pack(LARGE, SEALER)
    for place, part in enumerate(parts):
        changed = [*parts[:place], part[:-1] + bytes([part[-1] ^ 1]), *parts[place + 1 :]]
        with pytest.raises(IntegrityError, match="does not open"):
            unpack([header, *changed], SEALER)
    with pytest.raises(IntegrityError, match="cut off or changed"):
        unpack([header, *parts[::-1]], SEALER)
    _, *of_another = pack(LARGE, SEALER)
    with pytest.raises(IntegrityError, match="does not open"):
        unpack([header, *of_another], SEALER)


def test_all_parts_and_no_more_are_a_snapshot() -> None:
    data = pack(SNAPSHOT, SEALER)
    assert len(data) == 2  # header, columns
    assert part_count(data[0], SEALER) == 1
    with pytest.raises(IntegrityError, match="header says"):
        unpack(data[:-1], SEALER)
    with pytest.raises(IntegrityError, match="other parts"):
        unpack([*data, data[-1]], SEALER)


def test_many_references_and_codes_go_into_several_parts_in_any_order() -> None:
    header, *parts = pack(LARGE, SEALER)
    reader = SnapshotReader(header, SEALER)
    assert len(parts) == reader.parts == 3
    for number in (2, 0, 1):
        reader.take(number, parts[number])
    assert same(reader.snapshot(), LARGE)


@pytest.mark.parametrize("start", [b"JUNK", b"SLIX\1"])
def test_other_bytes_and_versions_are_refused(start: bytes) -> None:
    header, *parts = pack(SNAPSHOT, SEALER)
    with pytest.raises(IntegrityError, match="version"):
        unpack([start + header[len(start) :], *parts], SEALER)


def test_a_header_that_claims_too_much_length_is_refused() -> None:
    with pytest.raises(IntegrityError, match="version"):
        unpack([struct.pack(">4sBI", b"SLIX", VERSION, HEADER_LIMIT + 1) + bytes(10_000)], SEALER)


def _with_header(**changes: object) -> list[bytes]:
    data, *parts = pack(SNAPSHOT, SEALER)
    (length,) = struct.unpack_from(">I", data, 5)
    header = {**json.loads(data[9 : 9 + length]), **changes}
    body = json.dumps(header).encode()
    signed = data[:5] + struct.pack(">I", len(body)) + body
    return [signed + SEALER.sign(signed), *parts]


@pytest.mark.parametrize("field", ["references", "sets"])
def test_counts_must_be_those_of_the_payload(field: str) -> None:
    assert same(unpack(_with_header(), SEALER), SNAPSHOT)
    with pytest.raises(IntegrityError, match="header says"):
        unpack(_with_header(**{field: 99}), SEALER)


def test_columns_must_be_those_of_the_payload() -> None:
    columns = [["x" if name == "vectors" else name, size] for name, size in _columns()]
    with pytest.raises(IntegrityError, match="columns of the index cannot be read"):
        unpack(_with_header(columns=columns), SEALER)
    without_sets = [["x" if name == "sets" else name, size] for name, size in _columns()]
    with pytest.raises(IntegrityError, match="cannot be read"):
        unpack(_with_header(columns=without_sets), SEALER)


def _columns() -> list[list[object]]:
    data, *_ = pack(SNAPSHOT, SEALER)
    (length,) = struct.unpack_from(">I", data, 5)
    columns: list[list[object]] = json.loads(data[9 : 9 + length])["columns"]
    return columns


def test_a_signed_header_of_other_fields_is_refused() -> None:
    with pytest.raises(IntegrityError, match="header"):
        unpack(_with_header(surprise=1), SEALER)
    for columns in (7, [7], [["sets"]], [["sets", "x"]]):
        with pytest.raises(IntegrityError, match="header"):
            unpack(_with_header(columns=columns), SEALER)


def test_an_encoder_name_without_end_is_refused() -> None:
    with pytest.raises(IntegrityError, match="header is too long"):
        pack(Snapshot(encoder="x" * HEADER_LIMIT, position=0, sets=()), SEALER)
