"""Relevance of a network on images: plan once for each network, then explain batch by batch.

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
#: A network of which it is not known what biases took is flagged where the median of |sum of
#: relevance / logit| is beyond this factor, either way. Biases alone reach 13; a ResNet without its
#: canonizer 269, MobileNetV3 (no rule for gates) 1/1100.
GATE = 50.0
#: Where it is known, maps and biases hold the whole logit up to rounding and stabilisers: flagged
#: where more is missing.
BALANCE = 0.1


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


@dataclass(frozen=True)
class Attribution:
    """What `relevance` found out about a batch. `[, K]`: where several classes were explained.

    Parameters
    ----------
    relevance : torch.Tensor, shape (image[, K], y, x)
        Signed, summed over channels, in the dtype of the network.
    logits : torch.Tensor, shape (image, class)
        All outputs of the network.
    logit : torch.Tensor, shape (image[, K])
        Of the explained class. Relevance starts with its value, so a map's signs say what is for
        the class and what against it, also where the logit is negative.
    probability : torch.Tensor, shape (image[, K])
        Softmax of the logits at the explained class, in [0, 1].
    prediction : torch.Tensor of int64, shape (image,)
        The class with the largest logit.
    conservation : torch.Tensor, shape (image[, K])
        Sum of relevance / logit: 1 where nothing was lost, NaN where the logit is 0.
    absorbed : torch.Tensor, shape (image[, K])
        Relevance that went to biases / logit; NaN where the engine does not know it (zennit,
        gradients).
    """

    relevance: Tensor
    logits: Tensor
    logit: Tensor
    probability: Tensor
    prediction: Tensor
    conservation: Tensor
    absorbed: Tensor


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
        For `relevance`. It shares no memory with the network.

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


def relevance(plan: Plan, images: Tensor, classes: Tensor) -> Attribution:
    """Explain a batch of images.

    Parameters
    ----------
    plan : Plan
        From `plan`.
    images : torch.Tensor, shape (image, channel, y, x)
        In the dtype and on the device of the network.
    classes : torch.Tensor of int64, shape (image,) or (image, K)
        The class or classes to explain; K of them share one pass forward in the relstats engine.

    Returns
    -------
    Attribution
        Relevance maps and logits. Rounding of float32 moves single maps, those of small logits, by
        up to 2e-3 of their largest value, in any engine; how images are batched moves them by about
        5e-6.

    Raises
    ------
    UsageError
        If images or classes do not fit the plan.
    InvalidData
        If logits or relevance are not finite.
    """
    _check_batch(plan, images)
    several = _classes(plan, classes, images)
    with exact_float32():
        logits, maps, absorbed = plan.explain(images, several)
    logit = logits.gather(1, several)
    _check_finite(logits, maps)
    found = Attribution(
        relevance=maps,
        logits=logits,
        logit=logit,
        probability=logits.softmax(dim=1).gather(1, several),
        prediction=logits.argmax(dim=1),
        conservation=maps.sum(dim=(2, 3)) / logit,
        absorbed=absorbed / logit,
    )
    return found if classes.dim() == 2 else _single(found)


def _single(found: Attribution) -> Attribution:
    """Return an attribution of one class without the dimension of classes."""
    kept = {"logits", "prediction"}
    return Attribution(**{k: v if k in kept else v.squeeze(1) for k, v in vars(found).items()})


def _check_batch(plan: Plan, images: Tensor) -> None:
    """Refuse images that do not fit the network."""
    got = tuple(images.shape[1:]), images.dtype, images.device
    if images.dim() != 4 or got != (plan.shape, plan.dtype, plan.device):
        raise UsageError(
            f"images have shape {tuple(images.shape)}, {images.dtype} on {images.device}: the plan"
            f" was made for (image, {', '.join(map(str, plan.shape))}), {plan.dtype} on"
            f" {plan.device}"
        )


def _classes(plan: Plan, classes: Tensor, images: Tensor) -> Tensor:
    """Return classes as one row per image."""
    if classes.dtype != torch.int64 or classes.dim() not in (1, 2) or len(classes) != len(images):
        raise UsageError(
            f"classes have shape {tuple(classes.shape)} and {classes.dtype}: int64 of shape"
            f" ({len(images)},) or ({len(images)}, K) is needed, one row per image"
        )
    if classes.numel() and not (classes.min() >= 0 and classes.max() < plan.classes):
        raise UsageError(
            f"class {int(classes.min())} to {int(classes.max())} asked for: the network has classes"
            f" 0 to {plan.classes - 1}"
        )
    return classes.reshape(len(images), -1).to(images.device)


def _check_finite(logits: Tensor, maps: Tensor) -> None:
    """Refuse NaN and infinity, naming the image and where they began."""
    for values, what in ((logits, "logits"), (maps, "relevance")):
        bad = (~torch.isfinite(values.flatten(1)).all(dim=1)).nonzero().flatten().tolist()
        if bad:
            raise InvalidData(
                f"{what} of {len(bad)} of {len(values)} images, first number {bad[0]} of the batch,"
                " not finite: check the preprocessing and the weights; in float32, values beyond"
                " 3e38 overflow"
            )


def is_conserved(conservation: Tensor, absorbed: Tensor) -> bool:
    """Tell whether a network's maps and biases hold the relevance of its logits: the conservation
    gate.

    Parameters
    ----------
    conservation : torch.Tensor, shape (image,)
        Sum of relevance / logit, of one network under a relevance composite (not a gradient
        method).
    absorbed : torch.Tensor, shape (image,)
        Relevance that biases took / logit; NaN where it is not known.

    Returns
    -------
    bool
        Where it is known what biases took: whether the median of |conservation + absorbed - 1| is
        at most `BALANCE`. Elsewhere, of a network of which nothing is known: whether the median of
        |conservation| is within a factor of `GATE` of 1. A network that fails is to be flagged, not
        hidden.

    Examples
    --------
    >>> unknown = torch.full((3,), torch.nan)
    >>> (
    ...     is_conserved(torch.tensor([0.9, 1.1, 8.0]), unknown),
    ...     is_conserved(torch.tensor([269.0]), unknown[:1]),
    ... )
    (True, False)
    >>> (
    ...     is_conserved(torch.tensor([1e-6]), torch.tensor([1.0])),
    ...     is_conserved(torch.tensor([0.6]), torch.tensor([0.1])),
    ... )
    (True, False)
    """
    known = (conservation + absorbed).isfinite()
    if known.any():
        return bool((conservation + absorbed - 1)[known].abs().median() <= BALANCE)
    return 1 / GATE <= conservation.abs().nanmedian().item() <= GATE
