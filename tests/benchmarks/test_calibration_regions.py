"""Error rates of regions and stability: a short run of the benchmark, and that the text shows what
it found.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parents[2]
SCRIPT, TEXT = ROOT / "benchmarks/calibration_regions.py", ROOT / "docs/statistics.md"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_regions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_regions"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration_regions"]


def rate(rows, test, scenario):
    return rows.loc[(rows["test"] == test) & (rows["scenario"] == scenario), "rate"].item()


def most(n, p=0.05):
    """A rate that n studies exceed once in ten thousand times, if the error is p."""
    return stats.binom.ppf(0.9999, n, p) / n


def test_no_family_of_regions_is_wrong_too_often_but_images_as_units_are(calibration):
    rows = pd.DataFrame(calibration.region_rows(200, 7, [(5, 50)], ["R0", "R1", "P1"]))
    for scenario in ("R0", "R1"):
        assert rate(rows, "p_adjusted (Holm)", scenario) <= most(200)
    assert rate(rows, "p_max_t", "R0") <= most(200)
    assert rate(rows, "paired t over images (Holm)", "R0") > 0.6
    assert rate(rows, "p_adjusted (Holm)", "P1") > 0.5


def test_regions_of_a_simulated_image_add_up_to_one(calibration):
    scores = calibration.region_scores(
        calibration.REGION_SCENARIOS["P1"], 3, 4, 2, np.random.default_rng(1)
    )
    np.testing.assert_allclose(scores.sum(axis=2), 1, rtol=1e-5)
    many = calibration.region_scores(
        calibration.REGION_SCENARIOS["P1"], 40, 200, 4, np.random.default_rng(1)
    ).mean(axis=(1, 3))
    np.testing.assert_allclose(
        (many[:40] - many[40:]).mean(axis=0), [0.06, *[-0.012] * 5], atol=0.012
    )


def test_intervals_of_stability_cover(calibration):
    rows = pd.DataFrame(calibration.agreement_rows(300, 5, [(5, 50)]))
    for scenario in ("A0", "A3"):
        assert 1 - rate(rows, "two-way jackknife", scenario) <= most(300)
        assert rate(rows, "t over pairs of networks", scenario) < 0.8


def test_a_study_of_maps_is_what_stability_computes(calibration):
    import relstats

    s, layout = calibration.MAP_SCENARIOS["M0"], np.ones(64)
    plain, above = calibration.map_study(s, 4, 12, layout, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    maps = calibration.maps_of(s, calibration.quality(4, rng), 12, layout, rng)
    group = relstats.relevance_dataset(
        maps.reshape(1, 4, 12, 8, 8), models=["m"], images=[f"i{k}" for k in range(12)]
    )
    found = relstats.stability(group).isel(model=0)
    np.testing.assert_allclose(
        found["ci"], np.clip([plain.lower[-1], plain.upper[-1]], -1, 1), rtol=1e-9
    )
    np.testing.assert_allclose(
        found["above_swapped_ci"], [above.lower[-1], above.upper[-1]], rtol=1e-9
    )
    np.testing.assert_allclose(found["p_swapped"], above.p_value[-1], rtol=1e-9)


def test_tables_in_the_text_are_those_of_the_results(calibration):
    rows, text = pd.read_csv(calibration.RESULTS / "calibration_regions.csv"), TEXT.read_text()
    assert rows["studies"].min() >= 1000
    for name, table in calibration.shown(rows).items():
        assert table in text, name
    assert (calibration.RESULTS / "calibration_regions.md").read_text() == calibration.report(rows)
    errors = rows[(rows["kind"] == "error") & (rows["test"] == "p_adjusted (Holm)")]
    assert (errors["rate"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / errors["studies"])).all()
