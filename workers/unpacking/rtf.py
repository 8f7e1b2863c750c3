"""Rich Text Format 1.9.1: pictures and embedded objects stand in it as hexadecimal digits."""

from __future__ import annotations

import re
from typing import Final

from shared.extract.sniff import SNIFF_BYTES, sniff, sniff_container
from workers.unpacking.names import inside
from workers.unpacking.walk import Walk

SMALLEST: Final = 128
"""Digits of what is looked at: the smallest picture has 52, and colours and styles have a few."""
# A number that ends a control word (\pich48) is none of the digits behind it.
_DIGITS: Final = re.compile(rb"(?<![0-9a-zA-Z-])[0-9a-fA-F][0-9a-fA-F\r\n]{%d,}" % (SMALLEST - 1))
_OBJECT_HEAD: Final = 512
"""Bytes before an embedded object's file: names of its class and of the file (MS-OLEDS 2.2.5)."""
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_rtf(walk: Walk, data: bytes, path: str, depth: int) -> None:
    """Open a document of rich text."""
    for number, run in enumerate(_DIGITS.finditer(data), start=1):
        walk.budget.spend_entry()
        digits = run[0].translate(None, b"\r\n")
        content = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
        walk.budget.spend_inflated(len(content))
        start = content.find(_OLE, 0, _OBJECT_HEAD)
        content = content[start:] if start > 0 else content
        head = content[:SNIFF_BYTES]
        if sniff(head) is not None or sniff_container(head) is not None:
            walk.visit(content, inside(path, f"picture-{number}", number), depth + 1)
