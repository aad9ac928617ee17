"""The shared set of each image, read from a result, and sets of the same area that it is compared
with.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from relstats.compute.perturb import fills
from relstats.compute.perturb.designs import Design
from relstats.compute.perturb.maps import finite
from relstats.compute.perturb.top_pixels import places, top_fractions
from relstats.errors import InvalidData, UsageError
from relstats.study import layout, shards, store

#: Streams of random numbers; that of the controls of a transfer is 1.
_SWAP, _RANDOM = 2, 3
_BLOCK = layout.FAMILIES[layout.SUFFICIENCY].images_per_shard


@dataclass(frozen=True)
class Shared:
    """The shared sets of a result, in the order of the images of the maps.

    `rows` are places in the result, -1 for an image that it left out; `area` counts pixels, 0 of
    these too. `cells` are the networks of the result, as positions in the maps.
    """

    name: str
    result: xr.Dataset
    rows: np.ndarray
    area: np.ndarray
    cells: dict[tuple[str, str], tuple[int, int]]
    digest: str

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

    def donors(self) -> np.ndarray:
        """Images with a shared set."""
        return np.flatnonzero(self.area)


def read_shared(out: str | Path, name: str, maps: xr.Dataset) -> Shared:
    """The shared sets of a result, checked against the maps of the study.

    Raises
    ------
    UsageError
        No such result, or it has no shared sets.
    InvalidData
        It is of other images, of another size, of other networks or of other maps; or fewer than
        two images have a set.
    """
    result = _result(out, name)
    labels = [str(image) for image in maps["image"].values]
    place = {str(image): row for row, image in enumerate(result["image"].values)}
    _require_fit(out, name, result, maps, place)
    rows = np.array([place.get(image, -1) for image in labels])
    area, digest = np.zeros(len(rows), np.int64), hashlib.sha256()
    for first in range(0, len(rows), _BLOCK):
        there = first + np.flatnonzero(rows[first : first + _BLOCK] >= 0)
        core = _values(result["core"], rows[there])
        area[there] = core.sum(axis=-1)
        digest.update(np.packbits(core).tobytes() + _values(result["count"], rows[there]).tobytes())
    if np.count_nonzero(area) < 2:
        raise InvalidData(
            f"/results/{name} of {out}: {np.count_nonzero(area)} image(s) with a shared set, and it"
            " is compared with those of other images. Find larger ones: relstats shared --fraction"
            " 0.2, or --consensus majority"
        )
    found = Shared(name, result, rows, area, _cells(result, maps), digest.hexdigest())
    _require_same_maps(found, maps)
    return found


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


def _require_same_maps(shared: Shared, maps: xr.Dataset) -> None:
    """Count the networks of each pixel again, on the first and last image with a set: maps may have
    been computed anew.
    """
    relevance = maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    for image in shared.donors()[[0, -1]]:
        block = shards.read_block(relevance, list(shared.cells.values()), slice(image, image + 1))
        values = torch.from_numpy(
            block.reshape(len(block), -1).astype(np.result_type(block.dtype, np.float32))
        )
        count = (
            top_fractions(values, (float(str(shared.about["fraction"])),), shared.ranking)[0]
            .sum(0)
            .numpy()
        )
        if not np.array_equal(count, _values(shared.result["count"], shared.rows[[image]])[0]):
            raise InvalidData(
                f"/results/{shared.name} was made from other maps than those in /relevance (image "
                f"{str(maps['image'].values[image])!r}). Run relstats shared again"
            )


def _values(array: xr.DataArray, rows: np.ndarray) -> np.ndarray:
    """Rows of a result, in the order given: (image, pixel)."""
    order, back = np.unique(rows, return_inverse=True)
    values: np.ndarray = array.transpose("image", "y", "x").isel(image=order).values
    return values.reshape(len(order), -1)[back]


def common_sets(shared: Shared, design: Design, images: np.ndarray, device: torch.device) -> Tensor:
    """The sets that are the same for all networks: shared, then the draws of image swaps, then
    those of random pixels.

    Parameters
    ----------
    images : ndarray of int
        Positions of images with a shared set.

    Returns
    -------
    Tensor of bool, (set, image, pixel), on the device
        All of an image have the area of its shared set. A swap has the pixels of another image's
        set, those of most networks first; if they are too few, then those outside it that most
        networks share.
    """
    area = torch.from_numpy(shared.area[images]).to(device)[:, None]
    core = _values(shared.result["core"], shared.rows[images])
    sets = [torch.from_numpy(core).to(device)]
    for draw in range(design.settings.n_control):
        donors = swaps(shared, design, images, draw)
        count = _values(shared.result["count"], shared.rows[donors]).astype(np.float32)
        inside = _values(shared.result["core"], shared.rows[donors])
        order = count + inside * np.float32(1 + len(shared.cells))
        sets.append(places(torch.from_numpy(order).to(device), "signed") < area)
    for draw in range(design.settings.n_control):
        streams = (fills.stream(design.settings.seed, design.ids[k], _RANDOM, draw) for k in images)
        order = 1 - np.array([stream.random(core.shape[-1], np.float32) for stream in streams])
        sets.append(places(torch.from_numpy(order).to(device), "signed") < area)
    return torch.stack(sets)


def swaps(shared: Shared, design: Design, images: np.ndarray, draw: int) -> np.ndarray:
    """Another image with a shared set for each of these, drawn for that image alone: the same
    whoever is shown it.
    """
    donors = shared.donors()
    found = []
    for k in images:
        others = donors[donors != k]
        found.append(
            others[
                fills.stream(design.settings.seed, design.ids[k], _SWAP, draw).integers(len(others))
            ]
        )
    return np.array(found)


def own_sets(
    shared: Shared,
    design: Design,
    network: tuple[str, str],
    images: np.ndarray,
    device: torch.device,
) -> Tensor:
    """As many of a network's most relevant pixels as the shared set has, where its map has fewer
    the next in order too.

    Returns
    -------
    Tensor of bool, (image, pixel), on the device

    Raises
    ------
    InvalidData
        A map cannot be read, or holds NaN or infinite values.
    """
    cell, span = shared.cells[network], slice(int(images[0]), int(images[-1]) + 1)
    block = shards.read_block(design.relevance, [cell], span)[:, images - images[0]]
    maps = finite(block.reshape(1, len(images), -1), [cell], [design.ids[k] for k in images])[0]
    values = torch.from_numpy(np.abs(maps) if shared.ranking == "absolute" else maps).to(device)
    return places(values, "signed") < torch.from_numpy(shared.area[images]).to(device)[:, None]


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
