"""Scores of pictures: batches of one composition, each filled across maps and fractions, and what
is read off logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

SCORES = ("correct", "probability", "margin")
#: The largest float16: margins beyond are stored as it, which no other margin is.
LARGEST_MARGIN = 65504.0


def scores(logits: Tensor, truth: Tensor) -> Tensor:
    """What a network says of the true class of each picture.

    Parameters
    ----------
    logits : Tensor, (picture, class)
        Two classes or more.
    truth : Tensor of int64, (picture,)
        Index of the true class.

    Returns
    -------
    Tensor, (3, picture), float32 or float64
        `SCORES`: 1 where the true class has the largest logit (0 where another one ties with it),
        its probability, and its logit less the largest of the others. NaN or infinite where a logit
        is.

    Examples
    --------
    >>> scores(torch.tensor([[2.0, 0.0], [2.0, 2.0]]), torch.tensor([0, 0]))
    tensor([[1.0000, 0.0000],
            [0.8808, 0.5000],
            [2.0000, 0.0000]])
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    true = logits.gather(1, truth[:, None])
    others = logits.scatter(1, truth[:, None], -torch.inf).amax(1)
    probability = torch.softmax(logits, 1).gather(1, truth[:, None])[:, 0]
    margin = true[:, 0] - others
    return torch.stack([(margin > 0).to(margin.dtype), probability, margin])


def batches(total: int, batch: int) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) of each batch: as few batches as can be, of equal sizes but for
    one.

    Examples
    --------
    >>> list(batches(10, 4))
    [(0, 3), (3, 6), (6, 10)]
    """
    count = -(-total // batch)
    for k in range(count):
        yield k * total // count, (k + 1) * total // count


def scored(
    network: Callable[[Tensor], Tensor],
    truth: Tensor,
    pictures: Callable[[Tensor], tuple[Tensor, Tensor]],
    total: int,
    batch: int,
) -> Tensor:
    """Scores of many pictures, which are made batch by batch.

    Parameters
    ----------
    network : callable
        From pictures, uint8 (picture, y, x, channel), to logits (picture, class).
    truth : Tensor of int64, (image,)
        Index of each image's true class.
    pictures : callable
        From the numbers of evaluations to their pictures and the position of each one's image.
    total, batch : int
        Number of pictures, and the most at a time.

    Returns
    -------
    Tensor, (3, picture), on the device
        See `scores`. Nothing waits for the device before the end.
    """
    found = []
    for first, last in batches(total, batch):
        shown, images = pictures(torch.arange(first, last, device=truth.device))
        found.append(scores(network(shown), truth[images]))
    return torch.cat(found, 1)


def stored(values: np.ndarray) -> dict[str, np.ndarray]:
    """Scores as a study stores them: `correct` uint8 (255 where missing), the others float16 (NaN
    where missing).

    Parameters
    ----------
    values : ndarray, (3, ...)
        `SCORES`, finite or NaN. Margins beyond `LARGEST_MARGIN` are stored as that.

    Examples
    --------
    >>> {name: v.tolist() for name, v in stored(np.array([[1.0], [0.5], [1e6]])).items()}
    {'correct': [1], 'probability': [0.5], 'margin': [65504.0]}
    """
    correct, probability, margin = values
    return {
        "correct": np.where(np.isnan(correct), 255, correct).astype(np.uint8),
        "probability": probability.astype(np.float16),
        "margin": np.clip(margin, -LARGEST_MARGIN, LARGEST_MARGIN).astype(np.float16),
    }
