"""The decoded images of a study and what their masked pixels are filled from, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from relstats.compute import images
from relstats.compute.perturb import fills
from relstats.compute.perturb.designs import Design
from relstats.compute.perturb.viewing import Pictures
from relstats.study import layout

#: From a block of images to its pixels, uint8 (image, y, x, channel).
Pixels = Callable[[int], np.ndarray]
#: Bytes of decoded images, and as many of their fills, that are kept; what is beyond is decoded
#: again for each target.
_KEPT_BYTES = 2 * 2**30


def decoder(whole: Design) -> Pixels:
    """A function from a block to its pixels, which remembers as many as memory allows."""

    @lru_cache(_kept_blocks(whole))
    def pixels(block: int) -> np.ndarray:
        return images.load_images(whole.study.images, whole.ids[whole.images(block)])

    return pixels


def _kept_blocks(whole: Design) -> int:
    y, x = whole.study.images.size
    return max(1, _KEPT_BYTES // (layout.FAMILIES["transfer"].images_per_shard * y * x * 3))


def fill_colour(whole: Design, pixels: Pixels) -> list[float]:
    """The colour that this fill needs: of the study file, or the mean of all pixels of all images.

    None for others.
    """
    if whole.settings.fill == "value":
        return np.broadcast_to(whole.settings.fill_value, 3).tolist()
    if whole.settings.fill not in ("mean", "linear"):
        return []
    sums = [pixels(block).sum((0, 1, 2), dtype=np.int64) for block in whole.blocks]
    return (np.sum(sums, axis=0) / (len(whole.ids) * np.prod(whole.study.images.size))).tolist()


def reader(whole: Design, pixels: Pixels, colour: Sequence[float]) -> Callable[[int], Pictures]:
    """A function from a block to its pictures and fills, which remembers as many as memory
    allows.
    """

    @lru_cache(_kept_blocks(whole))
    def pictures(block: int) -> Pictures:
        seed, ids = whole.settings.seed, whole.ids[whole.images(block)]
        filled = fills.backgrounds(
            pixels(block), ids, fill=whole.settings.fill, colour=colour, seed=seed
        )
        return pixels(block), filled

    return pictures
