"""A traced network made ready to be walked: each step with its rule, its shortcuts proved and its
weights split.

A shortcut is taken only where the steps prove it:

- an input that comes from a ReLU has no negative part, so that half of the branches fall away;
- a denominator of known sign takes its stabiliser with its bias;
- the output of a layer is known from the forward walk, so the epsilon rule computes no denominator,
  and behind a ReLU the positive contributions are the output less the negative ones;
- relevance that reaches a ReLU is zero wherever its input is not positive, if every step that it
  feeds gives relevance in proportion to its inputs;
- the flat rule sends the same relevance to all channels: one box filter of the sum over channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relstats.compute.lrp.graph import Step
from relstats.compute.lrp.rules import Composite, Part, Rule, whole

WEIGHTED = ("conv", "linear")


@dataclass(frozen=True)
class Term:
    """One part of a rule for one layer, by kind of input: weights for the denominator, and for the
    way back.

    `bias` belongs to the denominator, and holds the stabiliser where the sign is known; `takes` is
    what a bias takes of the relevance.
    """

    part: Part
    ahead: dict[str, Tensor]
    back: dict[str, Tensor]
    bias: Tensor | None
    takes: Tensor | None


@dataclass(frozen=True)
class Op:
    """A step with its rule and what the engine has proved about it.

    `output` is the place of the value that tells its output: itself, or (`masked`) the ReLU behind
    it, where relevance is zero wherever that is zero. `needs` are the places whose values the way
    back reads.
    """

    step: Step
    rule: Rule | None
    terms: tuple[Term, ...]
    output: int
    masked: bool
    needs: frozenset[int]
    dtype: torch.dtype

    @property
    def by_output(self) -> bool:
        """Whether the denominator of its rule is the layer's own output."""
        parts = [term.part for term in self.terms]
        return (
            len(parts) == 1
            and parts[0].biased
            and [branch.weights for branch in parts[0].branches] == [whole]
        )

    @property
    def by_complement(self) -> bool:
        """Whether the positive contributions are the known output less the negative ones."""
        shape = [
            (term.part.sign, [branch.inputs for branch in term.part.branches])
            for term in self.terms
        ]
        return self.masked and shape == [(1, ["all"]), (-1, ["all"])]

    @property
    def by_box(self) -> bool:
        """Whether a convolution shares relevance evenly over its receptive field, all channels
        alike.
        """
        kinds = [list(term.ahead) for term in self.terms]
        return (
            kinds == [["ones"]] and self.step.kind == "conv" and self.step.geometry["groups"] == 1
        )


@dataclass(frozen=True)
class Network:
    """A network ready to be walked.

    `uses` counts how often the way forward reads each value, `kept` are the values that the way
    back reads and `lowered` those of them that it reads in bfloat16 alone, `releases` lists which
    of them are read for the last time at each step, and `in_place` are the ReLUs that may overwrite
    their input.
    """

    ops: tuple[Op, ...]
    uses: tuple[int, ...]
    kept: frozenset[int]
    lowered: frozenset[int]
    releases: tuple[tuple[int, ...], ...]
    in_place: frozenset[int]


def prepare(steps: list[Step], composite: Composite, *, precision: str = "fp32") -> Network:
    """Give every step its rule, prove its shortcuts and split its weights.

    Parameters
    ----------
    steps : list of Step
        From `graph.trace`.
    composite : Composite
        Which rule each kind of layer gets.
    precision : {"fp32", "mixed"}
        `mixed` runs the convolutions of the way back in bfloat16. The forward walk is never
        rounded.

    Returns
    -------
    Network
        For `walk`. It shares no memory with the steps that a caller could change by training.
    """
    users = _users(steps)
    first = next((i for i, step in enumerate(steps) if step.kind in composite.first_kinds), -1)
    rules = [_rule(composite, step, i == first) for i, step in enumerate(steps)]
    masked = _masked(steps, rules, users)
    low = torch.bfloat16 if precision == "mixed" else None
    ops = tuple(
        _op(steps, i, rules[i], _output(i, steps, users, masked), low) for i in range(len(steps))
    )
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(ops):
        for need in op.needs:
            readers.setdefault(need, []).append(place)
    lowered = (need for need, by in readers.items() if all(ops[place].dtype == low for place in by))
    releases = tuple(
        tuple(need for need, by in readers.items() if by[0] == place) for place in range(len(ops))
    )
    in_place = frozenset(i for i in range(len(ops)) if _overwrites(i, steps, users, set(readers)))
    return Network(
        ops, tuple(map(len, users)), frozenset(readers), frozenset(lowered), releases, in_place
    )


