"""The reference engine: zennit's composites, canonizers and hooks on a copy of the network."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relstats.compute.lrp.engine import starts
from relstats.compute.lrp.graph import NotWalked, Step, no_rule, trace
from relstats.compute.lrp.operations import MODULES, ZENNIT_ONLY
from relstats.compute.lrp.rules import DEFAULTS, composite
from relstats.errors import ImpossibleAnalysis, UsageError

CANONIZERS = ("batch_norm", "vgg", "resnet")
# Relevance follows the gradient through these, so they need no hook.
HOOKLESS = ("gradient", "same")
_TITLES = {
    "epsilon_plus": "EpsilonPlus",
    "epsilon_plus_flat": "EpsilonPlusFlat",
    "epsilon_alpha2_beta1": "EpsilonAlpha2Beta1",
    "epsilon_alpha2_beta1_flat": "EpsilonAlpha2Beta1Flat",
    "epsilon_gamma_box": "EpsilonGammaBox",
}

Explain = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
Table = list[tuple[str, str, str]]


def hooked(
    module: nn.Module,
    name: str,
    parameters: Mapping[str, Any],
    canonizers: Sequence[str],
    sample: Tensor,
) -> tuple[Explain, Table]:
    """Put zennit's hooks on a network.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode and frozen; the caller's own copy, which is changed for good.
    name : str
        A composite of `rules.DEFAULTS`, or `package.module:callable` that returns a zennit
        composite.
    parameters : mapping
        Of the composite.
    canonizers : sequence of str
        Of `CANONIZERS`, or `package.module:callable` that returns a zennit canonizer. None given:
        BatchNorm is merged and the sums of torchvision's ResNets are canonized.
    sample : torch.Tensor, shape (image, channel, y, x)
        Images that the network can take.

    Returns
    -------
    explain : callable
        From images and classes, shape (image, explained), to logits, relevance and (here unknown:
        NaN) what biases absorbed, as `engine.walk` gives them.
    table : list of tuple
        Name, type and rule of every module.

    Raises
    ------
    ImpossibleAnalysis
        If a module or function has no rule, or zennit would not see what it does.
    """
    steps = _steps(module, sample) if name in DEFAULTS else None
    built = _composite(name, parameters, sample)
    built.canonizers = [*built.canonizers, *_canonizers(canonizers)]
    built.register(module)
    table = _table(built, module)
    _refuse_unruled(built, module, own=name not in DEFAULTS)
    _refuse_unmerged(module)
    if steps is not None:
        _refuse_unseen(steps, module)
    return lambda images, classes: _explain(built, module, images, classes), table


def _steps(module: nn.Module, sample: Tensor) -> list[Step] | None:
    """Return what the network does, None where that cannot be traced."""
    try:
        return trace(module, sample)
    except NotWalked:
        return None


def load(path: str) -> Any:
    """Return what `package.module:callable` names.

    Raises
    ------
    UsageError
        If there is no such module or name.

    Examples
    --------
    >>> load("math:sqrt")(9.0)
    3.0
    """
    place, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{path!r} cannot be imported ({error}): give it as 'package.module:callable'"
        ) from error


def version() -> str:
    """Return zennit's version."""
    return importlib.metadata.version("zennit")


def _composite(name: str, parameters: Mapping[str, Any], sample: Tensor) -> Any:
    """Return zennit's composite of a name, or the user's own."""
    import zennit.composites
    import zennit.core

    if name in DEFAULTS:
        values = dict(composite(name, parameters).parameters)
        for bound in ("low", "high"):
            if bound in values:
                values[bound] = torch.as_tensor(values[bound]).to(sample).reshape(1, -1, 1, 1)
        return getattr(zennit.composites, _TITLES[name])(**values)
    built = load(name)(**parameters)
    if not isinstance(built, zennit.core.Composite):
        raise UsageError(
            f"composite {name!r} returned {type(built).__name__}: it must return a zennit composite"
        )
    return built


