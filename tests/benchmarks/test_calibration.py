"""Error rates over simulated studies: a short run of the benchmark, and that the benchmark does
what `compare` does.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from relstats.stats.inference import adjust, jackknife, swaps
from relstats.stats.inference.moments import block_moments
from relstats.stats.inference.operators import EFFECTS

ROOT = Path(__file__).parents[2]
SCRIPT, TEXT = ROOT / "benchmarks/calibration.py", ROOT / "docs/statistics.md"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["calibration"]


@pytest.fixture(scope="module")
def run(calibration):
    def rates(name, n, n_images, n_studies, **options):
        return pd.DataFrame(calibration.cell(name, n, n_images, n_studies, 1, **options))

    return rates


def rate(rows, test, effect="asymmetry"):
    return rows.loc[(rows["test"] == test) & (rows["effect"] == effect), "rate"].item()


def most(n, p=0.05):
    """A rate that n studies exceed once in ten thousand times, if the error is p."""
    return stats.binom.ppf(0.9999, n, p) / n


@pytest.mark.parametrize(
    ("name", "n", "n_images"), [("S0", 5, 50), ("S1", 3, 500), ("S6", 3, 50), ("S10a", 5, 50)]
)
def test_no_error_rate_is_above_its_level(run, name, n, n_images):
    rows = run(name, n, n_images, 300)
    errors = rows[rows["kind"] == "error"]
    assert set(errors["effect"]) >= {
        "asymmetry",
        "source_effect",
        "target_effect",
        "own_level_difference",
    }
    assert (errors["rate"] <= most(300)).all(), errors


def test_where_networks_vary_a_test_over_images_fails_and_ours_does_not(run):
    rows = run("S2", 3, 500, 300)
    assert rate(rows, "t over images (= repeated-measures ANOVA)") > 0.7
    assert rate(rows, "bootstrap over images") > 0.7
    assert rate(rows, "t over pairs of networks") > 0.15
    assert rate(rows, "p_value") <= most(300)


def test_planted_effects_are_found_and_covered(run):
    rows = run("P1", 5, 500, 200)
    assert rate(rows, "p_value", "source_effect") > 0.7
    assert rate(rows, "p_value", "specificity") > 0.9
    covered = rows.loc[rows["test"] == "coverage", "rate"]
    assert len(covered) == 5
    assert (1 - covered <= most(200)).all()


def test_label_swap_is_exact_for_its_null_and_no_test_of_means(run):
    exact = rate(run("S0", 5, 50, 600), "p_swap")
    assert stats.binomtest(round(600 * exact), 600, 0.05).pvalue > 1e-3
    assert rate(run("S1", 5, 50, 300), "p_swap") > most(300)


def test_families_of_three_levels(run):
    rows = run("S0", 3, 50, 300, n_levels=3)
    family = rows[rows["test"].isin(["p_adjusted", "p_omnibus"])]
    assert len(family) == 8
    assert (family["rate"] <= most(300)).all()
    assert rate(rows, "p_omnibus", "source_effect") > 0.01


@pytest.mark.parametrize("n_levels", [2, 3])
def test_many_studies_at_once_are_each_analysed_as_one(calibration, n_levels):
    plan = calibration.design(3, n_levels)
    scores = calibration.studies(
        calibration.SCENARIOS["S1"], plan.level, 40, 3, np.random.default_rng(1), 3
    )
    found = calibration.jackknife_p(scores, plan, dict.fromkeys(EFFECTS, 0.0))
    swapped = calibration.swap_p(scores, plan, np.random.default_rng(1))
    for s, effect in [(0, "asymmetry"), (1, "source_effect"), (2, "specificity")]:
        e, part = EFFECTS.index(effect), plan.groups[0] >= 0
        moments = block_moments(scores[:, :, s, :-1].astype(float), [plan.operators[0, effect]])
        alone = jackknife.two_way_jackknife(moments, 0)
        np.testing.assert_allclose(
            found["p_value", effect][s], alone.p_value[-1], rtol=1e-4
        )  # scores are float32
        adjusted = adjust.holm(alone.p_value[:-1])
        np.testing.assert_allclose(
            found["p_adjusted_by_fraction", effect][s], adjusted.min(), rtol=1e-6
        )
        labels, exact = swaps.labelings(
            np.arange(6) < 3, np.zeros(6, int), n_swaps=1, rng=np.random.default_rng(1)
        )
        effects = swaps.swap_effects(moments.matrix[np.ix_(part, part)], labels, np.zeros(6, int))
        assert swapped["p_swap", effect][s] == swaps.swap_p(effects, exact)[e, -1]
        assert (
            swapped["p_max_t_by_fraction", effect][s] == swaps.max_t_p(effects[..., :-1])[e].min()
        )


def test_moving_the_gap_is_planting_it(calibration):
    plan, rng = calibration.design(3, 2), np.random.default_rng(1)
    scores = calibration.studies(calibration.SCENARIOS["S1"], plan.level, 40, 2, rng, 1).astype(
        float
    )
    half = calibration.AT_MARGIN / 2
    gap = np.where(plan.level[:, np.newaxis] == plan.level, half, -half)[
        :, :, np.newaxis, np.newaxis, np.newaxis
    ]
    moments, keys = calibration.moments_of(scores + gap, plan)
    k = keys.index((0, "specificity"))
    planted = jackknife.two_way_jackknife(moments, k, margin=calibration.AT_MARGIN).p_equivalence[
        :-1
    ]
    moved = calibration.equivalence_p(scores, plan)["p_equivalence, margin given", "specificity"]
    np.testing.assert_allclose(moved, planted, rtol=1e-9)


def test_equivalence_at_the_default_margin_is_an_error_and_is_rare(run):
    rows = run("S5", 10, 50, 200, part="default margin")
    assert rows[["test", "kind"]].to_numpy().tolist() == [
        ["p_equivalence, default margin", "error"]
    ]
    assert rows["rate"].item() <= most(200)


def test_the_gap_planted_at_the_margin_is_the_margin(calibration):
    gap, base, floor = calibration.AT_MARGIN, calibration.Planted.base, calibration.Planted.floor
    assert gap == pytest.approx(0.1 * (base + gap / 2 - floor))


def test_smallest_of_holm(calibration):
    p = np.random.default_rng(1).random((20, 3)) ** 2
    np.testing.assert_allclose(calibration.smallest_holm(p), [adjust.holm(row).min() for row in p])


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pingouin under pandas 3.1
def test_repeated_measures_anova_over_images_is_the_paired_t(calibration):
    pytest.importorskip("pingouin")
    assert calibration.rm_anova_is_t(3, 1) < 1e-9


def test_rates_far_above_their_level_are_flagged_and_bold(calibration):
    rows = pd.DataFrame(calibration.cell("S0", 3, 50, 20, 1))
    rows["rate"] = np.where(
        (rows["test"] == "p_value") & (rows["effect"] == "own_level_difference"), 0.5, 0.0
    )
    assert calibration.flagged(rows)[["test", "effect"]].to_numpy().tolist() == [
        ["p_value", "own_level_difference"]
    ]
    text = calibration.report(rows)
    assert "| own_level_difference | S0 | **50.0** |" in text
    assert "| asymmetry | S0 | 0.0 |" in text


def test_tables_in_the_text_are_those_of_the_results(calibration):
    rows = pd.read_csv(calibration.RESULTS / "calibration.csv")
    errors, text = rows[rows["kind"] == "error"], TEXT.read_text()
    today = rows[(rows["kind"] == "today") & rows["scenario"].isin(calibration.SHOWN)]
    assert rows["studies"].min() >= 2000
    assert calibration.markdown(calibration.summary(errors)) in text
    assert calibration.markdown(calibration.by_design(today, "test", "scenario")) in text
    assert (calibration.RESULTS / "calibration.md").read_text() == calibration.report(rows)
