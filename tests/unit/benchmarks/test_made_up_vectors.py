"""Vectors that are made up: as an encoder's lie, and even ones."""

import numpy as np
import pytest

from benchmarks.made_up_vectors import DIMENSION, KINDS, SHARES, Kind, copies, make_vectors


def effective_dimension(kind: Kind) -> float:
    vectors = make_vectors(3000, 1, kind)
    energies = np.linalg.eigvalsh(vectors.T @ vectors)
    return float(energies.sum() ** 2 / (energies**2).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_copies_are_as_near_as_they_are_asked_for(kind: Kind) -> None:
    vectors = make_vectors(50, 1, kind)
    assert vectors.shape == (50, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.vecdot(copies(vectors, 0.75, 2, kind), vectors), 0.75, atol=1e-5)


def test_fitted_vectors_lie_as_embeddings_do() -> None:
    assert 36 <= effective_dimension("fitted") <= 48
    assert effective_dimension("even") >= 150
    vectors = make_vectors(3000, 1)
    cosines = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    assert np.mean(cosines) == pytest.approx(0.047, abs=0.02)
    assert np.std(cosines) == pytest.approx(0.145, abs=0.02)
    assert np.quantile(cosines, 0.999) == pytest.approx(0.56, abs=0.05)
    assert np.quantile(cosines, 0.9999) == pytest.approx(0.73, abs=0.08)


def test_shares_of_energy_add_up() -> None:
    for shares in SHARES.values():
        assert list(shares) == sorted(shares)
        assert (len(shares), shares[-1]) == (10, 1.0)
