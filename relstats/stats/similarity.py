"""Network x network agreement of relevance maps, averaged over images.

Labels in, labels out. Agreement of each image comes from `scores`.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats.described import Nan, described
from relstats.stats.sources import scores as score_source
from relstats.stats.sources.scores import Scores
from relstats.study.omissions import omissions
from relstats.study.top_pixels import Ranking

Measure = Literal["spearman", "pearson", "cosine", "iou", "dice", "capture"]
#: Number of images, mean and sum of squared deviations from it: (source, target, fraction).
_Sums = tuple[int, np.ndarray, np.ndarray]


@described
def similarity(
    study: xr.DataTree | xr.Dataset,
    *,
    measure: Measure = "spearman",
    fraction: float | list[float] | None = None,
    ranking: Ranking = "positive",
    nan: Nan = "raise",
) -> xr.Dataset:
    """How far the maps of every network agree with those of every other, on average over images.

    It describes these networks and these images; `relstats.compare` tests what carries over to
    others.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/relevance` group.
    measure : {"spearman", "pearson", "cosine", "iou", "dice", "capture"}
        How two maps are compared. "capture" is directed: how much of the target's relevance lies on
        the source's top pixels.
    fraction : float or list of float, optional
        Shares of the pixels, in (0, 1], for "iou", "dice" and "capture". Default: 0.05, 0.1 and
        0.2.
    ranking : {"positive", "absolute", "signed"}
        Of pixels, for overlap and capture.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).

    Returns
    -------
    xarray.Dataset
        `estimate` and `standard_deviation` over images on (`source`, `target`, `fraction`), without
        unit, in [-1, 1] or [0, 1]; `n_images`. Labels are coordinates: `source_model`,
        `source_seed`, `source_<axis>`, and the same of `target`. `fraction` is NaN alone where the
        measure has none. Self pairs are 1, for "capture" what the top pixels hold of their own map.
        The standard deviation of one image is NaN.

        Images on which any network's map is all zero or constant are left out for all pairs, so
        that pairs can be compared, and networks without any relevance are left out altogether; the
        attributes count both.

    Raises
    ------
    UsageError
        Unknown measure, ranking or fraction; no maps.
    ImpossibleAnalysis
        No image, or no two networks, with a map of each.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps, with the cells.

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=20, size=16, rng=np.random.default_rng(1)
    ... )
    >>> result = similarity(study)
    >>> result["estimate"].shape, result["n_images"].item()
    ((6, 6, 1), 20)
    """
    source = functools.partial(
        score_source.from_study, study, measure=measure, fraction=fraction, ranking=ranking, nan=nan
    )
    scores = source()
    blocks, tally = scores.reduce(_sums)
    dead = scores.dead(tally)
    if dead:
        scores = source(without=dead)
        blocks, tally = scores.reduce(_sums) if len(scores.networks) > 1 else ([], tally)
    if not blocks:
        raise ImpossibleAnalysis(
            f"no image has a map of every network to compare ({len(dead)} network(s) with all maps"
            f" zero, {tally.omitted_nan} image(s) left out for NaN, {tally.omitted_degenerate} for"
            " all-zero or constant maps)"
        )
    result = _labelled(functools.reduce(_merge, blocks), scores)
    n_networks = result.sizes["source"]
    return result.assign_attrs(
        method=(
            f"Agreement of relevance maps ({measure}) was measured between {n_networks} networks on"
            f" each of {tally.images} images, and averaged over images."
        ),
        population=f"these {n_networks} networks and these images",
        n_networks=n_networks,
        n_networks_omitted=len(dead),
        n_images_omitted_nan=tally.omitted_nan,
        n_images_omitted_degenerate=tally.omitted_degenerate,
        warnings=omissions(tally, dead),
    )


def _sums(block: np.ndarray, images: np.ndarray) -> _Sums:
    mean = block.mean(axis=-1)
    return len(images), mean, ((block - mean[..., np.newaxis]) ** 2).sum(axis=-1)


def _merge(a: _Sums, b: _Sums) -> _Sums:
    """Chan, Golub & LeVeque 1983."""
    count, step = a[0] + b[0], b[1] - a[1]
    return count, a[1] + step * (b[0] / count), a[2] + b[2] + step**2 * (a[0] * b[0] / count)


def _labelled(sums: _Sums, scores: Scores) -> xr.Dataset:
    count, mean, m2 = sums
    spread = np.sqrt(m2 / (count - 1)) if count > 1 else np.full(m2.shape, np.nan)
    dims = ("source", "target", "fraction")
    labels = {
        f"{side}_{c}": (side, scores.networks[c].to_numpy(dtype=object))
        for side in dims[:2]
        for c in scores.networks
    }
    values = {
        "estimate": (dims, mean),
        "standard_deviation": (dims, spread),
        "n_images": ((), count),
    }
    return xr.Dataset(values, coords={**labels, "fraction": scores.fractions})
