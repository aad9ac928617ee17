"""Masks of a result as files: a PNG and an NPZ for each image, and an index.

No file is named by a label alone.
"""

from __future__ import annotations

import csv
import os
import re
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import UsageError

_MAPS = ("core", "beyond_chance", "count")
_BLOCK_VALUES = 2**24


def png(mask: np.ndarray) -> bytes:
    """A mask as a black and white PNG of one bit a pixel; pixels of the mask are white.

    Parameters
    ----------
    mask : ndarray of bool, (y, x)

    Examples
    --------
    >>> png(np.eye(3, dtype=bool))[1:4]
    b'PNG'
    """
    height, width = mask.shape
    rows = np.packbits(mask, axis=1)
    raw = np.concatenate(
        [np.zeros((height, 1), np.uint8), rows], axis=1
    )  # each row begins with the kind of its filter: none
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw.tobytes(), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def require_new(folder: str | Path) -> None:
    """Refuse a folder that holds something already, before anything is computed.

    Raises
    ------
    UsageError
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{str(folder)!r} is there already: masks of two results would mix. Choose another"
            " folder, or empty it"
        )


def write_masks(result: xr.Dataset, folder: str | Path) -> None:
    """Write the masks of `relstats.shared`, one image at a time.

    The folder is there whole or not at all.

    Parameters
    ----------
    result : Dataset
        With `core`, `beyond_chance` and `count` on (image, y, x); best as saved in the study, or
        maps are read again.
    folder : str or Path
        New, or empty. `index.csv` names the files of each image and its label; `00000_label.png` is
        `core`, white on black; `00000_label.npz` holds all three arrays.

    Raises
    ------
    UsageError
        The folder holds something already, or cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> masks = np.eye(3, dtype=bool)[np.newaxis]
    >>> maps = {name: (("image", "y", "x"), masks) for name in ("core", "beyond_chance", "count")}
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_masks(xr.Dataset(maps, coords={"image": ["anna/1"]}), folder)
    >>> sorted(path.name for path in folder.iterdir())
    ['00000_anna_1.npz', '00000_anna_1.png', 'index.csv']
    """
    folder = Path(folder)
    require_new(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".relstats-", dir=folder.parent, ignore_cleanup_errors=True
        ) as scratch:
            new = Path(scratch) / "masks"
            new.mkdir()
            _write_all(result, new)
            os.replace(new, folder)
    except OSError as error:
        raise UsageError(
            f"cannot write masks to {str(folder)!r}: {error.strerror or error}. Choose another"
            " folder"
        ) from error


def _write_all(result: xr.Dataset, folder: Path) -> None:
    labels = [str(label) for label in result["image"].values]
    step = max(1, _BLOCK_VALUES // (result.sizes["y"] * result.sizes["x"]))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow(("image", "png", "npz", "core_pixels"))
        for start in range(0, len(labels), step):
            part = result[list(_MAPS)].isel(image=slice(start, start + step)).compute()
            for k, label in enumerate(labels[start : start + step]):
                name = f"{start + k:05}_{re.sub('[^A-Za-z0-9_-]', '_', label)[:40]}"
                values = {variable: part[variable].values[k] for variable in _MAPS}
                np.savez_compressed(folder / f"{name}.npz", **values)
                (folder / f"{name}.png").write_bytes(png(values["core"]))
                table.writerow(
                    (_harmless(label), f"{name}.png", f"{name}.npz", int(values["core"].sum()))
                )


def _harmless(label: str) -> str:
    """A label that a spreadsheet would take for a formula gets a leading apostrophe."""
    return f"'{label}" if label[:1] in ("=", "+", "-", "@", "\t", "\r") else label
