"""Planning and explaining: the user's network stays as it was, options and data are checked,
gradients by definition.
"""

import pytest
import torch
from torch import Tensor, nn

from relstats.compute.lrp.attribute import is_conserved, relevance
from relstats.compute.lrp.plans import plan
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError


def network() -> nn.Module:
    torch.manual_seed(2)
    layers = (
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Flatten(),
    )
    return nn.Sequential(*layers, nn.Linear(144, 3)).double()


def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()


CLASSES = torch.tensor([0, 2, 1, 0])


def user_composite(epsilon: float = 1e-6):
    from zennit.composites import EpsilonPlus

    return EpsilonPlus(epsilon=epsilon)


@pytest.mark.parametrize("engine", ["relstats", "zennit"])
def test_the_network_stays_as_it_was(engine: str) -> None:
    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    prepared = plan(module, "epsilon_plus_flat", engine=engine, sample=images())
    first = relevance(prepared, images(), CLASSES)
    second = relevance(prepared, images(), CLASSES)
    torch.testing.assert_close(first.relevance, second.relevance, rtol=0, atol=0)
    assert module.training
    assert all(part.training for part in module.modules())
    assert module[2].inplace
    assert all(value.requires_grad for value in module.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    nn.init.zeros_(module[0].weight)
    assert torch.equal(relevance(prepared, images(), CLASSES).relevance, first.relevance)


def test_what_is_told_about_each_map() -> None:
    module = network().eval()
    found = relevance(plan(module, "epsilon_plus", sample=images()), images(), CLASSES)
    logits = module(images()).detach()
    torch.testing.assert_close(found.logits, logits, rtol=1e-10, atol=1e-12)
    assert torch.equal(found.prediction, found.logits.argmax(1))
    rows = torch.arange(4)
    torch.testing.assert_close(found.logit, logits[rows, CLASSES])
    torch.testing.assert_close(
        found.probability, (logits.exp() / logits.exp().sum(1, keepdim=True))[rows, CLASSES]
    )
    torch.testing.assert_close(found.conservation, found.relevance.sum((1, 2)) / found.logit)
    assert found.relevance.shape == (4, 8, 8)


def test_rules_are_told_for_each_module() -> None:
    prepared = plan(network(), "epsilon_plus_flat", sample=images())
    assert prepared.rules == [
        ("0", "Conv2d", "Flat(stabilizer=1e-06), BatchNorm '1' merged"),
        ("2", "ReLU", "Pass"),
        ("4", "Flatten", "Gradient"),
        ("5", "Linear", "Epsilon(epsilon=1e-06)"),
    ]
    other = plan(network(), "epsilon_plus_flat", engine="zennit", sample=images()).rules
    assert [rule for _, _, rule in other] == [
        "Flat",
        "Pass",
        "Pass",
        "Gradient",
        "Gradient",
        "Epsilon",
    ]


def test_a_composite_of_the_user_goes_to_zennit(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    module = types.ModuleType("of_the_user")
    module.make = user_composite
    monkeypatch.setitem(sys.modules, "of_the_user", module)
    prepared = plan(network(), "of_the_user:make", parameters={"epsilon": 0.1}, sample=images())
    assert prepared.engine == "zennit"
    assert "of_the_user:make" in prepared.why
    same = plan(network(), "epsilon_plus", parameters={"epsilon": 0.1}, sample=images())
    maps = [relevance(one, images(), CLASSES).relevance for one in (prepared, same)]
    torch.testing.assert_close(*maps, rtol=1e-10, atol=1e-13)
    with pytest.raises(UsageError, match="cannot be imported"):
        plan(network(), "of_the_user:absent", sample=images())


def test_gradients_by_definition() -> None:
    module = network().eval()
    results = {}
    for name in ("gradient", "gradient_x_input", "integrated_gradients"):
        prepared = plan(module, name, sample=images())
        assert prepared.engine == "autograd"
        results[name] = relevance(prepared, images(), CLASSES)
    step = torch.zeros_like(images())
    step[:, 1, 2, 3] = 1e-6
    slope = (module(images() + step) - module(images() - step))[torch.arange(4), CLASSES] / 2e-6
    source = images().requires_grad_()
    gradient = torch.autograd.grad(module(source)[torch.arange(4), CLASSES].sum(), source)[0]
    torch.testing.assert_close(gradient[:, 1, 2, 3], slope.detach(), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(
        results["gradient"].relevance, gradient.sum(1), rtol=1e-10, atol=1e-13
    )
    torch.testing.assert_close(
        results["gradient_x_input"].relevance, (gradient * images()).sum(1), rtol=1e-10, atol=1e-13
    )
    # Completeness: the map adds up to the logit less that of the baseline.
    total = results["integrated_gradients"].relevance.sum((1, 2))
    change = (
        results["gradient"].logit
        - module(torch.zeros_like(images()))[torch.arange(4), CLASSES].detach()
    )
    torch.testing.assert_close(total, change, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"composite": "lrp"}, "no composite 'lrp': take one of"),
        ({"engine": "captum"}, "no engine 'captum'"),
        ({"precision": "bf16"}, "no precision 'bf16'"),
        ({"canonizers": ("sums",)}, r"no canonizers \['sums'\]"),
        (
            {"composite": "epsilon_alpha2_beta1", "precision": "mixed"},
            "'mixed' is not for 'epsilon_alpha2_beta1'",
        ),
        ({"engine": "zennit", "precision": "mixed"}, "'mixed' needs engine 'relstats'"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(network(), **{"composite": "epsilon_plus", "sample": images(), **options})


def test_batches_are_checked() -> None:
    prepared = plan(network(), "epsilon_plus", sample=images())
    for batch, classes, message in (
        (images()[..., :7], CLASSES, r"images have shape \(4, 3, 8, 7\)"),
        (images().float(), CLASSES, "float32"),
        (images(), CLASSES[:3], r"classes have shape \(3,\)"),
        (images(), CLASSES.double(), "int64"),
        (images(), CLASSES + 1, "the network has classes 0 to 2"),
        (images(), CLASSES - 1, "class -1 to 1 asked for"),
    ):
        with pytest.raises(UsageError, match=message):
            relevance(prepared, batch, classes)


def test_what_is_not_finite_is_refused() -> None:
    module = network()
    with torch.no_grad():
        module[5].weight[0, 0] = torch.nan
    with pytest.raises(InvalidData, match=r"weight '5\.weight' has values that are not finite"):
        plan(module, "epsilon_plus", sample=images())
    bad = images()
    bad[2, 0, 0, 0] = torch.inf
    with pytest.raises(
        InvalidData, match="logits of 1 of 4 images, first number 2 of the batch, not finite"
    ):
        relevance(plan(network(), "epsilon_plus", sample=images()), bad, CLASSES)


def test_hooks_and_outputs_that_are_no_logits_are_refused() -> None:
    module = network()
    module[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ImpossibleAnalysis, match="Conv2d '0' has hooks"):
        plan(module, "epsilon_plus", sample=images())
    with pytest.raises(ImpossibleAnalysis, match=r"the network returns \(2, 4, 6, 6\)"):
        plan(network()[:3], "epsilon_plus", sample=images())


def test_the_gate_flags_what_creates_or_loses_relevance() -> None:
    unknown = torch.full((3,), torch.nan)
    assert is_conserved(torch.tensor([8.0, -13.0, 1.0]), unknown)
    assert not is_conserved(torch.tensor([269.0, 300.0, 1.0]), unknown)
    assert not is_conserved(torch.tensor([9e-4]), unknown[:1])


def test_the_gate_counts_what_biases_took_where_it_is_known() -> None:
    kept, nothing = torch.tensor([1e-6, 2e-6, torch.nan]), torch.zeros(3)
    assert is_conserved(kept, 1 - kept)  # biases of 27 layers
    assert not is_conserved(kept, nothing)
    assert is_conserved(
        torch.full((3,), 600.0), torch.full((3,), -599.0)
    )  # far beyond the other rule, and balanced
    assert is_conserved(torch.full((3,), 1.09), nothing)
    for lost in (0.89, 1.11, 8.0, -1.0):  # all of which the other rule lets pass
        assert not is_conserved(torch.full((3,), lost), nothing)
    assert is_conserved(
        torch.tensor([1.0, 1.0, 1e9]), nothing
    )  # one image of a tiny logit does not decide


def test_the_settings_of_the_caller_come_back() -> None:
    before = torch.backends.mkldnn.conv.fp32_precision, torch.backends.cudnn.benchmark
    relevance(plan(network(), "epsilon_plus", sample=images()), images(), CLASSES)
    assert (torch.backends.mkldnn.conv.fp32_precision, torch.backends.cudnn.benchmark) == before
