"""Plain gradient, gradient x input and integrated gradients, for comparison with relevance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: Each method with its parameters: integrated gradients start from `baseline`, a number or one per
#: channel.
METHODS: dict[str, dict[str, Any]] = {
    "gradient": {},
    "gradient_x_input": {},
    "integrated_gradients": {"steps": 50, "baseline": 0.0},
}


def differentiate(
    module: nn.Module, method: str, values: Mapping[str, Any], images: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute one of the gradient methods.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode and frozen.
    method : str
        One of `METHODS`: the gradient of the logit; that times the image (Shrikumar et al. 2016);
        or the mean gradient on the line from the baseline to the image, times their difference
        (Sundararajan et al. 2017), by Gauss-Legendre quadrature.
    values : mapping
        All parameters of the method.
    images : torch.Tensor, shape (image, channel, y, x)
    classes : torch.Tensor of int64, shape (image, explained)

    Returns
    -------
    logits : torch.Tensor, shape (image, class)
    maps : torch.Tensor, shape (image, explained, y, x)
        Summed over channels.
    absorbed : torch.Tensor, shape (image, explained)
        NaN: gradients know no bias's share.
    """
    logits, gradients = _gradients(module, images, classes)
    if method == "integrated_gradients":
        baseline = torch.as_tensor(values["baseline"]).to(images).reshape(1, -1, 1, 1)
        factor = images - baseline
        gradients = _mean_gradients(module, baseline, factor, classes, steps=values["steps"])
    else:
        factor = images if method == "gradient_x_input" else torch.ones_like(images)
    maps = (gradients * factor[:, None]).sum(dim=2)
    return logits, maps, torch.full_like(classes, torch.nan, dtype=images.dtype)


def _gradients(module: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and the gradient of each explained logit, shape (image, explained, channel, y,
    x).
    """
    source = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = module(
            source.clone()
        )  # which the network may change in place, unlike a leaf of the graph
        chosen = logits.gather(1, classes).sum(dim=0)
    gradients = [torch.autograd.grad(one, source, retain_graph=True)[0] for one in chosen]
    return logits.detach(), torch.stack(gradients, dim=1)


def _mean_gradients(
    module: nn.Module, start: Tensor, way: Tensor, classes: Tensor, *, steps: int
) -> Tensor:
    """Return the mean of the gradients along the way, one batch per step."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros((), dtype=start.dtype, device=start.device)
    for node, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        total = total + float(weight) * _gradients(module, start + float(node) * way, classes)[1]
    return total
