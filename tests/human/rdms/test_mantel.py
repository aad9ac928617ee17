"""Permutation of image labels: exact against enumeration, uniform under the null, adjusted for the
best of many.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from relstats.human.rdms.comparisons import COMPARISONS, compare_rdms
from relstats.human.rdms.mantel import mantel

N = 5
FIRST, SECOND = np.triu_indices(N, 1)


def moved(rdm, order):
    square = np.zeros((N, N))
    square[FIRST, SECOND] = square[SECOND, FIRST] = rdm
    return square[np.ix_(order, order)][FIRST, SECOND]


class EveryPermutation:
    """Stands in for a generator: all permutations, one after the other."""

    def __init__(self):
        self.left = itertools.permutations(range(N))

    def permutation(self, n):
        return np.array(next(self.left))


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("missing", [False, True])
def test_p_is_the_share_of_all_permutations(comparison, missing):
    rng = np.random.default_rng(8)
    people = np.round(4 * rng.random((3, len(FIRST))))
    models = np.round(4 * (rng.random((3, len(FIRST))) + 0.3 * people.mean(axis=0)))
    if missing:
        people[0, 2] = people[1, 7] = np.nan
    weights = np.array([[0.5, 0.5, 0], [0, 0, 1]])
    found = mantel(models, people, comparison, weights, n_permutations=120, rng=EveryPermutation())
    drawn = np.array(
        [
            weights
            @ compare_rdms(np.array([moved(m, list(o)) for m in models]), people, comparison).mean(
                axis=1
            )
            for o in itertools.permutations(range(N))
        ]
    )
    assert drawn.shape == (120, 2)
    observed = drawn[0]
    assert found.p_value == pytest.approx(((drawn >= observed - 1e-10).sum(axis=0) + 1) / 121)
    largest = drawn.max(axis=1)[:, np.newaxis]
    assert found.p_max == pytest.approx(((largest >= observed - 1e-10).sum(axis=0) + 1) / 121)
    assert (found.p_max >= found.p_value).all()


def test_null_is_uniform_and_the_largest_is_adjusted():
    rng = np.random.default_rng(1)
    p, p_max = [], []
    for _ in range(150):
        points = rng.normal(size=(4, 8, 3))
        rdms = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)[
            :, *np.triu_indices(8, 1)
        ]
        found = mantel(rdms[:2], rdms[2:], "corr", np.eye(2), n_permutations=99, rng=rng)
        p.append(found.p_value[0])
        p_max.append(found.p_max.min())
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.005 < np.mean(np.array(p_max) <= 0.05) < 0.11


def test_a_planted_model_is_found_and_its_opposite_is_not():
    rng = np.random.default_rng(2)
    people = rng.random((4, 45)) + np.arange(45) / 20
    models = np.array([np.arange(45.0), -np.arange(45.0)])
    found = mantel(models, people, "rho-a", np.eye(2), n_permutations=199, rng=rng)
    assert found.p_value[0] == 1 / 200
    assert found.p_value[1] > 0.95
    assert found.p_max.tolist() == [1 / 200, 1]


def test_progress_counts_permutations():
    rng, seen = np.random.default_rng(1), []
    people = rng.random((3, 15))
    mantel(
        people[:1],
        people[1:],
        "corr",
        np.ones((1, 1)),
        n_permutations=4,
        progress=lambda *step: seen.append(step),
        rng=rng,
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
