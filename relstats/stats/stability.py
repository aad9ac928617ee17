"""Whether the maps of one model agree across its seeds, beyond what maps of different images have
in common.

Labels in, labels out. Agreement of two maps comes from `agreement`, every number from `inference`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats import agreement_moments, levels, stability_text
from relstats.stats.described import Nan, check_options, described
from relstats.stats.inference import jackknife
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.moments import EPS, Moments, merge_moments
from relstats.stats.inference.operators import Operator
from relstats.study import shards
from relstats.study.maps import read_maps
from relstats.study.omissions import omissions

Measure = Annotated[
    Literal["spearman", "pearson", "cosine"],
    "the reliability of a mean map follows from correlations only. For overlap of masks use"
    " `relstats compare --measure iou`",
]
_BOUNDS = np.array(["lower", "upper"], dtype=object)


@described
def stability(
    study: xr.DataTree | xr.Dataset,
    *,
    measure: Measure = "spearman",
    baseline: str | None = None,
    reliability: float = 0.9,
    confidence: float = 0.95,
    nan: Nan = "raise",
) -> xr.Dataset:
    """How far the maps of networks of one model agree, and how many networks a reliable mean map
    takes.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/relevance` group.
    measure : {"spearman", "pearson", "cosine"}
        Agreement of two maps of one image; those for which the reliability of a mean map follows
        from it.
    baseline : str, optional
        A model whose networks have random weights: the agreement that images and architecture alone
        bring about.
    reliability : float
        Wanted of the mean map of a model, in (0, 1), for `seeds_needed`.
    confidence : float
        Confidence level of the intervals.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).

    Returns
    -------
    xarray.Dataset
        On `model`: `estimate`, the mean agreement of two of its networks, with `ci` (two-way
        jackknife over networks and images, cut off at the ends of the measure's range),
        `standard_error`, `df`, `variance_*`, `random`; `reliability` of the mean map of its own
        networks, and `seeds_needed`, the smallest number of networks whose mean map reaches the
        reliability asked for, both with `_ci`; `swapped`, the mean agreement of its networks' maps
        of different images; `above_swapped`, what agreement has beyond that, with `_ci`,
        `p_swapped` (is it 0, for networks and images like these?) and `p_swapped_adjusted` (Holm
        over models). With a baseline `above_baseline`, `above_baseline_ci`, `p_baseline`,
        `p_baseline_adjusted`. `network_agreement` of each network with the others of its model.

        NaN: a model of one network has no agreement. With two networks nothing is known of others
        like them: no interval and no p (`untested` says why), and `ci_these_networks` is over
        images, for these two. Where agreement is not above 0 no number of networks suffices:
        `reliability` is NaN and `seeds_needed` infinite. An image on which any network's map is
        constant, or all zero, is left out for all; the attributes count them.

    Raises
    ------
    UsageError
        No maps, an unknown measure or model, or a reliability out of range.
    ImpossibleAnalysis
        No model has two networks, or no image a map of every network.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps, with the cells.

    Notes
    -----
    The variance over networks of a mean over pairs is 4 (n - 1) / (n (n - 2)^2) times the sum of
    squares of the networks' mean agreement: the delete-one jackknife. Reliability is that of
    Spearman (1910) and Brown (1910), of maps each brought to one spread. See `docs/statistics.md`,
    "Stability".

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=4, images=20, size=16, rng=np.random.default_rng(1)
    ... )
    >>> result = stability(study)
    >>> bool((result["above_swapped"] > 0).all()), result["seeds_needed"].values
    (True, array([7., 7.]))
    """
    if not 0 < reliability < 1:
        raise UsageError(f"reliability is {reliability}; it lies between 0 and 1, such as 0.9")
    maps = read_maps(study, "stability needs", nan=nan)
    if maps.networks.empty:
        raise ImpossibleAnalysis(
            "there is no network, so there is nothing to compare. Add networks to the study"
        )
    models = sorted(maps.networks["model"].unique())
    if baseline is not None and baseline not in models:
        raise UsageError(
            f"--baseline {baseline!r} is no model of this study; it has {', '.join(models)}"
        )
    sums = partial(agreement_moments.of_usable, partial(agreement_moments.vector_sums, measure))
    first, tally = maps.blocks(sums)
    dead = maps.dead(tally)
    if dead:
        maps = maps.alive(tally)
        first, tally = maps.blocks(sums) if maps.cells else ([], tally)
    table = maps.networks
    if not first:
        raise ImpossibleAnalysis(
            f"no image has a map of every network to compare ({tally.omitted_nan} left out for NaN,"
            f" {tally.omitted_degenerate} for all-zero or constant maps)"
        )
    operators = agreement_moments.agreement_operators(table, models, baseline)
    if not operators:
        raise ImpossibleAnalysis(
            "no model has two networks, so there is no agreement within a model. Train it again"
            " from another seed"
        )
    total = np.sum([block[0] for block in first], axis=0)
    swapped = swapped_agreement(total, np.sum([block[1] for block in first], axis=0), tally.images)
    both_moments = partial(
        agreement_moments.both_moments,
        measure,
        list(operators.values()),
        total,
        swapped,
        tally.images,
    )
    both, tally = maps.blocks(partial(agreement_moments.of_usable, both_moments))
    moments, above = (merge_moments([block[k] for block in both]) for k in (0, 1))
    result = _results(operators, models, moments, above, swapped, confidence)
    result = result.merge(_reliabilities(result, table, models, reliability)).merge(
        _networks(moments, table)
    )
    return result.assign(n_images=((), tally.images)).assign_attrs(
        method=stability_text.method(measure, tally),
        population=stability_text.population(result, table, tally),
        warnings=[*stability_text.notes(result, tally), *omissions(tally, dead)],
        n_images_omitted=tally.omitted_nan + tally.omitted_degenerate,
    )


def describe(study: xr.DataTree | xr.Dataset, *, measure: str) -> str:
    """What `stability` would do, without doing it."""
    check_options(stability, measure=measure)
    maps = read_maps(study, "stability needs")
    sizes = maps.networks["model"].value_counts().sort_index()
    pairs = int((sizes * (sizes - 1) // 2).sum())
    return (
        f"{measure} of {sizes.sum()} networks' maps on {len(maps.images)} images, {pairs} pairs"
        f" within {len(sizes)} models ({', '.join(f'{model}: {n}' for model, n in sizes.items())}),"
        f" read twice; blocks of {shards.BLOCK_VALUES * 4 / 1e6:.0f} MB"
    )


def swapped_agreement(total: np.ndarray, same: np.ndarray, n_images: int) -> np.ndarray:
    """Mean agreement of every two networks' maps of different images, over all pairs of images.

    Parameters
    ----------
    total : ndarray, (network, pixel)
        Sum over images of the maps' unit vectors.
    same : ndarray, (network, network)
        Sum over images of the agreement on the same image.
    n_images : int

    Returns
    -------
    ndarray, (network, network)
        NaN for one image.

    Examples
    --------
    >>> total = np.array([[2.0, 0.0], [1.0, 1.0]])  # the same vector twice; two orthogonal ones
    >>> swapped_agreement(total, np.array([[2.0, 1.0], [1.0, 2.0]]), 2)
    array([[1. , 0.5],
           [0.5, 0. ]])
    """
    if n_images < 2:
        return np.full(same.shape, np.nan)
    return (total @ total.T - same) / (n_images * (n_images - 1))


def spearman_brown(r: np.ndarray, k: np.ndarray | float) -> np.ndarray:
    """Reliability of the mean of k maps that agree by r: the squared correlation with the mean of
    endlessly many.

    Spearman (1910, doi:10.1111/j.2044-8295.1910.tb00206.x), Brown (1910,
    doi:10.1111/j.2044-8295.1910.tb00207.x). It is ICC(C, k) of maps of one spread. NaN where r is
    not above 0.

    Examples
    --------
    >>> spearman_brown(np.array([0.5, -0.1]), 3)
    array([0.75,  nan])
    """
    r = np.where(np.asarray(r, float) > 0, r, np.nan)
    return k * r / (1 + (k - 1) * r)


def seeds_needed(r: np.ndarray, reliability: float) -> np.ndarray:
    """The smallest number of maps that agree by r whose mean has a reliability.

    Infinite where r is not above 0.

    Examples
    --------
    >>> seeds_needed(np.array([0.5, 0.9, 1.0, 0.0]), 0.9)
    array([ 9.,  1.,  1., inf])
    """
    r = np.asarray(r, float)
    odds = reliability / (1 - reliability)
    exact = np.divide(odds * (1 - r), r, out=np.full(r.shape, np.inf), where=r > 0)
    whole = np.maximum(np.ceil(exact * (1 - 8 * EPS)), 1)  # 9.000000000000002 networks are 9
    return np.where(np.isnan(r), np.nan, whole)


_BOUNDED = ("ci", "above_swapped_ci", "above_baseline_ci")
_FIXED = "_these_networks"


def _results(
    operators: dict[tuple[str, str], Operator],
    models: list[str],
    moments: Moments,
    above: Moments,
    swapped: np.ndarray,
    confidence: float,
) -> xr.Dataset:
    plain = (
        "estimate",
        "standard_error",
        "df",
        "variance_networks",
        "variance_images",
        "variance_interaction",
    )
    names = (*plain, "swapped", "above_swapped", "p_swapped", "above_baseline", "p_baseline")
    out = {name: np.full(len(models), np.nan) for name in names}
    intervals = {
        name: np.full((len(models), 2), np.nan)
        for name in (*_BOUNDED, *(f"{name}_these_networks" for name in _BOUNDED))
    }
    untested = np.full(len(models), "", dtype=object)
    random = np.full(len(models), "nothing", dtype=object)
    for k, ((model, kind), operator) in enumerate(operators.items()):
        m = models.index(model)
        row, beyond = (
            jackknife.two_way_jackknife(some, k, confidence=confidence) for some in (moments, above)
        )
        if kind == "baseline":
            out["above_baseline"][m], out["p_baseline"][m] = row.estimate[-1], row.p_value[-1]
            for which in ("", _FIXED):
                bounds = levels.intervals(row, -1, which)
                intervals[f"above_baseline_ci{which}"][m] = bounds
            continue
        for name in plain:
            out[name][m] = getattr(row, name)[-1]
        random[m], untested[m] = row.random, row.untested
        for which in ("", _FIXED):  # agreement lies between -1 and 1
            intervals[f"ci{which}"][m] = np.clip(levels.intervals(row, -1, which), -1, 1)
        if not np.isnan(swapped).any():
            out["swapped"][m] = (operator.estimate * swapped).sum()
            out["above_swapped"][m] = beyond.estimate[-1]
            out["p_swapped"][m] = beyond.p_value[-1]
            for which in ("", _FIXED):
                bounds = levels.intervals(beyond, -1, which)
                intervals[f"above_swapped_ci{which}"][m] = bounds
    for name in ("swapped", "baseline"):
        out[f"p_{name}_adjusted"] = holm(out[f"p_{name}"])
    if not any(kind == "baseline" for _, kind in operators):
        out = {name: values for name, values in out.items() if "baseline" not in name}
        intervals = {name: each for name, each in intervals.items() if "baseline" not in name}
    if (untested == "").all():
        intervals = {name: each for name, each in intervals.items() if _FIXED not in name}
    reasons = {"untested": ("model", untested)} if (untested != "").any() else {}
    return xr.Dataset(
        {
            **{name: ("model", values) for name, values in out.items()},
            "random": ("model", random),
            **reasons,
            **{name: (("model", "bound"), values) for name, values in intervals.items()},
        },
        {"model": np.array(models, dtype=object), "bound": _BOUNDS},
    )


def _reliabilities(
    result: xr.Dataset, table: pd.DataFrame, models: list[str], reliability: float
) -> xr.Dataset:
    n = np.array([(table["model"] == model).sum() for model in models])
    r, bounds = result["estimate"].values, result["ci"].values
    ends = spearman_brown(bounds, n[:, np.newaxis])
    ends[:, 0] = np.where(
        bounds[:, 0] <= 0, 0.0, ends[:, 0]
    )  # an agreement that may be 0 may have no reliability
    return xr.Dataset(
        {
            "n_networks": ("model", n),
            "reliability": ("model", spearman_brown(r, n)),
            "reliability_ci": (("model", "bound"), ends),
            "seeds_needed": ("model", seeds_needed(r, reliability)),
            "seeds_needed_ci": (("model", "bound"), seeds_needed(bounds[:, ::-1], reliability)),
        }
    )


def _networks(moments: Moments, table: pd.DataFrame) -> xr.Dataset:
    """Mean agreement of each network with the others of its model."""
    model = table["model"].to_numpy()
    same = (model[:, np.newaxis] == model) & ~np.eye(len(model), dtype=bool)
    some = same.any(axis=1)
    means = np.full(len(model), np.nan)
    means[some] = [np.mean(moments.matrix[m, same[m], -1]) for m in np.flatnonzero(some)]
    labels = {f"network_{c}": ("network", table[c].to_numpy(dtype=object)) for c in table}
    return xr.Dataset({"network_agreement": ("network", means)}, labels)
