"""ViRelAy's attribution files: HDF5 with `attribution` (image, channel, y, x), `label`,
`prediction` and `index`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array
import h5py
import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, shards, store

#: Images in memory at once.
_IMAGES = 100


def read_virelay(
    paths: Mapping[tuple[str, str], str | Path],
    *,
    images: Sequence[str] | None = None,
    axes: Mapping[str, Mapping[str, str]] | None = None,
) -> xr.Dataset:
    """The `/relevance` group of attribution files of ViRelAy, one for each network.

    Parameters
    ----------
    paths : mapping of (model, seed) to path
        Each holds `attribution` (image, channel, y, x), real numbers, and `index` (image,), whole
        numbers.
    images : sequence of str, optional
        The id of the image with each index: that of index 0 first. Default: the index as text.
    axes : mapping of str to mapping, optional
        Axis name to the level of each model.

    Returns
    -------
    xarray.Dataset
        `relevance` (model, seed, image, y, x) is summed over channels, float32, and lazy:
        `save_study` reads it a block at a time, so keep the files until then. Images are in the
        order of the first file; those of others are matched by index. `label` and `prediction` are
        not read: they hold attributions and logits of all classes, not those of one.

    Raises
    ------
    InvalidData
        A file is no such file, lacks `index`, or files differ in their images or their size.
    UsageError
        An index has no id in `images`, or there is no file.
    """
    if not paths:
        raise UsageError("no file: give at least one, with its model and seed")
    found = {network: _opened(Path(path)) for network, path in paths.items()}
    first = next(iter(found.values()))
    for one in found.values():
        _require_alike(first, one)
    models, seeds = (list(dict.fromkeys(network[k] for network in found)) for k in (0, 1))
    shape = (len(first.index), *first.shape[2:])
    missing = dask.array.full(shape, np.nan, dtype=np.float32, chunks=(_IMAGES, *shape[1:]))
    cells = [
        [found[m, s].maps(first.index) if (m, s) in found else missing for s in seeds]
        for m in models
    ]
    maps = dask.array.stack([dask.array.stack(row) for row in cells])
    labels = {"model": models, "seed": seeds, "image": _ids(first.index, images)}
    coords = {dim: (dim, np.array(values, dtype=object)) for dim, values in labels.items()}
    coords |= {
        axis: ("model", np.array([levels[m] for m in models], dtype=object))
        for axis, levels in (axes or {}).items()
    }
    exists = np.array([[(m, s) in found for s in seeds] for m in models])
    group = xr.Dataset(
        {
            "relevance": ((*layout.NETWORK, "image", "y", "x"), maps),
            "available": (layout.NETWORK, exists),
        },
        coords,
        {"source": "ViRelAy, summed over channels"},
    )
    problems = check.check_group(group, "relevance")
    if problems:
        raise InvalidData(
            f"{len(problems)} problem(s) with the labels:" + "".join(f"\n  {p}" for p in problems)
        )
    return group


@dataclass(frozen=True)
class _File:
    """One attribution file: read once for its index and shape, and again for each block of maps."""

    path: Path
    index: np.ndarray
    shape: tuple[int, ...]

    def maps(self, index: np.ndarray) -> dask.array.Array:
        """Lazy maps (image, y, x) of the images with these indices, in that order."""
        rows = np.argsort(self.index)[np.searchsorted(np.sort(self.index), index)]
        chunks = tuple(len(rows[k : k + _IMAGES]) for k in range(0, len(rows), _IMAGES))
        sizes = (chunks, *((n,) for n in self.shape[2:]))
        return dask.array.map_blocks(
            self._block,
            dask.array.from_array(rows, chunks=(chunks,)),
            dtype=np.float32,
            chunks=sizes,
            new_axis=(1, 2),
            meta=np.empty((0, 0, 0), np.float32),
        )

    def _block(self, rows: np.ndarray) -> np.ndarray:
        with h5py.File(self.path, "r") as file:
            some, back = np.unique(rows, return_inverse=True)
            values = (
                file["attribution"][some].sum(axis=1, dtype=np.float64).astype(np.float32)[back]
            )
        if not np.isfinite(values).all():
            raise InvalidData(
                f"{self.path}: attribution holds NaN or infinite values: compute it again"
            )
        return values


def _opened(path: Path) -> _File:
    """Check the layout of a file. Types that HDF5 knows as objects or text are refused unread."""
    try:
        with h5py.File(path, "r") as file:
            data, index = (
                _dataset(file, path, "attribution", 4, "fiu"),
                _dataset(file, path, "index", 1, "iu"),
            )
            where, shape = index[:], data.shape
    except FileNotFoundError:
        raise UsageError(f"no such file: {str(path)!r}") from None
    except IsADirectoryError:
        raise UsageError(f"{str(path)!r} is a folder; give an HDF5 file") from None
    except OSError as error:
        raise InvalidData(
            f"{path} cannot be read as HDF5 ({error}). Give an attribution file of ViRelAy"
        ) from error
    if len(where) != shape[0] or len(np.unique(where)) < len(where) or 0 in shape:
        raise InvalidData(
            f"{path}: attribution has shape {shape}, index {len(where)} entries,"
            f" {len(np.unique(where))} different: which image a map is of is not known. Give each"
            " map an index of its own"
        )
    return _File(path, where, shape)


def _dataset(file: h5py.File, path: Path, name: str, ndim: int, kinds: str) -> h5py.Dataset:
    """A dataset of the file itself: not a group, nor a link or storage in another file."""
    link = file.get(name, getlink=True) if name in file else None
    data = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise InvalidData(
            f"{path}: no dataset {name!r} in the file itself (it has"
            f" {', '.join(file) or 'nothing'}). A file of ViRelAy has attribution (image, channel,"
            " y, x) and index; groups of maps of several sizes are not read"
        )
    if data.dtype.kind not in kinds or data.ndim != ndim:
        raise InvalidData(
            f"{path}: {name} is {data.dtype} with {data.ndim} dims; "
            f"{ndim} dims of {'whole' if kinds == 'iu' else 'real'} numbers are needed"
        )
    return data


def _require_alike(first: _File, other: _File) -> None:
    if first.shape[2:] != other.shape[2:]:
        raise InvalidData(
            f"maps of {other.path} have {other.shape[2]} x {other.shape[3]} pixels, those of"
            f" {first.path} {first.shape[2]} x {first.shape[3]}: they cannot be compared pixel by"
            " pixel"
        )
    problems = check.disagreement(
        set(map(str, first.index)), set(map(str, other.index)), str(first.path), str(other.path)
    )
    if problems:
        raise InvalidData(str(problems[0]))


def _ids(index: np.ndarray, images: Sequence[str] | None) -> list[str]:
    if images is None:
        return [str(k) for k in index]
    if isinstance(images, str) or index.max() >= len(images) or index.min() < 0:
        raise UsageError(
            f"{len(images)} image id(s), and indices from {index.min()} to {index.max()}: give the"
            " id of every index from 0 on, in order"
        )
    return [images[k] for k in index]


def write_virelay(study: xr.DataTree, model: str, seed: str, path: str | Path) -> None:
    """Write the maps of one network as an attribution file of ViRelAy, a block of images at a time.

    Parameters
    ----------
    study : xarray.DataTree
        With `/relevance`, of `relstats compute`: the explained class of each map is known.
    model, seed : str
        Which network.
    path : str or Path
        A new file. It has `attribution` float32 (image, 1, y, x); `index` uint32, the position of
        the image in the study; `label` and `prediction` float32 (image, class): 1 at the class
        explained and the class predicted, 0 elsewhere, since a study does not hold the logits of
        all classes; `image`, the ids as text, which ViRelAy passes over.

    Raises
    ------
    UsageError
        The study lacks the network or the classes, or the file is there.
    """
    path, group = Path(path), study["relevance"].to_dataset()
    cell = _cell(group, model, seed)
    lacking = [name for name in ("explained_class", "prediction") if name not in group]
    if lacking:
        raise UsageError(
            f"/relevance has no {', '.join(lacking)}, which a file of ViRelAy needs: compute the"
            " study with relstats compute"
        )
    if path.exists():
        raise UsageError(f"{path} is there already: choose another name, or remove it")
    store.require_complete(study, "relevance")
    with tempfile.TemporaryDirectory(
        prefix=f".{path.name[:100]}.relstats-", dir=path.parent
    ) as scratch:
        with h5py.File(Path(scratch) / "new", "w") as file:
            _fill(file, group, cell)
        os.replace(Path(scratch) / "new", path)


def _cell(group: xr.Dataset, model: str, seed: str) -> tuple[int, ...]:
    names = {
        (str(group["model"].values[m]), str(group["seed"].values[s])): (m, s)
        for m, s in shards.networks(group)
    }
    if (model, seed) not in names:
        known = "; ".join(f"{m}, {s}" for m, s in names)
        raise UsageError(
            f"the study has no network of model {model!r}, seed {seed!r}. It has (model, seed):"
            f" {known}"
        )
    return names[model, seed]


def _fill(file: h5py.File, group: xr.Dataset, cell: tuple[int, ...]) -> None:
    maps = group["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    n, *grid = maps.shape[2:]
    of = {
        name: group[name].transpose(*layout.NETWORK, "image")[cell].values
        for name in ("explained_class", "prediction")
    }
    classes = int(max(of["explained_class"].max(), of["prediction"].max())) + 1
    file["index"] = np.arange(n, dtype=np.uint32)
    file["image"] = [str(image) for image in group["image"].values]
    for name, at in (("label", "explained_class"), ("prediction", "prediction")):
        values = np.zeros((n, classes), np.float32)
        values[np.arange(n), of[at].astype(int)] = 1
        file[name] = values
    data = file.create_dataset("attribution", (n, 1, *grid), np.float32)
    for start in range(0, n, _IMAGES):
        where = slice(start, min(start + _IMAGES, n))
        data[where, 0] = shards.read_block(maps, [cell], where)[0]
