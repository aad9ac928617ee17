"""Masks of image regions into a study: from facial landmarks, label images or boolean masks, for
each image or one for all.

Images are matched by label, never by position, and no mask is resized. Masks are made and written
block by block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs import region_files
from relstats.inputs.region_files import Source
from relstats.study import check, layout, shards, store, writing

#: Values of one block of masks.
_BLOCK = 2**22


def add_regions(
    path: str | Path,
    source: str | Path,
    *,
    landmark_size: tuple[int, int] | None = None,
    dilation: float = 0.1,
    overlap: str = "nearest",
    names: Sequence[str] = (),
    image_column: str = "image",
    match: str = "image",
    align: str = "exact",
    force: bool = False,
) -> xr.Dataset:
    """Add masks of regions to a study, whole or not at all.

    Parameters
    ----------
    path : str or Path
        A study with `/relevance`; masks have the size of its maps.
    source : str or Path
        `.csv`: 68 landmarks of each image, columns `image`, `x0`, `y0`, ... `x67`, `y67`, in iBUG's
        order (see `relstats.inputs.landmarks.landmark_masks`). `.npz`: an array for each region,
        (y, x) or (image, y, x), and then the ids of the images as `image`; bool, or numbers 0 and
        1, or whole numbers 0 and 255. `.png` or `.npy`: one label image for all, 0 where there is
        no region. A folder: label images `ID.png`.
    landmark_size : (int, int), optional
        Height and width of the images on which landmarks were found. Default: those of the study's
        maps.
    dilation, overlap
        Of landmarks, see `relstats.inputs.landmarks.landmark_masks`.
    names : sequence of str
        Regions of the labels 1, 2, ... of label images. Default: the labels themselves.
    image_column : str
        Column of the landmarks that names the image.
    match : str
        Label of the images of the study that these names equal: "image", their id, or a label in
        `/images`, such as "path".
    align : {"exact", "inner"}
        "inner" leaves out masks of images that the study does not have; images without masks get
        empty ones. Both are counted in the attributes.
    force : bool
        Replace regions that are there.

    Returns
    -------
    xarray.Dataset
        On `region`: `area` (mean share of the pixels) and `n_empty` (images on which it has none);
        `n_images`; `overlapping` (largest share of pixels of an image that are in several regions).

    Raises
    ------
    UsageError
        No such file, an unknown option, or other regions are there.
    InvalidData
        Masks of another size, values that are no masks, unknown labels, or images that do not
        match.

    Examples
    --------
    >>> import tempfile, relstats
    >>> folder = tempfile.mkdtemp()
    >>> _ = relstats.simulate(
    ...     folder + "/s.zarr",
    ...     models="2x1",
    ...     seeds=3,
    ...     images=4,
    ...     size=8,
    ...     rng=np.random.default_rng(1),
    ... )
    >>> np.savez(folder + "/masks.npz", left=np.arange(8) < np.full((8, 1), 4))
    >>> add_regions(folder + "/s.zarr", folder + "/masks.npz")["area"].item()
    0.5
    """
    study = store.open_study(path)
    if "relevance" not in study.children:
        raise UsageError(
            f"{path} has no /relevance, so there are no maps whose regions could be looked at. Add"
            " maps first"
        )
    if align not in ("exact", "inner"):
        raise UsageError(f"align is {align!r}; it is exact or inner")
    maps = study["relevance"].to_dataset()
    size = maps.sizes["y"], maps.sizes["x"]
    source = Path(source)
    found = region_files.read(source, size, landmark_size, dilation, overlap, names, image_column)
    ids = [str(label) for label in maps["image"].values]
    dataset = _dataset(found, size, ids, _wanted(study, maps, match), f"{source.name}", align)
    options = {k: v for k, v in dataset.attrs.items() if k != "n_images_dropped"}
    plan = (
        f"regions {list(found.regions)} with {options}, of images"
        f" {hashlib.sha256(repr(ids).encode()).hexdigest()[:16]}"
    )
    writing.add_small_group(path, layout.REGIONS, dataset, plan, force=force)
    return describe_regions(store.open_study(path)[layout.REGIONS].to_dataset())


def regions_dataset(
    masks: np.ndarray,
    regions: Sequence[str],
    *,
    images: Sequence[str] | None = None,
    attrs: dict[str, str] | None = None,
) -> xr.Dataset:
    """The `/regions` group from an array of masks.

    Parameters
    ----------
    masks : ndarray, (region, y, x) or (region, image, y, x)
        bool, or numbers 0 and 1, or whole numbers 0 and 255. Regions may overlap.
    regions : sequence of str
        Names of the regions; "rest" is what is in none.
    images : sequence of str, optional
        Ids of the images, where each has its own masks.
    attrs : mapping, optional
        How the masks were made.

    Raises
    ------
    InvalidData
        Sizes, names or values are not those of masks.

    Examples
    --------
    >>> regions_dataset(np.eye(4)[np.newaxis], ["diagonal"]).sizes["y"]
    4
    """
    values = region_files.as_masks(masks, "masks")
    dims = ("region", "y", "x") if images is None else ("region", "image", "y", "x")
    if (
        values.ndim != len(dims)
        or len(values) != len(regions)
        or (images is not None and values.shape[1] != len(images))
    ):
        ids = "" if images is None else f" and {len(images)} ids of images"
        raise InvalidData(
            f"masks have shape {values.shape}, which does not fit dims ({', '.join(dims)}) with"
            f" {len(regions)} names of regions{ids}. Pass one mask for each"
        )
    region_files.require_names(regions)
    labels = {"region": list(regions)} | ({} if images is None else {"image": list(images)})
    dataset = xr.Dataset(
        {"mask": (dims, values)}, {k: np.array(v, object) for k, v in labels.items()}, attrs
    )
    problems = check.check_group(dataset, layout.REGIONS)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    return dataset


def describe_regions(dataset: xr.Dataset) -> xr.Dataset:
    """Mean area and number of empty masks of each region, and how much they overlap.

    As `add_regions` returns it.
    """
    mask = dataset["mask"]
    mask = (mask if "image" in mask.dims else mask.expand_dims("image")).transpose(
        "region", "image", "y", "x"
    )
    parts = shards.over_images(mask, [(r,) for r in range(mask.sizes["region"])], _tally)
    area, empty, most = (list(part) for part in zip(*parts, strict=True))
    n_images = mask.sizes["image"]
    return xr.Dataset(
        {
            "area": ("region", np.sum(area, axis=0) / n_images),
            "n_empty": ("region", np.sum(empty, axis=0)),
            "n_images": ((), n_images),
            "overlapping": ((), max(most)),
        },
        {"region": dataset["region"].values},
        dataset.attrs,
    )


def _tally(block: np.ndarray, _: slice) -> tuple[np.ndarray, np.ndarray, float]:
    area = block.mean(axis=(2, 3))
    return (
        area.sum(axis=1),
        (area == 0).sum(axis=1),
        float((block.sum(axis=0) > 1).mean(axis=(1, 2)).max()),
    )


def _wanted(study: xr.DataTree, maps: xr.Dataset, match: str) -> list[str]:
    """What each image of the maps is called in the file of masks, in the order of the maps."""
    ids = [str(label) for label in maps["image"].values]
    if match == "image":
        return ids
    labels = study["images"].to_dataset() if "images" in study.children else xr.Dataset()
    if match not in labels.coords or labels[match].dims != ("image",):
        has = ", ".join(
            str(c) for c in labels.coords if labels[c].dims == ("image",) and c != "image"
        )
        raise UsageError(
            f"--match {match!r}: the images of this study have no such label; they have"
            f" {has or 'only ids'}"
        )
    of = dict(zip(map(str, labels["image"].values), map(str, labels[match].values), strict=True))
    return [of[label] for label in ids]


def _dataset(
    source: Source, size: tuple[int, int], ids: list[str], wanted: list[str], where: str, align: str
) -> xr.Dataset:
    """The group, lazy: a block of images is made when it is written."""
    index = {"region": np.array(source.regions, object)}
    if source.names is None:
        mask = source.make(np.array([0]))[:, 0]
        return xr.Dataset({"mask": (("region", "y", "x"), mask)}, index, source.attrs)
    places = _places(source.names, wanted, where, align)
    step = max(1, _BLOCK // (len(source.regions) * size[0] * size[1]))
    blocks = [places[k : k + step] for k in range(0, len(places), step)]
    make = dask.delayed(partial(_or_empty, source), pure=False)
    lazy = [
        da.from_delayed(make(block), (len(source.regions), len(block), *size), bool)
        for block in blocks
    ]
    attrs = source.attrs | {
        "n_images_without_masks": int((places < 0).sum()),
        "n_images_dropped": len(set(source.names) - set(wanted)),
    }
    index["image"] = np.array(ids, object)
    return xr.Dataset(
        {"mask": (("region", "image", "y", "x"), da.concatenate(lazy, axis=1))}, index, attrs
    )


def _places(names: Sequence[str], wanted: Sequence[str], where: str, align: str) -> np.ndarray:
    """Where each image's masks are in the file.

    -1 where it has none, which is an error unless inner.
    """
    for what, labels in ((where, names), ("the study", wanted)):
        if len(set(labels)) < len(labels):
            twice = sorted({label for label in labels if list(labels).count(label) > 1})
            raise InvalidData(
                f"{what} names {len(twice)} image(s) twice (e.g. {twice[:3]}): whose masks are"
                " they? Make names unique"
            )
    problems = check.disagreement(set(names), set(wanted), where, "the study")
    if problems and (align == "exact" or not set(names) & set(wanted)):
        raise InvalidData(
            f"{problems[0]} (--align inner). Where the file names images by another label than"
            " their id, name that label: --match"
        )
    place = {name: k for k, name in enumerate(names)}
    return np.array([place.get(name, -1) for name in wanted])


def _or_empty(source: Source, places: np.ndarray) -> np.ndarray:
    made = source.make(places[places >= 0])
    masks = np.zeros((made.shape[0], len(places), *made.shape[2:]), bool)
    masks[:, places >= 0] = made
    return masks
