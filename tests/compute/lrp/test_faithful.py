"""What is explained is the user's network: its logits are reproduced, or it is refused by the step
that differs.
"""

import sys
import types

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models
from zennit.composites import EpsilonPlus

from relstats.compute.lrp import engine, faithful
from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.plans import plan
from relstats.compute.models import note
from relstats.compute.perturb.transfer import transfer
from relstats.compute.stream.export import export
from relstats.compute.study_file.study import read_study
from relstats.errors import ImpossibleAnalysis

GRADIENTS = ("gradient", "gradient_x_input", "integrated_gradients")


class Block(nn.Module):
    """A convolution before a skip connection; what comes between is the variant's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.Linear(8, 3),
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.middle(self.stem(x))).mean((2, 3)))

    def middle(self, x: Tensor) -> Tensor:
        return self.conv(self.act(x)) + x


class Functional(Block):
    def middle(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(x, inplace=True)) + x


class Method(Block):
    def middle(self, x: Tensor) -> Tensor:
        return self.conv(x.relu_()) + x


class Statement(Block):
    """The result of the call is not used, the change is."""

    def middle(self, x: Tensor) -> Tensor:
        torch.relu_(x)
        return self.conv(x) + x


class Added(Block):
    def middle(self, x: Tensor) -> Tensor:
        kept = x
        x += self.conv(x)
        return x + kept


class AddedByMethod(Block):
    def middle(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x.add_(y) + x


class ThroughView(Block):
    def middle(self, x: Tensor) -> Tensor:
        y = self.act(x.reshape(x.shape))
        return self.conv(y) + x


class Image(Block):
    """The image itself is changed."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(F.relu(x, inplace=True))
        return self.wide(torch.cat([y, x], 1).mean((2, 3)))

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(11, 3)


class Alone(Block):
    """In place, but nothing reads the old values again."""

    def middle(self, x: Tensor) -> Tensor:
        x = self.act(x)
        y = self.conv(x)
        y += x
        return self.act(y)


class Twice(Alone):
    """What is read again was changed by a ReLU that leaves it as it is."""

    def middle(self, x: Tensor) -> Tensor:
        x = self.act(x)
        return self.conv(self.act(x)) + x


class Ended(Block):
    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.head(F.relu(self.conv(self.stem(x))).mean((2, 3))))


IN_PLACE = {
    Block: "add 'add': it reads Conv2d 'stem' again, which ReLU 'act' has",
    Functional: "add 'add': it reads Conv2d 'stem' again, which relu 'relu' has",
    Method: "add 'add': it reads Conv2d 'stem' again, which relu_ 'relu_' has",
    Statement: "Conv2d 'conv': it reads Conv2d 'stem' again, which relu_ 'relu_' has",
    Added: "add 'add_1': it reads Conv2d 'stem' again, which += 'add' has",
    AddedByMethod: "add 'add': it reads Conv2d 'stem' again, which add_ 'add_' has",
    ThroughView: "add 'add': it reads Conv2d 'stem' again, which ReLU 'act' has",
    Image: "cat 'cat': it reads the image again, which relu 'relu' has",
}


def images(dtype: torch.dtype = torch.float64, size: int = 12) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1)).to(dtype)


def made(
    kind: type[nn.Module], *arguments: object, dtype: torch.dtype = torch.float64
) -> nn.Module:
    torch.manual_seed(4)
    return kind(*arguments).to(dtype).eval()


def refused(network: nn.Module, composite: str = "epsilon_plus", **options: str) -> str:
    sample = images(next(network.parameters()).dtype)
    with pytest.raises(ImpossibleAnalysis) as caught:
        plan(network, composite, sample=sample, **options)
    assert torch.equal(sample, images(sample.dtype))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", IN_PLACE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_changed_in_place_and_read_again_is_refused_by_step(
    kind: type[nn.Module], dtype: torch.dtype
) -> None:
    message = refused(made(kind, dtype=dtype))
    assert "its own logits and those that would be explained differ by 0." in message
    assert IN_PLACE[kind] + " changed in place. Write it without" in message


def test_a_change_far_below_any_tolerance_is_seen() -> None:
    network = made(Block)
    with torch.no_grad():
        network.stem.bias.fill_(10.0)
        network.stem.weight[0] *= 1e-9
        network.stem.bias[0] = -1e-12
    assert "reads Conv2d 'stem' again" in refused(network)