def _canonizers(names: Sequence[str]) -> list[Any]:
    """Return zennit's canonizers of these names, those that every network can do with if there are
    none.
    """
    import zennit.canonizers
    import zennit.torchvision

    known = {
        "batch_norm": zennit.canonizers.SequentialMergeBatchNorm,
        "vgg": zennit.torchvision.VGGCanonizer,
        "resnet": zennit.torchvision.ResNetCanonizer,
    }
    return [known[name]() if name in known else load(name)() for name in names or ("resnet",)]


def _parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that compute something themselves: those without children or with
    parameters of their own.
    """
    return [
        (name, part)
        for name, part in module.named_modules()
        if not list(part.children()) or list(part.parameters(recurse=False))
    ]


def _rules(built: Any, module: nn.Module) -> dict[str, str]:
    """Return the rule that the composite gives each module that has one."""
    context: dict[Any, Any] = {}
    hooks = ((name, built.module_map(context, name, part)) for name, part in module.named_modules())
    return {name: type(hook).__name__ for name, hook in hooks if hook is not None}


def _table(built: Any, module: nn.Module) -> Table:
    """Return name, type and rule of every module that computes something."""
    rules = _rules(built, module)
    return [
        (name, type(part).__name__, rules.get(name, "Gradient")) for name, part in _parts(module)
    ]


def _refuse_unruled(built: Any, module: nn.Module, *, own: bool) -> None:
    """Refuse modules without a rule by name.

    A composite of the user's `own` may have one for any module.
    """
    import zennit.layer

    known = (*MODULES, *ZENNIT_ONLY, zennit.layer.Sum)
    hookless = tuple(kind for kind, how in MODULES.items() if how in HOOKLESS)
    rules = _rules(built, module)
    unknown = [
        f"{type(part).__name__} {name!r}"
        for name, part in _parts(module)
        if not (isinstance(part, hookless) or (name in rules if own else isinstance(part, known)))
    ]
    if unknown:
        raise ImpossibleAnalysis(no_rule(unknown))


def _refuse_unmerged(module: nn.Module) -> None:
    """Refuse a BatchNorm that the canonizers left in place: relevance would pass it as if it did
    nothing.
    """
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    left = [
        name for name, part in module.named_modules() if isinstance(part, norms) and part.eps != 0
    ]
    if left:
        raise ImpossibleAnalysis(
            f"BatchNorm {left[:5]} was not merged by the canonizers: it must be registered right"
            " after a convolution or linear layer. Use engine='relstats', or give a canonizer of"
            " your own as 'package.module:callable'"
        )


def _refuse_unseen(steps: list[Step], module: nn.Module) -> None:
    """Refuse what the network does outside of modules, which zennit's hooks do not see, and modules
    used twice.
    """
    import zennit.layer

    names = [name for name, _ in module.named_modules()]
    kinds = ("conv", "linear", "average")
    unseen = [
        f"{step.type} {step.name!r}"
        for step in steps
        if step.kind in kinds and step.name not in names
    ]
    used = [step.name for step in steps if step.kind in kinds]
    unseen += [
        f"{name!r}, used more than once," for name in dict.fromkeys(used) if used.count(name) > 1
    ]
    sums = [step.name for step in steps if step.kind == "sum"]
    if len(sums) != sum(isinstance(part, zennit.layer.Sum) for part in module.modules()):
        unseen += [f"the sum {name!r}" for name in sums]
    if unseen:
        raise ImpossibleAnalysis(
            f"zennit does not see {', '.join(unseen[:5])}: its hooks hold modules, each used once,"
            " and its ResNet canonizer knows torchvision's classes. Use engine='relstats', or give"
            " a canonizer of your own as 'package.module:callable'"
        )


def _explain(
    built: Any, module: nn.Module, images: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one pass forward and back for each explained class."""
    maps = []
    for index in range(classes.shape[1]):
        source = images.detach().clone().requires_grad_()
        try:
            with torch.enable_grad():
                logits = module(source)
            (start,) = starts(logits.detach(), classes[:, index : index + 1])
            (relevance,) = torch.autograd.grad(logits, source, start)
        finally:  # hooks keep the activations of the last batch otherwise
            for hook in built.hook_refs:
                hook.remove()
        maps.append(relevance.sum(dim=1))
    return (
        logits.detach(),
        torch.stack(maps, dim=1),
        torch.full_like(classes, torch.nan, dtype=images.dtype),
    )
