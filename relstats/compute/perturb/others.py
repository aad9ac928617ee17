"""The set of pixels that all networks but one share, and sets of its area from another image.

A network that helped to find a set has its own relevance in it, so that its score with the set says
nothing of networks that did not. Each network is therefore shown what the others share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.study.top_pixels import CONSENSUS, needed

#: Fewer do not share anything.
_LEAST_OTHERS = 2
#: Another image's set is taken from one of so many images, those whose sets are most alike in area.
DONORS = 10


@dataclass(frozen=True)
class Marks:
    """Which pixels are among the most relevant ones of each network, on each image.

    Attributes
    ----------
    masks : ndarray of uint8, (network, image, byte)
        Eight pixels to a byte.
    counts : ndarray of uint16, (condition, image, pixel)
        How many networks of each condition have a pixel.
    conditions : ndarray of int, (network,)
        The condition of each network.
    consensus : str
        In how many networks of each condition a shared pixel is.
    """

    masks: np.ndarray
    counts: np.ndarray
    conditions: np.ndarray
    consensus: str

    @classmethod
    def empty(cls, conditions: np.ndarray, images: int, pixels: int, consensus: str) -> Self:
        """No pixel of any network on any image."""
        return cls(
            np.zeros((len(conditions), images, -(-pixels // 8)), np.uint8),
            np.zeros((int(conditions.max()) + 1, images, pixels), np.uint16),
            conditions,
            consensus,
        )

    def fill(self, images: np.ndarray, masks: np.ndarray) -> None:
        """Enter the masks (network, image, pixel) of some images."""
        self.masks[:, images] = np.packbits(masks, axis=-1)
        for condition, count in enumerate(self.counts):
            count[images] = masks[self.conditions == condition].sum(axis=0, dtype=np.uint16)

    @property
    def sizes(self) -> np.ndarray:
        """Networks of each condition."""
        return np.bincount(self.conditions)

    def of_all(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The set that all networks share, and how many have each pixel: (image, pixel)."""
        counts = self.counts[:, images]
        return self._shared(counts, self.sizes), counts.sum(axis=0, dtype=np.uint16)

    def of_others(self, network: int, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The set that all networks but this one share, and how many of them have each pixel.

        Parameters
        ----------
        network : int
            Its position.
        images : ndarray of int
            Their positions, in any order and any number of times.

        Returns
        -------
        sets : ndarray of bool, (image, pixel)
            Of the other networks as of a study without this one: the consensus is asked of one
            network fewer.
        counts : ndarray of uint16, (image, pixel)

        Examples
        --------
        >>> marks = Marks.empty(np.zeros(3, int), 1, 4, "all")
        >>> marks.fill(np.array([0]), np.array([[[1, 1, 0, 0]], [[1, 0, 1, 0]], [[1, 0, 1, 0]]]))
        >>> [marks.of_others(network, np.array([0]))[0].astype(int).tolist() for network in (0, 1)]
        [[[1, 0, 1, 0]], [[1, 0, 0, 0]]]
        """
        counts, sizes = self.counts[:, images], self.sizes
        mask = np.unpackbits(self.masks[network, images], axis=-1, count=counts.shape[-1])
        condition = self.conditions[network]
        counts[condition] -= mask
        sizes[condition] -= 1
        return self._shared(counts, sizes), counts.sum(axis=0, dtype=np.uint16)

    def _shared(self, counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        wanted = needed(sizes)[CONSENSUS.index(self.consensus)]
        shared: np.ndarray = (counts >= wanted[:, np.newaxis, np.newaxis]).all(axis=0)
        return shared


def require_others(sizes: np.ndarray, names: list[str], where: str) -> None:
    """Refuse designs in which the networks that are left share nothing, or leave a condition empty.

    Parameters
    ----------
    sizes : ndarray of int, (condition,)
        Networks of each condition.
    names : list of str
        Of the conditions.
    where : str
        The result that names them.

    Raises
    ------
    ImpossibleAnalysis
        Fewer than two other networks, or a condition of one network.
    """
    if sizes.sum() - 1 < _LEAST_OTHERS:
        raise ImpossibleAnalysis(
            f"{where} is of {sizes.sum()} networks: each is shown what the others share, and"
            f" without it {sizes.sum() - 1} is left, which shares nothing. Add networks, to have 3"
            " or more, and run relstats shared again"
        )
    alone = [name for name, size in zip(names, sizes, strict=True) if size < 2]
    if alone:
        raise ImpossibleAnalysis(
            f"{where}: {len(alone)} condition(s) of one network ({', '.join(alone[:3])}): each"
            " network is shown what the others share in every condition, and without that one its"
            " condition has none. Add seeds, or run relstats shared with fewer axes in --across"
        )


def by_preference(sets: np.ndarray, counts: np.ndarray, networks: int) -> np.ndarray:
    """Order of the pixels of a set, to take some from: those of most networks first, then the
    pixels outside it that most networks have. Float32, larger first.

    Examples
    --------
    >>> by_preference(np.array([True, False, True]), np.array([3, 2, 2]), 3)
    array([7., 2., 6.], dtype=float32)
    """
    order: np.ndarray = counts.astype(np.float32) + sets * np.float32(1 + networks)
    return order


def donors(areas: np.ndarray) -> np.ndarray:
    """For each image the others that its sets may be swapped with: those alike in area.

    A set that is larger than usual is not like the first pixels of any other image: with images of
    any area, sets of networks that share nothing differ from swapped ones.

    Parameters
    ----------
    areas : ndarray, (network, image)
        Of the sets that each network is shown.

    Returns
    -------
    ndarray of int, (image, donor)
        Ten, or as many as there are.

    Examples
    --------
    >>> donors(np.array([[3, 9, 4]])).tolist()
    [[2, 1], [2, 0], [0, 1]]
    """
    area = areas.sum(axis=0)
    n = len(area)
    near = np.empty((n, min(DONORS, n - 1)), np.int64)
    for image in range(n):
        order = np.argsort(np.abs(area - area[image]), kind="stable")
        near[image] = order[order != image][: near.shape[1]]
    return near
