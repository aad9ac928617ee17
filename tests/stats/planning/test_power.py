"""Power of the jackknife: against simulated studies, statsmodels and tables of noncentral t."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.power import TTestIndPower

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats.inference import jackknife, nodes
from relstats.stats.inference.moments import block_moments
from relstats.stats.inference.nodes import Components
from relstats.stats.inference.operators import contrast_operator, effect_weights
from relstats.stats.planning.power import (
    DIGITS,
    detectable_d,
    detectable_effect,
    power,
    power_table,
)


def simulated_power(effect, n, n_images, c, runs, rng):
    """Share of simulated studies in which the jackknife finds the asymmetry: Satterthwaite and
    pooled.
    """
    operator = contrast_operator(np.repeat([0, 1], n), effect_weights("asymmetry"))
    shapes = {
        "s2u": (n, 1, 1),
        "s2v": (1, n, 1),
        "s2K": (n, n, 1),
        "s2uI": (n, 1, n_images),
        "s2vI": (1, n, n_images),
    }
    shapes |= {"s2e": (n, n, n_images), "s2CI": (1, 1, n_images)}
    found = np.zeros(2)
    for start in range(0, runs, 100):  # analysed at once, as if they were fractions
        scores = np.zeros((2 * n, 2 * n, min(100, runs - start), n_images))
        for run in range(scores.shape[2]):
            parts = [
                np.sqrt(getattr(c, name)) * rng.normal(size=shape) for name, shape in shapes.items()
            ]
            scores[:n, n:, run] = effect + sum(parts)
        moments = block_moments(scores, [operator])
        for k, df in enumerate(("satterthwaite", "pooled")):
            found[k] += (jackknife.two_way_jackknife(moments, 0, df=df).p_value < 0.05).sum()
    return found / runs


@pytest.mark.parametrize(
    ("n", "n_images", "effect"), [(3, 50, 0.12), (3, 300, 0.08), (5, 100, 0.08), (8, 200, 0.05)]
)
def test_power_is_that_of_simulated_studies(n, n_images, effect):
    runs = 1500
    found = simulated_power(effect, n, n_images, DIGITS, runs, np.random.default_rng(n * n_images))
    for share, df in zip(found, ("satterthwaite", "pooled"), strict=True):
        expected = power(effect, n, n_images, df=df)
        assert 0.3 < expected < 0.95
        assert abs(share - expected) < 3.5 * np.sqrt(expected * (1 - expected) / runs) + 0.01


NOTHING = Components(s2u=0.0, s2v=0.0, s2K=0.0, s2uI=0.0, s2vI=0.0, s2e=0.0, s2CI=0.0)


@pytest.mark.parametrize(
    ("components", "effect"),
    [
        (
            {
                "s2u": 4.0,
                "s2v": 0.5,
                "s2K": 1.0,
                "s2uI": 2.0,
                "s2vI": 1.0,
                "s2e": 5.0,
                "s2CI": 20.0,
            },
            4.0,
        ),
        ({"s2K": 1.0}, 1.2),
        ({"s2e": 1.0}, 0.3),
        ({"s2e": 4.0, "s2CI": 0.2}, 0.42),
        ({"s2uI": 1.0, "s2vI": 0.2}, 0.4),
        ({"s2v": 1.0, "s2CI": 2.0}, 1.5),
    ],
)
def test_power_holds_whichever_variance_dominates(components, effect):
    c, runs = replace(NOTHING, **components), 2000
    found = simulated_power(effect, 4, 20, c, runs, np.random.default_rng(1))
    for share, df in zip(found, ("satterthwaite", "pooled"), strict=True):
        assert abs(share - power(effect, 4, 20, c, df=df)) < 0.04
    turned = replace(c, s2u=c.s2v, s2v=c.s2u, s2uI=c.s2vI, s2vI=c.s2uI)
    assert power(effect, 4, 20, turned) == pytest.approx(power(effect, 4, 20, c), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_networks_alone_are_a_two_sample_t_test(n):
    """Only networks differ, and alike in both levels: the noncentral t is exact."""
    c = replace(NOTHING, s2u=2.0, s2v=2.0)
    expected = TTestIndPower().power(effect_size=3.0 / np.sqrt(2), nobs1=n, alpha=0.05)
    assert power(3.0, n, 10, c, df="pooled") == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("df", ["satterthwaite", "pooled"])
def test_without_an_effect_power_is_the_size_of_the_test(df):
    for n, n_images in ((3, 1000), (5, 50), (10, 500)):
        assert 0.025 < power(0.0, n, n_images, df=df) < 0.06
    assert power(0.0, 40, 20_000, confidence=0.8) == pytest.approx(0.2, abs=0.01)


def noncentral_effect(n, n_images, c):
    """Detectable effect by a noncentral t with the expected variance and degrees of freedom."""
    v_networks = (
        (c.s2u + c.s2v) / n
        + c.s2K / n**2
        + (c.s2uI + c.s2vI) / (n * n_images)
        + c.s2e / (n**2 * n_images)
    )
    v_images = c.s2CI / n_images
    variance = v_networks + v_images
    df = variance**2 / (v_networks**2 / (2 * n - 2) + v_images**2 / (n_images - 1))
    t = stats.t.ppf(0.975, df)
    return np.sqrt(variance) * optimize.brentq(
        lambda shift: stats.nct.sf(t, df, shift) - 0.8, 0.1, 9
    )


# With 50, 1000 and 100 000 images, as computed when the components of digits were estimated.
NONCENTRAL = {
    3: (0.127, 0.083, 0.082),
    5: (0.110, 0.057, 0.053),
    10: (0.099, 0.040, 0.034),
    20: (0.094, 0.031, 0.024),
}


@pytest.mark.parametrize("n", NONCENTRAL)
def test_detectable_effects_of_digits_are_a_little_above_those_of_noncentral_t(n):
    for n_images, known in zip((50, 1000, 100_000), NONCENTRAL[n], strict=True):
        assert noncentral_effect(n, n_images, DIGITS) == pytest.approx(known, abs=0.00075)
        pooled = detectable_effect(n, n_images, df="pooled")
        assert known - 0.001 < pooled < known * (1 + 0.15 / n) + 0.00075


def test_standardised_differences_are_those_of_statsmodels():
    known = {3: 3.07, 4: 2.38, 5: 2.02, 6: 1.80, 8: 1.51, 10: 1.32, 15: 1.06, 20: 0.91, 30: 0.74}
    for n, d in known.items():
        found = detectable_d(n)
        assert round(found, 2) == d
        assert found == pytest.approx(
            np.squeeze(TTestIndPower().solve_power(nobs1=n, alpha=0.05, power=0.8)), rel=1e-4
        )
    strict = np.squeeze(TTestIndPower().solve_power(nobs1=7, alpha=0.01, power=0.9))
    assert detectable_d(7, power=0.9, confidence=0.99) == pytest.approx(strict, rel=1e-3)


def test_detectable_effects_are_found_with_the_power_asked_for():
    for df in ("satterthwaite", "pooled"):
        effect = detectable_effect(4, 200, power=0.9, confidence=0.99, df=df)
        assert power(effect, 4, 200, confidence=0.99, df=df) == pytest.approx(0.9, abs=1e-7)
        assert power(-effect, 4, 200, confidence=0.99, df=df) == pytest.approx(0.9, abs=1e-7)


def test_images_do_not_replace_networks():
    floor = detectable_effect(3, 10_000_000, df="pooled")
    assert floor > 0.9 * detectable_effect(3, 1000, df="pooled")
    assert detectable_effect(6, 1000) < 0.7 * floor
    limit = replace(DIGITS, s2uI=0.0, s2vI=0.0, s2e=0.0, s2CI=0.0)
    assert floor == pytest.approx(detectable_effect(3, 2, limit, df="pooled"), rel=1e-3)


def test_power_knows_no_units():
    variances = {
        name: 2.0**-40 * getattr(DIGITS, name)
        for name in ("s2u", "s2v", "s2K", "s2uI", "s2vI", "s2e", "s2CI")
    }
    small = Components(**variances)
    assert power(0.05 * 2.0**-20, 4, 100, small) == pytest.approx(power(0.05, 4, 100), rel=1e-12)
    assert detectable_effect(4, 100, small) == pytest.approx(
        2.0**-20 * detectable_effect(4, 100), rel=1e-12
    )


def test_images_alone_are_a_one_sample_t_test():
    """No network differs: the noncentral t over images, up to the variance that is taken as
    expected.
    """
    c = replace(NOTHING, s2CI=1.0)
    t, shift = stats.t.ppf(0.975, 199), 0.2 * np.sqrt(200)
    expected = stats.nct.sf(t, 199, shift) + stats.nct.cdf(-t, 199, shift)
    assert power(0.2, 3, 200, c) == pytest.approx(expected, abs=0.005)


def test_the_table_holds_what_the_functions_say():
    table = power_table([3, 6], [20, 50, 100], effect=0.09, power=0.7, df="pooled")
    assert dict(table.sizes) == {"networks": 2, "images": 3}
    assert table["power"].sel(networks=6, images=50) == power(0.09, 6, 50, df="pooled")
    least = detectable_effect(3, 100, power=0.7, df="pooled")
    assert table["detectable_effect"].sel(networks=3, images=100) == least
    assert (table["power"].diff("networks") > 0).all()
    assert (table["power"].diff("images") > 0).all()
    assert (table["detectable_effect"].diff("images") < 0).all()
    assert table.attrs["effect"] == 0.09
    assert table.attrs["s2CI"] == DIGITS.s2CI
    assert "pooled" in table.attrs["method"]
    bare = power_table([3], [20])
    assert np.isnan(bare["power"]).all()
    assert "effect" not in bare.attrs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power(0.1, 1, 100), "1 networks in each level and 100 images: the test takes two"),
        (lambda: power(0.1, 3, 1), "3 networks in each level and 1 images"),
        (lambda: power(0.1, 3, 100, confidence=95), "confidence is 95"),
        (
            lambda: power(0.1, 3, 100, df="welch"),
            "df is 'welch'; it is one of satterthwaite, pooled",
        ),
        (
            lambda: detectable_effect(3, 100, power=1.0),
            r"power is 1.0; aim for 0\.1 or more, and less than 1",
        ),
        (lambda: detectable_effect(3, 100, power=0.05), r"power is 0.05; aim for 0\.1"),
        (lambda: detectable_d(1), "1 networks in each level"),
        (lambda: power_table([3, 1], [100]), "1 networks in each level"),
    ],
)
def test_numbers_out_of_range_stop(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_pilot_without_variance_stops():
    nothing = nodes.variance_components(np.ones((3, 3, 4)), np.zeros((3, 3, 4)))
    with pytest.raises(ImpossibleAnalysis, match="all variance components are 0"):
        power(0.1, 3, 100, nothing)
