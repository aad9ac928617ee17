"""The study layout: every group, dim, unit and attribute, and what the labels of a group say.

This is the only home of these names; the variables of each group are in
`relstats.study.variables`. A study is one Zarr v3 store, opened as an `xarray.DataTree`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

#: Every pixel that is in no region.
REST = "rest"
SCHEMA_VERSION = 1

NETWORK = ("model", "seed")
SOURCE = ("source_model", "source_seed")
TARGET = ("target_model", "target_seed")
IMAGE_BLOCK = "image_block"
#: Groups that a study has where somebody brings or computes them. Whoever reads or writes one takes
#: its name from here; what belongs to every study (images, relevance, transfer) is written out.
SUFFICIENCY = "sufficiency"
HUMAN = "human"
HUMAN_MAPS = "human_maps"
BEHAVIOUR = "behaviour"
REGIONS = "regions"
DIGEST_BYTE = "digest_byte"


@dataclass(frozen=True)
class Family:
    """Variables that are written together: one shard of each for one cell (`outer`) and one block
    of images.
    """

    group: str
    outer: tuple[str, ...]
    images_per_shard: int


FAMILIES = {
    "relevance": Family("relevance", NETWORK, 100),
    "transfer": Family("transfer", SOURCE + TARGET, 500),
    "controls": Family("transfer", TARGET, 500),
    "features": Family("features", NETWORK, 100),
    SUFFICIENCY: Family(SUFFICIENCY, NETWORK, 500),
}
#: Whose pixels a network is shown in `/sufficiency` (attribute `sets_of`): not its own.
OTHER_NETWORKS = "other networks"
#: What is done with a set of pixels, and which sets: the one that the other networks share, and of
#: its area each network's own most relevant pixels, those that the others share on another image,
#: and random ones.
OPERATIONS = ("keep", "remove")
CHOICES = ("shared", "own", "image_swap", "random")
#: Groups that relstats knows. Others are left alone.
GROUPS = (
    "images",
    "relevance",
    "transfer",
    SUFFICIENCY,
    "features",
    HUMAN,
    HUMAN_MAPS,
    BEHAVIOUR,
    REGIONS,
    "manifest",
    "results",
)
#: Groups with images: they have the same ones, in any order.
IMAGE_GROUPS = ("images", "relevance", "transfer", SUFFICIENCY, "features", REGIONS)
#: A study has one of these at least.
DATA_GROUPS = ("relevance", "transfer", "features", HUMAN, HUMAN_MAPS, BEHAVIOUR)
#: What a missing value looks like on disk: never a value that could be real.
FILL = {"float32": float("nan"), "float16": float("nan"), "uint8": 255, "int32": -1}
#: Kinds of numpy dtypes that are taken for what is stored.
KINDS = {
    "str": "TUO",
    "bool": "b",
    "uint8": "buif",
    "int32": "iuf",
    "float16": "fiub",
    "float32": "fiu",
    "float64": "fiu",
}


def layers(dataset: xr.Dataset) -> list[str]:
    """Names of the variables of a group that are layers.

    Examples
    --------
    >>> layers(xr.Dataset({"conv": (("image", "conv_feature"), np.zeros((1, 2)))}))
    ['conv']
    """
    return [
        str(name) for name, array in dataset.data_vars.items() if f"{name}_feature" in array.dims
    ]


def axes(dataset: xr.Dataset, prefix: str = "") -> dict[str, np.ndarray]:
    """Axis labels of the models: every text coordinate on `model` (or `source_model`, ...

    With `prefix`).

    Parameters
    ----------
    dataset : xarray.Dataset
        The `/relevance` group, or `/transfer` with `prefix` "source_" or "target_".

    Returns
    -------
    dict of str to ndarray
        Axis name (without the prefix) to the level of each model.

    Examples
    --------
    >>> axes(xr.Dataset(coords={"model": ["a", "b"], "task": ("model", ["gender", "identity"])}))[
    ...     "task"
    ... ].tolist()
    ['gender', 'identity']
    """
    dim = f"{prefix}model"
    found = {}
    for name in sorted(dataset.coords, key=str):  # xarray keeps them in a set
        coord = dataset.coords[name]
        if name != dim and coord.dims == (dim,) and coord.dtype.kind in KINDS["str"]:
            found[str(name).removeprefix(prefix)] = np.array(
                [str(v) for v in coord.values], dtype=object
            )
    return found
