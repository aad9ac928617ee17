"""What stands in masked pixels.

All fills are 8-bit colours on the study's pixel grid, before any preprocessing.

So a masked picture is the same one for every network, whatever its preprocessing, and could be
saved as a file. All channels of a pixel are masked together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from relstats.compute.perturb.interpolate import interpolate

ABOUT = {
    "mean": "the mean colour of all images of the study, so that nothing of an image is left in it",
    "blur": (
        "the image blurred by a Gaussian with a deviation of a twentieth of its shorter side,"
        " reflected at its edges"
    ),
    "noise": (
        "colours drawn uniformly from 0 to 255 for each pixel and channel, the same for every"
        " network and mask"
    ),
    "value": "one colour",
    "linear": (
        "noisy linear interpolation (ROAD, Rong et al. 2022): the weighted mean of the neighbours,"
        " coupled over a hole, plus noise with a deviation of 1 % of the range; the mean colour of"
        " all images where no pixel is kept"
    ),
}
_BLUR = 1 / 20
_NOISE = 0.01 * 255
#: Masks that are interpolated at once on a processor: what they need stays in its cache.
_AT_ONCE = {"cpu": 4}
_AT_ONCE_ELSEWHERE = 64


def stream(seed: int, image: str, *more: int) -> np.random.Generator:
    """Random numbers that depend on the seed and on the image's id, not on the other images nor on
    the order of work.

    Examples
    --------
    >>> [int(stream(1, image).integers(100)) for image in ("a", "b", "a")]
    [97, 9, 97]
    """
    digest = hashlib.sha256(image.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little"), *more])


def backgrounds(
    pixels: np.ndarray, ids: Sequence[str], *, fill: str, colour: Sequence[float], seed: int
) -> np.ndarray:
    """What each image's masked pixels are filled from.

    Parameters
    ----------
    pixels : ndarray of uint8, (image, y, x, channel)
        The images.
    ids : sequence of str
        Their ids.
    fill : {"mean", "blur", "noise", "value", "linear"}
        See `ABOUT`.
    colour : sequence of float, 1 or 3
        For "mean" and "value", from 0 to 255; it is rounded.
    seed : int
        Of the random numbers of "noise" and "linear".

    Returns
    -------
    ndarray, (image, y, x, channel)
        uint8: a picture, of 1 x 1 pixels where it is one colour. For "linear" float16: the noise in
        grey levels, to which the mask's interpolation is added.

    Examples
    --------
    >>> backgrounds(
    ...     np.zeros((1, 1, 2, 3), np.uint8), ["a"], fill="value", colour=(127,), seed=0
    ... ).tolist()
    [[[[127, 127, 127]]]]
    """
    if fill in ("mean", "value"):
        one = np.broadcast_to(np.rint(np.asarray(colour)).astype(np.uint8), 3)
        return np.tile(one, (len(pixels), 1, 1, 1))
    if fill == "blur":
        sigma = _BLUR * min(pixels.shape[1:3])
        blurred = [
            ndimage.gaussian_filter(p.astype(np.float32), (sigma, sigma, 0), mode="reflect")
            for p in pixels
        ]
        return np.rint(np.array(blurred)).astype(np.uint8)
    draws = (stream(seed, image) for image in ids)
    if fill == "noise":
        return np.array([rng.integers(0, 256, pixels.shape[1:], np.uint8) for rng in draws])
    noise = [_NOISE * rng.standard_normal(pixels.shape[1:], np.float32) for rng in draws]
    return np.array(noise, dtype=np.float16)


def masked(pixels: Tensor, background: Tensor, kept: Tensor, colour: Sequence[float]) -> Tensor:
    """Pictures in which the pixels that are not kept are filled.

    Parameters
    ----------
    pixels : Tensor of uint8, (picture, y, x, channel)
        The images, one for each mask.
    background : Tensor, (picture, y, x, channel) or (picture, 1, 1, channel)
        From `backgrounds`: uint8 pictures, or float16 noise for linear interpolation.
    kept : Tensor of bool, (picture, y, x)
        The masks.
    colour : sequence of float, 3
        What linear interpolation gives where no pixel is kept.

    Returns
    -------
    Tensor of uint8, (picture, y, x, channel)

    Examples
    --------
    >>> image, grey = (
    ...     torch.full((1, 1, 2, 3), 200, dtype=torch.uint8),
    ...     torch.full((1, 1, 2, 3), 127, dtype=torch.uint8),
    ... )
    >>> masked(image, grey, torch.tensor([[[True, False]]]), (0, 0, 0))[0, 0, :, 0].tolist()
    [200, 127]
    """
    if background.dtype == torch.uint8:
        return torch.where(kept[..., None], pixels, background)
    at_once = _AT_ONCE.get(pixels.device.type, _AT_ONCE_ELSEWHERE)
    parts = (slice(first, first + at_once) for first in range(0, len(pixels), at_once))
    return torch.cat(
        [_interpolated(pixels[part], background[part], kept[part], colour) for part in parts]
    )


def _interpolated(pixels: Tensor, noise: Tensor, kept: Tensor, colour: Sequence[float]) -> Tensor:
    smooth = interpolate(pixels.permute(0, 3, 1, 2).float(), kept).permute(0, 2, 3, 1)
    nothing = ~kept.any((1, 2))[:, None, None, None]
    smooth = torch.where(
        nothing, torch.tensor(colour, device=pixels.device, dtype=smooth.dtype), smooth
    )
    filled = (smooth + noise).round().clamp(0, 255).to(torch.uint8)
    return torch.where(kept[..., None], pixels, filled)
