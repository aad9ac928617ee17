"""The set that the other networks share on each image, for each network of a result, and sets of
the same area that it is compared with.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from relstats.compute.perturb import fills
from relstats.compute.perturb.designs import Design
from relstats.compute.perturb.maps import finite
from relstats.compute.perturb.others import Marks, by_preference, donors, require_others
from relstats.compute.perturb.top_pixels import places, top_fractions
from relstats.errors import InvalidData, UsageError
from relstats.study import layout, shards, store

#: Streams of random numbers; that of the controls of a transfer is 1.
_SWAP, _RANDOM = 2, 3


@dataclass(frozen=True)
class Shared:
    """A result of shared pixels, in the order of the images of the maps.

    `rows` are places in the result, -1 for an image that it left out. `cells` are the networks of
    the result, as positions in the maps.
    """

    name: str
    result: xr.Dataset
    rows: np.ndarray
    cells: dict[tuple[str, str], tuple[int, int]]

    @property
    def about(self) -> dict[str, object]:
        """How the sets were found."""
        return {
            key: self.result["core"].attrs[key] for key in ("fraction", "ranking", "consensus")
        } | {"across": self.result.attrs.get("across", [])}

    @property
    def ranking(self) -> str:
        """What made a pixel relevant."""
        return str(self.result["core"].attrs["ranking"])

    def conditions(self) -> tuple[np.ndarray, list[str]]:
        """The condition of each network, and what they are called."""
        names = [str(label) for label in self.result["condition"].values]
        labels = self.result["network_condition"].values
        return np.array([names.index(str(label)) for label in labels]), names


@dataclass(frozen=True)
class OthersSets:
    """What each network of a result is shown: the set that the others share.

    `areas` counts its pixels, (network, image of the maps).
    """

    shared: Shared
    marks: Marks
    areas: np.ndarray
    digest: str

    def position(self, network: tuple[str, str]) -> int:
        """Number of a network among those of the result."""
        return list(self.shared.cells).index(network)

    def images(self) -> np.ndarray:
        """Images on which there is a set for every network: on others, nothing is compared."""
        return np.flatnonzero((self.areas > 0).all(axis=0))

    @cached_property
    def donors(self) -> dict[int, np.ndarray]:
        """For each of these images, those that its sets may be swapped with."""
        images = self.images()
        near = images[donors(self.areas[:, images])]
        return dict(zip(images.tolist(), near, strict=True))


def read_shared(out: str | Path, name: str, maps: xr.Dataset) -> Shared:
    """A result of shared pixels, checked against the labels of the maps of the study.

    Raises
    ------
    UsageError
        No such result, or it has no shared sets.
    InvalidData
        It is of other images, of another size or of other networks.
    ImpossibleAnalysis
        Without one network, too few are left.
    """
    result = _result(out, name)
    labels = [str(image) for image in maps["image"].values]
    place = {str(image): row for row, image in enumerate(result["image"].values)}
    _require_fit(out, name, result, maps, place)
    rows = np.array([place.get(image, -1) for image in labels])
    shared = Shared(name, result, rows, _cells(result, maps))
    codes, names = shared.conditions()
    require_others(np.bincount(codes, minlength=len(names)), names, f"/results/{name} of {out}")
    return shared


def others_sets(shared: Shared, maps: xr.Dataset, device: torch.device) -> OthersSets:
    """The sets of the others of every network, from the maps.

    Raises
    ------
    InvalidData
        The result is of other maps; or on fewer than two images there is a set for every network.
    """
    relevance = maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    images, pixels = relevance.sizes["image"], relevance.sizes["y"] * relevance.sizes["x"]
    marks = Marks.empty(shared.conditions()[0], images, pixels, str(shared.about["consensus"]))
    areas, digest = np.zeros((len(shared.cells), images), np.int64), hashlib.sha256()
    step = max(1, shards.BLOCK_VALUES // (len(shared.cells) * pixels))
    for start in range(0, images, step):
        where = np.arange(start, min(start + step, images))
        where = where[shared.rows[where] >= 0]
        if where.size:
            masks = _top_pixels(shared, relevance, where, device)
            marks.fill(where, masks)
            _require_same_maps(shared, marks, relevance, where)
            digest.update(np.packbits(masks).tobytes())
            for network in range(len(masks)):
                areas[network, where] = marks.of_others(network, where)[0].sum(axis=-1)
    sets = OthersSets(shared, marks, areas, digest.hexdigest())
    _require_two_images(sets)
    return sets


def _top_pixels(
    shared: Shared, relevance: xr.DataArray, images: np.ndarray, device: torch.device
) -> np.ndarray:
    """The masks of all networks of a result on some images, (network, image, pixel)."""
    block = shards.read_block(
        relevance, list(shared.cells.values()), slice(int(images[0]), int(images[-1]) + 1)
    )[:, images - images[0]]
    values = block.reshape(-1, block.shape[-2] * block.shape[-1])
    rows = torch.from_numpy(values.astype(np.result_type(block.dtype, np.float32))).to(device)
    fraction = float(str(shared.about["fraction"]))
    masks = top_fractions(rows, (fraction,), shared.ranking)[0]
    return masks.cpu().numpy().reshape(*block.shape[:2], -1)


def _require_same_maps(
    shared: Shared, marks: Marks, relevance: xr.DataArray, images: np.ndarray
) -> None:
    """What all networks share is what the result says: maps may have been computed anew."""
    core, count = marks.of_all(images)
    rows = shared.rows[images]
    differs = (core != _values(shared.result["core"], rows)).any(axis=-1)
    differs |= (count != _values(shared.result["count"], rows)).any(axis=-1)
    if differs.any():
        raise InvalidData(
            f"/results/{shared.name} was made from other maps than those in /relevance (image "
            f"{str(relevance['image'].values[images[np.argmax(differs)]])!r}). Run relstats shared"
            " again"
        )


def _require_two_images(sets: OthersSets) -> None:
    n = len(sets.images())
    if n < 2:
        raise InvalidData(
            f"/results/{sets.shared.name}: {n} image(s) on which the others of every network share"
            " a pixel, and they are compared with those of other images. Find larger sets:"
            " relstats shared --fraction 0.2, or --consensus majority"
        )


def _result(out: str | Path, name: str) -> xr.Dataset:
    study = store.open_study(out)
    results = study["results"].children if "results" in study.children else {}
    usable = [str(n) for n, node in results.items() if {"core", "count"} <= set(node.data_vars)]
    if name not in results:
        near = difflib.get_close_matches(name, usable, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"{out} has no /results/{name}; with shared sets there are"
            f" {', '.join(usable) or 'none'}.{hint} Make it first: relstats shared"
        )
    if name not in usable:
        raise UsageError(
            f"/results/{name} of {out} holds no shared sets (core and count of each image); these"
            f" do: {', '.join(usable) or 'none'}. Make them first: relstats shared"
        )
    return results[name].to_dataset()


def _require_fit(
    out: str | Path, name: str, result: xr.Dataset, maps: xr.Dataset, place: dict[str, int]
) -> None:
    where = f"/results/{name} of {out}"
    grids = [tuple(int(d.sizes[k]) for k in ("y", "x")) for d in (result, maps)]
    if grids[0] != grids[1]:
        raise InvalidData(
            f"{where}: sets have {grids[0][0]} x {grids[0][1]} pixels, maps {grids[1][0]} x"
            f" {grids[1][1]}: a pixel of one is no pixel of the other. Run relstats shared again"
        )
    strange = sorted(set(place) - {str(image) for image in maps["image"].values})
    networks = sorted(set(_networks(result)) - set(_positions(maps)))
    if strange or networks:
        what = [f"{len(strange)} image(s) ({', '.join(map(repr, strange[:3]))})"] if strange else []
        what += (
            [f"{len(networks)} network(s) ({', '.join(' seed '.join(n) for n in networks[:3])})"]
            if networks
            else []
        )
        raise InvalidData(
            f"{where} is of another study: {' and '.join(what)} have no maps here. Run relstats"
            " shared again"
        )


def _networks(result: xr.Dataset) -> list[tuple[str, str]]:
    names = (result[f"network_{dim}"].values for dim in layout.NETWORK)
    return [(str(model), str(seed)) for model, seed in zip(*names, strict=True)]


def _positions(maps: xr.Dataset) -> dict[tuple[str, str], tuple[int, int]]:
    models, seeds = (maps[dim].values for dim in layout.NETWORK)
    return {(str(models[m]), str(seeds[s])): (m, s) for m, s in shards.networks(maps)}


def _cells(result: xr.Dataset, maps: xr.Dataset) -> dict[tuple[str, str], tuple[int, int]]:
    there = _positions(maps)
    return {network: there[network] for network in _networks(result)}


def _values(array: xr.DataArray, rows: np.ndarray) -> np.ndarray:
    """Rows of a result, in the order given: (image, pixel)."""
    order, back = np.unique(rows, return_inverse=True)
    values: np.ndarray = array.transpose("image", "y", "x").isel(image=order).values
    return values.reshape(len(order), -1)[back]


def network_sets(
    sets: OthersSets,
    design: Design,
    network: tuple[str, str],
    images: np.ndarray,
    device: torch.device,
) -> Tensor:
    """What a network is shown: the set of the others, its own pixels, then the draws of image
    swaps, then those of random pixels.

    Parameters
    ----------
    images : ndarray of int
        Positions of images with a set for every network.

    Returns
    -------
    Tensor of bool, (set, image, pixel), on the device
        All of an image have the area of the set of the others. A swap has the pixels of theirs on
        another image, those of most networks first; if they are too few, then those outside it that
        most of them share. Its own are as many of the network's most relevant pixels, where its map
        has fewer the next in order too.

    Raises
    ------
    InvalidData
        A map cannot be read, or holds NaN or infinite values.
    """
    m, draws = sets.position(network), range(design.settings.n_control)
    chosen, _ = sets.marks.of_others(m, images)
    area = torch.from_numpy(sets.areas[m, images]).to(device)[:, None]
    orders = [_own_order(sets.shared, design, network, images)]
    for draw in draws:
        elsewhere, counts = sets.marks.of_others(m, swaps(sets, design, images, draw))
        orders.append(by_preference(elsewhere, counts, len(sets.areas)))
    for draw in draws:
        streams = (fills.stream(design.settings.seed, design.ids[k], _RANDOM, draw) for k in images)
        orders.append(
            1 - np.array([stream.random(chosen.shape[-1], np.float32) for stream in streams])
        )
    tops = (places(torch.from_numpy(order).to(device), "signed") < area for order in orders)
    return torch.stack([torch.from_numpy(chosen).to(device), *tops])


def _own_order(
    shared: Shared, design: Design, network: tuple[str, str], images: np.ndarray
) -> np.ndarray:
    """The relevance of a network on some images, (image, pixel)."""
    cell, span = shared.cells[network], slice(int(images[0]), int(images[-1]) + 1)
    block = shards.read_block(design.relevance, [cell], span)[:, images - images[0]]
    maps = finite(block.reshape(1, len(images), -1), [cell], [design.ids[k] for k in images])[0]
    return np.abs(maps) if shared.ranking == "absolute" else maps


def swaps(sets: OthersSets, design: Design, images: np.ndarray, draw: int) -> np.ndarray:
    """Another image for each of these, one of those whose sets are alike in area, drawn for that
    image alone: the same whoever is shown it.
    """
    near, drawn = sets.donors, []
    for k in images:
        stream = fills.stream(design.settings.seed, design.ids[k], _SWAP, draw)
        drawn.append(near[k][stream.integers(len(near[k]))])
    return np.array(drawn)


def averaged(values: np.ndarray, n_control: int) -> np.ndarray:
    """Scores (operation, set, score, image) by choice: (score, operation, choice, image), the mean
    over draws of controls.
    """
    shared, own, rest = values[:, :1], values[:, 1:2], values[:, 2:]
    draws = (rest[:, :n_control], rest[:, n_control:])
    means = [draw.mean(axis=1, keepdims=True) for draw in draws]
    return np.concatenate([shared, own, *means], axis=1).transpose(2, 0, 1, 3)


def stored(
    values: np.ndarray, unmasked: np.ndarray, where: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """What a shard holds: scores (score, operation, choice, image) at their images, NaN elsewhere,
    and of whole images.
    """
    largest = np.finfo(np.float16).max
    whole = np.full((*values.shape[:-1], unmasked.shape[-1]), np.nan)
    whole[..., where] = values
    found = dict(zip(names, np.clip(whole, -largest, largest).astype(np.float16), strict=True))
    return found | {
        f"unmasked_{name}": v
        for name, v in zip(
            names, np.clip(unmasked, -largest, largest).astype(np.float16), strict=True
        )
    }