@pytest.mark.parametrize("composite", GRADIENTS)
@pytest.mark.parametrize("kind", [Block, Functional, Method, Statement, ThroughView, Image, Alone])
def test_autograd_follows_changes_in_place(kind: type[nn.Module], composite: str) -> None:
    network = made(kind)
    before, classes = images(), torch.tensor([0, 1, 2])
    found = relevance(plan(network, composite, sample=before), before, classes)
    torch.testing.assert_close(found.logits, network(images()).detach(), rtol=1e-12, atol=1e-14)
    assert torch.equal(before, images())
    if composite == "gradient":
        step = torch.zeros_like(before)
        step[:, 1, 2, 3] = 1e-6
        rows = torch.arange(3)
        slope = (network(images() + step) - network(images() - step))[rows, classes] / 2e-6
        one = torch.autograd.grad(
            network((source := images().requires_grad_()).clone())[rows, classes].sum(), source
        )[0]
        torch.testing.assert_close(one[:, 1, 2, 3], slope.detach(), rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(found.relevance, one.sum(1), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", [Added, AddedByMethod, Twice])
def test_what_autograd_refuses_to_follow_is_refused(kind: type[nn.Module]) -> None:
    assert "autograd cannot go back through the network (one of the variables needed" in refused(
        made(kind), "gradient"
    )


def test_what_autograd_cannot_follow_is_refused() -> None:
    class Overwritten(Block):
        def middle(self, x: Tensor) -> Tensor:
            y = x.sigmoid()
            z = self.conv(y)
            y += 1
            return z + y

    assert "autograd cannot go back through the network" in refused(made(Overwritten), "gradient")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "kind",
    [Alone, Twice, lambda: models.resnet18(num_classes=3), lambda: models.vgg11_bn(num_classes=3)],
)
def test_in_place_alone_is_accepted(kind, dtype: torch.dtype) -> None:
    network, sample = made(kind, dtype=dtype), images(dtype, 32)
    prepared = plan(network, "epsilon_plus_flat", sample=sample)
    assert prepared.engine == "relstats"
    found = relevance(prepared, sample, torch.tensor([0, 1, 2]))
    own = network(sample).detach()
    # Far from the bound: a hundredth of it.
    assert (found.logits - own).abs().max() < faithful.ROUNDING / 100 * torch.finfo(
        dtype
    ).eps * own.abs().max()


def test_zennit_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("theirs")
    module.make = EpsilonPlus
    monkeypatch.setitem(sys.modules, "theirs", module)
    assert "which ReLU 'act' has changed in place" in refused(made(Block), "theirs:make")

    class Untraceable(Block):
        def middle(self, x: Tensor) -> Tensor:
            return super().middle(x) if x.sum() > -1e9 else x

    message = refused(made(Untraceable))
    assert "differ by 0." in message
    assert "No single step can be named; in place work 'act'." in message


def test_any_other_difference_is_refused_by_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made(Alone)
    network.conv.forward = types.MethodType(
        lambda self, x: 2 * nn.Conv2d.forward(self, x), network.conv
    )
    assert "The first step that differs is Conv2d 'conv'. Write it with plain modules" in refused(
        network
    )
    folded = made(lambda: models.resnet18(num_classes=3)).eval()
    real = engine._value

    def wrong(place, step, *rest):
        return real(place, step, *rest) * (1.01 if step.name == "layer1.1.conv2" else 1)

    monkeypatch.setattr(engine, "_value", wrong)
    assert "The first step that differs is Conv2d 'layer1.1.conv2'" in refused(folded)


def test_logits_that_are_random_are_refused() -> None:
    class Random(Block):
        def middle(self, x: Tensor) -> Tensor:
            return F.dropout(self.conv(x))

    assert "Its own logits differ from one call to the next" in refused(made(Random), "gradient")


ENDS = {
    "a softmax": nn.Softmax(1),
    "a log-softmax": nn.LogSoftmax(1),
    "a sigmoid": nn.Sigmoid(),
}


@pytest.mark.parametrize("composite", [*GRADIENTS, "epsilon_plus"])
@pytest.mark.parametrize("kind", ENDS)
def test_probabilities_are_refused(kind: str, composite: str) -> None:
    message = refused(made(Ended, ENDS[kind]), composite)
    assert message.startswith(f"the network ends in {kind}, its outputs are no logits")
    for dtype in (torch.float32, torch.float64):
        assert kind in refused(
            made(Ended, nn.Sequential(ENDS[kind], nn.Flatten()), dtype=dtype), composite
        )


def test_probabilities_made_by_hand_are_refused() -> None:
    class ByHand(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp() / x.exp().sum(1, keepdim=True)

    assert "a softmax" in refused(made(Ended, ByHand()), "gradient")


def test_logits_that_look_like_probabilities_by_chance_are_accepted() -> None:
    network = made(Ended, nn.Identity())
    sample = images()[:1]
    with torch.no_grad():
        network.head.bias += torch.tensor([0.2, 0.3, 0.5]) - network(sample)[0]
        assert faithful._normalised(network(sample)) == "a softmax"
    assert plan(network, "gradient", sample=sample).classes == 3


# ---- a study


def written(folder, name: str, end: str) -> None:
    """Let the small networks of the study end in something else."""
    file = folder / "small_networks.py"
    text = (
        f"{file.read_text()}\n\ndef ended(classes=2):\n    return nn.Sequential(*small(classes),"
        f" {end})\n"
    )
    (folder / f"{name}.py").write_text(text)  # a module is imported once
    study = folder / "study.toml"
    study.write_text(study.read_text().replace("small_networks:small", f"{name}:ended"))


def test_only_the_second_checkpoint_changes_what_is_read_again(make_study, tmp_path) -> None:
    file = make_study(tmp_path)
    (tmp_path / "skipping_networks.py").write_text(SKIPPING)
    file.write_text(file.read_text().replace("small_networks:small", "skipping_networks:Skipping"))
    for name in ("gender-0", "gender-1", "identity-0"):
        path = tmp_path / f"{name}.safetensors"
        state = load_file(path)
        classes = len(state["8.bias"])
        torch.manual_seed(0)
        stem = 100.0 if name != "gender-1" else 0.0  # where all is positive, a ReLU changes nothing
        save_file(
            {
                "stem.weight": torch.randn(4, 3, 3, 3),
                "stem.bias": torch.full((4,), stem),
                "conv.weight": torch.randn(4, 4, 3, 3),
                "conv.bias": torch.zeros(4),
                "head.weight": torch.randn(classes, 4),
                "head.bias": torch.zeros(classes),
            },
            path,
        )
    with pytest.raises(
        ImpossibleAnalysis, match=r"^model 'gender', seed '1': .*add 'add': it reads Conv2d 'stem'"
    ):
        export(read_study(file), tmp_path / "s.zarr")


SKIPPING = """
from torch import nn


class Skipping(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.stem(x)
        return self.head((self.conv(self.act(x)) + x).mean((2, 3)))
"""


@pytest.mark.parametrize(
    ("end", "kind"), [("nn.Softmax(1)", "a softmax"), ("nn.Sigmoid()", "a sigmoid")]
)
def test_transfer_refuses_probabilities_too(make_study, tmp_path, end: str, kind: str) -> None:
    file = make_study(tmp_path)
    export(read_study(file), tmp_path / "s.zarr")
    written(tmp_path, kind.replace(" ", "_"), end)
    with pytest.raises(
        ImpossibleAnalysis, match=f"^model 'gender', seed '0': the network ends in {kind}"
    ):
        transfer(read_study(file), tmp_path / "s.zarr", force=True)


def test_all_images_are_compared_where_the_network_predicts(
    make_study, tmp_path, monkeypatch
) -> None:
    file = make_study(tmp_path, explained="predicted")
    export(read_study(file), tmp_path / "s.zarr")
    monkeypatch.setattr(engine, "_forward", _wrong_for_others(engine._forward))
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"^model 'gender', seed '0': .*on the images on which it was tried",
    ):
        export(read_study(file), tmp_path / "t.zarr")


def _wrong_for_others(real):
    def forward(network, inputs):
        state = real(network, inputs)
        if len(inputs) > 2:
            state.logits[1:] += 1
        return state

    return forward


def test_the_input_of_googlenet_is_spoken_of(make_study, tmp_path) -> None:
    import dataclasses

    model = read_study(make_study(tmp_path)).models[0]
    assert note(model) == ""
    net = dataclasses.replace(model, factory="inception_v3", arguments={})
    assert "transform_input" in note(net)
    assert "mean = [0.5], std = [0.5]" in note(net)
    assert note(dataclasses.replace(net, arguments={"transform_input": False})) == ""
