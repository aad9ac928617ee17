"""Simulated studies hold what was planted, and the same whatever the order of writing."""

from __future__ import annotations

import json

import numpy as np
import pytest

import relstats
from relstats.errors import UsageError
from relstats.stats.planning import planted as draws
from relstats.stats.planning.planted import Planted

PLAIN = {"zeros": 0.0, "ties": 0, "negative": 1.0}


def simulate(seed=1, **options):
    options = {"models": "2x1", "seeds": 2, "images": 6, "size": 16, **options}
    return relstats.simulate(rng=np.random.default_rng(seed), **options)


def latent_correlation(planted, pair, n_studies=60):
    """Correlation of the maps of two networks in the population: over pixels, images and studies,
    of maps of one scale.
    """
    products, squares = [], []
    for seed in range(n_studies):
        values = simulate(seed, images=10, planted=planted)["relevance"]["relevance"].values
        one, two = (
            values[p] / np.sqrt((values[p].astype(float) ** 2).mean(axis=(1, 2), keepdims=True))
            for p in pair
        )
        products.append((one * two).mean())
        squares.append(1.0)
    return np.mean(products), np.std(products) / np.sqrt(n_studies)


@pytest.mark.parametrize(
    ("pair", "shares"),
    [(((0, 0), (0, 1)), ("layout", "image", "level")), (((0, 0), (1, 0)), ("layout", "image"))],
)
def test_maps_correlate_as_planted(pair, shares) -> None:
    planted = Planted(**PLAIN)
    found, error = latent_correlation(planted, pair)
    assert abs(found - sum(getattr(planted, share) for share in shares)) < 3.5 * error + 0.01
    assert error < 0.02


def test_maps_look_like_lrp() -> None:
    values = simulate(size=64, planted=Planted(zeros=0.4, ties=100))["relevance"][
        "relevance"
    ].values.reshape(24, -1)
    zeros = (values == 0).mean(axis=1)
    assert (zeros >= 0.4).all()
    assert zeros.mean() < 0.45  # rounding to ties adds a few
    assert max(len(np.unique(v)) for v in values) <= 201
    assert (values[values > 0].sum()) > 2 * -values[values < 0].sum()
    assert np.ptp(np.log(np.abs(values).max(axis=1))) > 1  # no common scale
    plain = simulate(planted=Planted(**PLAIN))["relevance"]["relevance"].values
    assert (plain != 0).all()
    assert len(np.unique(plain[0, 0, 0])) == 256


def test_planted_shared_pixels_are_relevant_to_every_network() -> None:
    study = simulate(size=32, planted=Planted(shared_pixels=0.05))
    mask = study["regions"]["mask"].values[0]
    assert mask.shape == (6, 32, 32)
    assert 0.03 < mask.mean() < 0.07
    maps = study["relevance"]["relevance"].values
    for network in maps.reshape(-1, 6, 32, 32):
        for values, where in zip(network, mask, strict=True):
            assert (values[where] > np.quantile(values[~where], 0.9)).mean() > 0.85
    assert "regions" not in simulate().children


