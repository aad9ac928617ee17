"""What each rule of layer-wise relevance propagation is, as data: one table that the engine
executes.

Every rule here has the same form. A layer with inputs x_j, weights w_jk and biases b_k sends the
relevance R_k of its outputs to its inputs as a sum over parts, each a sum over branches:

    R_j = sum_part c sum_k [ sum_branch f(x)_j g(w)_jk ] / ( z_k + stabiliser ) R_k,
    z_k = sum_branch sum_j f(x)_j g(w)_jk (+ g(b)_k, with the weights of the first branch)

The rules are those of Bach et al. (2015, doi:10.1371/journal.pone.0130140), Montavon et al. (2017,
doi:10.1016/j.patcog.2016.11.008; 2019, doi:10.1007/978-3-030-28954-6_10) and Lapuschkin et al.
(2019, doi:10.1038/s41467-019-08987-4); names and defaults of the composites are zennit's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from relstats.errors import UsageError

STABILISER = 1e-6

Bound = float | tuple[float, ...]
Transform = Callable[[Tensor], Tensor]


def whole(weights: Tensor) -> Tensor:
    """Return the weights as they are."""
    return weights


def positive(weights: Tensor) -> Tensor:
    """Return the positive part of the weights."""
    return weights.clamp(min=0)


def negative(weights: Tensor) -> Tensor:
    """Return the negative part of the weights."""
    return weights.clamp(max=0)


def favoured(weights: Tensor, *, gamma: float, part: Transform) -> Tensor:
    """Return the weights plus `gamma` times their `part`."""
    return weights + gamma * part(weights)


def opposite(weights: Tensor, *, part: Transform) -> Tensor:
    """Return minus one part of the weights."""
    return -part(weights)


@dataclass(frozen=True)
class Branch:
    """One product f(x) g(w). `inputs` is `all`, `positive`, `negative`, `ones`, `low` or `high`."""

    inputs: str
    weights: Transform


@dataclass(frozen=True)
class Part:
    """Branches with a common denominator.

    `sign` is the sign that the denominator is known to have (0: either). `where` restricts the part
    to output neurons with a `positive` or `negative` value.
    """

    branches: tuple[Branch, ...]
    coefficient: float = 1.0
    biased: bool = True
    sign: int = 0
    where: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule: its name with its parameters, its parts, its stabiliser and, for the box rule, its
    bounds.
    """

    name: str
    parts: tuple[Part, ...]
    stabiliser: float = STABILISER
    bounds: Mapping[str, Bound] = field(default_factory=dict)


@dataclass(frozen=True)
class Composite:
    """Which rule each kind of layer gets.

    `first` is for the first layer, where `first_kinds` names its kind.
    """

    name: str
    parameters: Mapping[str, Any]
    convolution: Rule
    linear: Rule
    first: Rule | None = None
    first_kinds: tuple[str, ...] = ("conv", "linear")


def epsilon(value: float = 1e-6) -> Rule:
    """Return the epsilon rule: inputs share relevance by their contributions x w, biases take
    theirs.
    """
    return Rule(f"Epsilon(epsilon={value:g})", (Part((Branch("all", whole),)),), value)


def alpha_beta(alpha: float, beta: float, stabiliser: float = STABILISER) -> Rule:
    """Return the alpha-beta rule: positive contributions get alpha, negative ones minus beta, of
    the relevance.
    """
    plus = (Branch("positive", positive), Branch("negative", negative))
    minus = (Branch("positive", negative), Branch("negative", positive))
    parts = (Part(plus, alpha, sign=1), Part(minus, -beta, sign=-1))
    name = f"AlphaBeta(alpha={alpha:g}, beta={beta:g}, stabilizer={stabiliser:g})"
    return Rule(name, parts, stabiliser)


def z_plus(stabiliser: float = STABILISER) -> Rule:
    """Return the z+ rule: positive contributions alone share the relevance."""
    part = Part((Branch("positive", positive), Branch("negative", negative)), sign=1)
    return Rule(f"ZPlus(stabilizer={stabiliser:g})", (part,), stabiliser)


def gamma_rule(gamma: float, stabiliser: float = STABILISER) -> Rule:
    """Return the gamma rule for signed inputs: contributions of the output's own sign are favoured
    by gamma.
    """
    up, down = (partial(favoured, gamma=gamma, part=part) for part in (positive, negative))
    parts = (
        Part((Branch("positive", up), Branch("negative", down)), where="positive"),
        Part((Branch("positive", down), Branch("negative", up)), where="negative"),
    )
    return Rule(f"Gamma(gamma={gamma:g}, stabilizer={stabiliser:g})", parts, stabiliser)


