"""The benchmark of the crossing: its inference is that of the package, and with two strata that of
a slow bootstrap.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from relstats.human.rdms import bootstrap
from relstats.human.rdms.bootstrap import mean_parts
from relstats.stats.inference.crossed import infer

SCRIPT = Path(__file__).parents[2] / "benchmarks/crossing.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="the source package ships no benchmarks"
)


@pytest.fixture(scope="module")
def crossing():
    spec = importlib.util.spec_from_file_location("crossing", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["crossing"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["crossing"]


def test_one_stratum_is_what_the_package_does(crossing):
    rng = np.random.default_rng(1)
    observed, draws = rng.normal(size=(2, 6)), rng.normal(size=(50, 2, 6))
    contrast = np.array([[1.0, 0.0], [0.0, -1.0]])
    parts = mean_parts(observed, draws, contrast, True, False)
    sizes = {"images": 12, "participants": 6}
    expected = infer(float((observed[0] - observed[1]).mean()), parts, sizes, 0.95)
    found = crossing.crossed(
        observed[0] - observed[1], {("images",): draws[:, 0] - draws[:, 1]}, sizes
    )
    for name in ("estimate", "standard_error", "df", "p_value", "lower", "upper"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-10)


def test_two_strata_recover_the_variance_of_a_known_sum(crossing):
    """A mean over two strata and people, of independent effects of each: its variance is known."""
    rng = np.random.default_rng(2)
    few, rest, people = rng.normal(size=30), rng.normal(size=40), rng.normal(size=25)
    counts = {
        "few": bootstrap.image_draws(30, 4000, rng)[0] / 30,
        "rest": bootstrap.image_draws(40, 4000, rng)[0] / 40,
    }
    mean = {"few": counts["few"] @ few, "rest": counts["rest"] @ rest}
    draws = {
        names: (
            sum(mean[k] if k in names else {"few": few, "rest": rest}[k].mean() for k in mean)[
                :, None
            ]
            + people
        )
        for names in (("few",), ("rest",), ("few", "rest"))
    }
    found = crossing.crossed(
        few.mean() + rest.mean() + people, draws, {"few": 30, "rest": 40, "participants": 25}
    )
    exact = few.var(ddof=1) / 30 + rest.var(ddof=1) / 40 + people.var(ddof=1) / 25
    assert found.standard_error**2 == pytest.approx(exact, rel=0.06)  # of 4000 draws


def test_a_difference_that_is_detectable_is_found_with_this_power(crossing):
    found = crossing.crossed(np.array([0.1, 0.3, 0.2, 0.15]), {}, {"participants": 4})
    rng = np.random.default_rng(3)
    effect = crossing.detectable(found)
    sigma = found.standard_error * 2
    sample = rng.normal(effect, sigma, size=(40_000, 4))
    # the t-test of one sample of 4 with this standard error
    t = sample.mean(axis=1) / (sample.std(axis=1, ddof=1) / 2)
    assert (np.abs(t) > 3.182446).mean() == pytest.approx(0.8, abs=0.01)
