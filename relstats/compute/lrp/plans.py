"""How a network is to be explained: planned once for each, then used batch by batch.

`plan` works on a copy: the network that it is given keeps its weights, hooks and training flags.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from relstats.compute.lrp import engine as walking
from relstats.compute.lrp import faithful, gradients, reference, rules
from relstats.compute.lrp.graph import NotWalked, Step, trace
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.lrp.prepare import Network, prepare
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError

ENGINES = ("relstats", "zennit")

PRECISIONS = ("fp32", "mixed")


@dataclass(frozen=True)
class Plan:
    """How one network is explained.

    Parameters
    ----------
    composite : str
        Name of the composite or gradient method.
    parameters : dict
        All its parameters, defaults filled in.
    canonizers : tuple of str
        As they were given.
    engine : str
        The engine in use: `relstats`, `zennit`, or `autograd` for gradient methods.
    why : str
        Why the engine is not the one asked for; empty where it is.
    precision : str
        `fp32` or `mixed`.
    versions : dict
        Versions of the libraries that decide a map's values.
    rules : list of tuple
        Name, type and rule of each module or function, in the order of execution (zennit: of
        registration).
    explain : callable
        From images and classes (image, explained) to logits, maps (image, explained, y, x) and what
        biases absorbed.
    classes : int
        How many logits the network gives.
    shape : tuple of int
        Channels, y and x of the images.
    dtype : torch.dtype
        Of the network, which images must have.
    device : torch.device
        Of the network, on which images must be.
    """

    composite: str
    parameters: dict[str, Any]
    canonizers: tuple[str, ...]
    engine: str
    why: str
    precision: str
    versions: dict[str, str]
    rules: list[tuple[str, str, str]]
    explain: reference.Explain = field(repr=False)
    classes: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


def plan(
    module: nn.Module,
    composite: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    canonizers: Sequence[str] = (),
    engine: str = "relstats",
    precision: str = "fp32",
    sample: Tensor,
) -> Plan:
    """Prepare a network for explanation.

    Parameters
    ----------
    module : torch.nn.Module
        Takes images, gives one row of logits per image. It is copied, never changed.
    composite : str
        One of `rules.DEFAULTS` or `gradients.METHODS`, or `package.module:callable` that returns a
        zennit composite (engine zennit).
    parameters : mapping, optional
        Parameters that differ from the defaults.
    canonizers : sequence of str
        The relstats engine merges every BatchNorm and canonizes every sum by itself; for zennit: of
        `reference.CANONIZERS`, by default those of torchvision's networks. A
        `package.module:callable` that returns a zennit canonizer makes the engine zennit.
    engine : {"relstats", "zennit"}
        Both give the same maps. Where `relstats` cannot walk a network, zennit is used and
        `Plan.why` says why.
    precision : {"fp32", "mixed"}
        `mixed` computes the convolutions of the way back in bfloat16, which moves a map by 4e-3 to
        2e-2 of its largest value. Not for alpha-beta, whose positive and negative parts cancel, and
        not in zennit.
    sample : torch.Tensor, shape (image, channel, y, x)
        One or more images as the network takes them, in its dtype and on its device. On the first
        and the last one the network's own logits are compared with those that would be explained.

    Returns
    -------
    Plan
        For `relstats.compute.lrp.attribute.relevance`. It shares no memory with the network.

    Raises
    ------
    UsageError
        If a name or parameter is unknown, or precision and composite or engine do not go together.
    ImpossibleAnalysis
        If a module or function of the network has no rule (all are named), its outputs are
        probabilities, or its logits are not reproduced beyond rounding (the first step that differs
        is named).
    InvalidData
        If a weight is not finite.

    Examples
    --------
    >>> from relstats.compute.lrp.attribute import relevance
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> images = torch.rand(5, 3, 8, 8)
    >>> prepared = plan(network, "epsilon_plus_flat", sample=images)
    >>> [(name, rule) for name, _, rule in prepared.rules][:2]
    [('0', 'Flat(stabilizer=1e-06)'), ('1', 'Pass')]
    >>> relevance(prepared, images, torch.zeros(5, dtype=torch.int64)).relevance.shape
    torch.Size([5, 8, 8])
    """
    given = dict(parameters or {})
    _check_options(composite, engine, precision, canonizers)
    _check_module(module)
    frozen = copy.deepcopy(module).eval().requires_grad_(False)
    sample = sample[[0, -1]]  # two, so that the first axis of a shape is known from others
    with exact_float32():
        own = faithful.require_logits(frozen, sample)
        # Autograd follows what is done in place.
        reread = "" if composite in gradients.METHODS else faithful.reread(frozen, sample)
    common: dict[str, Any] = {
        "composite": composite,
        "canonizers": tuple(canonizers),
        "precision": precision,
        "versions": _versions(),
        "classes": own.shape[1],
        "shape": tuple(sample.shape[1:]),
        "dtype": sample.dtype,
        "device": sample.device,
    }
    with exact_float32():
        network, fields = _chosen(frozen, composite, given, canonizers, engine, precision, sample)
        planned = Plan(**common, **fields)
        explained = _explained(planned, network, frozen, sample)
        # Logits that are not finite are told by `relevance`, with their image.
        if own.isfinite().all() and (reread or faithful.differs(explained, own)):
            raise faithful.refusal(explained, own, reread or _where(module, sample, network))
    return planned


def _check_options(composite: str, engine: str, precision: str, canonizers: Sequence[str]) -> None:
    """Refuse unknown names, and options that do not go together."""
    names = (*rules.DEFAULTS, *gradients.METHODS)
    if ":" not in composite and composite not in names:
        raise UsageError(
            f"no composite {composite!r}: take one of {list(names)}, or 'package.module:callable'"
        )
    for value, known, what in ((engine, ENGINES, "engine"), (precision, PRECISIONS, "precision")):
        if value not in known:
            raise UsageError(f"no {what} {value!r}: take one of {list(known)}")
    if unknown := [
        name for name in canonizers if ":" not in name and name not in reference.CANONIZERS
    ]:
        raise UsageError(
            f"no canonizers {unknown}: take of {reference.CANONIZERS}, or 'package.module:callable'"
        )
    if precision == "mixed" and composite in (
        *gradients.METHODS,
        *(n for n in rules.DEFAULTS if "alpha" in n),
    ):
        raise UsageError(
            f"precision 'mixed' is not for {composite!r}: in bfloat16 its positive and negative"
            " parts, which cancel, leave mostly rounding error. Use precision 'fp32'"
        )


def _check_module(module: nn.Module) -> None:
    """Refuse weights that are not finite, and hooks, which no engine would see."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InvalidData(
                f"weight {name!r} has values that are not finite: every map would be NaN"
            )
    for name, part in module.named_modules():
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks:
            raise ImpossibleAnalysis(
                f"{type(part).__name__} {name!r} has hooks, whose effect on relevance is unknown:"
                " remove them first (weight_norm of torch.nn.utils: remove_weight_norm)"
            )


