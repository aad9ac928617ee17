"""Networks: built as asked, loaded exactly, and nothing in a checkpoint is ever executed."""

from __future__ import annotations

import dataclasses
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from relstats.compute import models
from relstats.compute.models import (
    build,
    checkpoint_sha256,
    load_state,
    pick_device,
    require_output,
    state_hash,
)
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData, UsageError

CPU = torch.device("cpu")


@pytest.fixture
def model(small_study):
    return read_study(small_study).models[0]


def with_checkpoint(model, path):
    return dataclasses.replace(model, checkpoints={"0": path})


def built(model, seed="0", dtype=torch.float32):
    return build(model, seed, CPU, dtype)


def refused(error, function, *arguments):
    with pytest.raises(error) as caught:
        function(*arguments)
    return str(caught.value)


def state_of(model):
    return load_state(model.checkpoints["0"])


def test_weights_are_those_of_the_checkpoint(model):
    for seed in ("0", "1"):
        state = load_state(model.checkpoints[seed])
        network = built(model, seed)
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, state[name], rtol=0, atol=0)
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
    assert state_hash(built(model, "0")) != state_hash(built(model, "1"))
    assert built(model, dtype=torch.float64)[0].weight.dtype == torch.float64


def test_the_users_random_numbers_are_left_alone(model):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    built(model)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_load(model, tmp_path, suffix, zipped):
    path = tmp_path / f"a{suffix}"
    torch.save(state_of(model), path, _use_new_zipfile_serialization=zipped)
    assert state_hash(built(with_checkpoint(model, path))) == state_hash(built(model))


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def test_a_pickle_that_runs_code_is_not_executed(model, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "executed"
    torch.save({"0.weight": Bomb(marker)}, tmp_path / "zip.pth")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"0.weight": Bomb(marker)}))
    torch.save(Bomb(marker), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("zip.pth", "plain.pt", "old.pt"):
        message = refused(InvalidData, built, with_checkpoint(model, tmp_path / name))
        assert f"{tmp_path / name} is not a plain state dict, and was not executed" in message
        assert "save_file(network.state_dict(), 'weights.safetensors')" in message
        assert not marker.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())["0.weight"].close()
    assert marker.exists()  # it would have


@pytest.mark.parametrize("suffix", [".pt2", ".pkl", ".bin", ".h5", ".onnx", ""])
def test_other_suffixes_are_refused_unopened(model, tmp_path, suffix):
    marker = tmp_path / "executed"
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps(Bomb(marker)))
    message = refused(InvalidData, load_state, path)
    assert "a checkpoint is .safetensors, or a state dict as .pt or .pth, not" in message
    assert (suffix or "without suffix") in message
    assert not marker.exists()


