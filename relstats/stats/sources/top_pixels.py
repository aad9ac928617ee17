"""The maps of a study read as masks of their top pixels, in blocks of images, with the state of
each map.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.stats.maps import bits
from relstats.stats.maps.single import mask_shortfall, top_count, top_fraction
from relstats.stats.sources.scores import image_labels, name_cells, network_table
from relstats.study import layout, shards, store

#: Images whose masks are in memory at once: those that swap maps among each other.
GROUP = 256
FINE, NAN, INFINITE, FLAT = range(4)


@dataclass(frozen=True)
class Maps:
    """The maps of a study as they are read: array (model, seed, image, y, x), and the networks
    ordered by condition (`codes`).
    """

    array: xr.DataArray
    cells: list[tuple[int, ...]]
    networks: pd.DataFrame
    codes: np.ndarray
    labels: list[str]
    fraction: float
    ranking: str

    @property
    def sizes(self) -> np.ndarray:
        """Networks of each condition."""
        return np.bincount(self.codes)

    @property
    def pixels(self) -> int:
        """Pixels of a map."""
        return self.array.sizes["y"] * self.array.sizes["x"]


@dataclass(frozen=True)
class Survey:
    """What a first pass over all images finds: the state of each map (network, image), and on whole
    images, what is masked.
    """

    state: np.ndarray
    inclusion: np.ndarray
    short: int


def relevance_group(study: xr.DataTree | xr.Dataset) -> xr.Dataset:
    """The `/relevance` group of a study, complete and of the right layout."""
    if isinstance(study, xr.DataTree):
        if "relevance" not in study.children:
            raise UsageError(
                "shared pixels need /relevance; this study has"
                f" {', '.join(study.children) or 'nothing'}. Add the maps"
            )
        store.require_complete(study, "relevance")
        study = study["relevance"].to_dataset()
    problems = layout.check_group(study, "relevance")
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    return study


def maps_of(dataset: xr.Dataset, fraction: float, ranking: str, across: Sequence[str]) -> Maps:
    """The maps of a `/relevance` group, and their networks by condition: each combination of levels
    of the axes `across`.

    Raises
    ------
    UsageError
        Unknown axis, or one named twice; a fraction outside (0, 1).
    """
    table = network_table(dataset)
    axes = [c for c in table if c not in ("model", "seed", "cell")]
    unknown = [axis for axis in across if axis not in axes]
    if unknown:
        near = difflib.get_close_matches(unknown[0], axes, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"no axis {unknown[0]!r}: models have {', '.join(axes) or 'no labels'}.{hint} Name one"
            " in across"
        )
    if len(set(across)) < len(across):
        raise UsageError(f"across is {', '.join(across)}: an axis is named twice. Name each once")
    table["condition"] = (
        table[list(across)].agg(" ".join, axis=1) if len(across) else "all networks"
    )
    table["code"] = table.groupby(list(across)).ngroup() if len(across) else 0
    table = table.sort_values(["code", "model", "seed"], ignore_index=True)
    array = dataset["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    pixels = array.sizes["y"] * array.sizes["x"]
    if top_count(fraction, pixels) == pixels:
        raise UsageError(
            f"fraction={fraction}: all {pixels} pixels of every map, which networks share whatever"
            " they find relevant. Give less, such as 0.1"
        )
    labels = image_labels(dataset)
    return Maps(
        array,
        list(table.pop("cell")),
        table,
        table.pop("code").to_numpy(int),
        labels,
        fraction,
        ranking,
    )


def read(maps: Maps, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
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
    blocks = shards.over_images(maps.array.isel(image=index), maps.cells, task)
    masks, state = (np.concatenate([block[k] for block in blocks], axis=1) for k in (0, 1))
    back = np.argsort(order)
    return masks[:, back], state[:, back], sum(block[2] for block in blocks)


def mask_block(
    fraction: float, ranking: str, block: np.ndarray, images: slice
) -> tuple[np.ndarray, np.ndarray, int]:
    """What `read` returns, of a block of maps (network, image, y, x)."""
    values = block.reshape(*block.shape[:2], -1)
    low, high = values.min(axis=-1), values.max(axis=-1)
    masks = top_fraction(values, fraction, ranking)
    state = np.where((low == high) | ~masks.any(axis=-1), FLAT, FINE).astype(np.int8)
    state[np.isnan(low)] = NAN
    state[np.isinf(low) | np.isinf(high)] = INFINITE
    short = mask_shortfall(masks[np.newaxis], (fraction,))[0][state == FINE]
    return bits.pack(masks), state, int(np.count_nonzero(short))


def _survey(maps: Maps) -> Survey:
    state = np.empty((len(maps.cells), len(maps.labels)), np.int8)
    inclusion, short = np.zeros((len(maps.cells), maps.pixels), np.int64), 0
    for start in range(0, len(maps.labels), GROUP):
        positions = np.arange(start, min(start + GROUP, len(maps.labels)))
        masks, state[:, positions], lacking = read(maps, positions)
        whole = (state[:, positions] == FINE).all(axis=0)
        short += lacking
        for network, mask in enumerate(masks):
            inclusion[network] += bits.unpack(mask[whole], maps.pixels).sum(axis=0, dtype=np.int64)
    return Survey(state, inclusion, short)


def without_dead(maps: Maps, nan: str) -> tuple[Maps, Survey, pd.DataFrame]:
    """The survey of the networks that have maps; the others apart."""
    survey = _survey(maps)
    for value, problem in ((INFINITE, "infinite"), (NAN, "NaN")):
        where = survey.state == value
        if where.any() and (value == INFINITE or nan == "raise"):
            named = "; ".join(name_cells(where, maps.networks, maps.labels)[:3])
            do = (
                "Compute them in float32"
                if value == INFINITE
                else "Mend them, or leave these images out on purpose with --nan omit"
            )
            raise InvalidData(
                f"/relevance/relevance: {problem} in {np.count_nonzero(where)} map(s) (e.g."
                f" {named}): the pixels of such a map have no order. {do}"
            )
    dead = (survey.state == FLAT).any(axis=1) & ~(survey.state == FINE).any(axis=1)
    left_out = maps.networks[dead]
    if not dead.any() or dead.all():
        return maps, survey, left_out
    alive = np.flatnonzero(~dead)
    codes = np.unique(maps.codes[alive], return_inverse=True)[1]
    rest = replace(
        maps,
        cells=[maps.cells[k] for k in alive],
        networks=maps.networks.iloc[alive].reset_index(drop=True),
        codes=codes,
    )
    return rest, _survey(rest), left_out


def groups(maps: Maps, kept: np.ndarray) -> list[np.ndarray]:
    """Positions of images that swap maps.

    In the order of their labels, as results must not depend on the order in a study.
    """
    order = kept[np.argsort(np.array(maps.labels, dtype=object)[kept])]
    n = -(-len(order) // GROUP)
    return [order[k::n] for k in range(n)]
