"""Layer-wise relevance propagation by one walk forward and one back along a network's steps.

No autograd through the network and no hooks: the forward walk keeps the values that the way back
needs, the way back applies each step's rule with weights that were split by sign once (`prepare`).
The result is that of the rules as `rules` defines them. The way back runs in channels_last, where
convolutions are fastest; the way forward does not, because those kernels sum in an order that
rounds float32 two to five times worse on a CPU, and errors on the way forward decide which ReLUs
and maxima switch. Several explained classes share the forward walk and all denominators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from relstats.compute.lrp.graph import Step
from relstats.compute.lrp.prepare import Network, Op, Term, laid_out
from relstats.compute.lrp.rules import STABILISER


@dataclass
class State:
    """What the way forward leaves: values by place, shapes by place, and pooling steps with their
    own gradient.
    """

    values: dict[int, Tensor]
    shapes: list[torch.Size]
    pooled: dict[int, tuple[Tensor, Tensor]]
    logits: Tensor


def walk(network: Network, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Explain one batch of images.

    Parameters
    ----------
    network : Network
        From `prepare`.
    images : torch.Tensor, shape (image, channel, y, x)
        In the dtype and on the device of the network's weights.
    classes : torch.Tensor of int64, shape (image, explained)
        The logits to explain; relevance starts with their value.

    Returns
    -------
    logits : torch.Tensor, shape (image, class)
    relevance : torch.Tensor, shape (image, explained, y, x)
        Summed over channels, in the dtype of the images.
    absorbed : torch.Tensor, shape (image, explained)
        The relevance that went to biases.
    """
    with torch.no_grad():
        state = _forward(network, images.contiguous())
        logits = state.logits
        relevance, absorbed = _backward(network, state, starts(logits, classes))
        maps = torch.stack([one.sum(dim=1, dtype=images.dtype) for one in relevance], dim=1)
        return logits, maps, torch.stack(absorbed, dim=1)


def forward(network: Network, images: Tensor) -> Tensor:
    """Return the logits that `walk` explains, shape (image, class)."""
    with torch.no_grad():
        return _forward(network, images.contiguous()).logits


def each(network: Network, images: Tensor) -> Iterator[tuple[Step, Tensor]]:
    """Yield every step with its value, none freed or overwritten: to look for the one that goes
    wrong.
    """
    network, state = replace(network, in_place=frozenset()), State({}, [], {}, images)
    for place, op in enumerate(network.ops):
        with torch.no_grad():
            value = images if op.step.kind == "image" else _value(place, op.step, network, state)
        state.values[place] = value
        yield op.step, value


def starts(logits: Tensor, classes: Tensor) -> list[Tensor]:
    """Return for each explained class the logits with all others set to zero.

    Parameters
    ----------
    logits : torch.Tensor, shape (image, class)
    classes : torch.Tensor of int64, shape (image, explained)

    Returns
    -------
    list of torch.Tensor, shape (image, class)
    """
    kept = (torch.zeros_like(logits).scatter_(1, one, 1.0) for one in classes.split(1, dim=1))
    return [logits * one for one in kept]


def _forward(network: Network, images: Tensor) -> State:
    """Run all steps, keeping only what a later step or the way back reads."""
    state, left = State({}, [], {}, images), list(network.uses)
    for place, op in enumerate(network.ops):
        value = images if op.step.kind == "image" else _value(place, op.step, network, state)
        state.values[place] = state.logits = value
        state.shapes.append(value.shape)
        for source in op.step.sources:
            left[source] -= 1
            if not left[source] and source not in network.kept:
                del state.values[source]
            elif not left[source] and source in network.lowered:
                state.values[source] = state.values[source].to(torch.bfloat16)
    return state


