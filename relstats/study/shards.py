"""Shards: how large arrays are written, known to be complete and read.

A shard is one cell (a network, or a source and a target) times one block of images. It is written
whole or not at all, by one writer; then its sha256 is put into `/manifest`. What `/manifest` does
not name is not there, whatever the store returns, so that an interrupted study is never mistaken
for a study with zeros.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import dask
import numpy as np
import xarray as xr
import zarr
from threadpoolctl import threadpool_limits
from zarr.codecs import BloscCodec, Crc32cCodec

from relstats.errors import InvalidData, UsageError
from relstats.study import layout
from relstats.study.variables import Variable, family_variables

#: Values in memory at once while a statistic streams over the images; constant, so that results do
#: not depend on the machine.
BLOCK_VALUES = 2**24
#: Lossless; the checksum makes a flipped bit an error, which Blosc alone does not.
_COMPRESSORS = (BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=4), Crc32cCodec())
_DIGEST_BYTES = 32
#: With more values, an image is a chunk of its own, as a map is.
_LARGE = 2**16
_ATTEMPTS = 3
Reduced = TypeVar("Reduced")


@dataclass(frozen=True)
class Shard:
    """One cell and one block of images of a family (see `layout.FAMILIES`), by position."""

    family: str
    cell: tuple[int, ...]
    block: int

    @property
    def images(self) -> slice:
        """Positions of its images."""
        size = layout.FAMILIES[self.family].images_per_shard
        return slice(self.block * size, (self.block + 1) * size)


def available(dataset: xr.Dataset, outer: Sequence[str]) -> np.ndarray:
    """Which cells of `outer` exist, as bool of their shape (all, where the dataset does not say).

    Examples
    --------
    >>> maps = xr.Dataset({"available": (("model", "seed"), [[True, False]])})
    >>> available(maps, ("model", "seed")).tolist()
    [[True, False]]
    """
    exists = np.ones([dataset.sizes[d] for d in outer], dtype=bool)
    for name, dims in (
        ("available", layout.NETWORK),
        ("source_available", layout.SOURCE),
        ("target_available", layout.TARGET),
    ):
        if name in dataset and set(dims) <= set(outer):
            order = [outer.index(d) for d in dims]
            shape = [dataset.sizes[d] if k in order else 1 for k, d in enumerate(outer)]
            exists = exists & dataset[name].transpose(*dims).values.astype(bool).reshape(shape)
    return exists


def networks(dataset: xr.Dataset, dims: Sequence[str] = layout.NETWORK) -> list[tuple[int, ...]]:
    """Positions of the networks that exist, model by model.

    Examples
    --------
    >>> networks(xr.Dataset({"available": (("model", "seed"), [[True, False], [True, True]])}))
    [(0, 0), (1, 0), (1, 1)]
    """
    return [tuple(int(k) for k in cell) for cell in np.argwhere(available(dataset, dims))]


def create_family(
    group: zarr.Group, sizes: Mapping[str, int], family: str, names: Sequence[str], plan: str
) -> None:
    """Empty arrays for the variables of a family, and the manifest that will say which of their
    shards are complete.

    Parameters
    ----------
    group : zarr.Group
        The root of the store.
    sizes : mapping of str to int
        Sizes of all dims (of the type of `xarray.Dataset.sizes`).
    names : sequence of str
        Which variables of the family will be written.
    plan : str
        What is being written; a resumed run must have the same.
    """
    info = layout.FAMILIES[family]
    specs = family_variables(family, names)
    for spec in specs:
        _create_array(
            group[info.group], spec, {d: sizes[d] for d in spec.dims}, info.images_per_shard
        )
    blocks = -(-sizes["image"] // info.images_per_shard)
    shape = (*(sizes[d] for d in info.outer), blocks, _DIGEST_BYTES)
    group.require_group("manifest").create_array(
        family,
        shape=shape,
        chunks=(*(1,) * (len(info.outer) + 1), _DIGEST_BYTES),
        dtype="uint8",
        fill_value=0,
        dimension_names=(*info.outer, f"{family}_{layout.IMAGE_BLOCK}", layout.DIGEST_BYTE),
        overwrite=True,
        attributes={
            "plan": plan,
            "variables": sorted(v.name for v in specs),
            "about": "sha256 of each complete shard; zero where it is not complete",
        },
    )


def _create_array(
    group: zarr.Group, spec: Variable, sizes: dict[str, int], images_per_shard: int
) -> None:
    outer = (*layout.FAMILIES[str(spec.family)].outer, "image")
    whole = {d: 1 if d in outer else n for d, n in sizes.items()}
    is_map = "y" in spec.dims or math.prod(whole.values()) > _LARGE
    shard = {**whole, "image": min(images_per_shard, sizes["image"])}
    attributes: dict[str, str | int] = {"about": spec.prose}
    if spec.dtype in ("uint8", "int32"):
        attributes["_FillValue"] = int(layout.FILL[spec.dtype])
    group.create_array(
        spec.name,
        shape=tuple(sizes.values()),
        dtype=spec.dtype,
        fill_value=layout.FILL[spec.dtype],
        chunks=tuple((whole if is_map else shard)[d] for d in spec.dims),
        shards=tuple(shard[d] for d in spec.dims) if is_map else None,
        compressors=_COMPRESSORS,
        dimension_names=spec.dims,
        attributes=attributes,
        config={"write_empty_chunks": True},
    )


def expected(path: str | Path, family: str) -> list[Shard]:
    """All shards that a complete study has of a family, in order.

    Empty where nothing of it was begun.
    """
    store = zarr.open_group(str(path), mode="r", use_consolidated=False)
    if f"manifest/{family}" not in store:
        return []
    info = layout.FAMILIES[family]
    with xr.open_zarr(str(path), group=info.group, consolidated=False, chunks=None) as dataset:
        exists = available(dataset, info.outer)
    blocks = range(store[f"manifest/{family}"].shape[-2])
    return [
        Shard(family, tuple(int(k) for k in cell), block)
        for cell in np.argwhere(exists)
        for block in blocks
    ]


def unfinished(path: str | Path, family: str) -> list[Shard]:
    """Shards of a family that are expected and not complete, in order.

    Examples
    --------
    >>> import tempfile, relstats
    >>> path = tempfile.mkdtemp() + "/study.zarr"
    >>> _ = relstats.simulate(
    ...     path, models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> unfinished(path, "relevance")
    []
    """
    shards = expected(path, family)
    if not shards:
        return []
    done = completed(
        zarr.open_group(str(path), mode="r", use_consolidated=False)[f"manifest/{family}"], family
    )
    return [shard for shard in shards if not done[(*shard.cell, shard.block)]]


def completed(manifest: zarr.Array | xr.DataArray, family: str) -> np.ndarray:
    """Which shards are complete, (*cell, block), by the manifest of a family.

    Raises
    ------
    InvalidData
        The manifest cannot be read.
    """
    try:
        return np.asarray(manifest[:]).any(axis=-1)
    except Exception as error:  # of a codec or of the file system
        raise InvalidData(
            f"/manifest/{family} is damaged ({str(error).splitlines()[0]}): what is complete is not"
            " known. Restore it from a copy, or write the study again with --force"
        ) from error


def write_shard(path: str | Path, shard: Shard, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one shard of each variable of a family, then its sha256.

    No reader takes half of it for data.

    Parameters
    ----------
    path : str or Path
        The store.
    shard : Shard
        Where: from `unfinished`.
    arrays : mapping of str to ndarray
        Every variable of the family, of the shape of the shard: (image, y, x), (fraction, image) or
        (image,).

    Raises
    ------
    InvalidData
        A variable is missing, unknown or of another shape.
    UsageError
        The shard is complete already, with other data.
    """
    store = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    group, manifest = store[layout.FAMILIES[shard.family].group], store[f"manifest/{shard.family}"]
    if manifest.attrs["variables"] != sorted(arrays):
        raise InvalidData(
            f"{path}: a shard of {shard.family!r} holds {manifest.attrs['variables']}, "
            f"got {sorted(arrays)}. Pass exactly those"
        )
    stored = {name: group[name] for name in arrays}  # opening an array takes most of the time
    values = {
        name: np.ascontiguousarray(array, dtype=stored[name].dtype)
        for name, array in arrays.items()
    }
    digest = np.frombuffer(sha256_of(values), np.uint8)
    there = manifest[(*shard.cell, shard.block)]
    if np.array_equal(there, digest):
        return
    if there.any():
        raise UsageError(
            f"{path}: {describe(group, shard)} is there with other data. Choose another path, or"
            " force"
        )
    for name, array in values.items():
        region, shape = region_of(stored[name], shard)
        if array.shape != shape:
            raise InvalidData(
                f"{path}: {name} of {shard} has shape {array.shape}, not {shape}. Pass one shard at"
                " a time"
            )
        _write_region(stored[name], region, array)
    manifest[(*shard.cell, shard.block)] = digest


def _write_region(array: zarr.Array, region: tuple[int | slice, ...], values: np.ndarray) -> None:
    # opening an array forgets this: a chunk of fill values alone (no class is known) would not be
    # there, and be refused
    array = array.with_config({"write_empty_chunks": True})
    for _ in range(_ATTEMPTS):
        try:
            array[region] = values
            return
        except (
            FileNotFoundError
        ):  # another process that writes the same study ended and swept the temporary file
            continue
    array[region] = values


def region_of(array: zarr.Array, shard: Shard) -> tuple[tuple[int | slice, ...], tuple[int, ...]]:
    """Where a shard lies in an array, and its shape there."""
    inner = array.metadata.dimension_names[len(shard.cell) :]
    slices = [shard.images if dim == "image" else slice(None) for dim in inner]
    sizes = array.shape[len(shard.cell) :]
    return (*shard.cell, *slices), tuple(
        len(range(*s.indices(n))) for s, n in zip(slices, sizes, strict=True)
    )


def sha256_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The sha256 of the variables of a shard, by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.digest()


def sweep(path: str | Path) -> None:
    """Remove the temporary files that killed writers left, once nothing is being written any
    more.
    """
    for leftover in Path(path).rglob("*.partial"):
        leftover.unlink(missing_ok=True)


def describe(group: zarr.Group | xr.Dataset, shard: Shard) -> str:
    """A shard in words: its labels and its images."""
    outer = layout.FAMILIES[shard.family].outer
    labels = [
        f"{dim} {str(np.asarray(group[dim])[k])!r}"
        for dim, k in zip(outer, shard.cell, strict=True)
    ]
    stop = min(shard.images.stop, np.asarray(group["image"]).size)
    return f"{', '.join(labels)}, images {shard.images.start} to {stop - 1}"


def read_block(array: xr.DataArray, cells: Sequence[tuple[int, ...]], images: slice) -> np.ndarray:
    """Values of some cells and a block of images, in memory, as (cell, ...remaining dims).

    Parameters
    ----------
    array : xarray.DataArray
        Dims: those of the cells first, then the rest.
    cells : sequence of tuple of int
        Positions on the leading dims.
    images : slice
        Positions on `image`.

    Raises
    ------
    InvalidData
        A shard cannot be read: which, and what the store says.
    """
    outer = array.dims[: len(cells[0])]
    part = array.isel(image=images)
    out = np.empty((len(cells), *part.shape[len(outer) :]), part.dtype)
    for k, cell in enumerate(cells):
        try:
            out[k] = part[cell].values
        except Exception as error:
            # Any error of a codec or a file system: the reader needs the cell, not the traceback.
            labels = [
                f"{dim} {str(array[dim].values[c])!r}" for dim, c in zip(outer, cell, strict=True)
            ]
            reason = str(error).splitlines()[0]
            raise InvalidData(
                f"{array.name}: {', '.join(labels)}, images {images.start} to {images.stop - 1}"
                f" cannot be read ({reason}). Restore the shard or compute it again; `relstats"
                " validate --deep` lists all"
            ) from error
    return out


def over_images[Reduced](
    array: xr.DataArray,
    cells: Sequence[tuple[int, ...]],
    function: Callable[[np.ndarray, slice], Reduced],
) -> list[Reduced]:
    """Apply a function to blocks of images and return the small results in order, on whatever dask
    scheduler is active.

    Parameters
    ----------
    array : xarray.DataArray
        Lazy or in memory; dims: those of the cells first, then the rest, `image` among them.
    cells : sequence of tuple of int
        Which cells to read.
    function : callable
        Takes the block (cell, ...) and its slice of images.

    Returns
    -------
    list
        One result a block. The blocks do not depend on the number of workers, so neither do the
        results.
    """
    n_images = array.sizes["image"]
    cell_values = math.prod(array.shape[len(cells[0]) :]) // n_images
    step = max(1, BLOCK_VALUES // (len(cells) * cell_values))
    slices = [slice(start, min(start + step, n_images)) for start in range(0, n_images, step)]
    # the array is hidden in a partial: dask would otherwise compute all of it before the first task
    task = partial(_reduce_block, array, cells, function)
    with threadpool_limits(1, "blas"):
        return list(dask.compute(*(dask.delayed(task, pure=False)(images) for images in slices)))


def _reduce_block[Reduced](
    array: xr.DataArray,
    cells: Sequence[tuple[int, ...]],
    function: Callable[[np.ndarray, slice], Reduced],
    images: slice,
) -> Reduced:
    return function(read_block(array, cells, images), images)
