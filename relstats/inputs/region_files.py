"""Files of masks: facial landmarks, boolean arrays, label images.

Each is read as a `Source`, which makes masks on demand.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from relstats.errors import InvalidData, UsageError
from relstats.inputs import landmarks
from relstats.study.layout import REST

#: Landmarks that fill less than this of the study's grid, from its first pixel, are likely of
#: another grid.
_FILLED = 0.75
_SUFFIXES = (".csv", ".npz", ".npy", ".png")


@dataclass(frozen=True)
class Source:
    """Masks as a file gives them.

    `make` gives bool (region, image, y, x) of the images at some positions of `names`.

    `names` is None where one template is for all images; `make` then gives it as one image.
    """

    regions: tuple[str, ...]
    names: tuple[str, ...] | None
    make: Callable[[np.ndarray], np.ndarray]
    attrs: dict[str, str | float]


def read(
    source: Path,
    size: tuple[int, int],
    landmark_size: tuple[int, int] | None,
    dilation: float,
    overlap: str,
    names: Sequence[str],
    image_column: str,
) -> Source:
    """Masks of a file or folder, by its kind.

    The parameters are those of `relstats.inputs.regions.add_regions`.
    """
    if not source.exists():
        raise UsageError(
            f"no such file: {str(source)!r}. Give landmarks (.csv), masks (.npz) or label images"
            " (.png, .npy, a folder)"
        )
    if source.suffix == ".csv":
        return _from_landmarks(source, size, landmark_size, dilation, overlap, image_column)
    if landmark_size is not None:
        raise UsageError(
            f"--landmark-size is for landmarks (.csv); {source.name!r} holds masks, which are never"
            " resized"
        )
    if source.suffix == ".npz":
        return _from_npz(source, size)
    if source.is_dir():
        return _from_folder(source, size, names)
    if source.suffix not in _SUFFIXES:
        raise UsageError(
            f"{str(source)!r} ends in {source.suffix!r}; regions come from {', '.join(_SUFFIXES)}"
            " or a folder of .png"
        )
    return _from_label_image(source, size, names)


def as_masks(values: np.ndarray, where: str) -> np.ndarray:
    """Values as bool: bool itself, numbers that are 0 or 1, or whole numbers that are 0 or 255.

    Raises
    ------
    InvalidData
        Other values, with the first of them.

    Examples
    --------
    >>> as_masks(np.array([0, 255], np.uint8), "mask")
    array([False,  True])
    """
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise InvalidData(f"{where}: dtype {values.dtype} is no mask. Give bool, or 0 and 1")
    high = 255 if values.dtype.kind in "iu" and (values == 255).any() else 1
    wrong = values[(values != 0) & (values != high)]
    if wrong.size:
        known = "0 and 255" if high == 255 else "0 and 1"
        raise InvalidData(
            f"{where}: {wrong.size} value(s) are neither {known} (e.g. {wrong[0]:g}), so it is not"
            " clear what is inside. Give bool, or threshold it yourself"
        )
    return values != 0


def require_names(regions: Sequence[str]) -> None:
    """Refuse no region at all, and the name of what is in none."""
    if REST in regions:
        raise InvalidData(
            f"a region is called {REST!r}, which is the name of what is in no region. Rename it, or"
            " leave it out"
        )
    if not regions:
        raise InvalidData(
            "there is no region: every label is 0, or no array is given. Give at least one"
        )


def _attrs(source: Path, files: Sequence[Path], **more: str | float) -> dict[str, str | float]:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return {"source": source.name, "source_sha256": digest.hexdigest(), **more}


def _from_landmarks(
    source: Path,
    size: tuple[int, int],
    landmark_size: tuple[int, int] | None,
    dilation: float,
    overlap: str,
    image_column: str,
) -> Source:
    names, points = read_landmarks(source, image_column)
    grid = size if landmark_size is None else landmark_size
    inside = (points > -0.5) & (points < np.array(grid[::-1]) - 0.5)
    filled = points.max(axis=(0, 1))[::-1] / grid
    guessed_wrong = landmark_size is None and (not inside.all() or (filled < _FILLED).all())
    if guessed_wrong or not inside.all(axis=2).any(axis=1).all():  # of some image, no point at all
        raise InvalidData(
            f"{source.name}: landmarks reach from {points.min():g} to x {points[..., 0].max():g}, y"
            f" {points[..., 1].max():g}, which does not fit images of {grid[0]} x {grid[1]} pixels:"
            " masks would lie beside the face. Give the size of the images on which they were"
            " found: --landmark-size (also where faces reach beyond the image)"
        )
    make = partial(
        landmarks.landmark_masks, size=size, landmark_size=grid, dilation=dilation, overlap=overlap
    )
    make(points[:1])  # wrong options are told before anything is written
    attrs = _attrs(
        source,
        [source],
        kind="landmarks, iBUG 68 points",
        dilation=dilation,
        overlap=overlap,
        landmark_size=f"{grid[0]} x {grid[1]}",
        landmark_size_stated=str(landmark_size is not None),
    )
    return Source(landmarks.REGIONS, names, lambda places: make(points[places]), attrs)


def read_landmarks(
    source: str | Path, image_column: str = "image"
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the images and their 68 points, (image, 68, 2) as (x, y), from a table of `x0`,
    `y0`, ... `x67`, `y67`.

    Raises
    ------
    InvalidData
        Columns are missing or values are no numbers, with the first of them.
    """
    source = Path(source)
    try:
        table = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidData(
            f"{source.name} cannot be read as a table ({str(error).splitlines()[0]})"
        ) from error
    columns = [f"{axis}{k}" for k in range(landmarks.N_POINTS) for axis in "xy"]
    missing = [c for c in (image_column, *columns) if c not in table]
    if missing:
        raise InvalidData(
            f"{source.name}: {len(missing)} column(s) missing ({', '.join(missing[:3])}); it has"
            f" {', '.join(map(str, table.columns[:4]))}, ... Landmarks are in columns x0, y0, ..."
            " x67, y67, and the image in --image-column"
        )
    values = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise InvalidData(
            f"{source.name}: {len(wrong)} landmark(s) are no finite numbers (first:"
            f" {table.iloc[row, list(table.columns).index(columns[column])]!r} in {columns[column]}"
            f" of {table[image_column].iloc[row]!r}). Take these images out of the table and use"
            " --align inner"
        )
    if not len(table):
        raise InvalidData(f"{source.name} has no rows")
    return tuple(table[image_column]), values.reshape(len(table), landmarks.N_POINTS, 2)


