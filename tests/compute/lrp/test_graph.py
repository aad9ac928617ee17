"""Tracing: any class whose path is fixed, by modules or by functions.

What has no rule is refused by name.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.graph import NotWalked, trace
from relstats.compute.lrp.plans import plan
from relstats.errors import ImpossibleAnalysis


class Functions(nn.Module):
    """A small residual network, its activations, pools and sums written as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.a(F.pad(x, (1, 0, 1, 0)))))
        y = torch.cat([x, F.max_pool2d((self.b(x) + x).relu(), 3, 1, 1)], dim=1)
        y = F.dropout(y, training=self.training).mean([2, 3])
        return self.head(y.view(y.size(0), -1))


class Modules(Functions):
    """The same network as modules and in-place operators."""

    def __init__(self) -> None:
        super().__init__()
        self.pad, self.relu, self.mean = (
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.ReLU(True),
            nn.AdaptiveAvgPool2d(1),
        )
        self.pool = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.a(self.pad(x))))
        z = self.b(x)
        z += x
        y = torch.concat((x, self.pool(torch.relu(z))), 1)
        return self.head(torch.flatten(self.mean(y), 1))


class Small(nn.Module):
    """A convolution, the layer under test, and a linear layer."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.conv, self.middle, self.head = nn.Conv2d(3, 4, 3), middle, nn.Linear(144, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.conv(x)).flatten(1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(36, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        return self.attend(x, x, x)[0]


class Choosing(nn.Module):
    """A path that depends on the values of the image."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.middle, self.head = middle, nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(x) if x.sum() > -1e9 else x)


def images(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)


def test_functions_and_modules_are_one_network() -> None:
    network = Functions().double().eval()
    network.norm.running_mean.normal_()
    network.norm.running_var.uniform_(0.5, 2)
    same = Modules().double().eval()
    same.load_state_dict(network.state_dict())
    maps = []
    for one in (network, same):
        prepared = plan(one, "epsilon_plus", sample=images())
        assert prepared.engine == "relstats", prepared.why
        found = relevance(prepared, images(), torch.tensor([0, 2]))
        torch.testing.assert_close(found.logits, one(images()).detach(), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(
            found.conservation + found.absorbed, torch.ones(2).double(), rtol=1e-3, atol=1e-3
        )
        maps.append(found.relevance)
    torch.testing.assert_close(*maps, rtol=1e-10, atol=1e-12)


def test_steps_name_what_the_network_does() -> None:
    steps = trace(Functions().eval(), images(torch.float32))
    kinds = [step.kind for step in steps]
    assert kinds == [
        "image",
        "gradient",
        "conv",
        "relu",
        "conv",
        "sum",
        "relu",
        "gradient",
        "cat",
        "average",
        "gradient",
        "linear",
    ]
    assert steps[2].folded == "norm"
    assert [step.non_negative for step in steps[1:4]] == [False, False, True]


@pytest.mark.parametrize("engine", ["relstats", "zennit"])
@pytest.mark.parametrize(
    ("middle", "named"),
    [
        (nn.LayerNorm(6), "LayerNorm 'middle'"),
        (nn.SiLU(), "SiLU 'middle'"),
        (nn.GELU(), "GELU 'middle'"),
        (nn.Hardswish(), "Hardswish 'middle'"),
        (nn.GroupNorm(2, 4), "GroupNorm 'middle'"),
        (Attention(), "MultiheadAttention 'middle.attend'"),
    ],
)
def test_a_module_without_a_rule_is_refused_by_name(
    engine: str, middle: nn.Module, named: str
) -> None:
    with pytest.raises(ImpossibleAnalysis, match=f"no rule of relevance for {named}"):
        plan(Small(middle), "epsilon_plus", engine=engine, sample=images(torch.float32))


def test_a_module_without_a_rule_is_refused_where_nothing_can_be_traced() -> None:
    with pytest.raises(ImpossibleAnalysis, match="no rule of relevance for SiLU 'middle'"):
        plan(Choosing(nn.SiLU()), "epsilon_plus", sample=images(torch.float32))


def test_functions_without_a_rule_are_refused_by_name() -> None:
    class Scaled(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    with pytest.raises(ImpossibleAnalysis, match="function 'mul'"):
        trace(Scaled(nn.ReLU()), images(torch.float32))


def test_dropout_left_on_and_norm_without_a_layer_are_refused() -> None:
    class Random(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.dropout(x))

    with pytest.raises(ImpossibleAnalysis, match="stays on in eval mode"):
        trace(Random(nn.ReLU()), images(torch.float32))
    with pytest.raises(ImpossibleAnalysis, match=r"BatchNorm2d 'middle.1'.* does not follow"):
        trace(Small(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))).eval(), images(torch.float32))


def test_an_untraceable_network_goes_to_zennit_and_says_why() -> None:
    network = Choosing(nn.ReLU())
    with pytest.raises(NotWalked, match=r"torch\.fx cannot trace it"):
        trace(network, images(torch.float32))
    prepared = plan(network, "epsilon_plus", sample=images(torch.float32))
    assert prepared.engine == "zennit"
    assert "cannot trace" in prepared.why


def test_a_sum_that_zennit_cannot_see_is_refused_there() -> None:
    with pytest.raises(ImpossibleAnalysis, match=r"zennit does not see .*'mean'.*the sum 'add'"):
        plan(Functions().eval(), "epsilon_plus", engine="zennit", sample=images(torch.float32))
