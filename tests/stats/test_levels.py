"""Plans of levels, tests as variables, and label swaps."""

import itertools

import numpy as np
import pandas as pd
import pytest

from relstats.stats import levels
from relstats.stats.inference import jackknife, networks
from relstats.stats.inference.contrasts import plan
from relstats.stats.inference.crossed import Inference

TABLE = pd.DataFrame(
    [
        (f"{pretrain}{task}", str(seed), pretrain, task)
        for pretrain, task, n in (("a", "x", 3), ("b", "x", 2), ("a", "y", 2), ("b", "y", 4))
        for seed in range(n)
    ],
    columns=["model", "seed", "pretrain", "task"],
)


def rng():
    return np.random.default_rng(1)


def test_functionals_are_means_over_strata_and_their_differences():
    scores = rng().random(len(TABLE))
    cells = pd.Series(scores).groupby([TABLE["pretrain"], TABLE["task"]]).mean()
    a, b = cells["a"].mean(), cells["b"].mean()
    planned = levels.plan_levels(TABLE, "pretrain", (), None, ())
    found = [functional.estimate @ scores for functional in planned.functionals]
    assert found == pytest.approx([a, b, a - b], rel=1e-12)
    assert planned.names == ["a|b"]
    assert planned.attrs == {"within": ["task"], "pooled": [], "strata": ["x", "y"]}


def test_functionals_of_models_are_their_means():
    planned = levels.plan_levels(TABLE, None, (), None, ())
    for name, functional in zip(planned.levels, planned.functionals, strict=True):
        own = (TABLE["model"] == name).to_numpy()
        np.testing.assert_array_equal(functional.estimate, own / own.sum())


def test_a_contrast_of_no_network_is_unknown():
    functional = networks.rows_functional(np.zeros((0, 3)))
    assert (functional.groups == -1).all()
    assert not functional.estimate.any()


def test_fields_of_nested_tests():
    pair = [Inference(k, 0.1, 5.0, 9.0, 0.01, k - 0.2, k + 0.2, {"seeds 0": 1.0}) for k in (0, 1)]
    result = levels.tabulated([pair, pair, pair], ("contrast", "effect"))
    assert dict(result.sizes) == {"contrast": 3, "effect": 2, "bound": 2}
    assert result["estimate"].values.tolist() == [[0, 1]] * 3
    assert result["ci"].values[2, 1].tolist() == [0.8, 1.2]
    assert levels.variances(pair, "networks").tolist() == [1.0, 1.0]
    assert np.isnan(levels.variances(pair, "images")).all()
    several = levels.level_means(
        [jackknife.unknown(6)], ("level", "row", "column"), "score", of=slice(4), shape=(1, 2, 2)
    )
    assert several["score_ci"].shape == (1, 2, 2, 2)


def test_swaps_are_those_of_all_labelings():
    table = pd.DataFrame({"model": list("aaabbb"), "seed": list("012012"), "axis": list("aaabbb")})
    scores = rng().random((6, 3))
    scores[:, 1] = np.nan
    planned = plan(table, "axis", symmetric=True)
    result = levels.swap_tests(scores, planned, "region", 9999, rng())
    splits = [list(first) for first in itertools.combinations(range(6), 3)]
    differences = np.array(
        [
            scores[first].mean(axis=0) - np.delete(scores, first, axis=0).mean(axis=0)
            for first in splits
        ]
    )
    as_large = np.abs(differences) >= np.abs(differences[0]) - 1e-12
    expected = np.where(np.isnan(scores[0]), np.nan, as_large.mean(axis=0))
    np.testing.assert_allclose(result["p_swap"].values[0], expected)
    assert np.isnan(result["p_max_t"].values[0]).tolist() == [False, True, False]
    assert (result["p_max_t"] >= result["p_swap"]).values[0, [0, 2]].all()
    assert result["min_p_swap"].item() == pytest.approx(0.1)
