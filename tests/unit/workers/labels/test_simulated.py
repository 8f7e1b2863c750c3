"""Made-up labels of real pictures."""

import numpy as np

from workers.labels.simulated import CHUNK, appearance, simulate


def pictures(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, 4, 4, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def test_appearance_is_of_each_picture_alone() -> None:
    squares = pictures(CHUNK + 3)
    found = appearance(squares)
    assert found.shape == (CHUNK + 3, 4 * 4 * 3 + 4 * 4 * 8)
    assert np.allclose(found[CHUNK + 1], appearance(squares[CHUNK + 1 : CHUNK + 2])[0])
    assert np.allclose(found[0, :48].reshape(4, 4, 3), squares[0, ::8, ::8] / 255.0, atol=1e-6)


def test_labels_depend_on_what_is_seen_and_thin_out() -> None:
    features = appearance(pictures(600))
    presence = simulate(features, 200, seed=1)
    counts = presence.sum(axis=0)
    assert counts.min() >= 1
    assert counts[:20].mean() > 5 * counts[-20:].mean()
    assert (simulate(features, 200, seed=1) == presence).all()
    assert not (simulate(features, 200, seed=2) == presence).all()
    by_chance = counts[:30] / len(features)
    together = np.array([[(presence[:, a] & presence[:, b]).mean() for a in range(30)] for b in range(30)])
    lift = together / np.outer(by_chance, by_chance)
    assert lift[~np.eye(30, dtype=bool)].max() > 3  # some labels go together
