"""The engine on whole networks: the same maps as zennit, as exact in float32, at the cost that was
promised.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torchvision import models

from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.plans import plan

BOX = {"low": [-4.0, -4.5, -5.0], "high": [4.0, 4.5, 5.0]}
COMPOSITES = (
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
)


def parameters(composite: str) -> dict[str, list[float]]:
    return BOX if composite == "epsilon_gamma_box" else {}


VGG16 = (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M")  # widths, in units of 64


def vgg16() -> nn.Module:
    """torchvision's VGG-16 at a quarter of its width, with narrow linear layers."""
    layers = [width if width == "M" else 16 * width for width in VGG16]
    with torch.device("meta"):  # the wide linear layers are never made
        network = models.VGG(models.vgg.make_layers(layers), num_classes=10, init_weights=False)
    narrow = (
        nn.Linear(128 * 7 * 7, 64),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(64, 48),
        nn.ReLU(True),
        nn.Dropout(),
    )
    network.classifier = nn.Sequential(*narrow, nn.Linear(48, 10))
    return network.to_empty(device="cpu")


class ResNet(models.ResNet):
    """torchvision's ResNet-18 whose blocks have a quarter of their width; its stem is whole."""

    def __init__(self) -> None:
        super().__init__(models.resnet.BasicBlock, [2, 2, 2, 2], num_classes=10)
        self.fc = nn.Linear(128, 10)

    def _make_layer(self, block, planes, *arguments, **options):
        return super()._make_layer(block, planes // 4, *arguments, **options)


def resnet18() -> nn.Module:
    return ResNet()


class Separable(nn.Sequential):
    """A depthwise and a pointwise convolution, each with BatchNorm and ReLU6.

    Strided ones pad as Keras does.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        pad = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
        deep = nn.Conv2d(inputs, inputs, 3, stride, 0 if pad else 1, groups=inputs, bias=False)
        point = nn.Conv2d(inputs, outputs, 1, bias=False)
        super().__init__(
            *pad,
            deep,
            nn.BatchNorm2d(inputs),
            nn.ReLU6(True),
            point,
            nn.BatchNorm2d(outputs),
            nn.ReLU6(True),
        )


class MobileNet(nn.Module):
    """MobileNet-V1 at a quarter of its width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        widths = (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
        strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
        self.blocks = nn.Sequential(*map(Separable, widths, widths[1:], strides))
        self.pool, self.flat, self.drop = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5)
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.flat(self.pool(self.blocks(self.stem(x))))))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze, self.relu = (
            nn.Sequential(nn.Conv2d(inputs, squeezed, 1), nn.ReLU()),
            nn.ReLU(),
        )
        self.small, self.large = (
            nn.Conv2d(squeezed, expanded, 1),
            nn.Conv2d(squeezed, expanded, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.relu(self.small(x)), self.relu(self.large(x))], 1)


