import pytest

from shared.errors import IntegrityError
from workers.index.pointers import Pointer, read_pointers, write_pointers

ONE = Pointer(encoder="one", blob="a", position=3, at=7.0, bytes=10, parts=2, previous="b", previous_parts=1)
TWO = Pointer(encoder="two", blob="c", position=5, at=8.0, bytes=20, parts=3)


def test_what_is_written_is_read() -> None:
    assert read_pointers(write_pointers([ONE, TWO])) == (ONE, TWO)
    assert read_pointers(write_pointers([])) == ()


@pytest.mark.parametrize("value", [b"", b"[1]", b"7", b'[{"encoder": "one"}]'])
def test_what_makes_no_sense_is_refused(value: bytes) -> None:
    with pytest.raises(IntegrityError, match="pointer"):
        read_pointers(value)
