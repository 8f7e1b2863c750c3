"""Two photographs of one code are one object."""

from functools import partial

import cv2
import numpy as np
from PIL import Image

from workers.evaluation.codes import _text, one_of_each_code, read_code
from workers.evaluation.pictures import Picture


def code(text: str, turn: int = 0) -> Image.Image:
    drawn = cv2.QRCodeEncoder.create().encode(text)
    quiet = np.pad(cv2.resize(drawn, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST), 24, constant_values=255)
    return Image.fromarray(quiet).rotate(turn, expand=True, fillcolor=255).convert("RGB")


def picture(image: Image.Image, group: str = "classes/documents/qr_code_photo") -> Picture:
    return Picture(
        source="classes/documents", group=group, stratum="documents", opener=partial(lambda shown: shown, image)
    )


def test_a_code_is_read() -> None:
    assert read_code(code("SAFELIGHT 1")) == "SAFELIGHT 1"
    assert read_code(Image.new("RGB", (200, 150), "white")) == ""


def test_a_code_of_bytes_that_are_no_text_is_not_read() -> None:
    drawn = cv2.QRCodeEncoder.create().encode("placeholder")

    def refuse(_: object) -> tuple[str]:
        raise UnicodeDecodeError("utf-8", b"\x8d", 0, 1, "invalid start byte")

    assert _text(refuse, drawn) == ""


def test_only_the_first_photograph_of_a_code_is_kept() -> None:
    first, again, other = picture(code("A 1")), picture(code("A 1", turn=90)), picture(code("B 2"))
    unread, unread_too = (picture(Image.new("RGB", (200, 150), "white")) for _ in range(2))
    page = picture(code("A 1"), group="classes/documents/receipt")
    kept = one_of_each_code([first, again, unread, other, unread_too, page])
    assert kept == [first, unread, other, unread_too, page]
