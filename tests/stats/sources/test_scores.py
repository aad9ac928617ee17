"""Where scores come from: labels, blocks, what is left out; and the mean agreement of networks."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.sources.scores import from_study
from relstats.study import shards

MODELS = pd.DataFrame({"model": ["b", "a"], "pretrain": ["v", "i"]})
AVAILABLE = np.array([[True, False, True], [True, True, True]])
NETWORKS = [("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "2")]


def maps(n_images=7):
    values = (
        np.random.default_rng(1).standard_normal((2, 3, n_images, 5, 5)).round(1).astype(np.float32)
    )
    values[np.abs(values) < 0.4] = 0
    values[0, 1] = np.nan  # it does not exist
    images = [f"im{k}" for k in range(n_images)]
    return relstats.relevance_dataset(values, models=MODELS, images=images, available=AVAILABLE)


def transfer(n_images=7):
    scores = np.random.default_rng(2).random((2, 3, 2, 3, 2, n_images))
    images = [f"im{k}" for k in range(n_images)]
    return relstats.transfer_dataset(
        {"probability": scores},
        models=MODELS,
        images=images,
        fractions=[0.1, 0.3],
        available=AVAILABLE,
    )


def whole(scores):
    blocks, tally = scores.reduce(lambda block, images: (block, images))
    return (
        np.concatenate([b for b, _ in blocks], axis=-1),
        np.concatenate([i for _, i in blocks]),
        tally,
    )


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_transfer_is_read_by_label(monkeypatch, order) -> None:
    study = transfer()
    monkeypatch.setattr(shards, "BLOCK_VALUES", 3 * 50)
    scores = from_study(
        study.isel(target_model=order, source_seed=order), measure="transfer", score="probability"
    )
    block, images, tally = whole(scores)
    assert [tuple(row) for row in scores.networks[["model", "seed"]].to_numpy()] == NETWORKS
    assert scores.networks["pretrain"].tolist() == ["i", "i", "i", "v", "v"]
    for (m, source), (k, target) in itertools.product(enumerate(NETWORKS), repeat=2):
        there = study["probability"].sel(
            source_model=source[0],
            source_seed=source[1],
            target_model=target[0],
            target_seed=target[1],
        )
        np.testing.assert_array_equal(block[m, k], there.transpose("fraction", "image"))
    assert images.tolist() == list(range(7))
    assert (tally.images, tally.omitted_nan, tally.omitted_degenerate) == (7, 0, 0)


def test_a_group_that_came_through_no_door_is_checked() -> None:
    """Two networks of one name could not be told apart, and a source would be paired with the
    other's target.
    """
    twice = transfer().assign_coords(source_model=["a", "a"], target_model=["a", "a"])
    with pytest.raises(
        InvalidData, match=r"/transfer/source_model: 1 duplicate id\(s\) \(e.g. 'a'\)"
    ):
        from_study(twice, measure="transfer", score="probability")
    with pytest.raises(InvalidData, match=r"/relevance/image: 1 duplicate id\(s\)"):
        from_study(maps().assign_coords(image=["im0"] * 7), measure="spearman")


def test_fractions_are_chosen_by_value_in_the_order_asked() -> None:
    study = transfer()
    one, _, _ = whole(from_study(study, measure="transfer", score="probability"))
    two, _, _ = whole(
        from_study(study, measure="transfer", score="probability", fraction=[0.3, 0.1])
    )
    np.testing.assert_array_equal(two, one[:, :, ::-1])


def test_sources_and_targets_must_be_the_same_networks_with_the_same_labels() -> None:
    study = transfer()
    with pytest.raises(
        ImpossibleAnalysis,
        match="comparing needs each network both as source and as target: 3 only in sources",
    ):
        from_study(study.isel(target_model=[0]), measure="transfer", score="probability")
    other = study.assign_coords(target_pretrain=("target_model", np.array(["i", "v"], object)))
    with pytest.raises(
        InvalidData,
        match="/transfer: source_pretrain and target_pretrain label the same models differently",
    ):
        from_study(other, measure="transfer", score="probability")
    with pytest.raises(InvalidData, match="/transfer: source_pretrain and target_pretrain label"):
        from_study(study.drop_vars("target_pretrain"), measure="transfer", score="probability")


def test_what_is_left_out_is_counted(monkeypatch) -> None:
    study = maps()
    monkeypatch.setattr(shards, "BLOCK_VALUES", 2 * 25 * 5)
    study["relevance"].loc[{"model": "a", "seed": "1", "image": "im2"}] = np.nan
    study["relevance"].loc[{"model": "b", "seed": "2", "image": "im2"}] = 0
    study["relevance"].loc[{"model": "b", "seed": "2", "image": "im5"}] = 0
    study["relevance"].loc[{"model": "b", "seed": "0", "image": "im6"}] = 3
    _, images, tally = whole(from_study(study, measure="spearman", nan="omit"))
    assert images.tolist() == [0, 1, 3, 4]
    assert (tally.images, tally.omitted_nan, tally.omitted_degenerate) == (4, 1, 2)
    assert tally.zero_maps.tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(InvalidData, match=r"NaN in 1 cell\(s\) \(e.g. a seed 1, image 'im2'\)"):
        whole(from_study(study, measure="spearman"))


# --- similarity
# --------------------------------------------------------------------------------------------------


def test_similarity_is_the_mean_over_images(monkeypatch) -> None:
    study = maps()
    monkeypatch.setattr(shards, "BLOCK_VALUES", 2 * 25 * 5)  # blocks of 2, 2, 2 and 1
    result = relstats.similarity(study)
    assert list(zip(result["source_model"].values, result["target_seed"].values, strict=True)) == [
        (m, s) for m, s in NETWORKS
    ]
    assert result["target_pretrain"].values.tolist() == ["i", "i", "i", "v", "v"]
    for (m, a), (k, b) in itertools.product(enumerate(NETWORKS), repeat=2):
        one, two = (
            study["relevance"].sel(model=n[0], seed=n[1]).values.reshape(7, -1) for n in (a, b)
        )
        each = [stats.spearmanr(x, y).statistic for x, y in zip(one, two, strict=True)]
        assert result["estimate"].values[m, k, 0] == pytest.approx(
            np.mean(each), rel=1e-10, abs=1e-14
        )
        assert result["standard_deviation"].values[m, k, 0] == pytest.approx(
            np.std(each, ddof=1), rel=1e-8, abs=1e-12
        )
    assert result["n_images"].item() == 7
    assert result.attrs["warnings"] == []
    assert result.attrs["n_networks"] == 5


def test_capture_is_from_source_to_target() -> None:
    study = maps()
    result = relstats.similarity(study, measure="capture", fraction=[0.04, 1.0])
    assert result["estimate"].dims == ("source", "target", "fraction")
    one, two = (
        study["relevance"].sel(model=n[0], seed=n[1]).values.astype(float).reshape(7, -1)
        for n in (NETWORKS[0], NETWORKS[4])
    )
    best = [np.flatnonzero(x == x.max()) for x in one]
    only = [k for k, b in enumerate(best) if len(b) == 1]
    part = relstats.similarity(study.isel(image=only), measure="capture", fraction=0.04)
    captured = [max(two[k][best[k][0]], 0) / np.maximum(two[k], 0).sum() for k in only]
    assert part["estimate"].values[0, 4, 0] == pytest.approx(np.mean(captured), rel=1e-9)


def test_similarity_counts_what_it_leaves_out() -> None:
    study = maps()
    study["relevance"].loc[{"model": "b", "seed": "2"}] = 0
    study["relevance"].loc[{"model": "a", "seed": "1", "image": "im2"}] = np.nan
    study["relevance"].loc[{"model": "a", "seed": "1", "image": "im3"}] = 1
    result = relstats.similarity(relstats.study(relevance=study), nan="omit")
    assert result["source_model"].values.tolist() == ["a", "a", "a", "b"]
    assert result.attrs["warnings"] == [
        "1 network(s) left out: all their maps are zero (b seed 2)",
        "1 image(s) left out for NaN",
        "1 image(s) left out: a map is all zero or constant, or has no pixel to rank",
    ]
    counts = [
        result.attrs[f"n_{c}"]
        for c in ("networks", "networks_omitted", "images_omitted_nan", "images_omitted_degenerate")
    ]
    assert (counts, result["n_images"].item()) == ([4, 1, 1, 1], 5)
    clean = study.isel(image=[0, 1, 4, 5, 6]).assign(
        available=study["available"] & (study["relevance"] != 0).any(("image", "y", "x"))
    )
    np.testing.assert_allclose(
        result["estimate"], relstats.similarity(clean)["estimate"], rtol=1e-12
    )
    np.testing.assert_allclose(np.diagonal(result["estimate"].values[..., 0]), 1, rtol=1e-12)


def test_one_image_has_no_spread() -> None:
    result = relstats.similarity(maps(1))
    assert np.isnan(result["standard_deviation"]).all()
    assert np.isfinite(result["estimate"]).all()


def test_similarity_refuses() -> None:
    with pytest.raises(
        UsageError,
        match="measure is 'transfer'; it is one of spearman, pearson, cosine, iou, dice, capture",
    ):
        relstats.similarity(maps(), measure="transfer")
    with pytest.raises(InvalidData, match="with --nan omit"):
        relstats.similarity(maps().assign(relevance=maps()["relevance"] * np.nan))
    zero = maps().assign(relevance=maps()["relevance"] * 0)
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"no image has a map of every network to compare \(5 network\(s\) with all maps zero",
    ):
        relstats.similarity(zero)