def test_variances_of_transfer_are_as_planted() -> None:
    planted = Planted(
        source_effect=0,
        target_effect=0,
        specificity=0,
        sd_level_image=0,
        sd_cell_image=0,
        sd_source=0.06,
        sd_target=0.03,
        sd_pair=0.02,
        correlation=0,
    )
    parts = {"source": [], "target": [], "source_image": [], "target_image": [], "residual": []}
    for seed in range(3):
        study = simulate(seed, seeds=8, images=60, size=4, fractions=(0.2,), planted=planted)
        y = (
            study["transfer"]["margin"].values.astype(float).reshape(16, 16, 60) / 2
        )  # a probability before it is cut at 0 and 1
        square = {
            axes: mean_square(y, axes) for axes in [(0,), (1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
        }
        e, p, s, t = square[0, 1, 2], square[0, 1], square[0, 2], square[1, 2]
        parts["residual"].append(e)
        parts["source_image"].append((s - e) / 16)
        parts["target_image"].append((t - e) / 16)
        parts["source"].append((square[0,] - s - p + e) / (16 * 60))
        parts["target"].append((square[1,] - t - p + e) / (16 * 60))
    tolerance = {
        "source": 0.5,
        "target": 0.5,
        "source_image": 0.1,
        "target_image": 0.1,
        "residual": 0.05,
    }
    for name, values in parts.items():
        assert np.mean(values) == pytest.approx(
            getattr(planted, f"sd_{name}") ** 2, rel=tolerance[name]
        ), name


def mean_square(y, axes):
    effect = y
    for axis in range(3):
        mean = effect.mean(axis=axis, keepdims=True)
        effect = effect - mean if axis in axes else mean
    repeats = np.prod([n for axis, n in enumerate(y.shape) if axis not in axes])
    return repeats * (effect**2).sum() / np.prod([y.shape[axis] - 1 for axis in axes])


def test_scores_of_a_pair_and_its_reverse_resemble_each_other() -> None:
    planted = Planted(sd_source=0, sd_target=0, sd_pair=1, reciprocity=0.6)
    effects = draws.network_effects(np.zeros(120, int), planted, np.random.default_rng(1))
    upper = np.triu_indices(120, 1)
    assert np.corrcoef(effects[upper], effects.T[upper])[0, 1] == pytest.approx(0.6, abs=0.03)
    assert effects[upper].std() == pytest.approx(1, abs=0.03)
    assert effects.T[upper].std() == pytest.approx(1, abs=0.03)
    planted = Planted(sd_source=1, sd_target=1, sd_pair=0, correlation=0.5)
    effects = draws.network_effects(np.zeros(2000, int), planted, np.random.default_rng(1))
    assert np.corrcoef(effects.mean(axis=0), effects.mean(axis=1))[0, 1] == pytest.approx(
        0.5, abs=0.05
    )


@pytest.mark.parametrize("distribution", ["normal", "t3", "exponential", "collapse"])
def test_draws_have_mean_0_and_variance_1(distribution) -> None:
    values = draws.draw(distribution, (200_000,), np.random.default_rng(1))
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.1 if distribution == "t3" else 0.01)


def test_fixed_effects_are_the_planted_contrasts() -> None:
    planted = Planted(source_effect=0.3, target_effect=-0.1, specificity=0.2)
    (aa, ab), (ba, bb) = draws.fixed_effects(np.array([0, 1]), planted)
    found = {
        "asymmetry": ab - ba,
        "source_effect": (aa + ab - ba - bb) / 2,
        "target_effect": (aa + ba - ab - bb) / 2,
        "specificity": (aa + bb - ab - ba) / 2,
        "own_level_difference": aa - bb,
    }
    assert found == pytest.approx(planted.effects())


def test_the_truth_is_recorded() -> None:
    study = simulate(models="3x2", seeds=[1, 2, 3, 1, 2, 3], planted=Planted(source_effect=0.1))
    truth = json.loads(study.attrs["truth"])
    assert truth["axis"] == "pretrain"
    assert truth["effects"]["asymmetry"] == pytest.approx(0.1 - 0.04)
    assert truth["planted"]["source_effect"] == 0.1
    assert study["relevance"]["available"].sum("seed").values.tolist() == [1, 2, 3, 1, 2, 3]
    gone = ~study["relevance"]["available"].values
    assert np.isnan(study["relevance"]["relevance"].values[gone]).all()
    assert np.isfinite(study["relevance"]["relevance"].values[~gone]).all()
    assert np.isnan(study["transfer"]["correct"].values[0, 1]).all()


def test_one_number_of_the_generator_decides_everything() -> None:
    one, two, other = simulate(1), simulate(1), simulate(2)
    for group in ("relevance", "transfer"):
        assert one[group].to_dataset().identical(two[group].to_dataset())
    assert not np.array_equal(one["relevance"]["relevance"], other["relevance"]["relevance"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "two"}, "models is 'two', not levels by levels such as '2x2'"),
        ({"models": "5x1"}, "models is '5x1': give 1 to 3 axes of 1 to 4 levels each"),
        ({"models": "1x1x1x1"}, "models is '1x1x1x1': give 1 to 3 axes"),
        (
            {"seeds": [1, 2, 3]},
            (
                "2 models need 1 or 2 numbers of seeds >= 1, images >= 1 and size >= 4; got seeds"
                " (1, 2, 3)"
            ),
        ),
        ({"seeds": 0}, "got seeds (0, 0), images 6, size 16"),
        ({"images": 0}, "images 0"),
        (
            {"fractions": (0.1, 1.5)},
            "fractions is (0.1, 1.5): give different shares of the pixels, in (0, 1]",
        ),
        ({"fractions": (0.1, 0.1)}, "fractions is (0.1, 0.1)"),
        ({"fractions": ()}, "fractions is ()"),
        (
            {"planted": Planted(layout=0.8)},
            "layout + image + level + network is 1.35: shares of variance",
        ),
        ({"planted": Planted(level=-0.1)}, "shares of variance are >= 0"),
        (
            {"planted": Planted(zeros=1)},
            "zeros is 1 and shared_pixels 0: they are shares of the pixels",
        ),
    ],
)
def test_impossible_studies_are_refused(options, message) -> None:
    with pytest.raises(UsageError) as error:
        simulate(**options)
    assert message in str(error.value)
