"""Each rule against a slow re-implementation from its paper, one connection at a time, and a case
by hand.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from relstats.compute.lrp import rules
from relstats.compute.lrp.engine import walk
from relstats.compute.lrp.graph import trace
from relstats.compute.lrp.prepare import prepare
from relstats.errors import UsageError

S = 1e-6


def stable(z: float, eps: float = S) -> float:
    return z + eps if z >= 0 else z - eps


def epsilon(a: list, w: list, b: float) -> list[float]:
    """Bach et al. 2015, eq. 58: the share of each input in one output."""
    z = sum(x * y for x, y in zip(a, w, strict=True)) + b
    return [x * y / stable(z) for x, y in zip(a, w, strict=True)]


def alpha_beta(a: list, w: list, b: float, alpha: float = 2.0, beta: float = 1.0) -> list[float]:
    """Bach et al. 2015, eq.

    60: positive and negative contributions, each with its own part of the bias.
    """
    contributions = [x * y for x, y in zip(a, w, strict=True)]
    up = sum(max(c, 0) for c in contributions) + max(b, 0)
    down = sum(min(c, 0) for c in contributions) + min(b, 0)
    return [alpha * max(c, 0) / (up + S) - beta * min(c, 0) / (down - S) for c in contributions]


def z_plus(a: list, w: list, b: float) -> list[float]:
    return alpha_beta(a, w, b, 1.0, 0.0)


def gamma(a: list, w: list, b: float, g: float = 0.25) -> list[float]:
    """Montavon et al. 2019 and Andeol et al.

    2021: contributions of the output's own sign are favoured.
    """
    z = sum(x * y for x, y in zip(a, w, strict=True)) + b
    if z == 0:
        return [0.0] * len(a)
    favours = (lambda c: c > 0) if z > 0 else (lambda c: c < 0)
    parts = [x * y * (1 + g * favours(x * y)) for x, y in zip(a, w, strict=True)]
    total = sum(parts) + b * (1 + g * favours(b))
    return [part / stable(total) for part in parts]


def flat(a: list, w: list, b: float) -> list[float]:
    """Lapuschkin et al. 2019: all inputs alike."""
    return [1 / (len(a) + S)] * len(a)


def box(a: list, w: list, b: float, low: float = -4.0, high: float = 5.0) -> list[float]:
    """Montavon et al. 2017, eq. 17: x w - l w+ - h w-."""
    parts = [x * y - low * max(y, 0) - high * min(y, 0) for x, y in zip(a, w, strict=True)]
    return [part / stable(sum(parts)) for part in parts]


SLOW: dict[str, tuple[rules.Rule, Callable]] = {
    "epsilon": (rules.epsilon(), epsilon),
    "alpha_beta": (rules.alpha_beta(2.0, 1.0), alpha_beta),
    "z_plus": (rules.z_plus(), z_plus),
    "gamma": (rules.gamma_rule(0.25), gamma),
    "flat": (rules.flat(), flat),
    "box": (rules.box(-4.0, 5.0), box),
}


def back(
    share: Callable, a: Tensor, layer: list[tuple[list[int], Tensor, float]], relevance: Tensor
) -> Tensor:
    """Send relevance of a layer's outputs back.

    Each output names the inputs that it sees, its weights and bias.
    """
    result = torch.zeros_like(a)
    for (seen, w, b), r in zip(layer, relevance.tolist(), strict=True):
        shares = share(a[seen].tolist(), w.tolist(), b)
        result[seen] += r * torch.tensor(shares, dtype=a.dtype)
    return result


def unrolled(conv: nn.Conv2d, size: int) -> list[tuple[list[int], Tensor, float]]:
    """An unpadded convolution as one row per output: channel, y, x in this order."""
    index = torch.arange(conv.in_channels * size * size).reshape(conv.in_channels, size, size)
    places = range(size - conv.kernel_size[0] + 1)
    k = conv.kernel_size[0]
    return [
        (
            index[:, y : y + k, x : x + k].flatten().tolist(),
            conv.weight[c].flatten(),
            float(conv.bias[c]),
        )
        for c in range(conv.out_channels)
        for y in places
        for x in places
    ]


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("relu", [True, False])
def test_rule_is_that_of_its_paper(name: str, relu: bool) -> None:
    # Behind a ReLU the engine takes its shortcuts; without one, inputs and outputs have both signs.
    generator = torch.Generator().manual_seed(5)
    first, second, last = (
        nn.Conv2d(2, 3, 2).double(),
        nn.Conv2d(3, 2, 2).double(),
        nn.Linear(8, 3).double(),
    )
    for part in (first, second, last):
        nn.init.normal_(part.weight, generator=generator)
        nn.init.normal_(part.bias, generator=generator)
    middle = nn.ReLU() if relu else nn.Identity()
    network = nn.Sequential(first, middle, second, middle, nn.Flatten(), last).requires_grad_(False)
    images = torch.randn(2, 2, 4, 4, generator=generator, dtype=torch.float64)
    rule, slow = SLOW[name]
    chosen = rules.Composite(name, {}, rule, rules.epsilon())
    _, maps, _ = walk(
        prepare(trace(network, images), chosen), images, torch.tensor([[0, 2], [1, 1]])
    )
    for image, classes in enumerate(((0, 2), (1, 1))):
        a0 = images[image]
        a1 = middle(first(a0[None]))[0]
        a2 = middle(second(a1[None]))[0].flatten()
        for place, label in enumerate(classes):
            start = last(a2)[label : label + 1]
            r2 = back(
                epsilon, a2, [(list(range(8)), last.weight[label], float(last.bias[label]))], start
            )
            r1 = back(slow, a1.flatten(), unrolled(second, 3), r2)
            r0 = back(slow, a0.flatten(), unrolled(first, 4), r1).reshape(2, 4, 4)
            torch.testing.assert_close(maps[image, place], r0.sum(0), rtol=1e-9, atol=1e-11)


def test_alpha_beta_by_hand() -> None:
    # z+ = 3 * 1 + 1 = 4 and z- = -1 * 2 = -2, so the logit is 2: R = (2 * 3/4 * 2, -1 * 2/2 * 2) =
    # (3, -2); the bias takes 2 * 1/4 * 2 = 1, and 3 - 2 + 1 = 2.
    conv = nn.Conv2d(1, 1, (1, 2)).double()
    conv.weight.data, conv.bias.data = (
        torch.tensor([[[[3.0, -1.0]]]]).double(),
        torch.tensor([1.0]).double(),
    )
    network = nn.Sequential(conv, nn.Flatten()).requires_grad_(False)
    images = torch.tensor([[[[1.0, 2.0]]]]).double()
    chosen = rules.Composite("", {}, rules.alpha_beta(2.0, 1.0, 1e-12), rules.epsilon())
    logits, maps, absorbed = walk(
        prepare(trace(network, images.expand(2, 1, 1, 2)), chosen), images, torch.zeros(1, 1).long()
    )
    torch.testing.assert_close(logits, torch.tensor([[2.0]]).double())
    torch.testing.assert_close(maps[0, 0], torch.tensor([[3.0, -2.0]]).double(), rtol=1e-10, atol=0)
    torch.testing.assert_close(absorbed, torch.tensor([[1.0]]).double(), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("epsilon_minus", {}, "no composite 'epsilon_minus': take one of"),
        ("epsilon_plus", {"gamma": 1}, r"has no parameter \['gamma'\]"),
        ("epsilon_gamma_box", {"low": 0.0}, r"needs \['high'\]"),
        ("epsilon_plus", {"epsilon": float("nan")}, "epsilon=nan is not finite"),
    ],
)
def test_unknown_parameters_are_refused(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rules.composite(name, parameters)
