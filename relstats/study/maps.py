"""The one reader of relevance maps: is the group there, complete and valid; networks and images by
label; blocks of images, what is left out of them and why; networks without relevance.

Other groups with networks and images (transfer, sufficiency, choices) have readers of their own,
and share the helpers below: whatever is read, a network is named, counted and left out alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, shards, store

#: Blocks whose results are in memory at once while they are summed.
BLOCKS_AT_ONCE = 8
_WHERE = "/relevance/relevance"


@dataclass(frozen=True)
class Tally:
    """What was left out of blocks of images, and why.

    `zero_maps` counts all-zero maps of each network, without NaN images.
    """

    images: int
    omitted_nan: int
    omitted_degenerate: int
    zero_maps: np.ndarray
    nan_cells: tuple[str, ...] = ()


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


def network_table(dataset: xr.Dataset, prefix: str = "") -> pd.DataFrame:
    """Labels and positions of the networks, sorted by label: results must not depend on the order
    in a study.
    """
    dims = tuple(f"{prefix}{d}" for d in layout.NETWORK)
    cells = shards.networks(dataset, dims)
    columns = {
        "model": [str(dataset[dims[0]].values[m]) for m, _ in cells],
        "seed": [str(dataset[dims[1]].values[s]) for _, s in cells],
    }
    axes = {
        a: [levels[m] for m, _ in cells]
        for a, levels in layout.axes(dataset, prefix).items()
        if a != "n_classes"
    }
    table = pd.DataFrame({**columns, **axes, "cell": cells}, dtype=object)
    return table.sort_values(["model", "seed"], ignore_index=True)


def image_labels(dataset: xr.Dataset) -> list[str]:
    """Ids of the images of a group, in its order."""
    return [str(label) for label in dataset["image"].values]


def name_cells(where: np.ndarray, table: pd.DataFrame, images: Sequence[str]) -> tuple[str, ...]:
    """The cells (network, image) or (source, target, image) that are True, in words; the image
    alone, where the table has no networks.
    """
    cells = np.argwhere(where)
    if "model" not in table:
        return tuple(f"image {images[index[-1]]!r}" for index in cells)
    names = [
        f"{model} seed {seed}" for model, seed in zip(table["model"], table["seed"], strict=True)
    ]
    return tuple(
        f"{' on '.join(names[k] for k in index[:-1])}, image {images[index[-1]]!r}"
        for index in cells
    )


def refuse_nan(cells: Sequence[str], where: str) -> None:
    """Raise InvalidData where there are cells with NaN, and name the first three."""
    if cells:
        raise InvalidData(
            f"{where}: NaN in {len(cells)} cell(s) (e.g. {'; '.join(cells[:3])}). Mend them, or"
            " leave these images out on purpose with --nan omit"
        )


def gather[Reduced](
    results: Sequence[tuple[Reduced | None, Tally]], nan: str, where: str
) -> tuple[list[Reduced], Tally]:
    """Results of all blocks that have one, and the total of what was left out.

    NaN is refused unless it may be omitted.
    """
    tallies = [tally for _, tally in results]
    if nan == "raise":
        refuse_nan([cell for tally in tallies for cell in tally.nan_cells], where)
    total = Tally(
        sum(tally.images for tally in tallies),
        sum(tally.omitted_nan for tally in tallies),
        sum(tally.omitted_degenerate for tally in tallies),
        np.sum([tally.zero_maps for tally in tallies], axis=0) if tallies else np.zeros(0, int),
    )
    return [value for value, _ in results if value is not None], total


def dead_networks(table: pd.DataFrame, tally: Tally, n_images: int) -> list[tuple[str, str]]:
    """(model, seed) of networks whose maps are all zero, on every image that has no NaN."""
    with_maps = n_images - tally.omitted_nan
    dead = (tally.zero_maps == with_maps) & (with_maps > 0)
    return [(model, seed) for model, seed in table.loc[dead, ["model", "seed"]].to_numpy()]


def omissions(tally: Tally, dead: Sequence[tuple[str, str]]) -> list[str]:
    """What was left out, in words."""
    named = ", ".join(" seed ".join(network) for network in dead[:3])
    counted = (
        (len(dead), f"network(s) left out: all their maps are zero ({named})"),
        (tally.omitted_nan, "image(s) left out for NaN"),
        (
            tally.omitted_degenerate,
            "image(s) left out: a map is all zero or constant, or has no pixel to rank",
        ),
    )
    return [f"{count} {what}" for count, what in counted if count]


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