def test_whole_modules_and_scripts_are_refused(model, tmp_path):
    torch.save(built(model), tmp_path / "whole.pth")
    assert "not a plain state dict, and was not executed" in refused(
        InvalidData, load_state, tmp_path / "whole.pth"
    )
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/constants.pkl", pickle.dumps(()))
        archive.writestr("script/data.pkl", pickle.dumps(()))
    assert "not a plain state dict, and was not executed" in refused(
        InvalidData, load_state, tmp_path / "script.pt"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<!DOCTYPE html><html>404</html>",
            "is a web page (the download failed). Download it again",
        ),
        (b"\n  <html>", "is a web page (the download failed)"),
        (b"", "is no checkpoint: it begins with b''"),
        (b"version https://git-lfs", "is no checkpoint: it begins with b'version '"),
        (b"PK\x03\x04 cut", "not a plain state dict"),
        (b"\x80\x02cut", "not a plain state dict"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    assert message in refused(InvalidData, load_state, tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_bytes(content)
    assert "is no safetensors file, or a damaged one" in refused(
        InvalidData, load_state, tmp_path / "a.safetensors"
    )


def test_a_training_checkpoint_is_not_guessed_at(model, tmp_path):
    torch.save({"epoch": 3, "state_dict": state_of(model)}, tmp_path / "a.pth")
    message = refused(InvalidData, load_state, tmp_path / "a.pth")
    assert (
        "holds more than a state dict (epoch, state_dict): which part is the network's is not"
        " guessed" in message
    )
    torch.save([torch.ones(1)], tmp_path / "b.pth")
    assert "holds more than a state dict (list)" in refused(
        InvalidData, load_state, tmp_path / "b.pth"
    )


def test_old_torch_does_not_open_pickles(model, tmp_path, monkeypatch):
    torch.save(state_of(model), tmp_path / "a.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    message = refused(InvalidData, load_state, tmp_path / "a.pth")
    assert "is a pickle, which torch 2.9.1 cannot load safely. Install torch >= 2.10" in message
    assert len(load_state(model.checkpoints["0"])) > 0  # safetensors are safe with any


def test_missing_checkpoint(model, tmp_path):
    assert "no such checkpoint: " in refused(
        InvalidData, built, with_checkpoint(model, tmp_path / "gone.pth")
    )


def test_wrong_architecture_names_the_keys(model, tmp_path):
    state = state_of(model)
    state["extra"] = state.pop("0.bias")
    state["8.weight"] = torch.zeros(2, 9)
    save_file(state, tmp_path / "other.safetensors")
    message = refused(InvalidData, built, with_checkpoint(model, tmp_path / "other.safetensors"))
    assert "model 'gender', seed '0': " in message
    assert (
        "1 missing: 0.bias; 1 unexpected: extra; 1 of another shape: 8.weight (2, 9) instead of"
        " (2, 8)" in message
    )


def test_parallel_checkpoints_get_a_hint(model, tmp_path):
    save_file({f"module.{k}": v for k, v in state_of(model).items()}, tmp_path / "p.safetensors")
    message = refused(InvalidData, built, with_checkpoint(model, tmp_path / "p.safetensors"))
    assert "They begin with 'module.': save network.module.state_dict()" in message
    assert "..." in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["0.weight", "1.running_var"])
def test_weights_that_are_not_finite(model, tmp_path, key, value):
    state = state_of(model)
    state[key].view(-1)[1] = value
    save_file(state, tmp_path / "n.safetensors")
    message = refused(InvalidData, built, with_checkpoint(model, tmp_path / "n.safetensors"))
    assert "1 tensor(s) of " in message
    assert f"hold NaN or infinite weights ({key})" in message


def test_factories_that_cannot_be_used(model):
    def message(factory, arguments=None):
        changed = dataclasses.replace(model, factory=factory, arguments=arguments or {})
        return refused(UsageError, built, changed)

    assert "cannot import factory 'no_such_module:f'" in message("no_such_module:f")
    assert "cannot import factory 'small_networks:larg'" in message("small_networks:larg")
    assert str(model.folder) in message("small_networks:larg")
    assert "small_networks:small(clases=3) fails: TypeError: " in message(
        "small_networks:small", {"clases": 3}
    )
    assert "builtins:dict returns dict, not a torch.nn.Module" in message("builtins:dict")
    assert "torchvision has no 'resnet19'. Did you mean" in message("resnet19")
    assert 'Your own is "package.module:callable"' in message("resnet19")


def test_torchvision_by_name(model, tmp_path):
    import torchvision

    network = torchvision.models.squeezenet1_1(weights=None, num_classes=2)
    save_file(network.state_dict(), tmp_path / "s.safetensors")
    changed = dataclasses.replace(
        with_checkpoint(model, tmp_path / "s.safetensors"),
        factory="squeezenet1_1",
        arguments={"num_classes": 2},
    )
    assert state_hash(built(changed)) == state_hash(network)


def test_outputs_must_be_the_named_classes(model):
    sample = torch.zeros(1, 3, 16, 16)
    require_output(built(model), model, sample)
    three = dataclasses.replace(model, classes=("a", "b", "c"))
    assert "has 2 outputs but 3 class names (a, b, c): labels would be shifted" in refused(
        InvalidData, require_output, built(model), three, sample
    )
    assert "does not take images of 1 x 16 x 16 (channel, y, x)" in refused(
        InvalidData, require_output, built(model), model, sample[:, :1]
    )
    assert "returns a tensor of shape (1, 8, 1, 1), not logits" in refused(
        InvalidData, require_output, built(model)[:7], model, sample
    )

    class Two(nn.Module):
        def forward(self, x):
            return x, x

    assert "returns tuple, not logits" in refused(InvalidData, require_output, Two(), model, sample)


def test_hash_of_a_state_knows_names_shapes_and_types(model):
    network = built(model)
    before = state_hash(network)
    network(torch.zeros(1, 3, 16, 16))
    assert state_hash(network) == before
    with torch.no_grad():
        network[1].num_batches_tracked += 1
    assert state_hash(network) != before
    layer = nn.Linear(2, 3, bias=False)
    turned = nn.Linear(3, 2, bias=False)
    turned.load_state_dict({"weight": layer.weight.detach().reshape(2, 3)})
    assert state_hash(layer) != state_hash(turned)
    assert len(state_hash(nn.Linear(2, 3).to(torch.bfloat16))) == 64


def test_checkpoints_are_told_apart_by_their_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        checkpoint_sha256(tmp_path / "a")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused(UsageError, pick_device, "cuda")
    assert f"device 'cuda' was asked for, but torch {torch.__version__} " in message
    assert message.endswith("Use --device cpu")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "was built without CUDA" in refused(UsageError, pick_device, "cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert "there are 2 GPU(s), counted from cuda:0" in refused(UsageError, pick_device, "cuda:2")
    for name in ("gpu", "meta", "cuda:x"):
        assert f"device is {name!r}: give" in refused(UsageError, pick_device, name)


def test_modules_beside_the_study_file_come_last(model):
    import sys

    before = list(sys.path)
    with models.modules_of(model.folder):
        assert sys.path == [*before, str(model.folder.resolve())]
    assert sys.path == before
    assert np.isfinite(built(model)(torch.zeros(1, 3, 16, 16)).numpy()).all()