def _overwrites(place: int, steps: list[Step], users: list[list[int]], kept: set[int]) -> bool:
    """Whether a step is a ReLU that alone reads a value, which nothing else shares or needs."""
    if steps[place].kind != "relu":
        return False
    (source,) = steps[place].sources
    return (
        source not in kept and len(users[source]) == 1 and steps[source].kind in (*WEIGHTED, "sum")
    )


def _users(steps: list[Step]) -> list[list[int]]:
    """Return for each step the places of the steps that read it, as often as they do."""
    users: list[list[int]] = [[] for _ in steps]
    for place, step in enumerate(steps):
        for source in step.sources:
            users[source].append(place)
    return users


def _rule(composite: Composite, step: Step, is_first: bool) -> Rule | None:
    """Return the rule of a weighted step."""
    if step.kind not in WEIGHTED:
        return None
    if is_first and composite.first is not None:
        return composite.first
    return composite.convolution if step.kind == "conv" else composite.linear


def _masked(steps: list[Step], rules: list[Rule | None], users: list[list[int]]) -> list[bool]:
    """Return for each step whether relevance at it is surely zero wherever its value is zero."""
    masked = [True] * len(steps)  # so is the start: the logit itself
    for place in reversed(range(len(steps))):
        masked[place] = all(_masks(steps[user], rules[user], masked[user]) for user in users[place])
    return masked


def _masks(step: Step, rule: Rule | None, masked: bool) -> bool:
    """Whether a step gives no relevance to inputs of zero, given the same of its output."""
    if rule is not None:
        return all(
            branch.inputs in ("all", "positive", "negative")
            for part in rule.parts
            for branch in part.branches
        )
    if step.kind in ("average", "sum"):
        return True
    return masked and (
        step.kind != "pass" or (step.non_negative and step.type.lower() != "sigmoid")
    )


def _output(
    place: int, steps: list[Step], users: list[list[int]], masked: list[bool]
) -> tuple[int, bool]:
    """Return where a step's output can be read, and whether that is the ReLU behind it."""
    if len(users[place]) == 1 and steps[users[place][0]].kind == "relu" and masked[users[place][0]]:
        return users[place][0], True
    return place, False


def _op(
    steps: list[Step],
    place: int,
    rule: Rule | None,
    output: tuple[int, bool],
    low: torch.dtype | None,
) -> Op:
    """Complete one step."""
    step, (known, masked) = steps[place], output
    if step.weight is None or rule is None:
        needs = frozenset({*step.sources, known}) if step.kind == "sum" else frozenset()
        return Op(step, None, (), known, masked, needs, torch.float32)
    weight = step.weight.contiguous()
    step = replace(step, weight=weight)
    signed = not steps[step.sources[0]].non_negative
    parts = tuple(
        _pruned(part, signed) for part in rule.parts if not (masked and part.where == "negative")
    )
    rule = replace(rule, parts=parts)
    dtype = low if low is not None and step.kind == "conv" else weight.dtype
    op = Op(
        step,
        rule,
        tuple(_term(step, part, rule, dtype) for part in parts),
        known,
        masked,
        frozenset(),
        dtype,
    )
    inputs = {branch.inputs for part in parts for branch in part.branches}
    source = frozenset({step.sources[0]} if inputs & {"all", "positive", "negative"} else ())
    reads_output = op.by_output or op.by_complement or any(part.where for part in parts)
    return replace(op, needs=source | ({known} if reads_output else frozenset()))


def _pruned(part: Part, signed: bool) -> Part:
    """Drop the branches of negative inputs where there are none."""
    if signed:
        return part
    kept = (branch for branch in part.branches if branch.inputs != "negative")
    return replace(
        part,
        branches=tuple(replace(b, inputs="all") if b.inputs == "positive" else b for b in kept),
    )


def _term(step: Step, part: Part, rule: Rule, dtype: torch.dtype) -> Term:
    """Split the weights of one layer for one part of its rule."""
    assert step.weight is not None
    ahead = {
        branch.inputs: laid_out(branch.weights(step.weight).to(dtype)) for branch in part.branches
    }
    factor = part.coefficient
    back = {kind: weights if factor == 1 else factor * weights for kind, weights in ahead.items()}
    bias = part.branches[0].weights(step.bias) if part.biased and step.bias is not None else None
    takes = None if bias is None else factor * bias
    if part.sign:
        bias = (
            step.weight.new_zeros(step.weight.shape[0]) if bias is None else bias
        ) + part.sign * rule.stabiliser
    return Term(part, ahead, back, None if bias is None else bias.to(dtype), takes)


def laid_out(values: Tensor) -> Tensor:
    """Return weights or values in the layout in which the convolutions of the way back are
    fastest.
    """
    return (
        values.contiguous(memory_format=torch.channels_last)
        if values.dim() == 4
        else values.contiguous()
    )
