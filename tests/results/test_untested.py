"""What is told where networks are fixed: no p, the reason, and nothing of others like them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats import plots
from relstats.results.sentences import leads, sentences
from relstats.study.pairs import pair_labels


@pytest.fixture(scope="module")
def study() -> xr.DataTree:
    """Of two networks a model: only contrasts between levels can be tested."""
    return relstats.simulate(seeds=2, images=12, size=8, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def compared(study: xr.DataTree) -> xr.Dataset:
    return relstats.compare(study, axis="pretrain", rng=np.random.default_rng(0))


def test_only_what_is_untested_is_told_so(compared: xr.Dataset) -> None:
    told = {s.text: s.holds for s in sentences(compared, "compare")}
    without = [text for text in told if "no interval and no p" in text]
    assert len(without) == 4
    for text in without:
        assert text.startswith("Not tested: ")
        assert "no p: a level has 2 networks, and this needs 3" in text
        assert told[text].startswith("Of these networks and no others")
    (tested,) = set(told) - set(without)
    assert "tested on vggface2" in tested
    assert "95 % interval" in tested
    assert "p = " in tested
    assert told[tested].startswith("Holds for networks and images like these")


def test_no_lead_has_an_interval_of_these_networks(compared: xr.Dataset) -> None:
    gap = compared.sel(effect="specificity")
    bounds = [f"{bound:.3f}" for bound in gap["ci_these_networks"].values.ravel()]
    told = " ".join(sentence.text for sentence in leads(compared, "compare"))
    assert not any(bound in told for bound in bounds)


def test_figures_say_which_effects_are_of_these_networks(compared: xr.Dataset) -> None:
    drawing = next(d for d in plots.figures(compared) if d.name == "effects")
    assert drawing.alt.count("networks not random") == 4


def test_models_of_one_network_are_told_with_people() -> None:
    rng = np.random.default_rng(1)
    labels = pair_labels([f"i{k:02d}" for k in range(12)])
    truth = rng.random(66)
    people = xr.DataArray(
        truth + 0.2 * rng.random((5, 66)),
        dims=("participant", "pair"),
        coords={**labels, "participant": list("abcde")},
    )
    models = xr.DataArray(
        [truth, rng.random(66)],
        dims=("model", "pair"),
        coords={**labels, "model": ["good", "bad"]},
    )
    result = relstats.rsa(models, people, n_draws=60, n_permutations=19, rng=rng)
    told = sentences(result, "rsa")
    assert len(told) == 3
    assert all(sentence.kind == "open" for sentence in told)
    assert all("no p: a level has 1 network, and this needs 2" in s.text for s in told)


def test_a_level_of_two_kappas_is_not_found() -> None:
    result = xr.Dataset(
        {
            "level_mean": (("level", "effect"), [[0.4]]),
            "level_ci": (("level", "effect", "bound"), np.full((1, 1, 2), np.nan)),
            "level_p_value": (("level", "effect"), [[np.nan]]),
            "level_random": (("level", "effect"), [["images; these networks"]]),
            "level_untested": (("level", "effect"), [["a level has 1 network, and this needs 2"]]),
        },
        {"level": ["a"], "effect": ["kappa"]},
        {"statistic": "behaviour", "confidence": 0.95},
    )
    (told,) = sentences(result, "behaviour")
    assert told.kind == "open"
    assert "no p: a level has 1 network" in told.text
