"""Sets of the other networks: a short run of the benchmark, and that it does what `sufficiency`
does.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from relstats.stats.sufficiency import sufficiency
from relstats.study import layout

pytest.importorskip("torch")
SCRIPT = Path(__file__).parents[2] / "benchmarks/leave_one_out.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("leave_one_out", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["leave_one_out"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["leave_one_out"]


def studies(benchmark, name, sizes, n):
    """Rows of n studies, of the comparison with swapped images, by kind of sets."""
    rng = np.random.default_rng(5)
    scenario = benchmark.SCENARIOS[name]
    rows = pd.DataFrame([row for _ in range(n) for row in benchmark.study(scenario, sizes, rng)])
    rows = rows[rows["against"] == "image_swap"]
    return {kind: part.reset_index() for kind, part in rows.groupby("sets")}


@pytest.mark.parametrize("sizes", [(3,), (5,), (3, 3)])
def test_networks_that_share_nothing_gain_nothing_by_the_sets_of_others(benchmark, sizes):
    found = studies(benchmark, "nothing shared", sizes, 40)
    inside, outside = found[benchmark.IN_SAMPLE], found[benchmark.LEFT_OUT]
    assert (inside["p_value"] < 0.05).all()  # the fault
    assert (inside["lower"] > inside["new"]).all()
    assert (outside["p_value"] < 0.05).sum() <= stats.binom.ppf(0.9999, 40, 0.05)
    error = outside["estimate"].std() / np.sqrt(40)
    assert abs(outside["estimate"].mean()) < 4 * error + 0.001


def test_what_networks_share_is_worth_to_them_what_it_is_worth_to_new_ones(benchmark):
    found = studies(benchmark, "rho .3", (5,), 30)
    inside, outside = found[benchmark.IN_SAMPLE], found[benchmark.LEFT_OUT]
    assert (outside["p_value"] < 0.05).all()
    assert outside["estimate"].mean() == pytest.approx(outside["new"].mean(), abs=0.005)
    assert inside["estimate"].mean() > inside["new"].mean() + 0.05
    covered = (outside["lower"] <= outside["new"]) & (outside["new"] <= outside["upper"])
    assert covered.mean() >= 0.8


def test_the_benchmark_tests_as_the_function_does(benchmark):
    gain = 0.1 + 0.05 * np.random.default_rng(1).standard_normal((5, 3, 20))
    scores = np.full((1, 5, 2, 4, 20), 0.5)
    scores[0, :, 0, 1:] -= gain
    dims = (*layout.NETWORK, "operation", "choice", "image")
    coords = {
        "model": ["a"],
        "seed": list("01234"),
        "operation": list(layout.OPERATIONS),
        "choice": list(layout.CHOICES),
        "image": [f"{k}" for k in range(20)],
    }
    group = xr.Dataset(
        {
            "probability": (dims, scores),
            "unmasked_probability": ((*layout.NETWORK, "image"), np.ones((1, 5, 20))),
            "area": ("image", np.full(20, 0.1)),
        },
        coords,
        {"sets_of": layout.OTHER_NETWORKS},
    )
    expected = sufficiency(group).sel(question="sufficiency").isel(level=0)
    result = benchmark.tested(gain, np.zeros(5, int))
    np.testing.assert_allclose(result.estimate, expected["estimate"])
    np.testing.assert_allclose(result.p_value, expected["p_value"])
    np.testing.assert_allclose(result.lower, expected["ci"].sel(bound="lower"))


def test_sets_have_the_area_of_the_set_that_is_shown(benchmark):
    rng = np.random.default_rng(2)
    marks = benchmark.Marks.empty(np.zeros(4, int), 20, benchmark.PIXELS, "majority")
    marks.fill(np.arange(20), rng.random((4, 20, benchmark.PIXELS)) < 0.4)
    for kind in (benchmark.IN_SAMPLE, benchmark.LEFT_OUT):
        _, sets = benchmark.swapped(marks, np.arange(20), rng, kind)
        area = sets.shared.sum(axis=-1)
        np.testing.assert_array_equal(sets.image_swap.sum(axis=-1), area)
        np.testing.assert_array_equal(sets.random.sum(axis=-1), area)
