"""One network, explained over a shard of images in fixed batches that fit into the device's
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from relstats.compute import images, models
from relstats.compute.lrp import attribute, faithful, plans
from relstats.compute.lrp.plans import Plan
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.study_file.settings import Model, Study, true_classes
from relstats.errors import RelstatsError, UsageError
from relstats.study.layout import FILL

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Network:
    """One network ready to be explained.

    `module` is there only where it has to predict before it is explained.
    """

    model: Model
    seed: str
    plan: Plan
    module: nn.Module | None


def network(
    study: Study, model: Model, seed: str, device: torch.device, pixels: np.ndarray
) -> Network:
    """Build, load, check and plan a network.

    Parameters
    ----------
    pixels : ndarray of uint8, (image, y, x, channel)
        At least one image, to try it on: the first and the last one are.

    Returns
    -------
    Network

    Raises
    ------
    InvalidData, UsageError, ImpossibleAnalysis
        The network does not fit its checkpoint, its classes, its images or the composite; the
        message names it.
    """
    how, dtype = study.relevance, getattr(torch, study.dtype)
    module = models.build(model, seed, device, dtype)
    sample = images.to_input(
        torch.from_numpy(pixels[[0, -1]]).to(device), model.preprocessing, dtype
    )
    models.require_output(module, model, sample[:1])
    parameters = dict(how.parameters)
    if (
        how.composite == "epsilon_gamma_box"
    ):  # its bounds are those of the input, which the preprocessing decides
        parameters = {**images.bounds(model.preprocessing), **parameters}
    try:
        plan = plans.plan(
            module,
            how.composite,
            parameters=parameters,
            canonizers=how.canonizers,
            engine=how.engine,
            precision=how.precision,
            sample=sample,
        )
    except RelstatsError as error:
        raise type(error)(
            f"model {model.name!r}, seed {seed!r}: {error}{models.without_transform(module)}"
        ) from error
    return Network(model, seed, plan, module if how.explained_class == "predicted" else None)


def explain(
    study: Study, network: Network, pixels: np.ndarray, rows: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Explain one batch.

    Parameters
    ----------
    pixels : ndarray of uint8, (image, y, x, channel)
        The batch.
    rows : DataFrame
        Its rows of the image table.

    Returns
    -------
    dict of str to ndarray
        Each variable of the family "relevance": (image, y, x) or (image,). `correct` is 255 where
        the true class is not known.
    """
    plan, true = network.plan, true_classes(network.model, rows)
    inputs = images.to_input(
        torch.from_numpy(pixels).to(plan.device), network.model.preprocessing, plan.dtype
    )
    own = _own_logits(network, inputs)
    explained = (
        _classes(study.relevance.explained_class, network, inputs, true)
        if own is None
        else own.argmax(dim=1)
    )
    found = attribute.relevance(plan, inputs, explained)
    if own is not None:
        _require_same(network, inputs, found.logits, own)
    prediction = _array(found.prediction)
    correct = np.where(true < 0, FILL["uint8"], prediction == true).astype(np.uint8)
    return {
        "relevance": _array(found.relevance).astype(np.float32),
        "explained_class": _array(explained).astype(np.int32),
        "prediction": prediction.astype(np.int32),
        "logit": _array(found.logit).astype(np.float32),
        "probability": _array(found.probability).astype(np.float32),
        "correct": correct,
        "conservation": _array(found.conservation).astype(np.float32),
        "absorbed": _array(found.absorbed).astype(np.float32),
    }


def in_memory[Found](
    task: Callable[[int], Found], batch: int, halved: Callable[[int], None]
) -> tuple[Found, int]:
    """Run a task with the largest batch that memory allows, halving it as often as needed.

    Parameters
    ----------
    task : callable
        Takes the number of images at a time.
    batch : int
        The first to try.
    halved : callable
        Told each smaller batch before it is tried.

    Returns
    -------
    object, int
        What the task returned, all of it with one batch, and that batch.

    Raises
    ------
    UsageError
        One image alone does not fit.

    Examples
    --------
    >>> in_memory(lambda batch: np.arange(batch), 2, print)
    (array([0, 1]), 2)
    """
    while True:
        try:
            return task(batch), batch
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise UsageError(
                    "out of memory with one image at a time. Use smaller images, a device with more"
                    " memory, or one that nothing else is using"
                ) from error
        batch = (batch + 1) // 2  # outside the handler: the error holds what filled the memory
        halved(batch)


def in_turn(
    explain: Callable[[slice], dict[str, np.ndarray]], where: slice, batch: int
) -> dict[str, np.ndarray]:
    """Explain images in fixed batches: counted from the start of `where`, whatever else is done or
    left.

    Parameters
    ----------
    explain : callable
        Takes positions, returns arrays (image, ...).
    where : slice
        All positions.

    Returns
    -------
    dict of str to ndarray
        The arrays of all images. The last batch may be smaller.

    Examples
    --------
    >>> in_turn(lambda part: {"at": np.arange(part.start, part.stop)}, slice(0, 5), 2)[
    ...     "at"
    ... ].tolist()
    [0, 1, 2, 3, 4]
    """
    parts = [
        explain(slice(at, min(at + batch, where.stop)))
        for at in range(where.start, where.stop, batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that memory ran out, on any kind of device.

    Examples
    --------
    >>> is_out_of_memory(torch.OutOfMemoryError()), is_out_of_memory(RuntimeError("shape mismatch"))
    (True, False)
    """
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY
    )


def _classes(rule: str | int, network: Network, inputs: Tensor, true: np.ndarray) -> Tensor:
    if rule == "true":
        return torch.from_numpy(true)
    index = rule if isinstance(rule, int) else network.model.classes.index(rule)
    return torch.full((len(inputs),), index, dtype=torch.int64)


def _own_logits(network: Network, inputs: Tensor) -> Tensor | None:
    """What the network itself says, where that is needed to choose the class."""
    if network.module is None:
        return None
    with exact_float32(), torch.no_grad():
        logits: Tensor = network.module(inputs.clone())  # it may change its input in place
    return logits


def _require_same(network: Network, inputs: Tensor, explained: Tensor, own: Tensor) -> None:
    """Compare logits of a batch, which are both there: the plan was tried on two images, and others
    may differ.
    """
    if network.module is not None and faithful.differs(explained, own):
        why = (
            faithful.reread(network.module, inputs) or "It was, on the images on which it was tried"
        )
        error = faithful.refusal(explained, own, why)
        raise type(error)(f"model {network.model.name!r}, seed {network.seed!r}: {error}") from None


def _array(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.detach().cpu().numpy()
    return found
