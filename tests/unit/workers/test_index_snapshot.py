import json
import struct
from dataclasses import replace

import pytest

from shared.errors import IntegrityError
from shared.sealing import Sealer
from tests.index_factories import ENCODER, SEALER, make_reference, make_set
from tests.index_snapshots import pack, unpack
from workers.index_snapshot import HEADER_LIMIT, PART_BYTES, PART_REFERENCES, Snapshot

SNAPSHOT = Snapshot(
    encoder=ENCODER,
    position=17,
    sets=(make_set("a"), make_set("b", threshold=50.0, relation="any")),
    references=(make_reference(1, set="a"), make_reference(2, set="b")),
    graph=b"graph",
)


@pytest.mark.parametrize(
    "snapshot", [SNAPSHOT, Snapshot(encoder=ENCODER, position=0, sets=(), references=())], ids=["full", "empty"]
)
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    assert unpack(pack(snapshot, SEALER), SEALER, encoder=ENCODER) == snapshot


def test_any_encoder_is_taken_where_none_is_asked_for() -> None:
    assert unpack(pack(SNAPSHOT, SEALER), SEALER) == SNAPSHOT


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
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_cut_off_snapshot_is_refused(place: int, size: int) -> None:
    data = pack(SNAPSHOT, SEALER)
    shorter = data[place][:size]
    if shorter != data[place]:
        with pytest.raises(IntegrityError):
            unpack([*data[:place], shorter, *data[place + 1 :]], SEALER)


def test_a_part_that_was_changed_is_refused_before_it_is_opened() -> None:
    header, *parts = pack(SNAPSHOT, SEALER)
    for place, part in enumerate(parts):
        changed = [*parts[:place], part[:-1] + bytes([part[-1] ^ 1]), *parts[place + 1 :]]
        with pytest.raises(IntegrityError, match="cut off or changed"):
            unpack([header, *changed], SEALER)
    for others in (parts[::-1], parts[1:], [parts[0], *parts]):
        with pytest.raises(IntegrityError, match="cut off or changed"):
            unpack([header, *others], SEALER)


def test_all_parts_and_no_more_are_a_snapshot() -> None:
    data = pack(SNAPSHOT, SEALER)
    assert len(data) == 4  # sets, references, graph
    with pytest.raises(IntegrityError, match="header says"):
        unpack(data[:-1], SEALER)
    with pytest.raises(IntegrityError, match="more parts"):
        unpack([*data, data[-1]], SEALER)


def test_many_references_and_a_large_graph_go_into_several_parts() -> None:
    one = make_reference(1, vectors=())
    references = tuple(replace(one, reference=f"{number}") for number in range(PART_REFERENCES + 1))
    snapshot = replace(SNAPSHOT, references=references, graph=bytes(PART_BYTES + 1))
    data = pack(snapshot, SEALER)
    assert len(data) == 1 + 1 + 2 + 2
    assert unpack(data, SEALER) == snapshot


@pytest.mark.parametrize("start", [b"JUNK", b"SLIX\1"])
def test_other_bytes_and_versions_are_refused(start: bytes) -> None:
    header, *parts = pack(SNAPSHOT, SEALER)
    with pytest.raises(IntegrityError, match="version"):
        unpack([start + header[len(start) :], *parts], SEALER)


def test_a_header_that_claims_too_much_length_is_refused() -> None:
    with pytest.raises(IntegrityError, match="version"):
        unpack([struct.pack(">4sBI", b"SLIX", 2, HEADER_LIMIT + 1) + bytes(10_000)], SEALER)


def _with_header(**changes: object) -> list[bytes]:
    data, *parts = pack(SNAPSHOT, SEALER)
    (length,) = struct.unpack_from(">I", data, 5)
    header = {**json.loads(data[9 : 9 + length]), **changes}
    body = json.dumps(header).encode()
    signed = data[:5] + struct.pack(">I", len(body)) + body
    return [signed + SEALER.sign(signed), *parts]


@pytest.mark.parametrize("field", ["references", "vectors", "sets", "dimension", "graph_bytes"])
def test_counts_must_be_those_of_the_payload(field: str) -> None:
    assert unpack(_with_header(), SEALER) == SNAPSHOT
    with pytest.raises(IntegrityError, match="header says"):
        unpack(_with_header(**{field: 99}), SEALER)


def test_a_signed_header_of_other_fields_is_refused() -> None:
    with pytest.raises(IntegrityError, match="header"):
        unpack(_with_header(surprise=1), SEALER)
    for parts in (7, [7], [{"kind": "sets"}], [{"kind": "other", "bytes": 1, "sha256": ""}]):
        with pytest.raises(IntegrityError, match="header"):
            unpack(_with_header(parts=parts), SEALER)


def test_an_encoder_name_without_end_is_refused() -> None:
    with pytest.raises(IntegrityError, match="header is too long"):
        pack(Snapshot(encoder="x" * HEADER_LIMIT, position=0, sets=(), references=()), SEALER)
