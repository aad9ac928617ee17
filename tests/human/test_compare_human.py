"""Is one level closer to people: the contrast is that of `rsa` where there are no strata, and the
mean of theirs where there are.
"""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats import cli
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human import compare_human, compare_rdms, rdm, rsa
from relstats.study import store
from relstats.study.pairs import pair_labels

N = 14
IDS = [f"i{k:02d}" for k in range(N)]


def a_study(models, seeds=4, closer="imagenet", people=6, noise=1.0, seed=1):
    """Features that share a space with what people judge, the more so at the level `closer`."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(N, 6))
    cells = [
        [
            truth * (3 if pretrain == closer else 0.3) + noise * rng.normal(size=(N, 6))
            for _ in range(seeds)
        ]
        for _, pretrain, _ in models
    ]
    first, second = np.triu_indices(N, 1)
    distance = ((truth[first] - truth[second]) ** 2).sum(axis=1)
    judged = distance + 3 * rng.normal(size=(people, len(first)))
    features = xr.Dataset(
        {"last": ((*("model", "seed", "image"), "last_feature"), np.array(cells, np.float32))},
        {
            "model": [name for name, *_ in models],
            "pretrain": ("model", [p for _, p, _ in models]),
            "task": ("model", [t for *_, t in models]),
            "seed": [str(k) for k in range(seeds)],
            "image": IDS,
        },
    )
    human = xr.Dataset(
        {"dissimilarity": (("participant", "pair"), judged.astype(np.float32))},
        {"participant": [f"{k:03d}" for k in range(people)], **pair_labels(IDS)},
    )
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"relstats_schema": 1}), "features": features, "human": human}
    )


TWO = [("a", "imagenet", "gender"), ("b", "vggface2", "gender")]
FOUR = [*TWO, ("c", "imagenet", "identity"), ("d", "vggface2", "identity")]


def compared(study, **options):
    options = {
        "axis": "pretrain",
        "on": "features",
        "n_draws": 60,
        "rng": np.random.default_rng(3),
    } | options
    return compare_human(study, **options)


def test_without_strata_it_is_the_contrast_of_rsa():
    study = a_study(TWO)
    found = compared(study, comparison="spearman").squeeze()
    expected = rsa(
        rdm(study, on="features"),
        study,
        by="pretrain",
        comparison="spearman",
        n_draws=60,
        n_permutations=9,
        rng=np.random.default_rng(3),
    ).squeeze()
    for name, theirs in (
        ("estimate", "difference"),
        ("standard_error", "difference_standard_error"),
        ("p_value", "difference_p_value"),
        ("ci", "difference_ci"),
        ("df", "difference_df"),
        ("statistic", "difference_statistic"),
    ):
        np.testing.assert_allclose(found[name], expected[theirs], rtol=1e-12)
    np.testing.assert_allclose(found["level_mean"], expected["estimate"], rtol=1e-12)
    np.testing.assert_allclose(found["level_ci"], expected["ci"], rtol=1e-12)
    np.testing.assert_allclose(found["noise_ceiling"], expected["noise_ceiling"], rtol=1e-12)
    assert found["random"].item() == "images, participants, seeds"
    assert found["n_networks"].item() == 8
    assert found["variance_networks"].item() > 0


def test_strata_are_averaged_and_so_is_their_variance():
    study = a_study(FOUR)
    whole = compared(study, random=["seeds"])
    parts = [
        compared(
            a_study(FOUR).assign(
                {"features": xr.DataTree(study["features"].to_dataset().isel(model=rows))}
            ),
            random=["seeds"],
        )
        for rows in ([0, 1], [2, 3])
    ]
    np.testing.assert_allclose(
        whole["estimate"], np.mean([p["estimate"] for p in parts], axis=0), rtol=1e-12
    )
    variance = np.sum([p["standard_error"] ** 2 for p in parts], axis=0) / 4
    np.testing.assert_allclose(whole["standard_error"] ** 2, variance, rtol=1e-12)
    assert whole.attrs["within"] == ["task"]
    pooled = compared(study, random=["seeds"], pool=["task"])
    assert "differ on task are mixed" in " ".join(pooled.attrs["warnings"])


def test_a_planted_difference_is_found_with_its_sign_and_turns_with_the_names():
    found = compared(a_study(FOUR), n_draws=200).squeeze()
    assert found["estimate"] > 0.2
    assert found["p_value"] < 0.01
    assert found["p_swap"] <= 2 / 70**2 + 1e-12
    turned = compared(a_study(FOUR, closer="vggface2"), n_draws=200).squeeze()
    assert turned["estimate"] < -0.2
    assert turned["ci"].sel(bound="upper") < 0


def test_p_swap_by_enumeration():
    study = a_study(TWO, seeds=3, closer="none", seed=4)
    there = xr.DataArray([[True] * 3, [True, True, False]], dims=("model", "seed"))
    study = study.assign(
        features=xr.DataTree(study["features"].to_dataset().assign(available=there))
    )
    found = compared(study, random=["seeds"]).squeeze()
    rdms, people = (
        rdm(study, on="features")["dissimilarity"].values.reshape(6, -1)[:5],
        study["human/dissimilarity"].values,
    )
    means = compare_rdms(rdms, people).mean(axis=1)
    np.testing.assert_allclose(found["network_estimate"], means, rtol=1e-10)
    ways = [
        abs(means[list(w)].mean() - np.delete(means, w).mean())
        for w in itertools.combinations(range(5), 3)
    ]
    assert found["p_swap"].item() == np.mean(
        np.array(ways) >= abs(found["estimate"].item()) - 1e-12
    )
    assert found["min_p_swap"].item() == 0.1


def test_people_are_matched_by_label():
    study = a_study(TWO)
    human = study["human"].to_dataset()
    shuffled = human.isel(pair=np.random.default_rng(2).permutation(human.sizes["pair"])).isel(
        participant=[3, 1, 2, 0, 5, 4]
    )
    found, again = compared(study), compared(study.assign(human=xr.DataTree(shuffled)))
    np.testing.assert_allclose(again["estimate"], found["estimate"], rtol=1e-12)
    np.testing.assert_allclose(again["p_value"], found["p_value"], rtol=1e-9)
    renamed = {"i00": "i01", "i01": "i00"}
    ends = {
        end: ("pair", [renamed.get(v, v) for v in human[end].values])
        for end in ("image_i", "image_j")
    }
    other = compared(study.assign(human=xr.DataTree(human.assign_coords(ends))))
    assert abs(other["estimate"] - found["estimate"]).item() > 1e-4


def test_one_network_of_a_level_is_refused_and_allowed_as_these_networks():
    study = a_study(TWO, seeds=1)
    with pytest.raises(ImpossibleAnalysis, match="'imagenet' has one network, so what is closer"):
        compared(study)
    found = compared(study, random=["images", "participants"])
    assert found["random"].item() == "images, participants"
    assert "these networks, not models like them" in found.attrs["population"]
    assert np.isnan(found["variance_networks"].item())
    study = a_study(FOUR, seeds=2)
    there = xr.DataArray(
        [[True, True], [True, True], [True, True], [True, False]], dims=("model", "seed")
    )
    study = study.assign(
        features=xr.DataTree(study["features"].to_dataset().assign(available=there))
    )
    with pytest.raises(ImpossibleAnalysis, match="'vggface2' has one network in a stratum"):
        compared(study)


def test_images_that_only_one_side_has():
    study = a_study(TWO)
    part = xr.DataTree(study["features"].to_dataset().isel(image=slice(1, None)))
    with pytest.raises(InvalidData, match="'i00'"):
        compared(study.assign(features=part))
    found = compared(study.assign(features=part), align="inner")
    assert found["n_images"].item() == N - 1
    assert any("1 image(s) left out" in text for text in found.attrs["warnings"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"on": "images"}, UsageError, "on is 'images'"),
        ({"comparison": "pearson"}, UsageError, "comparison is 'pearson'"),
        ({"random": "seeds"}, UsageError, "random is 'seeds'"),
        ({"random": ["people"]}, UsageError, "it is a list of images"),
        ({"confidence": 95}, UsageError, "confidence is 95"),
        ({"n_draws": 1}, UsageError, "n_draws is 1"),
        ({"n_swaps": 0}, UsageError, "n_swaps is 0"),
        ({"axis": "pretraining"}, UsageError, "Did you mean 'pretrain'"),
        ({"layer": "first"}, UsageError, "/features has last"),
        ({"on": "relevance"}, UsageError, "need /relevance"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        compared(a_study(TWO), **options)


def test_a_study_without_judgments():
    study = a_study(TWO).drop_nodes("human")
    with pytest.raises(UsageError, match="no /human"):
        compared(study)


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["relstats", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_command(tmp_path, monkeypatch, capsys):
    path = tmp_path / "s.zarr"
    relstats.save_study(a_study(TWO), path)
    options = ("compare-human", path, "--axis", "pretrain", "--on", "features")
    assert run(monkeypatch, *options, "--random", "images,participants", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["coords"]["effect"]["data"] == ["human_correspondence"]
    saved = store.open_study(path)["results/compare_human_pretrain_features"].to_dataset()
    assert saved["estimate"].item() == printed["variables"]["estimate"]["data"][0][0]
    assert saved.attrs["random"] == ["images", "participants"]
    assert run(monkeypatch, *options) == 0
    out = capsys.readouterr()
    assert "imagenet|vggface2  human_correspondence" in out.out
    assert re.search(r"noise ceiling +\[", out.out)
    assert "inference over images, participants, seeds" in out.err
    assert run(monkeypatch, *options, "--score", "margin", "--df", "pooled") == 2
    assert "--score" in capsys.readouterr().err
    assert run(monkeypatch, "compare", path, "--axis", "pretrain", "--on", "features") == 2
    assert "is now relstats compare-human --on" in capsys.readouterr().err
    assert run(monkeypatch, *options, "--dry-run") == 0
    assert "over pretrain" in capsys.readouterr().err
    assert run(monkeypatch, *options, "--dry-run", "--comparison", "kendall") == 2
    assert "comparison is 'kendall'" in capsys.readouterr().err
    assert (
        run(monkeypatch, "rsa", path, "--on", "features", "--dry-run", "--comparison", "kendall")
        == 2
    )
    assert "comparison is 'kendall'" in capsys.readouterr().err
