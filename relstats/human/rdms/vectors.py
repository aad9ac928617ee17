"""RDMs as vectors of pairs of images: their shape, which pairs they hold, and how often a draw of
images holds each.

Plain arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relstats.errors import InvalidData

#: Fewer have no correlation worth the name.
MIN_PAIRS = 3


@dataclass(frozen=True)
class Graph:
    """Which pairs of images a vector holds, and how often each image was drawn.

    Attributes
    ----------
    first, second : ndarray of int, (pair,)
        Positions of the two images of each pair.
    counts : ndarray, (image,)
    """

    first: np.ndarray
    second: np.ndarray
    counts: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """How often a draw holds each pair."""
        weights: np.ndarray = self.counts[self.first] * self.counts[self.second]
        return weights

    def part(self, pairs: np.ndarray) -> Graph:
        """The graph of some of the pairs."""
        return Graph(self.first[pairs], self.second[pairs], self.counts)


def as_rdms(values: np.ndarray, name: str) -> np.ndarray:
    """RDMs as float64 (rdm, pair)."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2):
        raise InvalidData(
            f"{name} has dtype {values.dtype} and shape {values.shape}; RDMs are real numbers of"
            " shape (rdm, pair), pairs in upper-triangle row order"
        )
    values = np.atleast_2d(values).astype(float)
    if np.isinf(values).any():
        raise InvalidData(
            f"{name} holds {np.isinf(values).sum()} infinite value(s); mend them, or mark them as"
            " missing (NaN)"
        )
    return values


def n_images(rdms: np.ndarray) -> int:
    """How many images make this many pairs.

    Raises
    ------
    InvalidData
        No number of images does.

    Examples
    --------
    >>> n_images(np.zeros((1, 4186)))
    92
    """
    pairs = rdms.shape[-1]
    n = round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    if n * (n - 1) // 2 != pairs or pairs < 1:
        raise InvalidData(
            f"an RDM of {pairs} pairs: n images have n (n - 1) / 2, such as 4186 for 92. Pass the"
            " upper triangle row by row, without the diagonal"
        )
    return n


def shared_pairs(
    a: np.ndarray, b: np.ndarray, control: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of `b` that know the same pairs, and these pairs.

    All of `a` and the controls know them too. At least 3 pairs.
    """
    return by_pairs(np.isfinite(b) & np.isfinite(a).all(axis=0) & np.isfinite(control).all(axis=0))


def by_pairs(known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that know the same pairs, and these pairs: of those that know 3 or more.

    Examples
    --------
    >>> known = np.array([[True, True, True], [True, True, False], [True, True, True]])
    >>> [(rows.tolist(), pairs.tolist()) for rows, pairs in by_pairs(known)]
    [([0, 2], [0, 1, 2])]
    """
    if (known == known[:1]).all():  # sorting masks takes longer than comparing complete RDMs
        masks, group = known[:1], np.zeros(len(known), int)
    else:
        seen: dict[bytes, int] = {}
        group = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in known])
        masks = known[[int(np.argmax(group == g)) for g in range(len(seen))]]
    for g, mask in enumerate(masks):
        if mask.sum() >= MIN_PAIRS:
            yield np.flatnonzero(group == g), np.flatnonzero(mask)
