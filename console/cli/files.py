"""Files as commands read them."""

from __future__ import annotations

from pathlib import Path

from shared.errors import DecodeError, ErrorCode


def read_image(file: Path, limit: int) -> bytes:
    """Return a file's bytes; raises DecodeError for more than ``limit`` of them, which no proxy would hold; OSError."""
    if file.stat().st_size > limit:
        raise DecodeError(ErrorCode.TOO_LARGE, f"more than proxy.max_object ({limit} bytes)")
    return file.read_bytes()
