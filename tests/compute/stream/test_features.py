"""Features: what comes out of a named module, for every network and image.

Resumable, and read by the RDMs.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import relstats
from relstats import cli
from relstats.compute import images, models
from relstats.compute.stream import features
from relstats.compute.study_file.settings import FeatureSettings
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData, UsageError
from relstats.human import rdm
from relstats.study import shards

LAYERS = '\n[features]\nlayers = ["1", "4"]\npool = "{pool}"\n'


def with_features(file, pool="mean", layers=LAYERS):
    file.write_text(file.read_text() + layers.format(pool=pool))
    return file


def exported(file, out, **options):
    study = read_study(file) if isinstance(file, Path) else file
    features.export_features(study, out, **options)
    return relstats.open_study(out)["features"].to_dataset()


def files(path):
    return {
        str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in path.rglob("*")
        if p.is_file()
    }


def by_hand(study, model, seed, depth):
    """Layers of the sequence one after the other, in float64."""
    about = next(m for m in study.models if m.name == model)
    network = models.build(about, seed, torch.device("cpu"), torch.float64)
    pixels = torch.from_numpy(images.load_images(study.images, study.images.table.index))
    with torch.no_grad():
        return network[: depth + 1](
            images.to_input(pixels, about.preprocessing, torch.float64)
        ).numpy()


@pytest.mark.parametrize("pool", ["mean", "none"])
def test_features_are_those_of_the_module(small_study, tmp_path, pool):
    group = exported(with_features(small_study, pool), tmp_path / "s.zarr")
    study = read_study(small_study)
    assert group["available"].values.tolist() == [[True, True], [True, False]]
    for model, seed in (("gender", "0"), ("gender", "1"), ("identity", "0")):
        for depth in (1, 4):
            expected = by_hand(study, model, seed, depth)
            expected = expected.mean(axis=(2, 3)) if pool == "mean" else expected.reshape(12, -1)
            found = group[str(depth)].sel(
                model=model, seed=seed, image=study.images.table.index.tolist()
            )
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            assert found.dtype == np.float32
            assert (
                group["n_features"].sel(model=model, layer=str(depth)).item() == expected.shape[1]
            )
    assert group["task"].values.tolist() == ["gender", "identity"]


def test_in_place_layers_do_not_change_what_was_before():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)).eval()
    about = _model({})
    inputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    found = features.activations(module, about, FeatureSettings(("0", "1"), "none"), inputs)
    np.testing.assert_allclose(found["0"], module[0](inputs).detach().numpy(), rtol=1e-6)
    assert (found["0"] < 0).any()
    np.testing.assert_array_equal(found["1"], np.maximum(found["0"], 0))
    assert not module._modules["0"]._forward_hooks


def test_an_interrupted_run_resumes_to_the_same_bytes(make_study, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    file = with_features(make_study(tmp_path, images=130, batch=30))
    exported(file, tmp_path / "whole.zarr")
    written = []

    def killed(path, shard, arrays, write=shards.write_shard):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(shard)
        write(path, shard, arrays)

    monkeypatch.setattr(shards, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        exported(file, tmp_path / "cut.zarr")
    assert len(shards.unfinished(tmp_path / "cut.zarr", "features")) == 3
    with pytest.raises(InvalidData, match=r"3 of 8 shards|3 of 6 shards"):
        rdm(relstats.open_study(tmp_path / "cut.zarr"), on="features", layer="1")
    monkeypatch.undo()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for k in range(2):
        exported(file, tmp_path / "cut.zarr", worker=(k, 2))
    assert files(tmp_path / "cut.zarr") == files(tmp_path / "whole.zarr")


def test_features_come_after_relevance_and_make_rdms(small_study, tmp_path, monkeypatch, capsys):
    out = tmp_path / "s.zarr"
    monkeypatch.setattr("sys.argv", ["relstats", "compute", str(small_study), str(out)])
    with pytest.raises(SystemExit):
        cli.main()
    with_features(small_study)
    monkeypatch.setattr("sys.argv", ["relstats", "compute", str(small_study), str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "features of 1, 4 (mean over pixels)" in capsys.readouterr().err
    study = relstats.open_study(out)
    assert {"relevance", "features"} <= set(study.children)
    found = rdm(study, on="features", layer="4")["dissimilarity"]
    values = by_hand(read_study(small_study), "gender", "1", 4).mean(axis=(2, 3))
    expected = 1 - np.corrcoef(values)[np.triu_indices(12, 1)]
    np.testing.assert_allclose(found.sel(model="gender", seed="1"), expected, rtol=0, atol=1e-5)
    copy = tmp_path / "copy.zarr"
    relstats.save_study(study, copy)
    one = {"model": "gender", "seed": "1"}
    np.testing.assert_array_equal(
        relstats.open_study(copy)["features/4"].sel(one), study["features/4"].sel(one)
    )


def test_models_may_differ_in_size_and_in_names(small_study, tmp_path):
    with_features(small_study, layers='\n[features]\nlayers = ["deep"]\n')
    text = small_study.read_text()
    for name, module in (("gender", "1"), ("identity", "4")):
        text = text.replace(
            f"[models.{name}]\n", f'[models.{name}]\nlayers = {{ deep = "{module}" }}\n'
        )
    small_study.write_text(text)
    group = exported(small_study, tmp_path / "s.zarr")
    assert group["n_features"].values.ravel().tolist() == [4, 8]
    assert np.isnan(group["deep"].sel(model="gender")[..., 4:]).all()
    found = rdm(relstats.open_study(tmp_path / "s.zarr"), on="features", layer="deep")
    values = by_hand(read_study(small_study), "gender", "0", 1).mean(axis=(2, 3))
    expected = 1 - np.corrcoef(values)[np.triu_indices(12, 1)]
    np.testing.assert_allclose(
        found["dissimilarity"].sel(model="gender", seed="0"), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ('[features]\nlayers = ["11"]', r"model 'gender' has no layer '11'; it has 1"),
        ('[features]\nlayers = ["7"]\npool = "none"', ""),
        ("[features]\nlayers = []", "Name one layer or more"),
        ('[features]\nlayers = ["available"]', "not as available"),
        ('[features]\nlayers = ["a/b"]', "not with '/'"),
        ('[features]\nlayers = ["1"]\npool = "max"', "pool"),
        ('[features]\nlayer = ["1"]', r"layers: is missing"),
    ],
)
def test_bad_layers_are_refused(small_study, tmp_path, layers, message):
    with_features(small_study, layers=f"\n{layers}\n".replace("{", "{{"))
    if not message:
        assert exported(small_study, tmp_path / "s.zarr")["7"].sizes["7_feature"] == 8
        return
    with pytest.raises(InvalidData, match=message):
        exported(small_study, tmp_path / "s.zarr")


def test_a_model_names_only_layers_there_are(small_study):
    with_features(small_study)
    small_study.write_text(
        small_study.read_text().replace(
            "[models.gender]\n", '[models.gender]\nlayers = { "5" = "6" }\n'
        )
    )
    with pytest.raises(InvalidData, match="no layer of \\[features\\]"):
        read_study(small_study)


def test_other_settings_are_refused_and_none_need_layers(small_study, tmp_path):
    study = read_study(with_features(small_study))
    exported(study, tmp_path / "s.zarr")
    with pytest.raises(UsageError, match="other settings"):
        exported(
            dataclasses.replace(study, features=FeatureSettings(("1",), "mean")),
            tmp_path / "s.zarr",
        )
    with pytest.raises(UsageError, match="names no layers"):
        features.export_features(dataclasses.replace(study, features=None), tmp_path / "t.zarr")
    assert features.describe(dataclasses.replace(study, features=None)) == ""


class _Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
        self.lost, self.pair = nn.Flatten(0), _Pair()

    def forward(self, x):
        self.lost(x)
        self.pair(x)
        return self.one(self.one(x))


class _Pair(nn.Module):
    def forward(self, x):
        return x, x


def _model(layers):
    from relstats.compute.study_file.settings import Model, Preprocessing

    return Model(
        "m",
        {},
        "",
        {},
        Preprocessing((0.0,), (1.0,), 1.0, "rgb"),
        "",
        ("f", "m"),
        {},
        Path(),
        layers,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one", "more than once"),
        ("unused", "is not used"),
        ("lost", r"shape \(8,\)"),
        ("pair", "gives tuple"),
        ("", "no layer ''"),
    ],
)
def test_layers_without_one_activation_an_image(name, message):
    with pytest.raises(InvalidData, match=message):
        features.activations(
            _Twice().eval(), _model({}), FeatureSettings((name,), "mean"), torch.ones(4, 2)
        )


def test_tokens_have_no_mean_over_pixels_and_nan_is_refused():
    module, inputs = nn.Sequential(nn.Identity()), torch.ones(2, 3, 5)
    with pytest.raises(InvalidData, match='Use pool = "none"'):
        features.activations(module, _model({}), FeatureSettings(("0",), "mean"), inputs)
    assert features.activations(module, _model({}), FeatureSettings(("0",), "none"), inputs)[
        "0"
    ].shape == (2, 15)
    with pytest.raises(InvalidData, match="15 activations are NaN or infinite"):
        features.activations(
            module,
            _model({}),
            FeatureSettings(("0",), "none"),
            inputs / torch.tensor([0.0, 1.0]).reshape(2, 1, 1),
        )
