from tests.index_factories import DIMENSION, make_reference
from workers.references.kept_bytes import bytes_kept, total_bytes


def test_bytes_are_told_by_kind() -> None:
    reference = make_reference(1, views=bytes(16), local=bytes(5), sketch=bytes(3), thumbnail=bytes(7))
    kept = {"vectors": 2 * DIMENSION, "views": 16, "pdq": 32, "local": 5, "sketch": 3, "thumbnail": 7}
    assert bytes_kept(reference) == kept
    assert total_bytes([reference, reference]) == {kind: 2 * size for kind, size in kept.items()}
    assert total_bytes([]).total() == 0
