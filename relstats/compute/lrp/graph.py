"""A network as a list of steps: traced once, BatchNorm folded, every operation named and none
without a rule.

The steps are read from `torch.fx`'s trace, so the network may be any class whose path does not
depend on the values of the images. Operations are recognised by what they are, module or function:
`torch.relu`, `x.relu()` and `nn.ReLU` are one thing, and so are `x + y`, `torch.add` and `x += y`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from relstats.compute.lrp.operations import FUNCTIONS, MODULES, RESHAPES, SIGN_KEEPERS, ZENNIT_ONLY
from relstats.errors import ImpossibleAnalysis


class NotWalked(Exception):
    """Why this engine cannot walk a network that zennit may still explain."""


@dataclass(frozen=True)
class Step:
    """One operation on one or more earlier steps (`sources`), and how relevance goes back through
    it.

    `kind` is `image` (the input), `conv` or `linear` (by the composite's rule), `relu` and `pass`
    (relevance passes unchanged), `average` and `sum` (by contribution), `cat` (split), or
    `gradient` (pooling of maxima, padding, reshaping: relevance goes where the value came from).
    `node` is the node of the trace that gives the same value.
    """

    name: str
    type: str
    kind: str
    sources: tuple[int, ...] = ()
    call: Callable[..., Tensor] | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    geometry: dict[str, Any] = field(default_factory=dict)
    non_negative: bool = False
    folded: str = ""
    owner: str = ""
    node: str = ""


def trace(module: nn.Module, sample: Tensor) -> list[Step]:
    """Trace a network into steps, in the order of execution.

    The last one gives the network's output.

    Every BatchNorm is folded into the convolution or linear layer before it, and the terms of a sum
    share relevance by their contributions.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode, and the caller's own copy: its `inplace` flags are cleared.
    sample : torch.Tensor, shape (2, channel, y, x)
        Images that the network can take.

    Returns
    -------
    list of Step
        The image first.

    Raises
    ------
    NotWalked
        If the network cannot be traced, or has a layer that only zennit knows.
    ImpossibleAnalysis
        If an operation has no rule; all of them are named.
    """
    layers: list[Any] = list(module.modules())
    for layer in layers:
        if hasattr(layer, "inplace"):
            layer.inplace = False
    traced = _symbolic(module, sample)
    _refuse_unknown(traced)
    steps: list[Step] = []
    places: dict[fx.Node, int] = {}
    for node in traced.graph.nodes:
        if node.op == "output":
            return _closed(steps, node, places)
        if node.op == "get_attr" or _shape(node) is None:
            continue
        places[node] = _add(steps, node, traced, places)
    raise NotWalked("its trace has no output")


def _symbolic(module: nn.Module, sample: Tensor) -> fx.GraphModule:
    """Trace, and run the sample through the trace to learn every shape."""
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # torch.fx runs the user's code: anything can come out of it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotWalked(f"torch.fx cannot trace it ({reason})") from error
    traced.graph.eliminate_dead_code()
    with torch.no_grad():
        ShapeProp(traced).propagate(sample.clone())  # a function may change its input in place
    return traced


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    """Return the shape of a node's value, None if it is no tensor."""
    meta: Any = node.meta.get("tensor_meta")
    return tuple(meta.shape) if hasattr(meta, "shape") else None


def _refuse_unknown(traced: fx.GraphModule) -> None:
    """Name all operations on tensors that have no rule, then those that only zennit can handle."""
    unknown: list[str] = []
    foreign: list[str] = []
    for node in traced.graph.nodes:
        if node.op == "call_module":
            part = traced.get_submodule(node.target)
            if type(part) not in MODULES:
                (foreign if isinstance(part, ZENNIT_ONLY) else unknown).append(
                    f"{type(part).__name__} {node.target!r}"
                )
        elif (
            node.op in ("call_function", "call_method")
            and node.target not in FUNCTIONS
            and "tensor_meta" in node.meta
        ):
            unknown.append(f"function {_title(node)!r}{_owner(node)}")
    if unknown:
        raise ImpossibleAnalysis(no_rule(unknown))
    if foreign:
        raise NotWalked(f"it has {', '.join(foreign[:5])}, which only zennit has rules for")


def no_rule(names: list[str]) -> str:
    """Say that operations have no rule, why that matters, and what to do.

    `names` are shown up to five.
    """
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"no rule of relevance for {', '.join(names[:5])}{more}: relevance would be lost or created"
        " there, and the maps would mean nothing. Use 'gradient', 'gradient_x_input' or"
        " 'integrated_gradients', or give a zennit composite of your own as"
        " 'package.module:callable' that has a rule for each. A softmax at the end must be left"
        " out of the network: relevance explains logits"
    )


