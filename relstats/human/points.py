"""Images as points whose distances are their dissimilarities, for plots: of each model's mean RDM,
or of people's.

Labels in, labels out. Every number comes from `embedding`.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from relstats.human.rdms.embedding import mds
from relstats.study import pairs

#: A plane of more images shows nothing, and takes minutes.
MOST_IMAGES = 500


def points(rdms: xr.DataArray, *, n_dimensions: int = 2) -> xr.Dataset:
    """Multidimensional scaling of mean RDMs.

    Parameters
    ----------
    rdms : DataArray, ([model, [seed,]] pair) or (participant, pair)
        Averaged over seeds and participants, each pair over those who know it.
    n_dimensions : int

    Returns
    -------
    xarray.Dataset
        `points` ([model,] image, dimension), in the unit of the RDM, images sorted; `stress`
        ([model]), Kruskal's stress-1. NaN where a mean dissimilarity is missing or negative, or all
        are 0, and for more than 500 images; `unknown` says why, or is "".

    Notes
    -----
    As `relstats.human.rdms.embedding.mds`.

    Examples
    --------
    >>> labels = pairs.pair_labels(["a", "b", "c"])
    >>> found = points(xr.DataArray([3.0, 5.0, 4.0], dims="pair", coords=labels))
    >>> dict(found["points"].sizes), found["stress"].item() < 1e-6
    ({'image': 3, 'dimension': 2}, True)
    """
    averaged = [dim for dim in ("seed", "participant") if dim in rdms.dims]
    mean = rdms.mean(averaged, skipna=True)
    read = pairs.read_pairs(mean, str(rdms.name or "rdms"))
    rows = read.values.reshape(-1, read.values.shape[-1])
    images = list(read.images)
    reasons = [_reason(row, len(images)) for row in rows]
    found = [
        None if reason else mds(row, n_dimensions=n_dimensions)
        for row, reason in zip(rows, reasons, strict=True)
    ]
    nothing = np.full((len(images), n_dimensions), np.nan)
    values = np.array([nothing if one is None else one.points for one in found])
    stress = np.array([np.nan if one is None else one.stress for one in found])
    dims = ["model"] if "model" in rdms.dims else []
    coords = {"image": np.array(images, object)} | ({"model": rdms["model"].values} if dims else {})
    shape = [rdms.sizes[dim] for dim in dims]
    return xr.Dataset(
        {
            "points": (
                (*dims, "image", "dimension"),
                values.reshape(*shape, len(images), n_dimensions),
            ),
            "stress": (dims, stress.reshape(shape)),
            "unknown": (dims, np.array(reasons, object).reshape(shape)),
        },
        coords,
    )


def _reason(row: np.ndarray, n_images: int) -> str:
    if n_images > MOST_IMAGES:
        return f"more than {MOST_IMAGES} images"
    if np.isnan(row).any():
        return f"{np.isnan(row).sum()} of {row.size} pairs are unknown"
    if (row < 0).any() or not row.any():
        return "dissimilarities are negative, or all 0"
    return ""
