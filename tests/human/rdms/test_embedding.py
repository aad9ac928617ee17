"""Multidimensional scaling: exact where distances are exact, as good as scikit-learn elsewhere."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from relstats.errors import InvalidData, UsageError
from relstats.human.rdms.embedding import mds


def test_distances_in_a_plane_come_back():
    points = np.random.default_rng(1).normal(size=(15, 2))
    found = mds(pdist(points))
    assert found.stress < 1e-6
    assert pdist(found.points) == pytest.approx(pdist(points), rel=1e-5)
    assert found.points.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert found.points[:, 0].var() > found.points[:, 1].var()


def test_stress_is_kruskals_and_scale_is_irrelevant():
    rdm = np.random.default_rng(2).random(190) + 0.5
    found, large = mds(rdm), mds(2.0**40 * rdm)
    distances = pdist(found.points)
    # after the last step points have moved on by less than the tolerance
    assert found.stress == pytest.approx(
        np.sqrt(((distances - rdm) ** 2).sum() / (distances**2).sum()), rel=1e-3
    )
    assert large.stress == pytest.approx(found.stress, rel=1e-9)
    assert large.points == pytest.approx(2.0**40 * found.points, rel=1e-6)
    assert mds(rdm, n_dimensions=5).stress < found.stress


def test_no_worse_than_scikit_learn():
    manifold = pytest.importorskip("sklearn.manifold")
    rdm = pdist(np.random.default_rng(3).normal(size=(20, 6)))
    square = np.zeros((20, 20))
    square[np.triu_indices(20, 1)] = rdm
    theirs = manifold.MDS(
        metric_mds=True,
        metric="precomputed",
        n_init=4,
        init="random",
        random_state=0,
        max_iter=300,
        eps=1e-9,
    ).fit(square + square.T)
    distances = pdist(theirs.embedding_)
    stress = np.sqrt(((distances - rdm) ** 2).sum() / (distances**2).sum())
    assert mds(rdm).stress < 1.05 * stress


def test_errors():
    for rdm in ([1.0, np.nan, 1], [1.0, -1, 1], [0.0, 0, 0]):
        with pytest.raises(InvalidData, match="dissimilarities are missing"):
            mds(np.array(rdm))
    with pytest.raises(UsageError, match="3 images span 1 to 2"):
        mds(np.ones(3), n_dimensions=3)
