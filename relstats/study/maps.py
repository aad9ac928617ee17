"""The one reader of relevance maps: is the group there, complete and valid; networks and images by
label; blocks of images, what is left out of them and why; networks without relevance.

Other groups with networks and images (transfer, sufficiency, choices) have readers of their own,
and share `relstats.study.networks` and `relstats.study.omissions`: whatever is read, a network is
named, counted and left out alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, shards, store
from relstats.study.networks import image_labels, name_cells, network_table
from relstats.study.omissions import Tally, dead_networks, gather

#: Blocks whose results are in memory at once while they are summed.
BLOCKS_AT_ONCE = 8
_WHERE = "/relevance/relevance"


@dataclass(frozen=True)
class Block:
    """Maps of all networks on a block of images, in memory.

    Attributes
    ----------
    maps : ndarray, (network, image, y, x)
        Never infinite.
    missing : ndarray of bool, (network, image)
        Maps that hold NaN.
    images : slice
        Positions of the images among those of the `Maps`.
    nan_cells : tuple of str
        The missing maps, in words.
    """

    maps: np.ndarray
    missing: np.ndarray
    images: slice
    nan_cells: tuple[str, ...] = ()

    @property
    def pixels(self) -> np.ndarray:
        """Maps as vectors, (network, image, pixel)."""
        return self.maps.reshape(*self.maps.shape[:2], -1)

    @property
    def present(self) -> np.ndarray:
        """Images on which no network's map holds NaN, (image,)."""
        return ~self.missing.any(axis=0)

    def empty(self) -> np.ndarray:
        """All-zero maps, (network, image)."""
        return ~self.pixels.any(axis=-1)

    def tally(
        self, used: np.ndarray, empty: np.ndarray, degenerate: np.ndarray | None = None
    ) -> Tally:
        """Count what was left out of this block.

        Parameters
        ----------
        used : ndarray of bool, (image,)
            Images that the result is of.
        empty : ndarray of bool, (network, image)
            Maps without any relevance; looked up where no map is missing.
        degenerate : ndarray of bool, (image,), optional
            Images left out because a map says nothing. Default: those neither used nor missing.
        """
        present = self.present
        if degenerate is None:
            degenerate = present & ~used
        return Tally(
            int(used.sum()),
            int((~present).sum()),
            int(degenerate.sum()),
            empty[:, present].sum(axis=1),
            self.nan_cells,
        )


