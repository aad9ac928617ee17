"""What a reader of the maps must know before using them: relevance that is lost, that biases took,
or whose sign turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import zarr

from relstats.compute.lrp.attribute import is_conserved

#: Share of the relevance that biases take beyond which it is said.
_MOSTLY_BIASES = 0.99
#: Share of images with an explained logit of 0 or less beyond which it is said.
_OFTEN_NEGATIVE = 0.05
_KINDS = ("conservation", "absorbed", "logit")


def flags(out: Path, cells: Sequence[tuple[int, ...]]) -> Iterator[str]:
    """Messages about the maps of some networks, from what is stored of them.

    Parameters
    ----------
    out : Path
        A study with `/relevance`.
    cells : sequence of tuple of int
        Positions (model, seed) of networks, in order.

    Yields
    ------
    str
        A warning for each network that loses or creates relevance; for each model one note where
        biases take nearly all of it, and one warning where the explained logit is often 0 or less.
    """
    group = zarr.open_group(str(out), mode="r", use_consolidated=False)["relevance"]
    if "autograd" in str(
        group.attrs["engine"]
    ):  # gradients need not conserve anything, and start from 1
        return
    for model, of_model in itertools.groupby(cells, key=lambda cell: cell[0]):
        networks = list(of_model)
        values = {
            kind: np.array([_read(group, kind, cell) for cell in networks]) for kind in _KINDS
        }
        name = str(group["model"][model])
        for (_, seed), kept, absorbed in zip(
            networks, values["conservation"], values["absorbed"], strict=True
        ):
            yield from unconserved(f"model {name}, seed {group['seed'][seed]}", kept, absorbed)
        yield from mostly_biases(name, values["conservation"], values["absorbed"])
        yield from often_negative(name, values["logit"])


def _read(group: zarr.Group, kind: str, cell: tuple[int, ...]) -> np.ndarray:
    """One value an image; NaN where it is not written, also in studies that do not have it."""
    return np.asarray(group[kind][cell]) if kind in group else np.full(group["image"].shape, np.nan)


def unconserved(network: str, conservation: np.ndarray, absorbed: np.ndarray) -> Iterator[str]:
    """A warning where maps and biases of a network, (image,), do not hold the relevance that its
    logits gave.

    Examples
    --------
    >>> list(unconserved("model a, seed 0", np.array([1e-6, 2e-6]), np.array([1.0, 1.0])))
    []
    """
    some = ~np.isnan(conservation)
    kept, taken = torch.from_numpy(conservation[some]), torch.from_numpy(absorbed[some])
    if not len(kept) or is_conserved(kept, taken):
        return
    known = not taken.isnan().all()
    found = (kept + taken).nanmedian() if known else kept.abs().median()
    what = "relevance of pixels and biases" if known else "the sum of relevance"
    yield (
        f"warning: {network}: {what} is {found:.3g} times the logit (median of {len(kept)} images)."
        " A module loses or creates relevance: see rules in /relevance"
    )


def mostly_biases(model: str, conservation: np.ndarray, absorbed: np.ndarray) -> Iterator[str]:
    """One note for the networks of a model, (network, image), where biases take nearly all
    relevance.

    Examples
    --------
    >>> print(
    ...     next(mostly_biases("a", np.array([[1e-4, 1e-4]]), np.array([[0.9999, 0.9999]]))).split(
    ...         ","
    ...     )[0]
    ... )
    note: model a: biases take more than 99 % of the relevance in 1 of 1 network(s)
    """
    with np.errstate(invalid="ignore"):
        left = np.abs(conservation) / (np.abs(conservation) + np.abs(absorbed))
    medians = np.array([np.median(row[np.isfinite(row)]) for row in left if np.isfinite(row).any()])
    high = medians < 1 - _MOSTLY_BIASES
    if high.any():
        yield (
            f"note: model {model}: biases take more than {100 * _MOSTLY_BIASES:g} % of the"
            f" relevance in {high.sum()} of {len(high)} network(s), and pixels get"
            f" {np.median(medians[high]):.2g} of it (median). Maps still say which pixels matter"
            " more than others, but not how much of the logit is theirs: compare their order or"
            " shape (rank, correlation, share of relevance in a region), never sums. Repeat the"
            " analysis with another composite if much depends on it; the shares are stored as"
            " absorbed in /relevance"
        )


def often_negative(model: str, logit: np.ndarray) -> Iterator[str]:
    """One warning for the networks of a model, (network, image), where the explained logit is often
    0 or less.

    Examples
    --------
    >>> print(next(often_negative("a", np.array([[1.0, -2.0]]))).split(". ")[0])
    warning: model a: the explained logit is 0 or less for 1 of 2 maps (50 %)
    """
    known = logit[np.isfinite(logit)]
    wrong = int((known <= 0).sum())
    if known.size and wrong > _OFTEN_NEGATIVE * known.size:
        yield (
            f"warning: model {model}: the explained logit is 0 or less for {wrong} of {known.size}"
            f" maps ({100 * wrong / known.size:.3g} %). Relevance adds up to that logit, so the"
            " sign of these maps turns: pixels for the class look as if they were against it."
            " Softmax does not see an offset that all logits share, so training leaves it free:"
            " centre the head (subtract the mean over classes from the last layer's weights and"
            " biases; probabilities stay the same), or explain the predicted class"
        )
