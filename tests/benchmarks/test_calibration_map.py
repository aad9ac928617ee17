"""Error rates of maps of differences: a short run of the benchmark, that it does what
`differences` does, and its tables.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import relstats

ROOT = Path(__file__).parents[2]
SCRIPT, TEXT = ROOT / "benchmarks/calibration_map.py", ROOT / "docs/statistics.md"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_map", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_map"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration_map"]


def most(n, p=0.05):
    """A rate that n studies exceed once in ten thousand times, if the error is p."""
    return stats.binom.ppf(0.9999, n, p) / n


def rates(calibration, name, design, studies):
    rows = pd.DataFrame(calibration.cell(name, design, studies, 7))
    return {kind: part.set_index("test")["rate"] for kind, part in rows.groupby("kind")}


@pytest.mark.parametrize("design", ["4", "3 in 2 strata"])
def test_ours_holds_and_images_as_units_fail(calibration, design):
    found = rates(calibration, "F1", design, 60)
    assert (found["error"] <= most(60)).all(), found["error"]
    assert (found["today"] > 0.7).all()


def test_three_against_three_never_rejects_by_swaps(calibration):
    found = rates(calibration, "F0", "3", 10)["error"]
    assert (found.drop("BH, Welch t") == 0).all()


def test_what_is_planted_is_found(calibration):
    found = rates(calibration, "P1", "8", 10)["found"]
    assert (found > 0.5).all(), found


def test_the_benchmark_does_what_the_function_does(calibration):
    rng, first = np.random.default_rng(1), np.arange(10) < 5
    maps = calibration.study(calibration.SCENARIOS["P1"], first, rng)
    maps /= np.abs(maps).mean(axis=-1, keepdims=True)  # as the function does
    ours = calibration.by_networks(maps, first, np.zeros(10, int), rng)
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["a", "b"]})
    shape = (2, 5, calibration.IMAGES, calibration.SIDE, calibration.SIDE)
    study = relstats.relevance_dataset(
        maps.reshape(shape), models=models, images=[str(k) for k in range(shape[2])]
    )
    result = relstats.differences(study, axis="pretrain", variance="welch", rng=rng)
    result = result.isel(contrast=0)
    for test, name in (("max-T", "p_max_t"), ("TFCE", "p_tfce"), ("BH, Welch t", "p_bh")):
        assert ours[test].any()
        np.testing.assert_array_equal((result[name].values <= 0.05).ravel(), ours[test])
    assert result["area_clusters"] == ours["cluster mass"].sum()


def test_the_tables_are_those_of_the_run(calibration):
    rows = pd.read_csv(calibration.RESULTS / "calibration_map.csv", dtype={"design": str})
    assert calibration.report(rows) == (calibration.RESULTS / "calibration_map.md").read_text()
    for kind, table in calibration.shown(rows).items():
        assert table in TEXT.read_text(), kind
