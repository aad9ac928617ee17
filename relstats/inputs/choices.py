"""People's choices: which class each of them said an image has."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs.csv_tables import read_table
from relstats.inputs.human_maps import common_images
from relstats.study import layout, store, writing


def add_choices(
    path: str | Path, source: str | Path, *, align: str = "exact", force: bool = False
) -> xr.Dataset:
    """Add people's choices to a study, as `/behaviour`.

    Parameters
    ----------
    path : str or Path
        A study with `/relevance`.
    source : str or Path
        `.csv` with columns participant, image and choice (the name of a class); one row for each
        that was shown. All is text: "007" stays "007", "NA" stays "NA". An empty choice, or no row:
        none.
    align : {"exact", "inner"}
        "inner" leaves out choices of images that the study does not have, and images without any.
        Both are counted.
    force : bool
        Replace choices that are there.

    Returns
    -------
    xarray.Dataset
        `n_choices` of each participant; `n_images`, `n_classes`.

    Raises
    ------
    UsageError
        No such file, or other choices are there.
    InvalidData
        Columns are missing, an image is there twice for a participant, or images do not match (with
        both lists).

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
    >>> _ = Path(folder + "/c.csv").write_text(
    ...     "participant,image,choice" + chr(10) + "p1,img00000,f" + chr(10) + "p1,img00001,m"
    ... )
    >>> add_choices(folder + "/s.zarr", folder + "/c.csv")["n_choices"].values
    array([2])
    """
    if align not in ("exact", "inner"):
        raise UsageError(f"align is {align!r}; it is exact or inner")
    study, source = store.open_study(path), Path(source)
    if "relevance" not in study.children:
        raise UsageError(
            f"{path} has no /relevance, so there are no networks to compare with. Add maps first"
        )
    table = read_table(source, ("participant", "image", "choice"))
    twice = table[table.duplicated(["participant", "image"])]
    if len(twice):
        raise InvalidData(
            f"{source.name}: {len(twice)} choice(s) of an image that the participant chose for"
            f" already (first: participant {twice['participant'].iloc[0]!r}, image"
            f" {twice['image'].iloc[0]!r}). Which one counts? Keep one"
        )
    wanted = [str(label) for label in study["relevance"].to_dataset()["image"].values]
    images = common_images(tuple(table["image"].unique()), wanted, source.name, align)
    wide = (
        table.pivot(index="participant", columns="image", values="choice")
        .reindex(columns=images)
        .fillna("")
    )
    attrs = {
        "source": source.name,
        "n_images_dropped": len(set(table["image"]) - set(images)),
        "n_images_without_choices": len(wanted) - len(images),
    }
    dataset = xr.Dataset(
        {"choice": (("participant", "image"), wide.to_numpy(object))},
        {"participant": wide.index.to_numpy(object), "image": np.array(images, object)},
        attrs,
    )
    digest = hashlib.sha256(repr(wide.to_dict("split")).encode()).hexdigest()[:16]
    writing.add_small_group(
        path, layout.BEHAVIOUR, dataset, f"choices {digest}, {attrs}", force=force
    )
    given = wide != ""
    return xr.Dataset(
        {
            "n_choices": ("participant", given.sum(axis=1)),
            "n_images": len(images),
            "n_classes": len(set(wide.to_numpy().ravel()) - {""}),
        },
        {"participant": dataset["participant"].values},
        attrs,
    )
