"""RDMs of networks: which images are alike in what a network finds relevant, in what it sees of
them, or in its features.

Labels in, labels out. Every number comes from `dissimilarity`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human.map_agreement import ranked
from relstats.human.points import points
from relstats.human.rdms.dissimilarity import Dissimilarity, tiled
from relstats.stats.described import Nan, check_options, described
from relstats.study import check, layout, shards, store
from relstats.study.maps import Maps, read_maps
from relstats.study.networks import image_labels, name_cells, network_table
from relstats.study.omissions import refuse_nan
from relstats.study.pairs import pair_labels
from relstats.study.top_pixels import Ranking

#: What the rows of an RDM are.
On = Literal["relevance", "weighted_images", "images", "features"]


@described
def rdm(
    study: xr.DataTree | xr.Dataset | xr.DataArray,
    *,
    on: On = "relevance",
    dissimilarity: Dissimilarity = "correlation",
    ranking: Ranking = "positive",
    layer: str | None = None,
    nan: Nan = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Dissimilarity of all pairs of images, for every network, and the images as points on a plane.

    Parameters
    ----------
    study : DataTree, Dataset or DataArray
        A study, its `/relevance` group, or any array with dims (image, ...) or (model, seed, image,
        ...) and text ids of images.
    on : {"relevance", "weighted_images", "images", "features"}
        What RDMs are made of: maps, images weighted by them, pixels, or features. "relevance": the
        maps. "weighted_images": the pixels of the images times what of relevance `ranking` names,
        so what a network weighs of an image. "images": their pixels, one RDM, to be held constant.
        "features": a variable of `/features`, (model, seed, image, ...). Of an array, what it
        holds.
    dissimilarity : {"correlation", "spearman", "cosine", "euclidean"}
        Of two images: 1 - Pearson, 1 - Spearman, 1 - cosine, or squared Euclidean distance. Ties
        share ranks; the distance is over the number of pixels.
    ranking : {"positive", "absolute", "signed"}
        Of weighted images: weigh by relevance above 0, by its absolute value, or with its sign.
    layer : str, optional
        Variable of `/features`. Default: the only one.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    progress : callable, optional
        Called with the number of networks done, and of all.

    Returns
    -------
    xarray.Dataset
        `dissimilarity` (model, seed, pair), or (pair,) where there are no networks, float64, with
        coordinates `image_i`, `image_j` on `pair` and the axes of models; `available` (model,
        seed). 0 to 2; "euclidean" in squared units. `points` ([model,] image, dimension), `stress`
        and `unknown` are those of `relstats.human.points`.

        Networks without any relevance are left out (not available); then images on which any other
        network's map is constant (all zero for "cosine") are left out for all, so that networks can
        be compared. Both are counted in the attributes, and `omitted_images` names the images.

    Raises
    ------
    UsageError
        Unknown option; the study has no such group.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite data; images of another size or label
        than the maps.
    ImpossibleAnalysis
        Fewer than 3 images are left, or no network.

    Notes
    -----
    Two tiles of images are in memory at a time, and one RDM (Kriegeskorte et al. 2008,
    doi:10.3389/neuro.06.004.2008).

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=2, images=6, size=8, rng=np.random.default_rng(1)
    ... )
    >>> dict(rdm(study)["dissimilarity"].sizes)
    {'model': 2, 'seed': 2, 'pair': 15}
    """
    result = network_rdms(
        study,
        on=on,
        dissimilarity=dissimilarity,
        ranking=ranking,
        layer=layer,
        nan=nan,
        progress=progress,
    )
    plane = points(result["dissimilarity"])
    reasons = sorted({str(reason) for reason in plane["unknown"].values.ravel().tolist()} - {""})
    notes = [f"no points on a plane: {reason}" for reason in reasons]
    return result.merge(plane).assign_attrs(
        population="these networks and these images",
        warnings=[*result.attrs["warnings"], *notes],
    )


def describe(
    study: xr.DataTree,
    *,
    on: On,
    dissimilarity: Dissimilarity,
    ranking: Ranking = "positive",
    layer: str | None = None,
    nan: Nan = "raise",
) -> str:
    """What `rdm` would do, without doing it."""
    check_options(rdm, on=on, dissimilarity=dissimilarity, ranking=ranking, nan=nan)
    source = _source(study, on, layer, ranking)
    n, networks = len(source.images), len(source.networks)
    size = source.read(0, slice(0, 1)).shape[1]
    memory = (8 * n**2 * 2 + 2 * 4 * source.tile * size) / 1e6
    return (
        f"{dissimilarity} RDMs on {on} of {networks} network(s), {n} images"
        f" ({n * (n - 1) // 2} pairs) of {size} values; {networks * n**2 * size / 1e9:.3g} billion"
        f" products (about 10 a second on one core), {memory:.0f} MB"
    )


