import numpy as np
import pytest
import torch

from relstats.compute.perturb import top_pixels
from relstats.errors import UsageError
from relstats.stats.maps import single

FRACTIONS = (1e-6, 0.01, 0.05, 0.29, 0.5, 0.8, 1.0)


def some_maps(pixels, kind, rng):
    values = rng.standard_normal((9, pixels)).astype(np.float32)
    if kind == "sparse":
        values[rng.random(values.shape) < 0.9] = 0
    if kind == "grey levels":
        values = np.round(2 * values) / 2
    if kind == "signed zeros":
        values = np.where(rng.random(values.shape) < 0.5, np.float32(-0.0), np.float32(0)) + (
            values > 1
        )
    if kind == "double":
        values = values.astype(np.float64)
        values[:, : pixels // 2] = 1 + 1e-12 * values[:, : pixels // 2]
    if kind == "infinite":
        values[:, 0], values[:, 1] = np.inf, -np.inf
    values[0], values[1], values[2] = (
        0,
        -np.abs(values[2]),
        3,
    )  # no relevance, none positive, all tied
    values[3, 5] = np.nan
    return values


@pytest.mark.parametrize("ranking", single.RANKINGS)
@pytest.mark.parametrize(
    "kind", ["dense", "sparse", "grey levels", "signed zeros", "double", "infinite"]
)
@pytest.mark.parametrize("pixels", [50, 1024])
def test_masks_are_those_of_the_analysis_bit_for_bit(ranking, kind, pixels):
    values = some_maps(pixels, kind, np.random.default_rng(1))
    expected = single.top_fractions(values, FRACTIONS, ranking)
    found = top_pixels.top_fractions(torch.from_numpy(values), FRACTIONS, ranking)
    assert np.array_equal(found.numpy(), expected)
    assert expected.any()
    assert not expected[:, [0, 3]].any()


def test_maps_are_ranked_one_by_one_whatever_is_sorted_together(monkeypatch):
    values = torch.from_numpy(some_maps(300, "grey levels", np.random.default_rng(2)))
    whole = top_pixels.places(values)
    monkeypatch.setattr(top_pixels, "_SORTED_AT_ONCE", 2)
    assert torch.equal(top_pixels.places(values), whole)


def test_a_mask_by_hand():
    found = top_pixels.top_fractions(
        torch.tensor([[0.5, -3.0, 2.0, 0.0]]), (0.25, 0.5, 1.0), "absolute"
    )
    assert found[:, 0].int().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]]


def test_scale_changes_no_mask():
    values = torch.from_numpy(np.random.default_rng(4).standard_normal((5, 400)).astype(np.float32))
    assert torch.equal(top_pixels.places(values), top_pixels.places(values * 2.0**40))


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(UsageError, match=r"in \(0, 1\]"):
        top_pixels.top_fractions(torch.ones(1, 10), (fraction,))


def test_an_unknown_ranking_is_refused():
    with pytest.raises(UsageError, match=r"'best'.*positive, absolute, signed"):
        top_pixels.places(torch.ones(1, 4), "best")
