"""Moderated variances: a short run of the benchmark, that it does what `differences` does, and its
tables.
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
SCRIPT, TEXT = ROOT / "benchmarks/calibration_moderated.py", ROOT / "docs/statistics.md"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_moderated", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_moderated"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration_moderated"]


def test_moderated_holds_and_finds_more(calibration):
    rows = pd.DataFrame(calibration.cell("M1", "3", 40, 7)).set_index(["test", "kind"])["rate"]
    assert rows["moderated, BH", "error"] <= stats.binom.ppf(0.9999, 40, 0.05) / 40
    assert rows["moderated, BH", "found"] > 0.1 > rows["Welch, BH", "found"]


@pytest.mark.parametrize(
    ("test", "variance"), [("moderated, BH", "moderated"), ("Welch, BH", "welch")]
)
def test_the_benchmark_does_what_the_function_does(calibration, test, variance):
    rng, first = np.random.default_rng(1), np.arange(10) < 5
    maps, deviation = calibration.study(calibration.SCENARIOS["M1"], first, rng)
    maps = maps + 6 * deviation * (first[:, np.newaxis] & calibration.disc())
    maps /= np.abs(maps).mean(axis=1, keepdims=True)  # as the function does
    ours = calibration.significant(maps, first, np.zeros(10, int), test)
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": ["a", "b"]})
    shape = (2, 5, 1, calibration.SIDE, calibration.SIDE)
    study = relstats.relevance_dataset(maps.reshape(shape), models=models, images=["only"])
    result = relstats.differences(
        study, axis="pretrain", correction=["bh"], variance=variance, rng=rng
    )
    assert ours.any()
    np.testing.assert_array_equal((result["p_bh"].values <= 0.05).ravel(), ours)


def test_the_tables_are_those_of_the_run(calibration):
    rows = pd.read_csv(calibration.RESULTS / "calibration_moderated.csv", dtype={"design": str})
    assert (
        calibration.report(rows) == (calibration.RESULTS / "calibration_moderated.md").read_text()
    )
    for kind, table in calibration.shown(rows).items():
        assert table in TEXT.read_text(), kind