def network_rdms(
    study: xr.DataTree | xr.Dataset | xr.DataArray,
    *,
    on: str = "relevance",
    dissimilarity: str = "correlation",
    ranking: str = "positive",
    layer: str | None = None,
    nan: str = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """RDMs as `rdm` makes them, without points on a plane; what went into them as attributes."""
    source = _source(study, on, layer, ranking)
    found = []
    for k in range(len(source.networks)):
        read = partial(source.read, k)
        found.append(tiled(read, len(source.images), source.tile, dissimilarity))
        if progress:
            progress(k + 1, len(source.networks))
    missing = np.array([each.missing for each in found])
    degenerate = np.array([each.degenerate for each in found])
    if nan == "raise":
        refuse_nan(name_cells(missing, source.networks, source.images), str(on))
    dead, keep = _usable(missing, degenerate)
    first, second = np.triu_indices(len(keep), 1)
    rdms = np.array([each.rdm for each in found])[:, keep[first] & keep[second]]
    images = np.array(source.images, object)
    result = _labelled(rdms, dead, source, images[keep].tolist())
    counts = _counts(missing, dead, keep)
    what = str(study.name or "features") if isinstance(study, xr.DataArray) else on
    made = {"on": what, "dissimilarity": dissimilarity, "ranking": ranking, "nan": nan}
    method = (
        f"Representational dissimilarity matrices ({dissimilarity}) were computed on {what} of"
        f" {counts['n_networks']} networks over {counts['n_images']} images."
    )
    return result.assign_attrs(
        **made,
        **({} if layer is None else {"layer": layer}),
        **counts,
        omitted_images=images[~keep].tolist(),
        method=method,
        warnings=_left_out(counts),
    )


@dataclass(frozen=True)
class _Source:
    """Where the rows of an RDM come from.

    Attributes
    ----------
    networks : DataFrame
        One row a network: model, seed, axes. One row without columns where there are no networks.
    images : list of str
    read : callable
        From the position of a network and a slice of images to (image, feature).
    tile : int
        How many images to read at once.
    """

    networks: pd.DataFrame
    images: list[str]
    read: Callable[[int, slice], np.ndarray]
    tile: int


def _source(
    study: xr.DataTree | xr.Dataset | xr.DataArray, on: str, layer: str | None, ranking: str
) -> _Source:
    if isinstance(study, xr.DataArray):
        return _of_array(study, study.coords.to_dataset())
    if on == "features":
        dataset = _group(study, "features")
        names = [
            str(name) for name, v in dataset.data_vars.items() if {"image", "model"} <= set(v.dims)
        ]
        if layer not in names and not (layer is None and len(names) == 1):
            raise UsageError(f"layer is {layer!r}; /features has {', '.join(names) or 'none'}")
        return _without_padding(
            _of_array(dataset[layer or names[0]], dataset), dataset, layer or names[0]
        )
    if on == "images":
        dataset = _group(study, "images")
        return _of_array(_pixels(dataset), dataset)
    maps = read_maps(study, f"RDMs on {on!r} need")
    return (
        _of_maps(maps) if on == "relevance" else _weighted(maps, _group(study, "images"), ranking)
    )


def _group(study: xr.DataTree | xr.Dataset, group: str) -> xr.Dataset:
    if isinstance(study, xr.Dataset):
        raise UsageError(f"this needs /{group}: pass the whole study")
    if group not in study.children:
        raise UsageError(
            f"this study has no /{group}; it has {', '.join(study.children) or 'nothing'}"
        )
    store.require_complete(study, group)
    return study[group].to_dataset()


def _pixels(dataset: xr.Dataset) -> xr.DataArray:
    if "pixels" not in dataset:
        raise UsageError("/images has no pixels: add them, or use the RDMs of maps")
    return dataset["pixels"]


def _of_maps(maps: Maps) -> _Source:
    def read(network: int, block: slice) -> np.ndarray:
        values = shards.read_block(maps.array, [maps.cells[network]], block)
        return values.reshape(-1, maps.n_pixels)

    return _Source(maps.networks, maps.images, read, _tile(maps.array, maps.n_pixels))


def _tile(array: xr.DataArray, size: int) -> int:
    """How many images to read at once: all, where they are in memory."""
    in_memory = isinstance(array.variable._data, np.ndarray)
    return array.sizes["image"] if in_memory else max(1, shards.BLOCK_VALUES // max(1, size))


def _of_array(array: xr.DataArray, dataset: xr.Dataset) -> _Source:
    """Networks and images of an array with dims ([model, [seed,]] image, ...)."""
    if "image" not in array.dims or "image" not in array.coords:
        raise InvalidData(f"{array.name} has dims {array.dims}: RDMs need a dim 'image' with ids")
    images = image_labels(dataset)
    if len(set(images)) < len(images) or not all(
        isinstance(label, str) for label in array["image"].values.tolist()
    ):
        raise InvalidData(
            f"ids of images are not text, or not unique ({', '.join(images[:3])}, ...): '007' is"
            " not 7"
        )
    dims = [dim for dim in layout.NETWORK if dim in array.dims]
    networks = pd.DataFrame(index=[0])
    cells: list[tuple[int, ...]] = [()]
    if dims:
        full = dataset if "seed" in dims else dataset.expand_dims(seed=["0"])
        networks = network_table(full)
        cells = [cell[: len(dims)] for cell in networks.pop("cell")]
    array = array.transpose(*dims, "image", ...)
    size = int(np.prod(array.shape[len(dims) + 1 :]))

    def read(network: int, block: slice) -> np.ndarray:
        values = (
            array[cells[network]].isel(image=block).values
            if not dims
            else shards.read_block(array, [cells[network]], block)[0]
        )
        return np.asarray(values).reshape(-1, size)

    return _Source(networks, images, read, _tile(array, size))


def _without_padding(features: _Source, dataset: xr.Dataset, layer: str) -> _Source:
    """Only as many features as a model has: where others have more, NaN fill the array."""
    if (
        "n_features" not in dataset
        or layer not in dataset["n_features"].coords.get("layer", xr.DataArray([])).values
    ):
        return features
    counts = dataset["n_features"].sel(layer=layer)
    of_model = dict(zip(map(str, counts["model"].values), counts.values.tolist(), strict=True))
    own = [of_model[model] for model in features.networks["model"]]
    return replace(
        features, read=lambda network, block: features.read(network, block)[:, : own[network]]
    )


def _weighted(maps: Maps, images: xr.Dataset, ranking: str) -> _Source:
    """The images times relevance, matched by label."""
    pixels = _pixels(images)
    labels = image_labels(images)
    problems = check.disagreement(set(maps.images), set(labels), "/relevance", "/images")
    size = pixels.sizes["y"], pixels.sizes["x"]
    if problems or maps.shape != size:
        raise InvalidData(
            "images cannot be weighed:"
            f" {problems[0] if problems else f'maps are {maps.shape}, pixels {size} (y, x)'}"
        )
    place = {label: k for k, label in enumerate(labels)}
    pixels = pixels.transpose("image", "y", "x", "channel")
    relevance = _of_maps(maps)

    def read(network: int, block: slice) -> np.ndarray:
        chosen = pixels.isel(image=[place[label] for label in maps.images[block]]).values.astype(
            np.float32
        )
        weights = ranked(relevance.read(network, block), ranking)
        return (chosen.reshape(*weights.shape, -1) * weights[..., np.newaxis]).reshape(
            len(weights), -1
        )

    return replace(relevance, read=read, tile=max(1, relevance.tile // pixels.sizes["channel"]))


def _usable(missing: np.ndarray, degenerate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which networks have nothing to compare, and which images the others all have."""
    without = missing | degenerate
    dead = without.all(axis=1)
    keep = ~without[~dead].any(axis=0)
    if dead.all() or keep.sum() < 3:
        raise ImpossibleAnalysis(
            f"{keep.sum()} image(s) are left on which every network has a map that varies"
            f" ({dead.sum()} network(s) have none at all): RDMs need 3"
        )
    return dead, keep


def _counts(missing: np.ndarray, dead: np.ndarray, keep: np.ndarray) -> dict[str, int]:
    with_nan = missing[~dead].any(axis=0)
    return {
        "n_images": int(keep.sum()),
        "n_images_omitted_nan": int(with_nan.sum()),
        "n_images_omitted_degenerate": int((~keep & ~with_nan).sum()),
        "n_networks": int((~dead).sum()),
        "n_networks_omitted": int(dead.sum()),
    }


def _left_out(counts: dict[str, int]) -> list[str]:
    texts = {
        "n_networks_omitted": "network(s) left out: no map of theirs varies",
        "n_images_omitted_nan": "image(s) left out for NaN",
        "n_images_omitted_degenerate": "image(s) left out: a map is constant or all zero",
    }
    return [f"{counts[name]} {text}" for name, text in texts.items() if counts[name]]


def _labelled(rdms: np.ndarray, dead: np.ndarray, source: _Source, images: list[str]) -> xr.Dataset:
    coords: dict[str, Any] = dict(pair_labels(images))
    if "model" not in source.networks:
        return xr.Dataset({"dissimilarity": ("pair", rdms[0])}, coords=coords)
    models, seeds = (sorted(source.networks[dim].unique()) for dim in layout.NETWORK)
    where = [
        source.networks[dim].map(labels.index).to_numpy()
        for dim, labels in zip(layout.NETWORK, (models, seeds), strict=True)
    ]
    values = np.full((len(models), len(seeds), rdms.shape[1]), np.nan)
    values[where[0], where[1]] = np.where(dead[:, np.newaxis], np.nan, rdms)
    available = np.zeros(values.shape[:2], bool)
    available[where[0], where[1]] = ~dead
    for axis in source.networks.columns.drop(list(layout.NETWORK)):
        levels = dict(zip(source.networks["model"], source.networks[axis], strict=True))
        coords[axis] = ("model", np.array([levels[model] for model in models], dtype=object))
    coords |= {"model": np.array(models, dtype=object), "seed": np.array(seeds, dtype=object)}
    return xr.Dataset(
        {
            "dissimilarity": ((*layout.NETWORK, "pair"), values),
            "available": (layout.NETWORK, available),
        },
        coords=coords,
    )
