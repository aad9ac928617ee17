"""Files of people's maps: arrays, image folders, tables of fixations.

Each is read as a `Source`, which makes maps on demand.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs import region_files
from relstats.inputs.csv_tables import read_table

#: Who made the maps of a folder without participants.
GROUP = "group"


@dataclass(frozen=True)
class Source:
    """Maps as a file gives them.

    `make` gives the map (y, x) of a participant and an image, or None where there is none.
    """

    participants: tuple[str, ...]
    images: tuple[str, ...]
    make: Callable[[str, str], np.ndarray | None]
    attrs: dict[str, str | float | int] = field(default_factory=dict)


def read(
    source: Path,
    bandwidth: float | None,
    fixation_size: tuple[int, int] | None,
    size: tuple[int, int],
) -> Source:
    """Maps of a file or folder, by its kind.

    The parameters are those of `relstats.inputs.human_maps.add_human_maps`.
    """
    if not source.exists():
        raise UsageError(
            f"no such file: {str(source)!r}. Give arrays (.npz, .zarr), a folder of images or"
            " fixations (.csv)"
        )
    if source.suffix == ".csv":
        if bandwidth is None:
            raise UsageError(
                f"{source.name} holds fixations, and how far one reaches is not known: give"
                " --bandwidth, the standard deviation of the Gaussian in pixels (about 1 degree of"
                " visual angle)"
            )
        return _from_fixations(source, bandwidth, fixation_size or size, size)
    if bandwidth is not None or fixation_size is not None:
        raise UsageError(
            f"--bandwidth and --fixation-size are of fixations (.csv); {source.name!r} holds maps."
            " Leave them out"
        )
    if source.suffix == ".npz":
        return _from_npz(source)
    if (source / "zarr.json").exists():
        return _from_zarr(source)
    if source.is_dir():
        return _from_folder(source)
    raise UsageError(
        f"{source.name!r}: maps come from .npz, .zarr, a folder of .png or .npy, or fixations as"
        " .csv"
    )


def as_map(values: np.ndarray, where: str) -> np.ndarray | None:
    """A map as float64, or None where it is NaN throughout.

    Raises
    ------
    InvalidData
        It is no array (y, x) of real numbers, or NaN or infinite in part.

    Examples
    --------
    >>> as_map(np.full((2, 2), np.nan), "map") is None
    True
    """
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise InvalidData(
            f"{where}: an array of shape {values.shape} and dtype {values.dtype} is no map (y, x)"
            " of numbers. An image has one channel: convert it to grey yourself"
        )
    values = values.astype(float)
    if np.isnan(values).all():
        return None
    if not np.isfinite(values).all():
        raise InvalidData(
            f"{where}: {int((~np.isfinite(values)).sum())} pixel(s) are NaN or infinite. A map that"
            " is missing is NaN throughout; mend this one"
        )
    return values


def _of_array(maps: xr.DataArray, where: str) -> Source:
    """By label, whatever the order of dims."""
    dims = ("participant", "image", "y", "x")
    if set(maps.dims) != set(dims):
        raise InvalidData(f"{where}: maps have dims {maps.dims}, not {dims}. Rename or add them")
    maps = maps.transpose(*dims)
    labels = {
        dim: require_text(maps[dim].values.tolist() if dim in maps.coords else [0], dim, where)
        for dim in dims[:2]
    }
    place = {dim: {label: k for k, label in enumerate(known)} for dim, known in labels.items()}

    def make(participant: str, image: str) -> np.ndarray | None:
        values = maps[place["participant"][participant], place["image"][image]].values
        return as_map(values, f"{where}, participant {participant!r}, image {image!r}")

    return Source(labels["participant"], labels["image"], make, {"source": where})


def require_text(labels: list[object], dim: str, where: str) -> tuple[str, ...]:
    """Labels that are text, each there once."""
    wrong = [label for label in labels if not isinstance(label, str) or not label]
    if wrong or len(set(labels)) < len(labels):
        raise InvalidData(
            f"{where}: labels of {dim!r} are missing, not text or there twice (e.g."
            f" {(wrong or labels)[:3]}). Ids are text, each there once: '007' is not 7"
        )
    return tuple(str(label) for label in labels)


def _from_npz(source: Path) -> Source:
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InvalidData(
            f"{source.name} cannot be read ({str(error).splitlines()[0]}). Ids are text, not"
            " objects"
        ) from error
    if set(arrays) != {"map", "participant", "image"} or arrays["map"].ndim != 4:
        raise InvalidData(
            f"{source.name} holds {', '.join(arrays) or 'nothing'}; give map (participant, image,"
            " y, x), participant and image"
        )
    sizes = arrays["map"].shape[:2], (arrays["participant"].size, arrays["image"].size)
    if sizes[0] != sizes[1]:
        raise InvalidData(
            f"{source.name}: map is of {sizes[0]} participants and images, and there are {sizes[1]}"
            " ids. Give one id for each"
        )
    coords = {dim: arrays[dim].astype(object) for dim in ("participant", "image")}
    return _of_array(
        xr.DataArray(arrays["map"], coords, ("participant", "image", "y", "x")), source.name
    )


def _from_zarr(source: Path) -> Source:
    try:
        group = xr.open_zarr(source, consolidated=False, chunks=None)
    except Exception as error:  # of a codec, of JSON, of the file system
        raise InvalidData(f"{source.name} cannot be read ({str(error).splitlines()[0]})") from error
    if "map" not in group:
        raise InvalidData(
            f"{source.name} has no variable 'map' (got"
            f" {', '.join(map(str, group.data_vars)) or 'nothing'})"
        )
    return _of_array(group["map"], source.name)


def _from_folder(source: Path) -> Source:
    """PARTICIPANT/IMAGE.png (or .npy), or IMAGE.png of one group of people."""
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(
        file
        for suffix in ("png", "npy")
        for pattern in ("*", "*/*")
        for file in source.glob(f"{pattern}.{suffix}")
    ):
        key = (GROUP if file.parent == source else file.parent.name, file.stem)
        if key in found:
            raise InvalidData(
                f"{source.name}: two maps of participant {key[0]!r} and image {key[1]!r}"
                f" ({found[key].name}, {file.name}). Keep one"
            )
        found[key] = file
    if not found:
        raise UsageError(
            f"{str(source)!r} holds no .png or .npy. Give PARTICIPANT/IMAGE.png, or IMAGE.png of"
            " one group"
        )
    if len({file.parent == source for file in found.values()}) > 1:
        raise InvalidData(
            f"{source.name}: maps lie both in folders of participants and outside them: whose are"
            " those? Move them"
        )

    def make(participant: str, image: str) -> np.ndarray | None:
        file = found.get((participant, image))
        if file is None:
            return None
        values = (
            np.load(file, allow_pickle=False)
            if file.suffix == ".npy"
            else region_files.read_png(file)
        )
        return as_map(values, str(file.relative_to(source)))

    people, images = (tuple(sorted({key[k] for key in found})) for k in (0, 1))
    return Source(people, images, make, {"source": source.name})


def _from_fixations(
    source: Path, bandwidth: float, recorded: tuple[int, int], size: tuple[int, int]
) -> Source:
    if not 0 < bandwidth < float("inf"):
        raise UsageError(
            f"bandwidth is {bandwidth}; it is the standard deviation of a Gaussian in pixels,"
            " above 0"
        )
    table = read_fixations(source)
    inside = table["x"].between(-0.5, recorded[1] - 0.5) & table["y"].between(
        -0.5, recorded[0] - 0.5
    )
    if not inside.any():
        raise InvalidData(
            f"{source.name}: no fixation lies on an image of {recorded} pixels (height, width)."
            " Give --fixation-size"
        )
    of_image = {
        key: part[["x", "y", "duration"]].to_numpy(float)
        for key, part in table[inside].groupby(["participant", "image"])
    }
    scale = (size[0] / recorded[0], size[1] / recorded[1])

    def make(participant: str, image: str) -> np.ndarray | None:
        points = of_image.get((participant, image))
        return None if points is None else fixation_density(points, bandwidth, scale, size)

    attrs: dict[str, str | float | int] = {
        "source": source.name,
        "bandwidth": bandwidth,
        "fixation_size": str(recorded),
        "n_fixations": len(table),
        "n_fixations_outside": int((~inside).sum()),
    }
    people, images = (tuple(sorted(table[dim].unique())) for dim in ("participant", "image"))
    return Source(people, images, make, attrs)


def read_fixations(source: Path) -> pd.DataFrame:
    """Participant, image, x, y and duration (1 where there is no such column) of each fixation.

    Raises
    ------
    InvalidData
        Columns are missing, values are no numbers, or a duration is not above 0.
    """
    table = read_table(source, ("participant", "image", "x", "y"))
    if "duration" not in table:
        table["duration"] = "1"
    for column in ("x", "y", "duration"):
        numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~np.isfinite(numbers) | ((numbers <= 0) & (column == "duration")))
        if len(wrong):
            raise InvalidData(
                f"{source.name}: {len(wrong)} value(s) of {column!r} are no"
                f" {'durations' if column == 'duration' else 'coordinates'} (first:"
                f" {table[column].iloc[wrong[0]]!r} in row {wrong[0] + 2}). Mend or remove these"
                " rows"
            )
        table[column] = numbers
    return table


def fixation_density(
    points: np.ndarray, bandwidth: float, scale: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """Fixations as a density: a Gaussian around each, as much of it within the image as of any
    other.

    Parameters
    ----------
    points : ndarray, (fixation, 3)
        x, y (the centre of the first pixel is 0, 0) and weight, in pixels of the image that was
        looked at.
    bandwidth : float
        Standard deviation, in the same pixels.
    scale : (float, float)
        Height and width of the result over those of that image.
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    ndarray, (y, x)
        Adds up to 1. Each Gaussian is divided by its sum over the image: fixations near an edge do
        not weigh less.

    Examples
    --------
    >>> fixation_density(np.array([[1.0, 0.0, 2.0]]), 0.01, (1.0, 1.0), (2, 3))
    array([[0., 1., 0.], [0., 0., 0.]])
    """
    kernels = [_kernel(points[:, k], bandwidth, scale[1 - k], size[1 - k]) for k in (0, 1)]
    weights = points[:, 2] / points[:, 2].sum()
    return np.asarray((kernels[1] * weights[:, np.newaxis]).T @ kernels[0])


def _kernel(centres: np.ndarray, bandwidth: float, scale: float, n: int) -> np.ndarray:
    """(fixation, pixel), each row adds up to 1.

    The largest exponent goes first, or a narrow kernel is 0 everywhere.
    """
    distance = (np.arange(n) - ((centres[:, np.newaxis] + 0.5) * scale - 0.5)) / (bandwidth * scale)
    exponent = -(distance**2) / 2
    kernel = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean of what each new pixel covers (area weights): nothing is invented, and the mean of the
    map stays.

    Examples
    --------
    >>> resized(np.array([[1.0, 3.0]]), (1, 1)), resized(np.array([[1.0, 3.0]]), (1, 4))
    (array([[2.]]), array([[1., 1., 3., 3.]]))
    """
    rows, columns = (_coverage(old, new) for old, new in zip(values.shape, size, strict=True))
    return np.asarray(rows @ values @ columns.T)


def _coverage(old: int, new: int) -> np.ndarray:
    """Share of each new pixel (row) that lies on each old one."""
    edges = np.arange(new + 1) * (old / new)
    low, high = (
        np.maximum(edges[:-1, np.newaxis], np.arange(old)),
        np.minimum(edges[1:, np.newaxis], np.arange(1, old + 1)),
    )
    cover = np.maximum(high - low, 0)
    return np.asarray(cover / cover.sum(axis=1, keepdims=True))
