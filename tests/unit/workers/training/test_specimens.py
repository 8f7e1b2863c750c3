"""What calibration looks at: shapes, the reference rows, and that a file gives back what was saved."""

from pathlib import Path

import numpy as np

from workers.decoding.reference_views import VIEWS
from workers.training.specimens import SIDE, collect, load, pdq_variants, unseen_drawings

FIRST = 8


def test_every_fourth_picture_plays_a_reference(tmp_path: Path) -> None:
    specimens = collect(item for item, _ in zip(unseen_drawings(FIRST), range(FIRST), strict=False))
    specimens.save(tmp_path / "specimens.npz")
    read = load(tmp_path / "specimens.npz")
    assert read.clean.shape == read.edited.shape == (FIRST, SIDE, SIDE, 3)
    assert read.rows.tolist() == [0, 4]
    assert read.views.shape == (2, len(VIEWS), SIDE, SIDE, 3)
    assert (read.views[:, 0] == read.clean[read.rows]).all()
    assert read.reference_pdq.shape == (2, 32)


def test_a_hash_has_eight_turns() -> None:
    item = next(unseen_drawings(1))
    variants = pdq_variants(item.image)
    assert variants.shape == (8, 32)
    assert len(np.unique(variants, axis=0)) == 8
