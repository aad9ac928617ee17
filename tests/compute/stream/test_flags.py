"""What is said of maps: relevance lost, biases that take nearly all of it, signs that turn.

And what is stored of it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import relstats
from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.plans import plan
from relstats.compute.stream import export, flags
from relstats.compute.study_file.study import read_study
from relstats.study import shards
from relstats.study.overview import problems


def exported(file, out, engine="relstats", composite="epsilon_plus_flat"):
    study, said = read_study(file), []
    how = dataclasses.replace(study.relevance, engine=engine, composite=composite)
    export.export(dataclasses.replace(study, relevance=how), out, say=said.append)
    return relstats.open_study(out)["relevance"].to_dataset(), said


def networks(group, name):
    """The values of the networks that exist, (network, image)."""
    return np.array([group[name][cell].values for cell in shards.networks(group)])


def test_what_biases_took_is_stored_and_completes_the_logit(small_study, tmp_path):
    group, said = exported(small_study, tmp_path / "s.zarr")
    assert said == []
    assert group["absorbed"].dtype == np.float32
    taken = networks(group, "absorbed")
    assert (np.abs(taken) > 1e-3).all()  # the biases of these networks are not zero
    np.testing.assert_allclose(networks(group, "conservation") + taken, 1, atol=2e-3)


def test_it_is_that_of_each_image(small_study, tmp_path):
    from relstats.compute import images, models
    from relstats.compute.study_file.settings import true_classes

    group, _ = exported(small_study, tmp_path / "s.zarr")
    study = read_study(small_study)
    network = models.build(study.models[1], "0", torch.device("cpu"), torch.float64)
    pixels = torch.from_numpy(images.load_images(study.images, study.images.table.index))
    inputs = images.to_input(pixels, study.models[1].preprocessing, torch.float64)
    true = torch.from_numpy(true_classes(study.models[1], study.images.table))
    expected = relevance(plan(network, "epsilon_plus_flat", sample=inputs), inputs, true).absorbed
    np.testing.assert_allclose(
        group["absorbed"].sel(model="identity", seed="0"), expected, rtol=1e-3
    )


@pytest.mark.parametrize("options", [{"engine": "zennit"}, {"composite": "gradient"}])
def test_it_is_missing_where_the_engine_does_not_know_it(small_study, tmp_path, options):
    group, said = exported(small_study, tmp_path / "s.zarr", **options)
    assert np.isnan(networks(group, "absorbed")).all()
    assert not np.isnan(networks(group, "conservation")).any()
    assert said == []
    assert problems(tmp_path / "s.zarr", deep=True) == []  # also where every value is missing


def test_biases_that_take_nearly_all_are_one_note_a_model_and_no_warning(small_study, tmp_path):
    """Biases before the last layer that swamp its inputs, as those of many folded BatchNorms do."""
    for name in ("gender-0", "gender-1"):
        state = load_file(tmp_path / f"{name}.safetensors")
        state["4.bias"] += 1e4
        state["8.weight"] = state["8.weight"].abs()
        save_file(state, tmp_path / f"{name}.safetensors")
    group, said = exported(small_study, tmp_path / "s.zarr")
    assert networks(group, "absorbed")[:2].min() > 0.99
    assert len(said) == 1
    assert said[0].startswith(
        "note: model gender: biases take more than 99 % of the relevance in 2 of 2 network(s), and"
        " pixels get "
    )
    assert "never sums" in said[0]


def test_logits_below_zero_are_one_warning_a_model(make_study, tmp_path):
    file = make_study(tmp_path, offset=-5)
    group, said = exported(file, tmp_path / "s.zarr")
    assert networks(group, "logit").max() < 0
    assert [message.split(" maps (")[0] for message in said if message.startswith("warning")] == [
        "warning: model gender: the explained logit is 0 or less for 24 of 24",
        "warning: model identity: the explained logit is 0 or less for 12 of 12",
    ]
    assert any("centre the head" in message for message in said)
    assert (
        exported(file, tmp_path / "g.zarr", composite="gradient")[1] == []
    )  # a gradient's sign is not the logit's


def test_centring_the_head_helps_as_advised_and_keeps_probabilities(make_study, tmp_path):
    file = make_study(tmp_path, offset=-5, explained="predicted")
    before, said = exported(file, tmp_path / "s.zarr")
    assert sum("logit is 0 or less" in message for message in said) == 2
    for name in ("gender-0", "gender-1", "identity-0"):
        state = load_file(tmp_path / f"{name}.safetensors")
        for part in ("8.weight", "8.bias"):
            state[part] -= state[part].mean(0, keepdim=True)
        save_file(state, tmp_path / f"{name}.safetensors")
    after, said = exported(file, tmp_path / "c.zarr")
    np.testing.assert_allclose(
        networks(after, "probability"), networks(before, "probability"), rtol=1e-4
    )
    assert not any("logit is 0 or less" in message for message in said)


@pytest.mark.parametrize(
    ("kept", "taken", "said"),
    [
        (1e-6, 1 - 1e-6, ""),
        (600.0, -599.0, ""),
        (40.0, 0.0, "relevance of pixels and biases is 40 times the logit"),
        (0.5, 0.2, "relevance of pixels and biases is 0.7 times"),
        (40.0, np.nan, ""),
        (60.0, np.nan, "the sum of relevance is 60 times"),
        (np.nan, np.nan, ""),
    ],
)
def test_which_rule_judges(kept, taken, said):
    found = list(flags.unconserved("model a, seed 0", np.full(5, kept), np.full(5, taken)))
    assert len(found) == bool(said)
    assert not found or (said in found[0] and "median of 5 images" in found[0])


@pytest.mark.parametrize(
    ("taken", "high"), [([0.98, 0.98], 0), ([0.98, 0.995], 1), ([0.995, 0.995], 2), ([7.0, 7.0], 0)]
)
def test_how_much_is_nearly_all(taken, high):
    taken = np.repeat(np.array(taken)[:, np.newaxis], 5, axis=1)
    found = list(flags.mostly_biases("a", 1 - taken, taken))
    assert len(found) == bool(high)
    assert not found or f"in {high} of 2 network(s), and pixels get 0.005 of it" in found[0]
    assert list(flags.mostly_biases("a", 1 - taken, taken * np.nan)) == []


@pytest.mark.parametrize(("wrong", "warned"), [(0, False), (5, False), (6, True), (100, True)])
def test_how_often_is_often(wrong, warned):
    logit = np.where(np.arange(100) < wrong, 0.0, 2.0).reshape(4, 25)
    unwritten = np.full((1, 25), np.nan)
    found = list(flags.often_negative("a", np.concatenate([logit, unwritten])))
    assert len(found) == warned
    assert not found or f"for {wrong} of 100 maps ({wrong} %)" in found[0]
