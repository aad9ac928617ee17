"""People's own maps into a study: what they looked at, marked or needed to see.

Matched by label, never resized without a word.
"""

from __future__ import annotations

import hashlib
import itertools
from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs import human_map_files
from relstats.inputs.human_map_files import Source
from relstats.study import check, layout, store, writing

#: Images of a block of one participant.
_BLOCK = 20


def add_human_maps(
    path: str | Path,
    source: str | Path,
    *,
    bandwidth: float | None = None,
    fixation_size: tuple[int, int] | None = None,
    resize: bool = False,
    align: str = "exact",
    force: bool = False,
) -> xr.Dataset:
    """Add people's maps to a study, as `/human_maps`, whole or not at all.

    Parameters
    ----------
    path : str or Path
        A study with `/relevance`.
    source : str or Path
        `.npz` with `map` (participant, image, y, x) and text ids `participant` and `image`; a Zarr
        store with a variable `map` of these dims; a folder `PARTICIPANT/IMAGE.png` (or `.npy`), or
        `IMAGE.png` of one group of people; or `.csv`, a table of fixations with columns
        participant, image, x, y and, if they are to be weighted, duration. A map is NaN throughout,
        or not there, where a participant has none.
    bandwidth : float
        Of fixations: standard deviation of the Gaussian around each, in pixels of the image that
        was looked at.
    fixation_size : (int, int), optional
        Height and width of that image, in whose pixels x and y are. Default: those of the study's
        maps.
    resize : bool
        Bring maps of another size to that of the study's, by area. Otherwise another size is an
        error.
    align : {"exact", "inner"}
        "inner" leaves out maps of images that the study does not have, and images without any map.
        Both are counted.
    force : bool
        Replace maps that are there.

    Returns
    -------
    xarray.Dataset
        `n_maps` of each participant; `n_images`. Attributes: how the maps were made, and what was
        left out.

    Raises
    ------
    UsageError
        No such file, an unknown option, or other maps are there.
    InvalidData
        Maps of another size, NaN in part or infinite, labels that are not text, or images that do
        not match (with both lists).

    Examples
    --------
    >>> import tempfile, relstats
    >>> folder = tempfile.mkdtemp()
    >>> _ = relstats.simulate(
    ...     folder + "/s.zarr",
    ...     models="2x1",
    ...     seeds=3,
    ...     images=2,
    ...     size=8,
    ...     rng=np.random.default_rng(1),
    ... )
    >>> table = "participant,image,x,y" + chr(10) + "p1,img00000,3,4" + chr(10) + "p1,img00001,2,2"
    >>> _ = Path(folder + "/f.csv").write_text(table)
    >>> add_human_maps(folder + "/s.zarr", folder + "/f.csv", bandwidth=1.5)["n_maps"].values
    array([2])
    """
    if align not in ("exact", "inner"):
        raise UsageError(f"align is {align!r}; it is exact or inner")
    study, source = store.open_study(path), Path(source)
    if "relevance" not in study.children:
        raise UsageError(
            f"{path} has no /relevance, so there are no maps to compare with. Add maps first"
        )
    maps = study["relevance"].to_dataset()
    size = (maps.sizes["y"], maps.sizes["x"])
    found = human_map_files.read(source, bandwidth, fixation_size, size)
    images = common_images(
        found.images, [str(label) for label in maps["image"].values], source.name, align
    )
    dropped = {
        "n_images_dropped": len(set(found.images) - set(images)),
        "n_images_without_maps": maps.sizes["image"] - len(images),
    }
    dataset = _dataset(found, images, size, resize).assign_attrs(
        {**found.attrs, "resize": str(resize), **dropped}
    )
    plan = f"human maps with {dataset.attrs}, of {_digest(source, images)}"
    writing.add_small_group(path, layout.HUMAN_MAPS, dataset, plan, force=force)
    return describe_maps(store.open_study(path)[layout.HUMAN_MAPS].to_dataset())


def _digest(source: Path, images: list[str]) -> str:
    """Of all that a file, a folder or a store holds: what was changed since is not taken for what
    is there.
    """
    files = (
        [source]
        if source.is_file()
        else sorted(file for file in source.rglob("*") if file.is_file())
    )
    found = hashlib.sha256(repr(images).encode())
    for file in files:
        with open(file, "rb") as content:
            found.update(
                str(file.relative_to(source)).encode()
                + hashlib.file_digest(content, "sha256").digest()
            )
    return found.hexdigest()[:16]


def common_images(named: tuple[str, ...], wanted: list[str], where: str, align: str) -> list[str]:
    """Images of a study that a file names, in the order of the study.

    Raises
    ------
    InvalidData
        They differ, and that is not allowed; or none is common.
    """
    problems = check.disagreement(set(named), set(wanted), where, "the study")
    if problems and (align == "exact" or not set(named) & set(wanted)):
        raise InvalidData(f"{problems[0]} (--align inner)")
    return [image for image in wanted if image in set(named)]


def describe_maps(dataset: xr.Dataset) -> xr.Dataset:
    """How many maps each participant has; as `add_human_maps` returns it."""
    corner = dataset["map"].transpose("participant", "image", "y", "x")[:, :, 0, 0]
    there = np.array([~np.isnan(corner[p].values) for p in range(dataset.sizes["participant"])])
    return xr.Dataset(
        {"n_maps": ("participant", there.sum(axis=1)), "n_images": dataset.sizes["image"]},
        {"participant": dataset["participant"].values},
        dataset.attrs,
    )


def _dataset(source: Source, images: list[str], size: tuple[int, int], resize: bool) -> xr.Dataset:
    """The group, lazy: a block of images of a participant is made when it is written."""
    make = dask.delayed(partial(_block, source.make, size, resize), pure=False)
    parts = [list(part) for part in itertools.batched(images, _BLOCK)]
    rows = [
        da.concatenate(
            [
                da.from_delayed(make(person, part), (1, len(part), *size), np.float32)
                for part in parts
            ],
            axis=1,
        )
        for person in source.participants
    ]
    coords = {
        "participant": np.array(source.participants, object),
        "image": np.array(images, object),
    }
    return xr.Dataset({"map": (("participant", "image", "y", "x"), da.concatenate(rows))}, coords)


def _block(
    make: object, size: tuple[int, int], resize: bool, person: str, images: list[str]
) -> np.ndarray:
    out = np.full((1, len(images), *size), np.nan, np.float32)
    for k, image in enumerate(images):
        found = make(person, image)  # type: ignore[operator]
        if found is None:
            continue
        if found.shape != size and not resize:
            raise InvalidData(
                f"the map of participant {person!r} and image {image!r} is {found.shape} pixels,"
                f" those of the study {size} (y, x): no map is resized silently. Make it with the"
                " study's size, or give --resize"
            )
        out[0, k] = found if found.shape == size else human_map_files.resized(found, size)
    return out
