"""Relevance maps over their images: of models side by side, and of all seeds of each model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from relstats.errors import UsageError
from relstats.plots import parts
from relstats.plots.canvas import new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.words import literal, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES, COLUMNS, SEEDS = 3, 6, 10
_SCALE = (
    "Each panel has its own scale, symmetric about 0, in its colour bar; red speaks for the class"
    " explained, blue against it."
)


def figures(study: xr.DataTree) -> list[Drawing]:
    """Maps of the first images, and all seeds on the first image."""
    maps = study["relevance"].to_dataset()
    images = study["images"].to_dataset() if "images" in study.children else None
    labels = [str(label) for label in maps["image"].values]
    shown = labels[:IMAGES]
    found = [
        Drawing(
            "relevance", overlays_alt(maps, shown), functools.partial(overlays, maps, images, shown)
        )
    ]
    if maps.sizes["seed"] > 1:
        found.append(
            Drawing(
                "seeds",
                seeds_alt(maps, labels[0]),
                functools.partial(seeds, maps, images, labels[0]),
            )
        )
    return found


@dataclass(frozen=True)
class _Network:
    """Position and name of one."""

    model: int
    seed: int
    name: str


def _networks(maps: xr.Dataset) -> list[list[_Network]]:
    """Those that exist, model by model."""
    there = (
        maps["available"].values
        if "available" in maps
        else np.ones((maps.sizes["model"], maps.sizes["seed"]), bool)
    )
    labels = maps["model"].values, maps["seed"].values
    return [
        [_Network(m, int(s), f"{labels[0][m]} seed {labels[1][s]}") for s in np.flatnonzero(row)]
        for m, row in enumerate(there)
    ]


def _values(maps: xr.Dataset, network: _Network, image: int) -> np.ndarray:
    found = (
        maps["relevance"]
        .transpose("model", "seed", "image", "y", "x")
        .isel(model=network.model, seed=network.seed, image=image)
    )
    return np.asarray(found.values, float)


def _position(dataset: xr.Dataset, image: str) -> int:
    labels = [str(label) for label in dataset["image"].values]
    if image not in labels:
        raise UsageError(
            f"no image {image!r}; there are {len(labels)}: {', '.join(labels[:3])}, ..."
        )
    return labels.index(image)


def picture_of(images: xr.Dataset | None, image: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The picture of an image where it is there and of the maps' size."""
    if images is None or "pixels" not in images:
        return None
    found = np.asarray(
        images["pixels"]
        .transpose("image", "y", "x", ...)
        .isel(image=_position(images, image))
        .values
    )
    return found if found.shape[:2] == shape else None


@styled
def overlays(maps: xr.Dataset, images: xr.Dataset | None, chosen: Sequence[str]) -> Figure:
    """Maps of one network of each model (its first) over the images.

    Parameters
    ----------
    maps : Dataset
        `/relevance`.
    images : Dataset, optional
        `/images` with `pixels`.
    chosen : sequence of str
        Ids of images, a row each.

    Raises
    ------
    UsageError
        No such image.
    """
    networks = [found[0] for found in _networks(maps) if found][:COLUMNS]
    shape = (maps.sizes["y"], maps.sizes["x"])
    grounds = [picture_of(images, image, shape) for image in chosen]
    first = any(ground is not None for ground in grounds)
    side = min(1.6, 6.9 / (len(networks) + first))
    figure = new_figure(
        (side + 0.2) * len(chosen) + 0.3, side * (len(networks) + first) + 0.3, pictures=True
    )
    panels = figure.subplots(len(chosen), len(networks) + first, squeeze=False)
    for i, image in enumerate(chosen):
        if first:
            parts.picture(panels[i, 0], grounds[i], shape)
        for axes, network in zip(panels[i, int(first) :], networks, strict=True):
            parts.relevance_map(axes, _values(maps, network, _position(maps, image)), grounds[i])
        panels[i, 0].set_ylabel(literal(image, 16), fontsize=7)
    for axes, network in zip(panels[0, int(first) :], networks, strict=True):
        model, seed = maps["model"].values[network.model], maps["seed"].values[network.seed]
        axes.set_title(f"{literal(model, 20)}\nseed {literal(seed, 12)}", fontsize=7)
    return figure


def overlays_alt(maps: xr.Dataset, chosen: Sequence[str]) -> str:
    """What is shown, and each panel's scale."""
    networks = [found[0] for found in _networks(maps) if found][:COLUMNS]
    told = [
        f"{safe(image)} by {safe(n.name)}"
        f" ±{number(parts.scale_end(_values(maps, n, _position(maps, image))))}"
        for image in chosen
        for n in networks
    ]
    rest = (
        f"The first {len(chosen)} of {maps.sizes['image']} images, and {len(networks)} of"
        f" {maps.sizes['model']} models."
    )
    return sentence("Relevance maps over their images, scales", told, f"{_SCALE} {rest}")


@styled
def seeds(maps: xr.Dataset, images: xr.Dataset | None, image: str) -> Figure:
    """Maps of one image by every network: a row for each model, a column for each seed.

    Parameters
    ----------
    maps, images : Dataset
        `/relevance`; `/images`, or None.
    image : str
        Its id.
    """
    rows = [found[:SEEDS] for found in _networks(maps) if found][:COLUMNS]
    position, shape = _position(maps, image), (maps.sizes["y"], maps.sizes["x"])
    pixels = picture_of(images, image, shape)
    columns = max(len(row) for row in rows)
    side = min(1.3, 6.4 / columns)
    figure = new_figure((side + 0.25) * len(rows) + 0.15, 0.6 + side * columns, pictures=True)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for i, row in enumerate(rows):
        for j in range(columns):
            if j >= len(row):
                panels[i, j].set_axis_off()
                continue
            parts.relevance_map(panels[i, j], _values(maps, row[j], position), pixels)
            panels[i, j].set_title(
                f"seed {literal(maps['seed'].values[row[j].seed], 8)}", fontsize=7
            )
        panels[i, 0].set_ylabel(literal(maps["model"].values[row[0].model], 16), fontsize=7)
    return figure


def seeds_alt(maps: xr.Dataset, image: str) -> str:
    """What is shown, and each panel's scale."""
    rows = [found[:SEEDS] for found in _networks(maps) if found][:COLUMNS]
    position = _position(maps, image)
    told = [
        f"{safe(n.name)} ±{number(parts.scale_end(_values(maps, n, position)))}"
        for row in rows
        for n in row
    ]
    n = sum(len(found) for found in _networks(maps))
    return sentence(
        f"Relevance maps of image {safe(image)} by {len(told)} of {n} networks, scales",
        told,
        _SCALE,
    )