def squeezenet() -> nn.Module:
    """Fire modules, overlapping pools that round up, and a convolution as the classifier."""
    first = (nn.Conv2d(3, 16, 3, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True))
    fires = (Fire(16, 8, 12), Fire(24, 8, 16), nn.AvgPool2d(3, 2, padding=1), Fire(32, 12, 24))
    return nn.Sequential(
        *first, *fires, nn.Dropout(), nn.Conv2d(48, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


NETWORKS = {"vgg16": vgg16, "resnet18": resnet18, "mobilenet": MobileNet, "squeezenet": squeezenet}


def drawn(network: nn.Module) -> nn.Module:
    """Draw weights whose activations neither vanish nor grow, biases and running statistics that
    are not trivial.
    """
    generator = torch.Generator().manual_seed(7)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.1, generator=generator)
        if isinstance(part, nn.BatchNorm2d):
            for values, low, high in (
                (part.weight, 0.5, 1.5),
                (part.running_var, 0.5, 1.5),
                (part.bias, -0.2, 0.2),
            ):
                nn.init.uniform_(values, low, high, generator=generator)
            nn.init.normal_(part.running_mean, std=0.2, generator=generator)
    return network.eval()


def batch(size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(size, 3, 64, 64, generator=torch.Generator().manual_seed(3)).to(dtype)


class Flops(TorchDispatchMode):
    """Counts the arithmetic of convolutions and matrix products (FlopCounterMode cannot be used
    around autograd.grad).
    """

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](
                *args, **(kwargs or {}), out_val=result
            )
        return result


def flops(work: Callable[[], object]) -> int:
    with Flops() as counter:
        work()
    return counter.total


def difference(got: Tensor, wanted: Tensor) -> Tensor:
    """Largest difference of each map, relative to the largest value of the wanted one."""
    return (got.double() - wanted.double()).abs().amax((-2, -1)) / wanted.double().abs().amax(
        (-2, -1)
    )


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return drawn(NETWORKS[request.param]()).double()


@pytest.mark.parametrize("composite", COMPOSITES)
def test_float64_maps_are_those_of_zennit(network: nn.Module, composite: str) -> None:
    images, classes = batch(2), torch.tensor([3, 8])
    results = {}
    for engine in ("relstats", "zennit"):
        prepared = plan(
            network, composite, parameters=parameters(composite), engine=engine, sample=images
        )
        assert (prepared.engine, prepared.why) == (engine, "")
        results[engine] = relevance(prepared, images, classes)
    ours, theirs = results["relstats"], results["zennit"]
    torch.testing.assert_close(ours.logits, network(images).detach(), rtol=1e-10, atol=1e-12)
    assert difference(ours.relevance, theirs.relevance).max() < 1e-10
    torch.testing.assert_close(ours.conservation, theirs.conservation, rtol=1e-9, atol=0)
    assert theirs.absorbed.isnan().all()


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_alpha2_beta1"])
def test_float32_errs_no_more_than_zennit(network: nn.Module, composite: str) -> None:
    # Against the float64 maps. Below 16 units of float32's last place, errors are the rounding of
    # single sums; above, they come from ReLUs and maxima that switched on the way forward, which
    # both engines walk with the same kernels.
    images, classes = batch(8, torch.float32), torch.tensor([3, 8, 0, 5, 1, 2, 9, 7])
    exact = relevance(
        plan(network, composite, sample=images.double()), images.double(), classes
    ).relevance
    single = copy.deepcopy(network).float()
    ours, theirs = (
        difference(
            relevance(
                plan(single, composite, engine=engine, sample=images), images, classes
            ).relevance,
            exact,
        )
        for engine in ("relstats", "zennit")
    )
    rounding = 16 * torch.finfo(torch.float32).eps
    assert ours.log().mean().exp() <= max(1.1 * theirs.log().mean().exp(), rounding)
    assert ours.max() <= max(4 * theirs.max(), rounding)  # one image decides, and with it luck


def test_several_classes_are_those_of_one_each_at_the_cost_of_two_passes_and_one_per_class() -> (
    None
):
    network, images = drawn(squeezenet()).double(), batch(2)
    prepared = plan(network, "epsilon_plus_flat", sample=images)
    classes = torch.tensor([[3, 8, 0], [1, 1, 9]])
    together = relevance(prepared, images, classes)
    for place in range(3):
        alone = relevance(prepared, images, classes[:, place])
        torch.testing.assert_close(
            together.relevance[:, place], alone.relevance, rtol=1e-10, atol=1e-13
        )
        torch.testing.assert_close(together.absorbed[:, place], alone.absorbed, rtol=1e-10, atol=0)
    one, three = (flops(lambda n=n: relevance(prepared, images, classes[:, :n])) for n in (1, 3))
    forward = flops(lambda: network(images))
    assert three - one < 2.05 * forward  # the box filter of the first layer is not nothing
    assert one < 3.05 * forward


@pytest.mark.parametrize("composite", COMPOSITES)
def test_what_the_biases_absorb_is_what_the_map_lacks(composite: str) -> None:
    network, images = drawn(models.resnet18(num_classes=10)).double(), batch(2)
    prepared = plan(network, composite, parameters=parameters(composite), sample=images)
    found = relevance(prepared, images, torch.tensor([3, 8]))
    assert (found.conservation - 1).abs().max() > 0.01
    torch.testing.assert_close(
        found.conservation + found.absorbed, torch.ones(2).double(), rtol=0, atol=1e-3
    )


def test_mixed_precision_moves_maps_by_a_few_thousandths() -> None:
    network, images, classes = drawn(resnet18()), batch(2, torch.float32), torch.tensor([3, 8])
    exact, mixed = (
        relevance(plan(network, "epsilon_plus_flat", precision=p, sample=images), images, classes)
        for p in ("fp32", "mixed")
    )
    torch.testing.assert_close(mixed.logits, exact.logits, rtol=1e-5, atol=1e-6)
    assert mixed.relevance.dtype == torch.float32
    assert 1e-5 < difference(mixed.relevance, exact.relevance).max() < 0.03