def _value(place: int, step: Step, network: Network, state: State) -> Tensor:
    """Return the value of one step."""
    inputs = [state.values[source] for source in step.sources]
    if step.kind == "relu":
        return inputs[0].relu_() if place in network.in_place else inputs[0].relu()
    if step.kind == "sum":
        return inputs[0] + inputs[1]
    if step.kind == "cat":
        return torch.cat(inputs, dim=1)
    if step.weight is not None:
        return _apply(step, inputs[0], step.weight, step.bias)
    assert step.call is not None
    if step.kind == "pass":
        return step.call(inputs[0])
    with torch.enable_grad():
        # Pooling is the same in any layout, and three times as fast in channels_last, which the way
        # back wants anyway.
        source = laid_out(inputs[0]) if "pool" in step.type.lower() else inputs[0]
        source = source.detach().requires_grad_()
        state.pooled[place] = (source, step.call(source))
    return state.pooled[place][1].detach().contiguous()


def _apply(step: Step, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a layer with these weights."""
    if step.kind == "linear":
        return F.linear(inputs, weight, bias)
    return F.conv2d(inputs, weight, bias, **step.geometry)


def _transposed(step: Step, outputs: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
    """Apply the transpose of a layer with these weights; `shape` is that of the result."""
    if step.kind == "linear":
        return outputs @ weight
    return conv2d_input(shape, weight, outputs, **step.geometry)


def _backward(
    network: Network, state: State, outputs: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Send relevance from the output to the image; return it with what the biases absorbed."""
    at = {len(network.ops) - 1: outputs}
    absorbed = [torch.zeros_like(state.logits[:, 0]) for _ in outputs]
    for place in reversed(range(1, len(network.ops))):
        relevance = at.pop(place)
        below = _back(place, network, state, relevance, absorbed)
        for source, shares in zip(network.ops[place].step.sources, below, strict=True):
            before = at.get(source)
            at[source] = shares if before is None else list(map(torch.add, before, shares))
        for done in network.releases[place]:
            del state.values[done]
        state.pooled.pop(place, None)
    return at[0], absorbed


def _back(
    place: int, network: Network, state: State, relevance: list[Tensor], absorbed: list[Tensor]
) -> list[list[Tensor]]:
    """Return for each source of a step its relevance for each explained class."""
    op, step = network.ops[place], network.ops[place].step
    if op.rule is not None:
        return [_weighted(op, state, relevance, absorbed)]
    if step.kind in ("relu", "pass"):
        return [relevance]
    if step.kind == "sum":
        below = _stabilised(state.values[op.output], op.masked)
        shares = [one / below for one in relevance]
        return [[state.values[source] * share for share in shares] for source in step.sources]
    if step.kind == "cat":
        sizes = [state.shapes[source][1] for source in step.sources]
        return [
            list(parts)
            for parts in zip(*(one.split(sizes, dim=1) for one in relevance), strict=True)
        ]
    source, output = state.pooled[place]
    if step.kind == "gradient":
        return [[_gradient(source, output, one) for one in relevance]]
    below = _stabilised(output.detach(), False)
    return [[source.detach() * _gradient(source, output, one / below) for one in relevance]]


def _gradient(source: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
    """Send relevance back through a step by the step's own gradient."""
    return torch.autograd.grad(output, source, relevance.to(output.dtype), retain_graph=True)[0]


def _stabilised(values: Tensor, non_negative: bool, stabiliser: float = STABILISER) -> Tensor:
    """Move values away from zero by the stabiliser, in new memory."""
    if non_negative:
        return values + stabiliser
    return values + values.new_tensor(stabiliser).copysign(values)


def _weighted(
    op: Op, state: State, relevance: list[Tensor], absorbed: list[Tensor]
) -> list[Tensor]:
    """Send relevance back through a convolution or linear layer."""
    assert op.rule is not None
    step, shape = op.step, state.shapes[op.step.sources[0]]
    relevance = [laid_out(one.to(op.dtype)) for one in relevance]
    if op.by_box:
        return [_box_filtered(step, one, shape, op.rule.stabiliser) for one in relevance]
    inputs = {kind: _inputs(op, kind, state, shape) for term in op.terms for kind in term.ahead}
    denominators = _denominators(op, state, inputs)
    return [
        _shared(
            op, one, denominators, inputs, shape, absorbed[index], last=index == len(relevance) - 1
        )
        for index, one in enumerate(relevance)
    ]


def _inputs(op: Op, kind: str, state: State, shape: torch.Size) -> Tensor:
    """Return what one kind of branch takes for the layer's inputs.

    A batch of one where they are all the same.
    """
    source = op.step.sources[0]
    if kind == "all":
        return laid_out(state.values[source].to(op.dtype))
    if kind in ("positive", "negative"):
        bounds = {"min": 0} if kind == "positive" else {"max": 0}
        return laid_out(state.values[source].to(op.dtype)).clamp(**bounds)
    assert op.rule is not None
    level = 1.0 if kind == "ones" else op.rule.bounds[kind]
    values = torch.as_tensor(level, dtype=op.dtype, device=state.logits.device)
    return values.reshape(-1, *[1] * (len(shape) - 2)).expand(1, *shape[1:])


def _denominators(op: Op, state: State, inputs: dict[str, Tensor]) -> list[Tensor]:
    """Return the stabilised denominator of each part, in memory that may be overwritten."""
    assert op.rule is not None
    output = (
        laid_out(state.values[op.output].to(op.dtype)) if op.output in op.needs else state.logits
    )
    if op.by_output:
        return [_stabilised(output, op.masked, op.rule.stabiliser)]
    if op.by_complement:
        negative = _denominator(op, op.terms[1], inputs)
        return [output - negative, negative]
    result = []
    for term in op.terms:
        below = _denominator(op, term, inputs)
        if term.part.where and not op.masked:
            keeps = output > 0 if term.part.where == "positive" else output < 0
            below.masked_fill_(~keeps, torch.inf)
        result.append(below)
    return result


def _denominator(op: Op, term: Term, inputs: dict[str, Tensor]) -> Tensor:
    """Return the stabilised denominator of one part."""
    assert op.rule is not None
    first, *others = term.ahead
    below = _apply(op.step, inputs[first], term.ahead[first], term.bias)
    for kind in others:
        below = below.add_(_apply(op.step, inputs[kind], term.ahead[kind], None))
    return below if term.part.sign else _stabilised(below, False, op.rule.stabiliser)


def _shared(
    op: Op,
    relevance: Tensor,
    denominators: list[Tensor],
    inputs: dict[str, Tensor],
    shape: torch.Size,
    absorbed: Tensor,
    *,
    last: bool,
) -> Tensor:
    """Return the relevance of a layer's inputs for one explained class, and add what its bias
    takes.
    """
    sums: dict[str, Tensor] = {}
    for term, below in zip(op.terms, denominators, strict=True):
        reuse = below if last and below.shape == relevance.shape else None
        share = torch.div(relevance, below, out=reuse)
        if term.takes is not None:
            absorbed += (
                share.reshape(*share.shape[:2], -1).sum(2, dtype=term.takes.dtype) @ term.takes
            )
        for kind, weights in term.back.items():
            back = _transposed(op.step, share, weights, shape)
            sums[kind] = sums[kind].add_(back) if kind in sums else back
    return reduce(torch.Tensor.add_, (back.mul_(inputs[kind]) for kind, back in sums.items()))


def _box_filtered(step: Step, relevance: Tensor, shape: torch.Size, stabiliser: float) -> Tensor:
    """Share relevance evenly over each receptive field; the padding around the image takes none."""
    assert step.weight is not None
    box = torch.ones_like(step.weight[:1, :1], dtype=relevance.dtype)
    field = _apply(step, box.new_ones(1, 1, *shape[2:]), box, None) * shape[1] + stabiliser
    share = relevance.sum(dim=1, keepdim=True) / field
    return _transposed(step, share, box, torch.Size((shape[0], 1, *shape[2:]))).expand(shape)
