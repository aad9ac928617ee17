"""Relevance of a network on images, batch by batch, and whether it adds up to the logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relstats.compute.lrp.plans import Plan
from relstats.compute.lrp.precision import exact_float32
from relstats.errors import InvalidData, UsageError

#: A network of which it is not known what biases took is flagged where the median of |sum of
#: relevance / logit| is beyond this factor, either way. Biases alone reach 13; a ResNet without its
#: canonizer 269, MobileNetV3 (no rule for gates) 1/1100.
GATE = 50.0
#: Where it is known, maps and biases hold the whole logit up to rounding and stabilisers: flagged
#: where more is missing.
BALANCE = 0.1


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
