"""`relstats add judgments`, `rdm` and `rsa` as a new user meets them."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from command_line import run

import relstats
from relstats.study import store

QUICK = ("--n-draws", 50, "--n-permutations", 49)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("human")
    path = folder / "study.zarr"
    relstats.simulate(path, models="2x1", seeds=3, images=12, size=8, rng=np.random.default_rng(1))
    tree = relstats.open_study(path)
    pixels = np.random.default_rng(2).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    images = tree["images"].to_dataset().assign(pixels=(("image", "y", "x", "channel"), pixels))
    tree["images"] = xr.DataTree(images)
    relstats.save_study(tree, path, force=True)
    ratings(path, folder / "ratings.csv")
    assert run("add", "judgments", path, folder / "ratings.csv", "--kind", "similarity")[0] == 0
    return path


def ratings(study, path):
    """Four people who see what the networks see, with noise."""
    rdm = relstats.rdm(relstats.open_study(study))["dissimilarity"].mean(["model", "seed"])
    rng = np.random.default_rng(3)
    lines = [
        f"{s:03d},{i},{j},{7 - 4 * v + rng.normal() / 9:.3f}"
        for s in range(4)
        for i, j, v in zip(rdm["image_i"].values, rdm["image_j"].values, rdm.values, strict=True)
    ]
    path.write_text("\n".join(["participant,image_i,image_j,rating", *lines]))


def test_judgments_are_added_once_and_told(study, tmp_path):
    path = tmp_path / "r.csv"
    ratings(study, path)
    code, out, err = run(
        "add", "judgments", study, path, "--kind", "similarity", "--json", "--dry-run"
    )
    facts = json.loads(out)
    assert (
        code,
        facts["format"],
        facts["n_participants"],
        facts["n_images"],
        facts["n_pairs"],
    ) == (
        0,
        "ratings",
        4,
        12,
        66,
    )
    assert facts["n_judged"] == {f"00{s}": 66 for s in range(4)}
    path.write_text(path.read_text().replace("rating", "similarity"))
    code, out, err = run(
        "add", "judgments", study, path, "--kind", "dissimilarity", "--force", "--dry-run"
    )
    assert code == 0
    assert "ratings (as the file shows)" in out
    assert "judgments that would be added" in out
    assert (
        "warning: implausible: the column is called 'similarity', and read as dissimilarity" in err
    )
    assert relstats.open_study(study)["human"].attrs["kind"] == "similarity"
    code, out, err = run("add", "judgments", study, path)
    assert (code, out) == (2, "")
    assert "--kind similarity or --kind dissimilarity" in err
    assert (
        run("add", "judgments", study, path, "--kind", "similarity", "--format", "matrix")[0] == 3
    )
    for command in ((), ("judgments",)):
        assert run("add", *command, "--help")[0] == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "rdm"),
        (
            ("--on", "weighted-images", "--dissimilarity", "spearman"),
            "rdm_weighted_images_spearman",
        ),
        (("--on", "images", "--dissimilarity", "euclidean"), "rdm_images_euclidean"),
    ],
)
def test_rdms(options, name, study):
    code, out, _ = run("rdm", study, *options, "--json")
    assert code == 0
    shown = json.loads(out)["variables"]
    saved = relstats.open_study(study)[f"results/{name}"].to_dataset()
    assert "dissimilarity" not in shown
    np.testing.assert_allclose(np.array(shown["points"]["data"]), saved["points"].values)
    on = options[1].replace("-", "_") if options else "relevance"
    expected = relstats.rdm(
        relstats.open_study(study),
        on=on,
        dissimilarity=options[3] if len(options) > 2 else "correlation",
    )
    np.testing.assert_array_equal(saved["dissimilarity"], expected["dissimilarity"])
    assert saved["points"].sizes["image"] == 12
    assert (saved["stress"] > 0).all()
    code, out, err = run("rdm", study, *options)
    assert code == 0
    assert "stress" in out
    assert "these networks and these images" in err


def test_rsa_prints_what_it_saves(study):
    code, out, err = run("rsa", study, *QUICK, "--seed", 4, "--json")
    assert code == 0, err
    shown = json.loads(out)
    saved = relstats.open_study(study)["results/rsa"].to_dataset()
    rdms = relstats.rdm(relstats.open_study(study))
    expected = relstats.rsa(
        rdms,
        relstats.open_study(study),
        n_draws=50,
        n_permutations=49,
        rng=np.random.default_rng(4),
    )
    for name in (
        "estimate",
        "ci",
        "p_value",
        "p_mantel",
        "noise_ceiling",
        "difference",
        "difference_p_value",
    ):
        np.testing.assert_array_equal(saved[name], expected[name])
        assert np.array(shown["variables"][name]["data"], float) == pytest.approx(
            expected[name].values, nan_ok=True
        )
    np.testing.assert_array_equal(saved["p_mantel_adjusted"], expected["p_mantel_max"])
    assert saved["p_value_adjusted"].attrs["correction"] == "holm"
    assert saved["human_points"].sizes == {"image": 12, "dimension": 2}
    assert saved.attrs["seed"] == 4
    code, out, err = run("rsa", study, *QUICK, "--seed", 4)
    lower, upper = expected["noise_ceiling"].values
    assert re.search(r"images +12 *\n", out)
    assert re.search(r"participants +4 *\n", out)
    assert f"{lower:.3f}" in out
    assert f"{upper:.3f}" in out
    assert "images, participants, seeds" in out
    assert (
        "inference over images, participants, seeds (12 images, 4 participants, 6 networks)" in err
    )
    assert "12 images: below 20 all tests are conservative" in err
    assert "3 networks of a model: their variance is poorly known below 5" in err


def test_what_is_random_is_said(study):
    code, out, err = run(
        "rsa",
        study,
        *QUICK,
        "--random",
        "images,participants",
        "--by",
        "pretrain",
        "--correction",
        "none",
    )
    assert code == 0, err
    assert "images, participants; these networks" in out
    assert "p Holm" not in out
    saved = relstats.open_study(study)["results/rsa_pretrain"].to_dataset()
    assert saved["variance_seeds"].isnull().all()
    assert saved.attrs["random"] == ["images", "participants"]
    code, out, _ = run("rsa", study, *QUICK, "--random", "nothing")
    assert code == 0
    assert "nothing; these networks" in out
    assert run("rsa", study, *QUICK, "--random", "luck")[0] == 2


def test_random_seeds_of_one_network_are_refused(study, tmp_path):
    tree = relstats.open_study(study)
    one = xr.DataTree.from_dict(
        {
            "relevance": tree["relevance"].to_dataset().isel(seed=[0]).load(),
            "human": tree["human"].to_dataset().load(),
        }
    )
    relstats.save_study(one, tmp_path / "one.zarr")
    code, out, err = run(
        "rsa", tmp_path / "one.zarr", *QUICK, "--random", "images,participants,seeds"
    )
    assert (code, out) == (4, "")
    assert "Say 'these networks'" in err
    code, out, err = run("rsa", tmp_path / "one.zarr", *QUICK)
    assert code == 0
    assert "; these networks" in out
    assert "not of models like these" in err


def test_pixels_and_files_are_held_constant(study, tmp_path):
    rdm = relstats.rdm(relstats.open_study(study), on="images", dissimilarity="euclidean")[
        "dissimilarity"
    ]
    lines = [
        f"{i},{j},{v}"
        for i, j, v in zip(rdm["image_i"].values, rdm["image_j"].values, rdm.values, strict=True)
    ]
    path = tmp_path / "luminance.csv"
    path.write_text("\n".join(["image_i,image_j,luminance", *lines]))
    code, out, err = run(
        "rsa", study, *QUICK, "--comparison", "spearman", "--control", f"images,{path}"
    )
    assert code == 0, err
    results = relstats.open_study(study)["results"]
    (name,) = (n for n in results.children if n.startswith("rsa_spearman_images_luminance"))
    saved = results[name].to_dataset()
    assert saved.attrs["controls"] == 2
    assert saved["p_mantel"].isnull().all()
    plain = run("rsa", study, *QUICK, "--comparison", "spearman", "--json")
    assert (
        np.abs(
            saved["estimate"].values - json.loads(plain[1])["variables"]["estimate"]["data"]
        ).max()
        > 1e-3
    )
    run(
        "rsa",
        study,
        *QUICK,
        "--comparison",
        "spearman",
        "--ranking",
        "signed",
        "--dissimilarity",
        "cosine",
    )
    results = relstats.open_study(study)["results"]
    assert {"rsa_spearman", "rsa_signed_cosine_spearman"} <= set(results.children)
    code, out, err = run("rsa", study, *QUICK, "--control", "images")
    assert (code, out) == (2, "")
    assert "no partial form" in err
    (tmp_path / "few.csv").write_text("\n".join(["image_i,image_j,x", *lines[:3]]))
    assert (
        run("rsa", study, *QUICK, "--comparison", "corr", "--control", tmp_path / "few.csv")[0] == 3
    )


def test_dry_runs_say_what_and_write_nothing(study):
    before = store.open_study(study)["results"].children.keys()
    code, out, err = run(
        "rdm", study, "--on", "weighted-images", "--dissimilarity", "cosine", "--dry-run"
    )
    assert (code, out) == (0, "")
    assert "6 network(s), 12 images (66 pairs) of 192 values" in err
    code, out, err = run("rsa", study, "--comparison", "tau-a", "--dry-run")
    assert (code, out) == (0, "")
    assert "compared with people by tau-a" in err
    assert store.open_study(study)["results"].children.keys() == before


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("rdm", "--on", "maps"), 2, "on is 'maps'"),
        (("rdm", "--dissimilarity", "rho-a"), 2, "dissimilarity is 'rho-a'"),
        (("rdm", "--on", "features"), 2, "no /features"),
        (("rsa", "--comparison", "kendall"), 2, "comparison is 'kendall'"),
        (("rsa", "--by", "age"), 2, "by is 'age'"),
        (("rsa", "--correction", "sidak"), 2, "correction is 'sidak'"),
        (("rsa", "--confidence", 2), 2, "confidence is 2"),
    ],
)
def test_wrong_calls(command, code, says, study):
    found, out, err = run(command[0], study, *command[1:])
    assert (found, out) == (code, "")
    assert says in err


def test_a_study_without_judgments_says_how_to_add_them(tmp_path):
    relstats.simulate(
        tmp_path / "s.zarr", models="2x1", seeds=2, images=5, size=8, rng=np.random.default_rng(1)
    )
    code, out, err = run("rsa", tmp_path / "s.zarr")
    assert (code, out) == (2, "")
    assert "relstats add judgments" in err


def test_images_whose_map_is_empty_are_left_out_of_both_sides(study, tmp_path):
    tree = relstats.open_study(study)
    maps = tree["relevance"].to_dataset().load()
    maps["relevance"][0, 0, 3] = 0
    spoilt = xr.DataTree.from_dict({"relevance": maps, "human": tree["human"].to_dataset().load()})
    relstats.save_study(spoilt, tmp_path / "s.zarr")
    code, out, err = run("rsa", tmp_path / "s.zarr", *QUICK)
    assert code == 0, err
    assert re.search(r"images +11 *\n", out)
    assert f"1 image(s) left out: a map of theirs says nothing ({maps['image'].values[3]})" in err


def test_from_python_without_a_study():
    rng = np.random.default_rng(1)
    ids = np.array([f"i{k:02d}" for k in range(8)], object)
    features = xr.DataArray(
        rng.normal(size=(8, 20)), dims=("image", "feature"), coords={"image": ids}
    )
    rdm = relstats.human.rdm(features)
    people = (
        rdm["dissimilarity"].expand_dims(participant=np.array(["a", "b", "c"], object))
        + rng.random((3, 28)) / 2
    )
    result = relstats.human.rsa(rdm, people, n_draws=50, n_permutations=49, rng=rng)
    assert result["estimate"] > 0.5
    assert relstats.human.compare_rdms(
        rdm["dissimilarity"].values, people.values, "corr"
    ).shape == (1, 3)
    assert (
        relstats.correct(result, "p_mantel", "max-t")["p_mantel_adjusted"] == result["p_mantel_max"]
    )
