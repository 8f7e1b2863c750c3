"""Sealed values open with the same key in the same place, and nowhere else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import ConfigError, IntegrityError
from shared.sealing import OVERHEAD_BYTES, WINDOW_BYTES, Sealer, load_or_create_key, secret_in_file

SEALER = Sealer(bytes(32))


def test_what_is_sealed_opens_again() -> None:
    sealed = SEALER.seal(b"picture", "request-1")
    assert b"picture" not in sealed
    assert len(sealed) == len(b"picture") + OVERHEAD_BYTES
    assert SEALER.open(sealed, "request-1") == b"picture"


@pytest.mark.parametrize("size", [0, 1, WINDOW_BYTES, WINDOW_BYTES + 1, 3 * WINDOW_BYTES])
def test_values_of_any_size_are_sealed_as_one(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sealed = SEALER.seal(plain, "p")
    assert len(sealed) == size + OVERHEAD_BYTES
    assert SEALER.open(sealed, "p") == plain
    at = len(sealed) // 2
    for changed in (sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], sealed[:-1], sealed[1:] + b"0"):
        with pytest.raises(IntegrityError):
            SEALER.open(changed, "p")
    with pytest.raises(IntegrityError):
        SEALER.open(sealed, "q")


def test_a_sealed_value_cannot_be_moved_changed_or_opened_with_another_key() -> None:
    sealed = SEALER.seal(b"picture", "request-1")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for value, place, sealer in (
        (sealed, "request-2", SEALER),
        (changed, "request-1", SEALER),
        (sealed[:20], "request-1", SEALER),
        (sealed, "request-1", Sealer(b"k" * 32)),
    ):
        with pytest.raises(IntegrityError):
            sealer.open(value, place)


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_value_opens_into_memory_that_is_there(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sealed, out = SEALER.seal(memoryview(plain), "here"), bytearray(size)
    SEALER.open_into(sealed, "here", memoryview(out))
    assert out == plain
    for other in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:-1], b""):
        with pytest.raises(IntegrityError):
            SEALER.open_into(other, "here", memoryview(out))
    with pytest.raises(IntegrityError, match="key_file"):
        SEALER.open_into(sealed, "elsewhere", memoryview(out))


def test_a_signature_is_for_these_bytes_only() -> None:
    signature = SEALER.sign(b"index")
    SEALER.verify(b"index", signature)
    with pytest.raises(IntegrityError):
        SEALER.verify(b"index2", signature)


def test_one_tenant_s_values_and_signatures_are_no_other_s() -> None:
    """Also where they were given the same secret."""
    tenants = [Sealer(bytes(32), name) for name in ("", "acme", "acme-2")]
    for own in tenants:
        sealed, signature = own.seal(b"picture", "here"), own.sign(b"index")
        for other in tenants:
            if other is own:
                assert other.open(sealed, "here") == b"picture"
                other.verify(b"index", signature)
                continue
            with pytest.raises(IntegrityError):
                other.open(sealed, "here")
            with pytest.raises(IntegrityError):
                other.verify(b"index", signature)


def test_without_a_tenant_the_keys_are_those_of_before() -> None:
    assert SEALER.sign(b"index").hex()[:16] == "32c8ce1fcc034d60"


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError):
        Sealer(b"short")


def test_roles_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_key(path), range(16)))
    assert len(keys) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    """Who compares with it would let everybody in who sends nothing."""
    path = tmp_path / "token"
    path.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        secret_in_file(path, lambda: "made")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigError, match=r"secret\.key"):
        load_or_create_key(tmp_path / "data" / "secret.key")


def test_an_unreadable_key_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("no key")
    with pytest.raises(ConfigError, match=r"secret\.key"):
        load_or_create_key(path)