@dataclass(frozen=True)
class Maps:
    """Relevance maps of a study: which networks and images, and their values where they are asked
    for.

    Attributes
    ----------
    array : DataArray, (model, seed, image, y, x)
        Lazy, or in memory.
    cells : list of tuple of int
        Position (model, seed) of each network in `array`.
    networks : DataFrame
        One row a network, sorted by label: `model`, `seed` and one column for each axis.
    images : list of str
        Ids, in the order of `array`.
    nan : {"raise", "omit"}
        What becomes of images on which a map holds NaN.
    """

    array: xr.DataArray
    cells: list[tuple[int, ...]]
    networks: pd.DataFrame
    images: list[str]
    nan: str = "raise"

    @property
    def axes(self) -> list[str]:
        """Names of the labels of models."""
        return [str(name) for name in self.networks if name not in layout.NETWORK]

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a map: (y, x)."""
        return self.array.sizes["y"], self.array.sizes["x"]

    @property
    def n_pixels(self) -> int:
        """Pixels of a map."""
        return self.shape[0] * self.shape[1]

    @property
    def images_per_block(self) -> int:
        """How many images are read at once."""
        return max(1, shards.BLOCK_VALUES // (max(1, len(self.cells)) * self.n_pixels))

    def select(
        self, networks: np.ndarray | None = None, images: np.ndarray | slice | None = None
    ) -> Self:
        """Some networks (a mask, or positions in any order) and some images (positions)."""
        chosen = self
        if networks is not None:
            index = np.arange(len(self.cells))[networks]
            chosen = replace(
                chosen,
                cells=[self.cells[k] for k in index],
                networks=self.networks.iloc[index].reset_index(drop=True),
            )
        if images is not None:
            positions = np.arange(len(self.images))[images]
            chosen = replace(
                chosen,
                array=self.array.isel(image=images),
                images=[self.images[k] for k in positions],
            )
        return chosen

    def without(self, networks: Collection[tuple[str, str]]) -> Self:
        """All networks but some, by (model, seed)."""
        names = zip(self.networks["model"], self.networks["seed"], strict=True)
        return self.select(networks=np.array([name not in networks for name in names], bool))

    def dead(self, tally: Tally) -> list[tuple[str, str]]:
        """(model, seed) of networks without relevance on any image that has no NaN."""
        return dead_networks(self.networks, tally, len(self.images))

    def alive(self, tally: Tally) -> Self:
        """The networks that have relevance, by what a run over all images counted."""
        return self.without(self.dead(tally))

    def block(self, images: slice) -> Block:
        """The maps of some images, checked.

        Raises
        ------
        InvalidData
            A map is infinite, or cannot be read.
        """
        values = shards.read_block(self.array, self.cells, images)
        return _checked(values, self.networks, self.images, images)

    def stream[Reduced](self, function: Callable[[Block], Reduced]) -> list[Reduced]:
        """Apply a function to all images, a block at a time, whatever holds NaN.

        Returns
        -------
        list
            One result a block, in the order of the images. Memory does not grow with their number.

        Raises
        ------
        InvalidData
            A map is infinite, or cannot be read.
        """
        if not self.cells:
            return []
        task = partial(_applied, function, self.networks, self.images)
        return shards.over_images(self.array, self.cells, task)

    def blocks[Reduced](
        self, function: Callable[[Block], tuple[Reduced | None, Tally]]
    ) -> tuple[list[Reduced], Tally]:
        """Apply a function to all images, a block at a time.

        Parameters
        ----------
        function : callable
            From a `Block` to its result (None where no image can be used) and its tally.

        Returns
        -------
        results : list
            Of the blocks that have one, in the order of the images.
        tally : Tally
            Over all blocks.

        Raises
        ------
        InvalidData
            A map is infinite, cannot be read or, unless it may be omitted, holds NaN.

        Examples
        --------
        >>> import relstats
        >>> rng = np.random.default_rng(1)
        >>> study = relstats.simulate(models="2x1", seeds=2, images=5, size=8, rng=rng)
        >>> def largest(block):
        ...     return block.pixels.max(axis=-1), block.tally(block.present, block.empty())
        >>> values, tally = read_maps(study, "this needs").blocks(largest)
        >>> values[0].shape, tally.images
        ((4, 5), 5)
        """
        return gather(self.stream(function), self.nan, _WHERE)

    def total(
        self, function: Callable[[Block], tuple[np.ndarray, Tally]]
    ) -> tuple[np.ndarray, Tally]:
        """The sum over blocks of an array, of which a few are in memory at once.

        Parameters and errors are those of `blocks`.
        """
        step, total, tallies = BLOCKS_AT_ONCE * self.images_per_block, np.zeros(()), []
        for start in range(0, len(self.images), step):
            part = self.select(images=slice(start, start + step))
            for values, tally in part.stream(function):
                total = total + values
                tallies.append((None, tally))
        return total, gather(tallies, self.nan, _WHERE)[1]


def study_group(
    study: xr.DataTree | xr.Dataset, group: str, need: str, *, advice: str
) -> xr.Dataset:
    """A group of a study: there, complete and of the right layout.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just this group.
    group : str
        Its name, without a slash.
    need : str
        Who asks, with the verb, for the message: "stability needs".
    advice : str
        What to do where there is none.

    Raises
    ------
    UsageError
        The study has no such group.
    InvalidData
        It is incomplete, or breaks the layout.
    """
    if isinstance(study, xr.DataTree):
        if group not in study.children:
            has = ", ".join(study.children) or "nothing"
            raise UsageError(f"{need} /{group}; this study has {has}. {advice}")
        store.require_complete(study, group)
        study = study[group].to_dataset()
    require_valid(study, group)
    return study


def read_maps(
    study: xr.DataTree | xr.Dataset, need: str, *, nan: str = "raise", advice: str = "Add the maps"
) -> Maps:
    """The maps of a study, and which networks and images they are of.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/relevance` group.
    need : str
        Who asks, with the verb, for messages: "stability needs".
    nan : {"raise", "omit"}
        What becomes of images on which a map holds NaN.
    advice : str
        What to do where there are no maps.

    Raises
    ------
    UsageError
        The study has no maps.
    InvalidData
        They are incomplete, or break the layout.

    Examples
    --------
    >>> import relstats
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=2, images=5, size=8, rng=rng)
    >>> maps = read_maps(study, "this needs")
    >>> len(maps.networks), maps.axes, len(maps.images), maps.shape
    (4, ['pretrain', 'task'], 5, (8, 8))
    """
    if isinstance(study, xr.Dataset) and "relevance" not in study:
        has = ", ".join(map(str, study.data_vars)) or "nothing"
        raise UsageError(f"{need} relevance maps; this dataset has {has}")
    dataset = study_group(study, "relevance", need, advice=advice)
    table = network_table(dataset)
    return Maps(
        dataset["relevance"].transpose(*layout.NETWORK, "image", "y", "x"),
        list(table.pop("cell")),
        table,
        image_labels(dataset),
        nan,
    )


def require_valid(dataset: xr.Dataset, group: str) -> None:
    """Refuse a group that breaks the layout: where it is given by itself it came through no door,
    and two networks of one name would be mixed up.
    """
    problems = check.check_group(dataset, group)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))


def _applied(
    function: Callable[[Block], Any],
    table: pd.DataFrame,
    labels: list[str],
    values: np.ndarray,
    images: slice,
) -> Any:
    return function(_checked(values, table, labels, images))


def _checked(values: np.ndarray, table: pd.DataFrame, labels: list[str], images: slice) -> Block:
    """A block of maps (network, image, y, x), none of them infinite."""
    pixels = values.reshape(*values.shape[:2], -1)
    with np.errstate(invalid="ignore"):  # of inf - inf, which is told below
        total = pixels.sum(axis=-1, dtype=float)
    infinite = np.zeros(pixels.shape, bool)
    np.isinf(pixels, where=~np.isfinite(total)[..., np.newaxis], out=infinite)
    if infinite.any():
        where = name_cells(infinite.any(axis=-1), table, labels[images])
        raise InvalidData(
            f"{_WHERE} is infinite in {', '.join(where[:3])}: a mean over it means nothing (float16"
            " overflows at 65504). Compute it in float32"
        )
    missing = np.isnan(total)
    return Block(values, missing, images, name_cells(missing, table, labels[images]))
