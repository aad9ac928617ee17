"""Choices: read by label; kappa of a study is that of its tables; planted consistency.

What is not defined is counted.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import cohen_kappa_score

import relstats
from relstats import cli
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.study import store

CLASSES = ["f", "m", "NA"]


def study_of(shared=(0.9, 0.0), *, n=120, people=6, seeds=4, seed=1, classes=CLASSES, error=0.3):
    """People err on hard images.

    Networks of level a on the same (share `shared[0]`), those of b on others.
    """
    rng = np.random.default_rng(seed)
    k = len(classes)
    truth, hard, other = rng.integers(0, k, n), rng.random(n) < error, rng.random(n) < error

    def answers(wrong):
        flips = rng.random(n) < np.where(wrong, 0.8, 0.1)
        return np.where(flips, (truth + rng.integers(1, k, n)) % k, truth)

    prediction = np.array(
        [[answers(np.where(rng.random(n) < s, hard, other)) for _ in range(seeds)] for s in shared]
    )
    chosen = np.array([answers(hard) for _ in range(people)])
    ids, names = [f"{i:03d}" for i in range(n)], np.array(classes, dtype=object)
    maps = xr.Dataset(
        {
            "relevance": (("model", "seed", "image", "y", "x"), rng.random((2, seeds, n, 2, 2))),
            "prediction": (("model", "seed", "image"), prediction),
            "correct": (("model", "seed", "image"), (prediction == truth).astype(float)),
        },
        {
            "model": ["a", "b"],
            "pretrain": ("model", ["imagenet", "vggface2"]),
            "seed": [str(s) for s in range(seeds)],
            "image": ids,
        },
    )
    images = xr.Dataset(coords={"image": ids, "sex": ("image", names[truth])})
    human = xr.Dataset(
        {"choice": (("participant", "image"), names[chosen])},
        {"participant": [f"{p:03d}" for p in range(people)], "image": ids},
    )
    root = xr.Dataset(attrs={"relstats_schema": 1})
    return xr.DataTree.from_dict(
        {"/": root, "images": images, "relevance": maps, "behaviour": human}
    )


def measured(study, **options):
    return relstats.behaviour(
        study, **({"label": "sex", "rng": np.random.default_rng(1)} | options)
    )


def right(study, group, name):
    truth = study["images/sex"].values
    return (
        np.array(CLASSES, dtype=object)[study[f"{group}/{name}"].values.astype(int)]
        if name == "prediction"
        else study[f"{group}/{name}"].values
    ) == truth


def test_kappa_of_errors_and_of_choices_is_that_of_the_tables():
    study = study_of()
    mine, theirs = (
        right(study, "relevance", "prediction").reshape(8, -1),
        right(study, "behaviour", "choice"),
    )
    found = measured(study, axis="pretrain")
    expected = np.array([[cohen_kappa_score(m, p) for p in theirs] for m in mine])
    np.testing.assert_allclose(found["kappa"], expected, rtol=1e-10)
    np.testing.assert_allclose(found["accuracy"], mine.mean(axis=1))
    np.testing.assert_allclose(found["human_accuracy"], theirs.mean(axis=1))
    np.testing.assert_allclose(
        found["estimate"].item(), expected[:4].mean() - expected[4:].mean(), rtol=1e-10
    )
    np.testing.assert_allclose(
        found["level_mean"].values.ravel(), [expected[:4].mean(), expected[4:].mean()], rtol=1e-10
    )
    pairs = np.triu_indices(6, 1)
    among = np.array([[cohen_kappa_score(p, q) for q in theirs] for p in theirs])[pairs]
    np.testing.assert_allclose(found["people_kappa"], among.mean(), rtol=1e-10)
    among = np.array([[cohen_kappa_score(p, q) for q in mine[4:]] for p in mine[4:]])[
        np.triu_indices(4, 1)
    ]
    np.testing.assert_allclose(
        found["networks_kappa"].sel(level="vggface2"), among.mean(), rtol=1e-10
    )
    assert found["people_ci"][0] < found["people_kappa"] < found["people_ci"][1]
    low, high = (found["observed_bound"].sel(bound=b) for b in ("lower", "upper"))
    assert ((low - 1e-12 <= found["observed"]) & (found["observed"] <= high + 1e-12)).all()
    choices = measured(study, of="choices", classes=CLASSES)
    networks = study["relevance/prediction"].values.reshape(8, -1)
    codes = (
        pd.DataFrame(study["behaviour/choice"].values)
        .replace({c: k for k, c in enumerate(CLASSES)})
        .to_numpy(int)
    )
    expected = np.array([[cohen_kappa_score(m, p) for p in codes] for m in networks])
    np.testing.assert_allclose(choices["kappa"], expected, rtol=1e-10)
    assert "observed_bound" not in choices


def test_planted_consistency_has_its_sign():
    found = measured(study_of((0.9, 0.0)), axis="pretrain").squeeze()
    assert found["estimate"] > 0.1
    assert found["p_value"] < 0.01
    assert found["level_p_value"].sel(level="imagenet") < 0.001
    turned = measured(study_of((0.0, 0.9)), axis="pretrain").squeeze()
    assert turned["estimate"] < -0.1
    assert turned["ci"].sel(bound="upper") < 0
    assert found["random"].item() == "images, participants, seeds"


def test_matched_by_label_whatever_the_order():
    study = study_of()
    found = measured(study, axis="pretrain")
    rng = np.random.default_rng(2)
    human = (
        study["behaviour"]
        .to_dataset()
        .isel(image=rng.permutation(120), participant=[3, 1, 0, 2, 5, 4])
    )
    again = measured(study.assign(behaviour=xr.DataTree(human)), axis="pretrain")
    for name in ("estimate", "p_value", "people_kappa"):
        np.testing.assert_allclose(again[name], found[name], rtol=1e-9)
    ids = human["image"].values
    shifted = measured(
        study.assign(behaviour=xr.DataTree(human.assign_coords(image=np.roll(ids, 1)))),
        axis="pretrain",
    )
    assert (
        abs(
            shifted["level_mean"].sel(level="imagenet") - found["level_mean"].sel(level="imagenet")
        ).item()
        > 0.1
    )


def test_correct_alone_is_enough_for_errors():
    study = study_of()
    bare = study.assign(
        relevance=xr.DataTree(study["relevance"].to_dataset().drop_vars("prediction"))
    )
    np.testing.assert_allclose(measured(bare)["kappa"], measured(study)["kappa"], rtol=1e-12)
    with pytest.raises(UsageError, match="give --classes, or --of errors"):
        measured(bare, of="choices", classes=CLASSES)
    neither = study.assign(
        relevance=xr.DataTree(study["relevance"].to_dataset().drop_vars(["prediction", "correct"]))
    )
    with pytest.raises(UsageError, match="which answers are right is not known"):
        measured(neither)


def test_classes_in_another_order_are_found_out():
    with pytest.raises(InvalidData, match="the order is another one"):
        measured(study_of(), classes=["m", "f", "NA"])
    with pytest.raises(InvalidData, match="prediction 2 is no index of 2 classes"):
        measured(_two_named(study_of()), classes=["f", "m"])
    with pytest.raises(UsageError, match="each once"):
        measured(study_of(), classes=["f", "f"])


def _two_named(study):
    human = study["behaviour"].to_dataset()
    return study.assign(
        behaviour=xr.DataTree(
            human.assign(choice=human["choice"].where(human["choice"] != "NA", "f"))
        )
    )


def test_who_answers_alike_throughout():
    study = study_of(people=4)
    maps, human = (
        study["relevance"].to_dataset().copy(deep=True),
        study["behaviour"].to_dataset().copy(deep=True),
    )
    truth = study["images/sex"].values
    human["choice"][1] = truth
    found = measured(study.assign(behaviour=xr.DataTree(human)))
    assert np.isnan(found["kappa"].isel(participant=1)).all()
    assert found["n_undefined"].item() == 8
    warnings = " ".join(found.attrs["warnings"])
    assert "1 participant(s) left out (001): kappa is not defined with who answers" in warnings
    np.testing.assert_allclose(
        found["level_mean"].sel(level="a").item(),
        found["kappa"].values[:4, [0, 2, 3]].mean(),
        rtol=1e-10,
    )
    codes = np.array([CLASSES.index(t) for t in truth])
    maps["prediction"][0, 0], maps["correct"][0, 0] = codes, 1
    changed = study.assign(behaviour=xr.DataTree(human), relevance=xr.DataTree(maps))
    found = measured(changed)
    assert np.isnan(found["kappa"].isel(network=0)).all()
    assert found["n_undefined"].item() == 4 + 8 - 1
    warnings = " ".join(found.attrs["warnings"])
    assert "1 network(s) left out (a seed 0)" in warnings
    assert "7 networks, 120 images, 3 participants" in found.attrs["population"]
    np.testing.assert_allclose(
        found["level_mean"].values.ravel(),
        [found["kappa"].values[rows][:, [0, 2, 3]].mean() for rows in ([1, 2, 3], [4, 5, 6, 7])],
        rtol=1e-10,
    )
    human["choice"][:] = truth
    with pytest.raises(ImpossibleAnalysis, match=r"each of 4 participant\(s\) gives the same"):
        measured(changed.assign(behaviour=xr.DataTree(human)))


def test_who_answers_alike_on_the_images_that_both_judged():
    study = study_of(people=3)
    human = study["behaviour"].to_dataset().copy(deep=True)
    correct = right(study, "relevance", "prediction")[0, 0]
    human["choice"][1, np.flatnonzero(~correct)] = ""
    found = measured(study.assign(behaviour=xr.DataTree(human)))
    assert found["n_undefined"].item() == 1
    assert "1 participant(s) left out (001): on the images" in " ".join(found.attrs["warnings"])
    human["choice"][[0, 2]] = human["choice"][1].values
    with pytest.raises(ImpossibleAnalysis, match=r"no participant can be compared .*3 of 24 pairs"):
        measured(study.assign(behaviour=xr.DataTree(human)))


def test_images_that_a_participant_did_not_judge():
    study = study_of()
    human = study["behaviour"].to_dataset().copy(deep=True)
    human["choice"][2, :50] = ""
    found = measured(study.assign(behaviour=xr.DataTree(human)))
    assert found["n_items"].values[0].tolist() == [120, 120, 70, 120, 120, 120]
    mine, theirs = (
        right(study, "relevance", "prediction")[0, 0],
        right(study, "behaviour", "choice")[2],
    )
    np.testing.assert_allclose(
        found["kappa"].values[0, 2], cohen_kappa_score(mine[50:], theirs[50:]), rtol=1e-10
    )
    np.testing.assert_allclose(found["human_accuracy"].values[2], theirs[50:].mean())
    assert "not everybody judged every image" in " ".join(found.attrs["warnings"])


def test_settings_of_a_study_file_are_used():
    study = study_of()
    about = {m: {"label": label, "classes": CLASSES} for m, label in (("a", "sex"), ("b", "age"))}
    study.attrs["compute_settings"] = json.dumps({"models": about})
    with pytest.raises(UsageError, match="trained for age, sex"):
        measured(study, label=None)
    found = measured(study, of="choices")
    assert found["level"].values.tolist() == ["a"]
    assert "1 model(s) left out: they name something else" in " ".join(found.attrs["warnings"])
    assert measured(study, models=["b"])["level"].values.tolist() == ["b"]
    study.attrs["compute_settings"] = json.dumps({"models": {m: about["a"] for m in "ab"}})
    assert "the right choice is the label 'sex'" in measured(study, label=None).attrs["warnings"]
    study.attrs["compute_settings"] = json.dumps({"models": {m: about["b"] for m in "ab"}})
    with pytest.raises(ImpossibleAnalysis, match="no network names 'sex'"):
        measured(study)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"of": "kappa"}, UsageError, "of is 'kappa'"),
        ({"label": "age"}, UsageError, "no label 'age'; they have sex"),
        ({"models": ["c"]}, UsageError, "no model 'c'"),
        ({"random": ["people"]}, UsageError, "it is a list of"),
        ({"confidence": 2}, UsageError, "confidence is 2"),
        ({"align": "left"}, UsageError, "align is"),
        ({"label": None}, UsageError, "give --label"),
        ({"axis": "pre"}, UsageError, "no such label"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        measured(study_of(n=30), **options)


def test_choices_that_are_no_class_and_images_that_differ():
    study = study_of(n=30)
    human = study["behaviour"].to_dataset()
    odd = human["choice"].copy(deep=True)
    odd[0, 0] = "F"
    with pytest.raises(InvalidData, match=r"1 choice\(s\) are no class \('F'\)"):
        measured(study.assign(behaviour=xr.DataTree(human.assign(choice=odd))))
    part = study.assign(behaviour=xr.DataTree(human.isel(image=slice(2, None))))
    with pytest.raises(InvalidData, match="2 only in /relevance"):
        measured(part)
    assert measured(part, align="inner")["n_images"].item() == 28
    with pytest.raises(UsageError, match="no /behaviour"):
        measured(study.drop_nodes("behaviour"))


def test_choices_are_stored_by_label_in_any_order(tmp_path):
    study = study_of(n=12)
    human = study["behaviour"].to_dataset()
    turned = {
        name: xr.DataTree(study[name].to_dataset().isel(image=slice(None, None, -1)))
        for name in ("images", "relevance")
    }
    relstats.save_study(study.drop_nodes("behaviour").assign(turned), tmp_path / "s.zarr")
    human["choice"].to_dataframe()["choice"].reset_index().to_csv(tmp_path / "c.csv", index=False)
    relstats.add_choices(tmp_path / "s.zarr", tmp_path / "c.csv")
    stored = store.open_study(tmp_path / "s.zarr")["behaviour/choice"]
    assert (
        stored.sel(image=human["image"].values).values.tolist() == human["choice"].values.tolist()
    )


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["relstats", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_commands_and_text_as_it_stands(tmp_path, monkeypatch, capsys):
    study, path = study_of(n=30), tmp_path / "s.zarr"
    relstats.save_study(study.drop_nodes("behaviour"), path)
    table = study["behaviour/choice"].to_dataframe()["choice"].reset_index()
    table.loc[0, "choice"] = ""
    table.to_csv(tmp_path / "c.csv", index=False)
    assert run(monkeypatch, "add", "choices", path, tmp_path / "c.csv") == 0
    assert "000          29" in capsys.readouterr().out
    stored = store.open_study(path)["behaviour"].to_dataset()
    assert stored["participant"].values[0] == "000"
    assert (stored["choice"].values == "NA").sum() == (table["choice"] == "NA").sum() > 0
    assert (
        run(monkeypatch, "behaviour", path, "--label", "sex", "--axis", "pretrain", "--json") == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["coords"]["contrast"]["data"] == ["imagenet|vggface2"]
    assert store.open_study(path)["results/behaviour_sex_pretrain"].attrs["label"] == "sex"
    assert (
        run(
            monkeypatch,
            "behaviour",
            path,
            "--label",
            "sex",
            "--of",
            "choices",
            "--classes",
            "f,m,NA",
        )
        == 0
    )
    shown = capsys.readouterr()
    assert "Agreement with people's choices (kappa, all networks)" in shown.out
    assert "people kappa" in shown.out
    pd.concat([table, table[:1]]).to_csv(tmp_path / "c.csv", index=False)
    assert run(monkeypatch, "add", "choices", path, tmp_path / "c.csv", "--force") == 3
    assert "chose for already" in capsys.readouterr().err
    table.assign(image=table["image"].astype(int).astype(str)).to_csv(
        tmp_path / "c.csv", index=False
    )
    assert run(monkeypatch, "add", "choices", path, tmp_path / "c.csv", "--force") == 3
    assert "'007' is not '7'" in capsys.readouterr().err
    assert run(monkeypatch, "add", "choices", path, tmp_path / "none.csv") == 2


def test_right_answers_by_name_are_those_that_are_recorded():
    study = study_of()
    unrecorded = study.assign(
        relevance=xr.DataTree(study["relevance"].to_dataset().drop_vars("correct"))
    )
    named, recorded = measured(unrecorded, classes=CLASSES), measured(study)
    for name in ("kappa", "n_items", "accuracy"):
        np.testing.assert_array_equal(named[name].values, recorded[name].values)