def _from_npz(source: Path, size: tuple[int, int]) -> Source:
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidData(
            f"{source.name} cannot be read as arrays ({str(error).splitlines()[0]})"
        ) from error
    names = arrays.pop("image", None)
    if names is not None and (names.dtype.kind not in "UT" or names.ndim != 1):
        raise InvalidData(
            f"{source.name}: ids of images are {names.dtype} of shape {names.shape}. Write ids as"
            " text: '007' is not 7"
        )
    require_names(list(arrays))
    want = size if names is None else (len(names), *size)
    masks = {
        region: as_masks(values, f"{source.name}, region {region!r}")
        for region, values in arrays.items()
    }
    for region, mask in masks.items():
        if mask.shape != want:
            more = (
                ""
                if mask.ndim != 3 or names is not None
                else ". Name the images of the masks in an array 'image'"
            )
            raise _wrong_shape(f"{source.name}, region {region!r}", mask.shape, want, more)
    stacked = np.stack(list(masks.values())).reshape(len(masks), -1, *size)
    ids = None if names is None else tuple(map(str, names.tolist()))
    return Source(
        tuple(masks), ids, lambda places: stacked[:, places], _attrs(source, [source], kind="masks")
    )


def _wrong_shape(
    where: str, got: tuple[int, ...], want: tuple[int, ...], more: str = ""
) -> InvalidData:
    return InvalidData(
        f"{where} has shape {got}, not {want} as the maps of this study. Masks are never resized:"
        f" make them at that size, with nearest-neighbour scaling{more}"
    )


def _from_label_image(source: Path, size: tuple[int, int], names: Sequence[str]) -> Source:
    image = _label_image(source, size)
    labels, regions = _labels(np.unique(image), names, source.name)
    masks = image == np.array(labels)[:, np.newaxis, np.newaxis, np.newaxis]
    return Source(
        regions,
        None,
        lambda places: masks[:, places],
        _attrs(source, [source], kind="one label image"),
    )


def _from_folder(source: Path, size: tuple[int, int], names: Sequence[str]) -> Source:
    files = sorted(source.glob("*.png"))
    if not files:
        raise UsageError(f"{str(source)!r} holds no .png. Give a label image ID.png for each image")
    labels, regions = _labels(
        np.unique(np.concatenate([np.unique(_label_image(f, size)) for f in files])),
        names,
        source.name,
    )
    wanted = np.array(labels)[:, np.newaxis, np.newaxis, np.newaxis]

    def make(places: np.ndarray) -> np.ndarray:
        if not len(places):
            return np.zeros((len(labels), 0, *size), bool)
        return np.concatenate([_label_image(files[k], size) for k in places]) == wanted

    return Source(
        regions,
        tuple(file.stem for file in files),
        make,
        _attrs(source, files, kind="label images"),
    )


def _labels(
    found: np.ndarray, names: Sequence[str], where: str
) -> tuple[list[int], tuple[str, ...]]:
    """Labels of the regions and their names.

    A label without a name is an error, a name without a pixel an empty region.
    """
    present = [int(label) for label in found if label != 0]
    if not names:
        require_names(present)  # type: ignore[arg-type]
        return present, tuple(map(str, present))
    require_names(names)
    unknown = [label for label in present if not 1 <= label <= len(names)]
    if unknown:
        raise InvalidData(
            f"{where}: {len(unknown)} label(s) out of range (e.g. {unknown[:3]}); {len(names)}"
            f" names are for the labels 1 to {len(names)}, and 0 is no region. Name all labels in"
            " order"
        )
    return list(range(1, len(names) + 1)), tuple(names)


def _label_image(source: Path, size: tuple[int, int]) -> np.ndarray:
    """Labels of the pixels, (1, y, x)."""
    image = _npy(source) if source.suffix == ".npy" else read_png(source)
    if image.shape != size:
        more = (
            ""
            if image.ndim < 3
            else ". Label images have one channel; those of single images are a folder of ID.png"
        )
        raise _wrong_shape(source.name, image.shape, size, more)
    if image.dtype.kind not in "biu":
        raise InvalidData(
            f"{source.name}: labels of dtype {image.dtype}. Give whole numbers, 0 where there is no"
            " region"
        )
    return image.astype(np.int64)[np.newaxis]


def _npy(source: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(source, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise InvalidData(
            f"{source.name} cannot be read as an array ({str(error).splitlines()[0]})"
        ) from error


def read_png(source: Path) -> np.ndarray:
    """Values of the pixels of an image file, as they are."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise UsageError(
            "reading .png needs pillow: pip install 'relstats[compute]', or give the labels as .npy"
        ) from error
    try:
        with Image.open(source) as image:
            return np.asarray(image)  # of a palette image: the labels, not their colours
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InvalidData(
            f"{source.name} cannot be read as an image ({str(error).splitlines()[0]})"
        ) from error
