"""A missing tail is told from a damaged middle."""

import pytest

from tests.image_factories import make_file
from workers.decoding.formats.truncation import cut_off

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP"]


@pytest.mark.parametrize("image_format", FORMATS)
def test_whole_files_are_whole(image_format: str) -> None:
    assert not cut_off(make_file(image_format=image_format), image_format)


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_files_without_their_end_are_cut_off(image_format: str, share: float) -> None:
    whole = make_file(image_format=image_format)
    assert cut_off(whole[: int(len(whole) * share)], image_format)


def test_what_a_camera_appends_does_not_matter() -> None:
    assert not cut_off(make_file(image_format="JPEG") + b"\x00" * 100 + b"maker's trailer", "JPEG")


@pytest.mark.parametrize(("complaint", "expected"), [("image file is truncated (3 bytes)", True), ("bad tag", False)])
def test_other_formats_go_by_the_complaint(complaint: str, *, expected: bool) -> None:
    assert cut_off(b"II*\0", "TIFF", complaint) is expected
