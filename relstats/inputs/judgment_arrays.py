"""Judgments from arrays with labels: `.npz` files and Zarr stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.inputs.judged import Judged, all_pairs, labelled, upper
from relstats.study.pairs import ENDS


def from_npz(source: Path, form: str | None) -> Judged:
    """Judgments of a `.npz` file; `form` is what the user calls them."""
    return _of_arrays(_npz(source), source, form)


def from_zarr(source: Path, form: str | None) -> Judged:
    """Judgments of a Zarr store; `form` is what the user calls them."""
    return _of_arrays(_zarr(source), source, form)


def _npz(source: Path) -> xr.Dataset:
    """Arrays and ids: (participant, image, image) with `image`, or (participant, pair) with
    `image_i`, `image_j`.
    """
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise InvalidData(
            f"{source.name} cannot be read ({error}): ids are text arrays, not Python objects."
            " Write it with numpy.savez"
        ) from error
    ids = {name: arrays.pop(name) for name in ("participant", "image", *ENDS) if name in arrays}
    if len(arrays) != 1:
        raise InvalidData(
            f"{source.name} holds {', '.join(arrays) or 'nothing'} beside ids: give one array of"
            " judgments"
        )
    name, values = arrays.popitem()
    for label, values_of in ids.items():
        if values_of.dtype.kind != "U" or values_of.ndim != 1:
            raise InvalidData(
                f"{label!r} of {source.name} has dtype {values_of.dtype} and shape"
                f" {values_of.shape}: ids are text ('007' is not 7)"
            )
    dims: tuple[str, ...] = ("participant", "pair")
    coords = {end: ("pair", ids[end]) for end in ENDS if end in ids}
    if "image" in ids:
        dims, coords = ("participant", *ENDS), {end: (end, ids["image"]) for end in ENDS}
    if len(coords) < 2 or "participant" not in ids:
        raise InvalidData(
            f"{source.name} has ids {', '.join(ids) or 'of nothing'}: it takes 'participant', and"
            " 'image' for matrices or 'image_i' and 'image_j' for pairs, as text. Judgments are"
            " never matched by position"
        )
    sizes = {
        dim: len(
            ids["participant"] if dim == "participant" else coords.get(dim, coords[ENDS[0]])[1]
        )
        for dim in dims
    }
    if values.shape != tuple(sizes.values()):
        raise InvalidData(
            f"{name!r} of {source.name} has shape {values.shape}; its ids say"
            f" {tuple(sizes.values())} ({', '.join(dims)})"
        )
    return xr.Dataset({name: (dims, values)}, coords={**coords, "participant": ids["participant"]})


def _zarr(source: Path) -> xr.Dataset:
    try:
        return xr.open_zarr(source, consolidated=False, chunks=None).load()
    except Exception as error:
        # Of the store, a codec, the file system: the reader needs the path, not the traceback.
        raise InvalidData(
            f"{source} cannot be read as a Zarr group of labelled arrays ({error}). Write it with"
            " xarray"
        ) from error


def _of_arrays(dataset: xr.Dataset, source: Path, form: str | None) -> Judged:
    """A variable (participant, pair), or (participant, image_i, image_j), with text ids."""
    found = {name: v for name, v in dataset.data_vars.items() if "participant" in v.dims}
    if len(found) != 1:
        raise InvalidData(
            f"{source.name} has {len(found)} variables on 'participant'"
            f" ({', '.join(map(str, dataset.data_vars))}): give one, (participant, pair) or"
            " (participant, image_i, image_j)"
        )
    array = next(iter(found.values()))
    if array.dtype.kind not in "buif":
        raise InvalidData(f"judgments of {source.name} have dtype {array.dtype}: give real numbers")
    shown = {
        frozenset(("participant", "pair")): "pairs",
        frozenset(("participant", *ENDS)): "matrix",
    }.get(frozenset(map(str, array.dims)))
    if shown is None or form not in (None, shown):
        raise InvalidData(
            f"judgments of {source.name} have dims {array.dims}; format {form or 'pairs or matrix'}"
            " takes (participant, pair) with image_i and image_j, or (participant, image_i,"
            " image_j)"
        )
    labels = {name: _text(array, name, source) for name in ("participant", *ENDS)}
    if shown == "pairs":
        values = np.asarray(array.transpose("participant", "pair").values, float)
        return Judged(labelled(values, *labels.values()), "pairs")
    if set(labels[ENDS[0]]) != set(labels[ENDS[1]]) or len(set(labels[ENDS[0]])) < len(
        labels[ENDS[0]]
    ):
        raise InvalidData(
            f"image_i and image_j of {source.name} are not the same images, each once: a square"
            " matrix is needed"
        )
    array = array.sel({ENDS[1]: labels[ENDS[0]]}).transpose("participant", *ENDS)
    values, own = upper(np.asarray(array.values, float), source.name)
    ends = all_pairs(labels[ENDS[0]])
    return Judged(labelled(values, labels["participant"], *ends), "matrix", own)


def _text(array: xr.DataArray, name: str, source: Path) -> list[str]:
    labels = array[name].values.tolist() if name in array.coords else []
    wrong = [label for label in labels if not isinstance(label, str)]
    if not labels or wrong:
        raise InvalidData(
            f"{name!r} of {source.name}"
            f" {'is missing' if not labels else f'is not text (e.g. {wrong[0]!r})'}: judgments are"
            " matched by text ids ('007' is not 7)"
        )
    return labels
