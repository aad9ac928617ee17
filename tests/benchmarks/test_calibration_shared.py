"""Error rates of shared pixels: a short run of the benchmark, and that the benchmark does what
`shared` does.
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
SCRIPT, TEXT = ROOT / "benchmarks/calibration_shared.py", ROOT / "docs/statistics.md"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_shared", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_shared"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration_shared"]


def most(n, p=0.05):
    """A rate that n studies exceed once in ten thousand times, if the error is p."""
    return stats.binom.ppf(0.9999, n, p) / n


def rates(calibration, name, sizes, images, studies):
    rows = pd.DataFrame(calibration.cell(name, sizes, images, studies, 7))
    return {kind: part.set_index("test")["rate"] for kind, part in rows.groupby("kind")}


def test_with_a_common_layout_and_nothing_else_ours_holds_and_the_binomial_fails(calibration):
    found = rates(calibration, "centre", (5,), 20, 80)
    assert (found["error"] <= most(80)).all(), found["error"]
    assert found["today"]["binomial, pixel by pixel, BH"] > 0.9
    assert found["today"]["shifted masks, largest count"] > 0.9


def test_conditions_that_share_only_within_are_no_every_condition(calibration):
    found = rates(calibration, "within conditions", (3, 3), 20, 60)
    assert set(found) == {"error"}
    assert (found["error"] <= most(60)).all(), found["error"]


def test_what_is_shared_is_found(calibration):
    found = rates(calibration, "shared", (5,), 20, 20)["power"]
    assert found["p_value (majority)"] > 0.8
    assert found["p_network"] > 0.8


def test_the_benchmark_does_what_the_function_does(calibration):
    sizes = np.array([2, 3])
    fields = calibration.fields(
        calibration.SCENARIOS["shared"], sizes, 12, np.random.default_rng(1)
    )
    maps = np.zeros((2, 3, 12, 24, 24), np.float32)
    maps[0, :2], maps[1] = fields[:2].reshape(2, 12, 24, 24), fields[2:].reshape(3, 12, 24, 24)
    available = np.array([[True, True, False], [True, True, True]])
    models = pd.DataFrame({"model": ["a", "b"], "task": ["g", "i"]})
    group = relstats.relevance_dataset(
        maps, models=models, images=[f"{k:02}" for k in range(12)], available=available
    )
    result = relstats.shared(
        group,
        across=["task"],
        ranking="signed",
        n_swaps=calibration.RESAMPLES,
        rng=np.random.default_rng(5),
    )
    masks = calibration.top_fraction(fields.astype(np.float32), calibration.FRACTION, "signed")
    entropy = int(np.random.default_rng(5).integers(2**63))
    alone = calibration.p_values(masks, sizes, np.random.default_rng([entropy, 0]))
    majority = result.sel(consensus="majority")
    for name, values in {
        "p_max_z": result["p_max_z"][:1],
        "p_max_z_family": result["p_max_z_family"],
        "p_max_z_bh": result["p_max_z_bh"],
        "p_core (majority)": majority["p_core"][:1],
        "p_core_family (majority)": majority["p_core_family"],
        "p_value (majority)": [majority["p_value"]],
        "p_adjusted": result["p_adjusted"],
        "p_network": result["p_network"][-1:],
        "p_every_condition (majority)": [majority["p_every_condition"]],
    }.items():
        np.testing.assert_array_equal(alone[name], values, err_msg=name)


def test_tables_in_the_text_are_those_of_the_results(calibration):
    rows = pd.read_csv(calibration.RESULTS / "calibration_shared.csv")
    text = TEXT.read_text()
    assert len(rows[["scenario", "networks", "images"]].drop_duplicates()) == len(
        calibration.designs()
    )
    assert rows["studies"].min() >= 400
    for kind in (calibration.ERROR, calibration.TODAY):
        assert calibration.markdown(calibration.summary(rows[rows["kind"] == kind])) in text
    assert (calibration.RESULTS / "calibration_shared.md").read_text() == calibration.report(rows)