def flat(stabiliser: float = STABILISER) -> Rule:
    """Return the flat rule: every input in the receptive field gets the same share."""
    part = Part((Branch("ones", torch.ones_like),), biased=False, sign=1)
    return Rule(f"Flat(stabilizer={stabiliser:g})", (part,), stabiliser)


def box(low: Bound, high: Bound, stabiliser: float = STABILISER) -> Rule:
    """Return the box (z-B) rule for pixels between `low` and `high`, one number or one per
    channel.
    """
    branches = (
        Branch("all", whole),
        Branch("low", partial(opposite, part=positive)),
        Branch("high", partial(opposite, part=negative)),
    )
    name = f"ZBox(low={low}, high={high}, stabilizer={stabiliser:g})"
    return Rule(name, (Part(branches, biased=False),), stabiliser, {"low": low, "high": high})


DEFAULTS: dict[str, dict[str, Any]] = {
    "epsilon_plus": {"epsilon": 1e-6, "stabilizer": STABILISER},
    "epsilon_plus_flat": {"epsilon": 1e-6, "stabilizer": STABILISER},
    "epsilon_alpha2_beta1": {"epsilon": 1e-6, "stabilizer": STABILISER},
    "epsilon_alpha2_beta1_flat": {"epsilon": 1e-6, "stabilizer": STABILISER},
    "epsilon_gamma_box": {
        "low": None,
        "high": None,
        "epsilon": 1e-6,
        "gamma": 0.25,
        "stabilizer": STABILISER,
    },
}


def resolve(
    name: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill in default parameters, and refuse unknown or missing ones.

    Parameters
    ----------
    name : str
        What the parameters are for, as it is shown in an error.
    parameters : mapping
        What the caller gives.
    defaults : mapping
        All parameters there are; the value None means that it must be given.

    Returns
    -------
    dict
        A value for every parameter, in the order of `defaults`.

    Raises
    ------
    UsageError
        If a parameter is unknown, missing, or not a finite number (or, for a bound, several of
        them).

    Examples
    --------
    >>> resolve("gradient", {"steps": 8}, {"steps": 32})
    {'steps': 8}
    """
    if unknown := sorted(set(parameters) - set(defaults)):
        raise UsageError(f"{name} has no parameter {unknown}: it takes {list(defaults) or 'none'}")
    filled = {key: parameters.get(key, value) for key, value in defaults.items()}
    if missing := [key for key, value in filled.items() if value is None]:
        raise UsageError(
            f"{name} needs {missing}: the lowest and highest value that a pixel can have"
        )
    for key, value in filled.items():
        if not torch.isfinite(torch.as_tensor(value, dtype=torch.float64)).all():
            raise UsageError(f"{name}: {key}={value!r} is not finite")
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()
    }


def composite(name: str, parameters: Mapping[str, Any]) -> Composite:
    """Return the composite of a name, with its parameters.

    Parameters
    ----------
    name : str
        One of `DEFAULTS`.
    parameters : mapping
        Parameters that differ from the defaults. `low` and `high` of `epsilon_gamma_box` are
        numbers or one per channel, in the units of the network's input, and must be given.

    Returns
    -------
    Composite
        The rules of convolutions, of linear layers and of the first layer.

    Raises
    ------
    UsageError
        If the name or a parameter is unknown.

    Examples
    --------
    >>> composite("epsilon_plus_flat", {}).first.name
    'Flat(stabilizer=1e-06)'
    """
    if name not in DEFAULTS:
        raise UsageError(
            f"no composite {name!r}: take one of {list(DEFAULTS)}, or 'package.module:callable'"
        )
    values = resolve(f"composite {name!r}", parameters, DEFAULTS[name])
    dense, stabiliser = epsilon(values["epsilon"]), values["stabilizer"]
    if name == "epsilon_gamma_box":
        first = box(values["low"], values["high"], stabiliser)
        return Composite(
            name, values, gamma_rule(values["gamma"], stabiliser), dense, first, ("conv",)
        )
    convolution = z_plus(stabiliser) if "plus" in name else alpha_beta(2.0, 1.0, stabiliser)
    return Composite(
        name, values, convolution, dense, flat(stabiliser) if name.endswith("_flat") else None
    )