def _explained(planned: Plan, network: Network | None, frozen: nn.Module, sample: Tensor) -> Tensor:
    """Return the logits that a plan explains, by as little work as each engine allows."""
    if network is not None:
        return walking.forward(network, sample)
    first = torch.zeros((len(sample), 1), dtype=torch.int64, device=sample.device)
    gradient = partial(
        gradients.differentiate, frozen, "gradient", {}
    )  # integrated ones take many steps
    try:
        return (gradient if planned.engine == "autograd" else planned.explain)(sample, first)[0]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ImpossibleAnalysis(
            f"{planned.engine} cannot go back through the network ({str(error).splitlines()[0]}):"
            " mend the step that it speaks of. What is changed in place, though its value is"
            " needed on the way back, is the usual cause: make a new tensor there"
        ) from error


def _where(module: nn.Module, sample: Tensor, network: Network | None) -> str:
    """Say where a network's own values and the engine's begin to differ."""
    fresh = copy.deepcopy(module).eval().requires_grad_(False)  # engines change their copy
    return faithful.first_difference(
        fresh, sample, () if network is None else walking.each(network, sample)
    )


def _versions() -> dict[str, str]:
    """Return versions of the libraries that decide a map's values."""
    return {"torch": torch.__version__, "zennit": reference.version()}


def _chosen(
    frozen: nn.Module,
    composite: str,
    given: Mapping[str, Any],
    canonizers: Sequence[str],
    engine: str,
    precision: str,
    sample: Tensor,
) -> tuple[Network | None, dict[str, Any]]:
    """Return what this package's own engine walks, if it does, and the fields of a plan that depend
    on the engine.
    """
    if composite in gradients.METHODS:
        values = rules.resolve(composite, given, gradients.METHODS[composite])
        derived = {"engine": "autograd", "why": "", "rules": []}
        return None, {
            "parameters": values,
            **derived,
            "explain": partial(gradients.differentiate, frozen, composite, values),
        }
    values = (
        dict(rules.composite(composite, given).parameters)
        if composite in rules.DEFAULTS
        else dict(given)
    )
    why = ""
    if engine == "relstats":
        try:
            network = _network(frozen, composite, given, canonizers, precision, sample)
            walked = {
                "engine": engine,
                "why": "",
                "rules": _table(network),
                "explain": partial(walking.walk, network),
            }
            return network, {"parameters": values, **walked}
        except NotWalked as error:
            why = str(error)
    if precision == "mixed":
        raise UsageError(
            f"precision 'mixed' needs engine 'relstats'{f', but {why}' if why else ''}. Use 'fp32'"
        )
    explain, table = reference.hooked(frozen, composite, given, canonizers, sample)
    return None, {
        "parameters": values,
        "engine": "zennit",
        "why": why,
        "rules": table,
        "explain": explain,
    }


def _network(
    frozen: nn.Module,
    composite: str,
    given: Mapping[str, Any],
    canonizers: Sequence[str],
    precision: str,
    sample: Tensor,
) -> Network:
    """Return the network ready to be walked by this package's own engine."""
    for name in (composite, *canonizers):
        if ":" in name:
            raise NotWalked(f"{name!r} is zennit's")
    return prepare(trace(frozen, sample), rules.composite(composite, given), precision=precision)


def _table(network: Network) -> list[tuple[str, str, str]]:
    """Return name, type and rule of every step."""
    return [(op.step.name, op.step.type, _title(op.step, op.rule)) for op in network.ops[1:]]


def _title(step: Step, rule: rules.Rule | None) -> str:
    """Return a step's rule in words."""
    if rule is not None:
        return rule.name + (f", BatchNorm {step.folded!r} merged" if step.folded else "")
    return {"relu": "Pass", "pass": "Pass", "average": "Norm", "sum": "Norm"}.get(
        step.kind, "Gradient"
    )