def _title(node: fx.Node) -> str:
    """Return a function's or method's name."""
    return str(getattr(node.target, "__name__", node.target))


def _owner(node: fx.Node) -> str:
    """Say in which module of the network a function is called."""
    name, kind = _owner_of(node)
    return f" in {name!r} ({kind})" if name else ""


def _owner_of(node: fx.Node) -> tuple[str, str]:
    """Return the name and the class name of the module in which a function is called."""
    stack = node.meta.get("nn_module_stack") or {"": ("", None)}
    name, kind = list(stack.values())[-1]
    return name, getattr(kind, "__name__", str(kind).rsplit(".", 1)[-1])


def _closed(steps: list[Step], node: fx.Node, places: dict[fx.Node, int]) -> list[Step]:
    """Return the steps up to the output, once that is one row of logits per image."""
    source = node.args[0]
    if not isinstance(source, fx.Node) or source not in places or len(_shape(source) or ()) != 2:
        shape = _shape(source) if isinstance(source, fx.Node) else type(source).__name__
        raise ImpossibleAnalysis(
            f"the network returns {shape}: relevance explains logits of shape (images, classes)"
        )
    last = places[source]
    if steps[last].type in ("Sigmoid", "sigmoid"):
        raise ImpossibleAnalysis(no_rule([f"{steps[last].type} {steps[last].name!r} at the end"]))
    return steps[: last + 1]


def _add(
    steps: list[Step], node: fx.Node, traced: fx.GraphModule, places: dict[fx.Node, int]
) -> int:
    """Append the step(s) of a node; return the place of its value."""
    if node.op == "placeholder":
        if steps:
            raise NotWalked(f"it takes a second input, {node.name!r}")
        steps.append(Step("image", "image", "image"))
        return 0
    part = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    kind = MODULES[type(part)] if part is not None else FUNCTIONS[node.target]
    if any(source not in places for source in _tensors(node)):
        raise ImpossibleAnalysis(
            no_rule([f"function {_title(node)!r}{_owner(node)} with a constant tensor"])
        )
    sources = tuple(places[source] for source in _tensors(node))
    if kind == "same" or (kind == "dropout" and _is_off(node)):
        return sources[0]
    if kind == "norm":
        _fold(steps, sources[0], node, part)
        return sources[0]
    title = type(part).__name__ if part is not None else _title(node)
    step = Step(
        str(node.target) if part else node.name,
        title,
        kind,
        sources,
        owner=_owner_of(node)[1],
        node=node.name,
    )
    steps.extend(_completed(step, part, node, steps))
    return len(steps) - 1


def _tensors(node: fx.Node) -> list[fx.Node]:
    """Return the tensors that a node works on, as often as it takes them."""
    given = (
        node.args[0] if node.target in (torch.cat, torch.concat, torch.concatenate) else node.args
    )
    if not given and node.kwargs:
        given = next(iter(node.kwargs.values()))
    chosen = given if isinstance(given, list | tuple) else (given,)
    return [item for item in chosen if isinstance(item, fx.Node) and _shape(item) is not None]


def _is_off(node: fx.Node) -> bool:
    """Whether a functional dropout does nothing in eval mode."""
    training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
    if training:
        raise ImpossibleAnalysis(
            f"{_title(node)!r}{_owner(node)} stays on in eval mode: logits and maps would be"
            " random. Give it training=self.training, or use nn.Dropout"
        )
    return True


def _completed(step: Step, part: nn.Module | None, node: fx.Node, steps: list[Step]) -> list[Step]:
    """Return the finished step(s) of a node: ReLU6 is two, a ReLU and a cap."""
    non_negative = bool(step.sources) and all(steps[source].non_negative for source in step.sources)
    if isinstance(part, nn.Conv2d | nn.Linear):
        return [_weighted(step, part)]
    if step.kind == "relu":
        return [replace(step, non_negative=True)]
    if step.kind == "relu6":
        cap = replace(
            step,
            kind="pass",
            sources=(len(steps),),
            call=lambda x: x.clamp(max=6),
            non_negative=True,
        )
        return [replace(step, kind="relu", non_negative=True, node=""), cap]
    if step.kind in ("sum", "cat"):
        return [replace(_combined(step, node), non_negative=non_negative)]
    if step.kind == "pass":
        sign = step.type.lower() == "sigmoid" or (non_negative and isinstance(part, SIGN_KEEPERS))
        return [replace(step, kind="pass", call=part or _closure(node), non_negative=sign)]
    _check_shape(step, node)
    kind = "average" if step.kind == "mean" else "gradient" if step.kind == "pad" else step.kind
    return [replace(step, kind=kind, call=part or _closure(node), non_negative=non_negative)]


