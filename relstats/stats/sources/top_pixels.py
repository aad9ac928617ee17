"""The maps of a study read as masks of their top pixels, in blocks of images, with the state of
each map.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import UsageError
from relstats.stats.maps import bits
from relstats.stats.maps.single import mask_shortfall, top_count, top_fraction
from relstats.study.maps import Block, Maps, read_maps
from relstats.study.networks import name_cells
from relstats.study.omissions import refuse_nan

#: Images whose masks are in memory at once: those that swap maps among each other.
GROUP = 256
FINE, NAN, FLAT = range(3)


@dataclass(frozen=True, kw_only=True)
class RankedMaps(Maps):
    """Maps whose top pixels are asked for: networks ordered by condition (`codes`), and how pixels
    are ranked.
    """

    codes: np.ndarray
    fraction: float
    ranking: str

    @property
    def sizes(self) -> np.ndarray:
        """Networks of each condition."""
        return np.bincount(self.codes)

    def select(
        self, networks: np.ndarray | None = None, images: np.ndarray | slice | None = None
    ) -> Self:
        """Some networks and images; conditions that are left are numbered anew."""
        chosen = super().select(networks, images)
        if networks is None:
            return chosen
        return replace(chosen, codes=np.unique(self.codes[networks], return_inverse=True)[1])


@dataclass(frozen=True)
class Survey:
    """What a first pass over all images finds: the state of each map (network, image), and on whole
    images, what is masked.
    """

    state: np.ndarray
    inclusion: np.ndarray
    short: int


def ranked_maps(
    study: xr.DataTree | xr.Dataset,
    fraction: float,
    ranking: str,
    across: Sequence[str],
    nan: str = "raise",
) -> RankedMaps:
    """The maps of a study, and their networks by condition: each combination of levels of the axes
    `across`.

    Raises
    ------
    UsageError
        No maps; unknown axis, or one named twice; a fraction outside (0, 1).
    InvalidData
        Maps that are incomplete or break the layout.
    """
    maps = read_maps(study, "shared pixels need", nan=nan)
    unknown = [axis for axis in across if axis not in maps.axes]
    if unknown:
        near = difflib.get_close_matches(unknown[0], maps.axes, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"no axis {unknown[0]!r}: models have {', '.join(maps.axes) or 'no labels'}.{hint} Name"
            " one in across"
        )
    if len(set(across)) < len(across):
        raise UsageError(f"across is {', '.join(across)}: an axis is named twice. Name each once")
    if top_count(fraction, maps.n_pixels) == maps.n_pixels:
        raise UsageError(
            f"fraction={fraction}: all {maps.n_pixels} pixels of every map, which networks share"
            " whatever they find relevant. Give less, such as 0.1"
        )
    table = maps.networks.assign(condition="all networks", code=0)
    if across:
        table["condition"] = table[list(across)].agg(" ".join, axis=1)
        table["code"] = table.groupby(list(across)).ngroup()
    order = table.sort_values(["code", "model", "seed"]).index.to_numpy()
    table = table.loc[order].reset_index(drop=True)
    return RankedMaps(
        maps.array,
        [maps.cells[k] for k in order],
        table,
        maps.images,
        nan,
        codes=table.pop("code").to_numpy(int),
        fraction=fraction,
        ranking=ranking,
    )


def read(maps: RankedMaps, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Packed masks (network, image, word) and states (network, image) at some positions, and pixels
    that masks lack.
    """
    order = np.argsort(positions)
    steps = np.diff(positions[order])
    if len(positions) > 1 and (steps == steps[0]).all():  # a slice is read faster than a list
        index: Any = slice(positions[order[0]], positions[order[-1]] + 1, steps[0])
    else:
        index = positions[order]
    task = functools.partial(mask_block, maps.fraction, maps.ranking)
    blocks = maps.select(images=index).stream(task)
    masks, state = (np.concatenate([block[k] for block in blocks], axis=1) for k in (0, 1))
    back = np.argsort(order)
    return masks[:, back], state[:, back], sum(block[2] for block in blocks)


def mask_block(fraction: float, ranking: str, block: Block) -> tuple[np.ndarray, np.ndarray, int]:
    """What `read` returns, of a block of maps."""
    values = block.pixels
    low, high = values.min(axis=-1), values.max(axis=-1)
    masks = top_fraction(values, fraction, ranking)
    state = np.where((low == high) | ~masks.any(axis=-1), FLAT, FINE).astype(np.int8)
    state[block.missing] = NAN
    short = mask_shortfall(masks[np.newaxis], (fraction,))[0][state == FINE]
    return bits.pack(masks), state, int(np.count_nonzero(short))


def _survey(maps: RankedMaps) -> Survey:
    state = np.empty((len(maps.cells), len(maps.images)), np.int8)
    inclusion, short = np.zeros((len(maps.cells), maps.n_pixels), np.int64), 0
    for start in range(0, len(maps.images), GROUP):
        positions = np.arange(start, min(start + GROUP, len(maps.images)))
        masks, state[:, positions], lacking = read(maps, positions)
        whole = (state[:, positions] == FINE).all(axis=0)
        short += lacking
        for network, mask in enumerate(masks):
            inclusion[network] += bits.unpack(mask[whole], maps.n_pixels).sum(
                axis=0, dtype=np.int64
            )
    return Survey(state, inclusion, short)


def without_dead(maps: RankedMaps) -> tuple[RankedMaps, Survey, pd.DataFrame]:
    """The survey of the networks that have maps; the others apart."""
    survey = _survey(maps)
    if maps.nan == "raise":
        refuse_nan(
            name_cells(survey.state == NAN, maps.networks, maps.images), "/relevance/relevance"
        )
    dead = (survey.state == FLAT).any(axis=1) & ~(survey.state == FINE).any(axis=1)
    left_out = maps.networks[dead]
    if not dead.any() or dead.all():
        return maps, survey, left_out
    rest = maps.select(networks=~dead)
    return rest, _survey(rest), left_out


def groups(maps: RankedMaps, kept: np.ndarray) -> list[np.ndarray]:
    """Positions of images that swap maps.

    In the order of their labels, as results must not depend on the order in a study.
    """
    order = kept[np.argsort(np.array(maps.images, dtype=object)[kept])]
    n = -(-len(order) // GROUP)
    return [order[k::n] for k in range(n)]
