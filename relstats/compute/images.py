"""Image files to pixels, once: 8-bit RGB on the study's grid.

What would have to be guessed is refused, with the file's name.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from relstats.compute.study_file.settings import Images, Preprocessing
from relstats.errors import InvalidData

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
#: ITU-R 601: how colours become grey, here and in most image libraries.
GREY = (0.299, 0.587, 0.114)
_OPAQUE = 255
_SHOWN = 5


def load_images(images: Images, ids: Sequence[str]) -> np.ndarray:
    """Decode images of a study: 8-bit RGB at its size.

    EXIF orientation is applied; grey and palette images become RGB; a fully opaque alpha channel is
    dropped.

    Parameters
    ----------
    images : Images
        Of a study file.
    ids : sequence of str
        Which, in which order.

    Returns
    -------
    ndarray of uint8, (image, y, x, channel)

    Raises
    ------
    InvalidData
        Images that are corrupt, truncated, changed since the study file was read, of another size
        where none is allowed, transparent, CMYK, animated or of more than 8 bits: all of them, by
        id and path.
    """
    paths, digests = images.table.loc[list(ids), "path"], images.table.loc[list(ids), "sha256"]
    pixels = np.empty((len(paths), *images.size, 3), dtype=np.uint8)

    def decode(k: int) -> str:
        try:
            pixels[k] = _decoded(Path(paths.iloc[k]), digests.iloc[k], images.size, images.resize)
        except ValueError as error:
            return f"{paths.index[k]!r} ({paths.iloc[k]}): {error}"
        return ""

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        failed = [problem for problem in pool.map(decode, range(len(paths))) if problem]
    if failed:
        more = f"\n  and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        lines = "".join(f"\n  {line}" for line in failed[:_SHOWN])
        raise InvalidData(
            f"{len(failed)} of {len(paths)} images cannot be used. Mend them or take them"
            f" out:{lines}{more}"
        )
    return pixels


def resize_rule(images: Images) -> str:
    """How images came to the study's grid, in words for its attributes.

    Examples
    --------
    >>> import pandas as pd
    >>> resize_rule(Images(pd.DataFrame(), (128, 128), "crop", False))
    'crop: centre of the image, scaled to 128 x 128 (bilinear, antialiased)'
    """
    y, x = images.size
    how = {
        "none": f"none: all images are {y} x {x}",
        "squash": (
            f"squash: the whole image, scaled to {y} x {x} whatever its proportions (bilinear,"
            " antialiased)"
        ),
        "crop": f"crop: centre of the image, scaled to {y} x {x} (bilinear, antialiased)",
    }
    return how[images.resize]


def to_input(
    pixels: torch.Tensor, preprocessing: Preprocessing, dtype: torch.dtype
) -> torch.Tensor:
    """Pixels as a network takes them: (colour x scale / 255 - mean) / std, in its order of
    channels.

    Parameters
    ----------
    pixels : Tensor of uint8, (image, y, x, channel)
        RGB, on the device of the network.
    preprocessing : Preprocessing
        Of the model; `mean` and `std` are in the network's order of channels.
    dtype : torch.dtype
        Of the network.

    Returns
    -------
    Tensor, (image, channel, y, x)

    Examples
    --------
    >>> white = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)
    >>> to_input(white, Preprocessing((0.5,), (0.5,), 1.0, "rgb"), torch.float64).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    colours = pixels.to(dtype)
    if preprocessing.channels == "bgr":
        colours = colours.flip(-1)
    elif preprocessing.channels == "grey":
        colours = (colours * colours.new_tensor(GREY)).sum(-1, keepdim=True)
    mean, std = colours.new_tensor(preprocessing.mean), colours.new_tensor(preprocessing.std)
    scaled = (colours * (preprocessing.scale / 255.0) - mean) / std
    return scaled.permute(0, 3, 1, 2).contiguous()


def bounds(preprocessing: Preprocessing) -> dict[str, tuple[float, ...]]:
    """Lowest and highest input of each channel, that is of black and of white.

    Examples
    --------
    >>> bounds(Preprocessing((0.5,), (0.25,), 1.0, "grey"))
    {'low': (-2.0,), 'high': (2.0,)}
    """
    mean, std = np.broadcast_arrays(preprocessing.mean, preprocessing.std)
    return {
        "low": tuple((-mean / std).tolist()),
        "high": tuple(((preprocessing.scale - mean) / std).tolist()),
    }


def _decoded(path: Path, digest: str, size: tuple[int, int], resize: str) -> np.ndarray:
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("the file has changed since its sha256 was taken. Run the command again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _require_readable(image)
            image.load()
            return np.asarray(_resized(ImageOps.exif_transpose(_rgb(image)), size, resize))
    except UnidentifiedImageError:
        raise ValueError(
            f"not an image of {', '.join(FORMATS)} (it begins with {data[:8]!r})"
        ) from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"corrupt or truncated ({error})") from None


def _require_readable(image: Image.Image) -> None:
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError(f"{image.n_frames} frames. Save the one you mean as PNG")  # type: ignore[attr-defined]
    # Pillow reads 16-bit colours as 8-bit ones without a word: only the raw mode tells
    if image.mode in ("I", "F") or ";16" in f"{image.mode}{getattr(image, 'tile', '')}":
        raise ValueError(
            f"more than 8 bits a channel (mode {image.mode}). Convert it to 8 bits, in the way you"
            " want"
        )
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"):
        raise ValueError(
            f"colours of mode {image.mode}. Convert it to RGB, with the profile you want"
        )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < _OPAQUE:
            raise ValueError(
                "transparent pixels: what is behind them? Save it without transparency"
            )
    orientation = image.getexif()
    rgb = image.convert("RGB")
    rgb.info["exif"] = orientation.tobytes()
    return rgb


def _resized(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    y, x = size
    if image.size == (x, y):
        return image
    if resize == "none":
        raise ValueError(
            f"{image.height} x {image.width} pixels, not {y} x {x}. Resize it, or give resize ="
            ' "squash" or "crop"'
        )
    if resize == "crop":
        return ImageOps.fit(image, (x, y), Image.Resampling.BILINEAR)
    return image.resize((x, y), Image.Resampling.BILINEAR)
