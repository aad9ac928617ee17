"""Scores of single networks as sources and as targets."""

import numpy as np
import pytest

from relstats.stats.inference.nodes import node_operator


@pytest.mark.parametrize("per_level", [2, 3, 5, 6, 8, 12, 20])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_scores_of_an_additive_matrix_are_exact_whatever_its_size(levels, per_level):
    if levels * per_level < 3:
        pytest.skip("three networks at least where there is one level")
    groups = np.repeat(np.arange(levels), per_level)
    rng = np.random.default_rng(per_level)
    as_source, as_target = rng.normal(size=(2, len(groups)))
    scores = as_source[:, np.newaxis] + as_target
    source, target = node_operator(groups)
    level_source, level_target = (
        np.array([one[groups == k].mean() for k in range(levels)]) for one in (as_source, as_target)
    )
    np.testing.assert_allclose(
        source @ scores.ravel(), as_source + level_target.mean(), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        target @ scores.ravel(), as_target + level_source.mean(), rtol=0, atol=1e-12
    )
