"""Maps and photographs of some images as small pictures that a page carries within itself."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.errors import UsageError
from relstats.report.facts import Facts
from relstats.study import layout, shards

#: Bytes of maps before compression, all images together: what keeps a page below 5 MB.
_MAP_BYTES = 1_600_000
_LARGEST_SIDE = 160
_SMALLEST_SIDE = 24
#: Share of the pixels of a map within its colour scale.
WITHIN_SCALE = 0.995
_GAP = 2
_MISSING, _ZERO, _STEPS = 0, 64, 63
# ColorBrewer's RdBu, reversed: blue is negative, red positive, white zero
_ANCHORS = np.array(
    [
        (5, 48, 97),
        (33, 102, 172),
        (67, 147, 195),
        (146, 197, 222),
        (209, 229, 240),
        (247, 247, 247),
        (253, 219, 199),
        (244, 165, 130),
        (214, 96, 77),
        (178, 24, 43),
        (103, 0, 31),
    ],
    float,
)


@dataclass(frozen=True)
class Picture:
    """One image: its maps in one picture (rows are models, columns seeds), and its photograph, as
    data URIs.
    """

    image: str
    maps: str
    photo: str
    n_zero: int


@dataclass(frozen=True)
class Gallery:
    """Pictures of some images.

    A map of model row m and seed column s begins at pixel (m, s) times `side + gap`.
    """

    pictures: tuple[Picture, ...]
    models: tuple[str, ...]
    seeds: tuple[str, ...]
    height: int
    width: int
    gap: int = _GAP


def choose(found: Facts, wanted: Sequence[str] | None, n: int) -> list[str]:
    """The images to show: those asked for, or `n` evenly spaced in the study's order, whatever they
    show.

    Raises
    ------
    UsageError
        An image asked for is not in the study.
    """
    if wanted:
        unknown = [image for image in wanted if image not in found.images]
        if unknown:
            raise UsageError(
                f"image(s) {', '.join(map(repr, unknown[:3]))} are not in the study, whose images"
                f" are such as {', '.join(map(repr, found.images[:3]))}. Give ids of images"
            )
        return list(dict.fromkeys(wanted))
    count = min(n, len(found.images))
    return (
        [found.images[int(k)] for k in np.linspace(0, len(found.images) - 1, count).round()]
        if count
        else []
    )


def gallery(study: xr.DataTree, images: Sequence[str]) -> Gallery | None:
    """Maps of all networks on some images; None where the study has no maps.

    Each map has its own colour scale: relevance has none of its own.
    """
    if "relevance" not in study.children or not images:
        return None
    maps = study["relevance"].to_dataset()
    array = maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    cells = shards.networks(maps)
    height, width = _size(array.sizes["y"], array.sizes["x"], len(cells) * len(images))
    place = {str(label): k for k, label in enumerate(maps["image"].values)}
    pictures = []
    for image in images:
        block = shards.read_block(array, cells, slice(place[image], place[image] + 1))[:, 0]
        sheet = np.zeros(
            (array.shape[0] * (height + _GAP) - _GAP, array.shape[1] * (width + _GAP) - _GAP),
            np.uint8,
        )
        for (m, s), values in zip(cells, block, strict=True):
            top, left = m * (height + _GAP), s * (width + _GAP)
            sheet[top : top + height, left : left + width] = colour_steps(
                shrunk(values.astype(float), height, width)
            )
        zero = int((block == 0).all(axis=(1, 2)).sum())
        pictures.append(
            Picture(image, _uri(_png(sheet, _palette())), _photo(study, image, height, width), zero)
        )
    models, seeds = (tuple(str(v) for v in maps[dim].values) for dim in layout.NETWORK)
    return Gallery(tuple(pictures), models, seeds, height, width)


def _size(height: int, width: int, count: int) -> tuple[int, int]:
    """Pixels of a map in the page."""
    share = min(
        1.0, math.sqrt(_MAP_BYTES / (count * height * width)), _LARGEST_SIDE / max(height, width)
    )
    share = min(1.0, max(share, _SMALLEST_SIDE / min(height, width)))
    return max(1, round(height * share)), max(1, round(width * share))


def shrunk(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over areas, (..., y, x) to (..., height, width).

    Examples
    --------
    >>> shrunk(np.arange(4.0).reshape(2, 2), 1, 1)
    array([[1.5]])
    """
    rows, columns = (
        _overlaps(n, m) for n, m in zip(values.shape[-2:], (height, width), strict=True)
    )
    result: np.ndarray = rows @ values @ columns.T
    return result


def _overlaps(n: int, m: int) -> np.ndarray:
    """Share of each of `m` large cells that each of `n` small ones covers, (m, n)."""
    small, large = np.arange(n) / n, np.arange(m) / m
    overlap = np.minimum(small + 1 / n, large[:, np.newaxis] + 1 / m) - np.maximum(
        small, large[:, np.newaxis]
    )
    overlap = np.maximum(overlap, 0)
    return overlap / overlap.sum(axis=1, keepdims=True)


def colour_steps(values: np.ndarray) -> np.ndarray:
    """A map as indices of the palette: its own scale, symmetric about zero; 0 where it is NaN.

    Examples
    --------
    >>> colour_steps(np.array([[-1.0, 0.0, 1.0, np.nan]]))
    array([[  1,  64, 127,   0]], dtype=uint8)
    """
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size:
        return np.full(values.shape, _MISSING, np.uint8)
    top = np.quantile(sizes, WITHIN_SCALE, method="higher") or sizes.max()
    if top == 0:
        return np.where(np.isfinite(values), _ZERO, _MISSING).astype(np.uint8)
    steps = _ZERO + np.clip(np.nan_to_num(values / top), -1, 1) * _STEPS
    return np.where(np.isfinite(values), steps.round(), _MISSING).astype(np.uint8)


def _palette() -> np.ndarray:
    place = np.linspace(0, len(_ANCHORS) - 1, 2 * _STEPS + 1)
    colours = np.stack(
        [np.interp(place, np.arange(len(_ANCHORS)), channel) for channel in _ANCHORS.T], axis=1
    )
    return np.concatenate([[(200, 200, 200)], colours.round()]).astype(np.uint8)


def _photo(study: xr.DataTree, image: str, height: int, width: int) -> str:
    if "images" not in study.children or "pixels" not in study["images"].to_dataset():
        return ""
    pixels = (
        study["images"]
        .to_dataset()["pixels"]
        .sel(image=image)
        .transpose("channel", "y", "x")
        .values.astype(float)
    )
    if pixels.shape[0] not in (1, 3):
        return ""
    small = shrunk(pixels, height, width).round().astype(np.uint8)
    return _uri(_png(np.moveaxis(np.broadcast_to(small, (3, height, width)), 0, -1)))


def _png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """A PNG of palette indices (y, x), or of colours (y, x, 3)."""
    height, width = pixels.shape[:2]
    rows = np.concatenate(
        [np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1
    )  # filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if palette is None else 3, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"PLTE", b"" if palette is None else palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
        if data or kind == b"IEND"
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
