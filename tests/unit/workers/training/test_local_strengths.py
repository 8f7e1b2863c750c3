"""Who verifies against whom: only pictures that were looked at say anything, and copies agree strongly."""

import numpy as np

from workers.training.local_strengths import EVERY, verified_pairs
from workers.training.specimens import collect, unseen_drawings

COUNT = 8


def test_pictures_verify_against_themselves_and_silence_is_marked() -> None:
    specimens = collect(item for item, _ in zip(unseen_drawings(COUNT), range(COUNT), strict=False))
    clean, edited = verified_pairs(specimens)
    local, layout = clean.strengths(slice(0, COUNT))
    assert local.shape == layout.shape == (COUNT, len(specimens.rows))
    looked = np.arange(COUNT) % EVERY == 0
    assert np.isnan(local[~looked]).all()
    assert not np.isnan(local[looked]).any()
    assert local[0, 0] > 2.0  # the picture itself, which plays the first reference
    assert (layout[looked] >= local[looked] - 1e-6).all()
    assert edited.references == len(specimens.rows)
    assert clean.strengths(slice(3, 5))[0].shape == (2, len(specimens.rows))
