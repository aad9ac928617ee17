"""Whether what is explained is the user's network: what it computes is reproduced, and gives
logits, not probabilities.

An engine walks the steps of a trace, and a trace knows no memory: a step that changes a tensor in
place, which a later step reads again, is another network there. Rounding cannot hide it: values are
compared bit by bit as they are read. Logits are compared as well, for all that nobody has thought
of.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from relstats.compute.lrp.graph import Step
from relstats.errors import ImpossibleAnalysis

#: Units of the last place, of the largest logit, by which two ways to compute the same network may
#: differ: 1.2e-3 in float32, 2.2e-12 in float64. ResNets, VGG-16 and MobileNets, BatchNorm folded
#: or not, stay below 100.
ROUNDING = 1e4
#: How far probabilities may be from a sum of 1; what is this near by chance is not so for other
#: images.
SUM = 1e-4
SIGMOIDS = ("aten::sigmoid", "aten::hardsigmoid", "aten::log_sigmoid_forward")
COPIES = ("aten::clone", "aten::copy", "aten::_to_copy", "aten::_unsafe_view")


def require_logits(module: nn.Module, sample: Tensor) -> Tensor:
    """Return the outputs of a network, once they are logits.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode.
    sample : torch.Tensor, shape (image, channel, y, x)
        Two images are enough. It is not changed, also where the network changes its input in place.

    Returns
    -------
    torch.Tensor, shape (image, class)

    Raises
    ------
    ImpossibleAnalysis
        If they are not one row per image; or probabilities or their logarithms, here and for other
        images; or a sigmoid gives them.
    """
    with torch.no_grad(), _Last() as last:
        logits = module(sample.clone())
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(sample):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ImpossibleAnalysis(
            f"the network returns {shape}: relevance explains logits of shape (images, classes)"
        )
    kind = "a sigmoid" if last.name.rstrip("_") in SIGMOIDS else _normalised(logits)
    if kind and kind != "a sigmoid":
        with torch.no_grad():
            others = [
                _normalised(module(other)) for other in (sample.flip(-1), -sample, 2 * sample)
            ]
        kind = kind if set(others) == {kind} else ""
    if kind:
        raise ImpossibleAnalysis(
            f"the network ends in {kind}, its outputs are no logits: the softmax that gives"
            " probabilities would be applied to them once more, and a map would explain how"
            " classes share 1, or how far a class is from certain. Leave the last step out of the"
            " network, in its factory: the weights stay as they are"
        )
    return logits


class _Last(TorchDispatchMode):
    """The last operation that computed something, views and copies left out."""

    name = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if not func.is_view and name.rstrip("_") not in COPIES:
            self.name = name
        return func(*args, **(kwargs or {}))


def _normalised(outputs: Tensor) -> str:
    """Say what normalises outputs to probabilities or their logarithms.

    Empty where nothing does.
    """
    if bool((outputs >= 0).all()) and bool(((outputs.sum(1) - 1).abs() < SUM).all()):
        return "a softmax"
    if bool((outputs <= 0).all()) and bool((outputs.logsumexp(1).abs() < SUM).all()):
        return "a log-softmax"
    return ""


def differs(explained: Tensor, own: Tensor) -> bool:
    """Whether two tensors of the same values differ by more than rounding.

    Examples
    --------
    >>> own = torch.tensor([[10.0, 0.0]])
    >>> differs(own + 1e-5, own), differs(own + 0.1, own)
    (False, True)
    """
    if explained.shape != own.shape:
        return True
    allowed = ROUNDING * torch.finfo(own.dtype).eps * own.abs().amax()
    return not bool(((explained - own).abs() <= allowed).all())


def refusal(explained: Tensor, own: Tensor, why: str) -> ImpossibleAnalysis:
    """Return the error that says by how much logits differ, and why: from `reread` or
    `first_difference`.
    """
    by = (
        f"by {float((explained - own).abs().max()):.3g}"
        if explained.shape == own.shape
        else "in shape"
    )
    return ImpossibleAnalysis(
        "the network is not reproduced: its own logits and those that would be explained differ"
        f" {by} (the largest logit is {float(own.abs().max()):.3g}), so the maps would be those of"
        f" another network. {why}"
    )


_PLAIN = (
    "Write it with plain modules and functions of torch that give the same logits, or use"
    " 'gradient', 'gradient_x_input' or 'integrated_gradients'"
)
# `inplace=False` alone is no cure: the weights were trained with the values that the change left
# behind.
_IN_PLACE = (
    "Write it without change in place so that its logits stay as they are: make a new tensor (x ="
    " relu(x), x = x + y) and give that to every later step. 'inplace=False' alone is the other"
    " network, which the weights do not belong to"
)


# What `x += y` calls, which torch.fx alone would trace as `x = x + y`: another thing for all who
# hold x.
_AUGMENTED = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "**=": operator.ipow,
}


class _Proxy(fx.Proxy):
    """A value of a trace that can be changed in place.

    Nodes are named as they are in a plain trace.
    """


def _augmented(change: Callable[..., Any]) -> Callable[..., fx.Proxy]:
    def traced(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy(
            "call_function", change, (self, other), {}, name=change.__name__[1:]
        )

    return traced


for _change in _AUGMENTED.values():
    setattr(_Proxy, f"__{_change.__name__}__", _augmented(_change))


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


class _Watched(fx.Interpreter):
    """The network run as it is, step by step: every value is copied when it is made, and compared
    when it is read.
    """

    def __init__(self, traced: fx.GraphModule, *, keep: bool = False) -> None:
        super().__init__(traced, garbage_collect_values=not keep)
        self.keep, self.reread = keep, ""
        self.copies: dict[fx.Node, Tensor] = {}
        self.versions: dict[fx.Node, int] = {}
        self.changed_by: dict[fx.Node, fx.Node] = {}

    def run_node(self, node: fx.Node) -> Any:
        for source in node.all_input_nodes:
            if source in self.changed_by and not torch.equal(self.env[source], self.copies[source]):
                self.reread = self.reread or self._told(node, source)
        value = super().run_node(node)
        for source, version in self.versions.items():
            if source not in self.changed_by and self.env[source]._version != version:
                self.changed_by[source] = node
        if isinstance(value, Tensor):
            self.copies[node], self.versions[node] = value.detach().clone(), value._version
        for done in () if self.keep else self.user_to_last_uses.get(node, ()):
            self.copies.pop(done, None)
            self.versions.pop(done, None)
        return value

    def _told(self, node: fx.Node, source: fx.Node) -> str:
        changer = self.changed_by[source]
        reader = (
            "The output"
            if node.op == "output"
            else f"The first step that differs is {self._title(node)}: it"
        )
        return (
            f"{reader} reads {self._title(source)} again, which {self._title(changer)} has changed"
            f" in place. {_IN_PLACE}"
        )

    def _title(self, node: fx.Node) -> str:
        if node.op == "placeholder":
            return "the image"
        if node.op == "call_module":
            return f"{type(self.fetch_attr(str(node.target))).__name__} {node.target!r}"
        signs: dict[Any, str] = {change: sign for sign, change in _AUGMENTED.items()}
        return (
            f"{signs.get(node.target) or getattr(node.target, '__name__', node.target)}"
            f" {node.name!r}"
        )


def _watch(module: nn.Module, sample: Tensor, *, keep: bool = False) -> _Watched | None:
    """Run a network step by step; None where it cannot be traced."""
    try:
        watched = _Watched(fx.GraphModule(module, _Tracer().trace(module)), keep=keep)
    except Exception:  # torch.fx runs the user's code: anything can come out of it
        return None
    with torch.no_grad():
        watched.run(sample.clone())
    return watched


def reread(module: nn.Module, sample: Tensor) -> str:
    """Say which step of a network reads a value that an earlier step has changed in place.

    Empty where none does.

    Only a change counts: a ReLU in place on what is positive already leaves it as it was.

    Parameters
    ----------
    module : torch.nn.Module
        With its `inplace` flags.
    sample : torch.Tensor, shape (image, channel, y, x)

    Returns
    -------
    str
        And what to do. Empty too where torch.fx cannot trace the network.
    """
    watched = _watch(module, sample)
    return "" if watched is None else watched.reread


def first_difference(
    module: nn.Module, sample: Tensor, steps: Iterable[tuple[Step, Tensor]]
) -> str:
    """Say which is the first step that gives other values than the network's own.

    Parameters
    ----------
    module : torch.nn.Module
        With its `inplace` flags.
    sample : torch.Tensor, shape (image, channel, y, x)
    steps : iterable of (Step, Tensor)
        Of `engine.each`; none where another engine explains.

    Returns
    -------
    str
        And what to do.
    """
    with torch.no_grad():
        if differs(module(sample.clone()), module(sample.clone())):
            return (
                "Its own logits differ from one call to the next: make them depend on the image"
                " alone"
            )
    watched = _watch(module, sample, keep=True)
    own = {} if watched is None else {node.name: value for node, value in watched.copies.items()}
    for step, value in steps:
        if step.node in own and differs(value, own[step.node]):
            return f"The first step that differs is {step.type} {step.name!r}. {_PLAIN}"
    in_place = [
        repr(name) for name, part in module.named_modules() if getattr(part, "inplace", False)
    ]
    if in_place:
        return f"No single step can be named; in place work {', '.join(in_place[:5])}. {_IN_PLACE}"
    return f"No single step can be named. {_PLAIN}"
