"""RDMs to hold constant: of the images' pixels, or from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.human.rdm import network_rdms
from relstats.inputs.judgments import read_judgments
from relstats.study import pairs

PIXELS = "images"


def controls(study: xr.DataTree | None, names: Sequence[str]) -> xr.DataArray | None:
    """Read RDMs that agreement with people is not to come from.

    Parameters
    ----------
    study : DataTree, optional
        Has the pixels.
    names : sequence of str
        "images": the correlation RDM of their pixels. Else a file of dissimilarities, as
        `relstats.inputs.judgments.read_judgments` reads it: each matrix or column is one RDM.

    Returns
    -------
    DataArray, (control, pair), or None
        On the images that all of them have, sorted.

    Raises
    ------
    UsageError, InvalidData
        No such file; a file without pairs of some images; no common images.

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=2, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> controls(study, []) is None
    True
    """
    if not names:
        return None
    arrays = [
        (
            _pixels(study)
            if name == PIXELS
            else read_judgments(name, kind="dissimilarity")["dissimilarity"]
        )
        for name in names
    ]
    read = [
        pairs.read_pairs(array, Path(name).name) for array, name in zip(arrays, names, strict=True)
    ]
    common = sorted(set.intersection(*(set(one.images) for one in read)))
    if len(common) < 2:
        raise InvalidData(
            f"controls {', '.join(names)} have {len(common)} image(s) in common: nothing can be"
            " held constant"
        )
    values = [one.of(common).values for one in read]
    rows = np.concatenate([v.reshape(-1, v.shape[-1]) for v in values])
    if np.isnan(rows).any():
        raise InvalidData(
            f"controls {', '.join(names)} lack {np.isnan(rows).sum()} pair(s): what is not known"
            " cannot be held constant"
        )
    return xr.DataArray(rows, dims=("control", "pair"), coords=pairs.pair_labels(common))


def _pixels(study: xr.DataTree | None) -> xr.DataArray:
    if not isinstance(study, xr.DataTree):
        raise UsageError(f"control {PIXELS!r} is made of a study's pixels: pass the study, or RDMs")
    return network_rdms(study, on="images")["dissimilarity"]
