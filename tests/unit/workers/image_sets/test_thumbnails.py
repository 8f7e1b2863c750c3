"""A thumbnail is small, grey, and opens with this deployment's key in its own place alone."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shared.errors import IntegrityError
from shared.sealing import Sealer
from tests.index_factories import SEALER, make_reference
from workers.image_sets.thumbnails import LONG_SIDE, open_thumbnail, seal_thumbnail

PLANE = np.linspace(0, 255, 512 * 200).astype(np.uint8).tobytes()
REFERENCE = make_reference(1)
KEPT = replace(
    REFERENCE,
    thumbnail=seal_thumbnail(PLANE, (512, 200), SEALER, set_name=REFERENCE.set, reference=REFERENCE.reference),
)


def test_what_is_kept_is_a_small_picture() -> None:
    picture = Image.open(io.BytesIO(open_thumbnail(KEPT, SEALER)))
    assert (picture.format, picture.mode, picture.width) == ("JPEG", "L", LONG_SIDE)
    assert picture.height == pytest.approx(200 * LONG_SIDE / 512, abs=1)
    assert np.asarray(picture)[0].mean() < np.asarray(picture)[-1].mean()


def test_what_is_stored_shows_nothing() -> None:
    assert b"JFIF" not in KEPT.thumbnail
    assert open_thumbnail(KEPT, SEALER) not in KEPT.thumbnail


def test_no_plane_no_thumbnail() -> None:
    assert seal_thumbnail(b"", (0, 0), SEALER, set_name="designs", reference="r") == b""
    assert open_thumbnail(REFERENCE, SEALER) == b""


def test_it_opens_with_this_key_for_this_reference_only() -> None:
    with pytest.raises(IntegrityError):
        open_thumbnail(KEPT, Sealer(bytes(31) + b"1"))
    with pytest.raises(IntegrityError):
        open_thumbnail(replace(KEPT, reference="other"), SEALER)