def _weighted(step: Step, part: nn.Conv2d | nn.Linear) -> Step:
    """Complete a convolution or a linear layer."""
    bias = None if part.bias is None else part.bias.detach()
    if isinstance(part, nn.Linear):
        return replace(step, weight=part.weight.detach(), bias=bias)
    if part.padding_mode != "zeros" or part.padding == "same":
        how = part.padding if part.padding == "same" else part.padding_mode
        raise NotWalked(f"Conv2d {step.name!r} pads by {how!r}, which only zennit handles")
    padding = (0, 0) if part.padding == "valid" else part.padding
    geometry = {
        "stride": part.stride,
        "padding": padding,
        "dilation": part.dilation,
        "groups": part.groups,
    }
    return replace(step, weight=part.weight.detach(), bias=bias, geometry=geometry)


def _combined(step: Step, node: fx.Node) -> Step:
    """Complete a sum or a concatenation of several tensors."""
    if step.kind == "cat":
        axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        if axis not in (1, 1 - len(_shape(node) or ())):
            raise NotWalked(
                f"{step.name!r} concatenates along dim {axis}, which only zennit handles"
            )
        return step
    shapes = {_shape(source) for source in _tensors(node)}
    if len(step.sources) != 2 or len(shapes) != 1 or node.kwargs.get("alpha", 1) != 1:
        raise ImpossibleAnalysis(
            no_rule(
                [f"the sum {step.name!r}{_owner(node)} with a constant, a factor or a broadcast"]
            )
        )
    return step


def _closure(node: fx.Node) -> Callable[[Tensor], Tensor]:
    """Return a function or method of one tensor, with its other arguments filled in."""
    target, rest, options = node.target, node.args[1:], dict(node.kwargs)
    for name in ("input", "self"):
        options.pop(name, None)
    if target in RESHAPES:
        sizes = (_shape(node) or ())[1:]
        return lambda x: x.reshape(x.shape[0], *sizes)
    if any(isinstance(item, fx.Node) for item in (*rest, *options.values())):
        raise NotWalked(f"{node.name!r} takes sizes that depend on the images")
    if isinstance(target, str):
        return lambda x: getattr(x, target)(*rest, **options)
    # A copy, because the function may work in place and the engine still needs the value.
    return lambda x: target(x.clone() if FUNCTIONS[target] == "pass" else x, *rest, **options)


def _check_shape(step: Step, node: fx.Node) -> None:
    """Refuse what mixes images, and padding with anything but zeros."""
    shape, source = _shape(node) or (), _shape(_tensors(node)[0]) or ()
    if not shape or shape[0] != source[0]:
        raise ImpossibleAnalysis(
            f"{step.name!r}{_owner(node)} turns {source} into {shape}: it mixes images of a batch"
        )
    if step.kind == "pad":
        mode, value = (
            _argument(node, i, key, usual)
            for i, key, usual in ((2, "mode", "constant"), (3, "value", 0))
        )
        if mode != "constant" or value:
            raise NotWalked(
                f"{step.name!r} pads by {mode!r} with {value!r}, which only zennit handles"
            )


def _argument(node: fx.Node, place: int, name: str, usual: Any) -> Any:
    """Return an argument of a call, given by place, by name or not at all."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, usual)


def _fold(steps: list[Step], place: int, node: fx.Node, norm: Any) -> None:
    """Fold a BatchNorm into the weights of the step before it."""
    step, name = steps[place], f"{type(norm).__name__} {node.target!r}"
    if norm.running_mean is None:
        raise ImpossibleAnalysis(
            f"{name} keeps no running statistics: logits would depend on the rest of the batch"
        )
    if step.weight is None or len(_tensors(node)[0].users) != 1:
        raise ImpossibleAnalysis(
            no_rule(
                [
                    f"{name}, which does not follow a convolution or linear layer that it could be"
                    " folded into,"
                ]
            )
        )
    weight = step.weight.double()
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.detach().double(), shift * norm.weight.detach().double()
        shift = shift + norm.bias.detach().double()
    if step.bias is not None:
        shift = shift + step.bias.double() * scale
    folded = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
    dtype = step.weight.dtype
    steps[place] = replace(
        step, weight=folded.to(dtype), bias=shift.to(dtype), folded=str(node.target), node=node.name
    )
