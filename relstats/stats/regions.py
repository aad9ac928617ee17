"""Which regions carry the relevance, and whether levels of an axis differ in that.

Labels in, labels out. Scores of single maps come from `localisation`, every number from
`inference`, `networks` and `swaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats import levels
from relstats.stats.described import Degrees, Nan, check_options, described
from relstats.stats.inference import contrasts, jackknife
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.jackknife import REFERENCE, Jackknife
from relstats.stats.levels import Plan, plan_levels
from relstats.stats.maps import localisation
from relstats.stats.sources import region_scores
from relstats.study import shards
from relstats.study.omissions import Tally
from relstats.study.top_pixels import Ranking


@described
def regions(
    study: xr.DataTree,
    *,
    axis: str | None = None,
    measure: localisation.Measure = "density",
    ranking: Ranking = "positive",
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    df: Degrees = "satterthwaite",
    confidence: float = 0.95,
    n_swaps: int = 9999,
    nan: Nan = "raise",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Which regions carry the relevance, and test whether the levels of an axis differ in that.

    Parameters
    ----------
    study : DataTree
        A study with `/relevance` and `/regions`.
    axis : str, optional
        Label of the models whose levels are compared, e.g. "pretrain". Every pair of its levels is
        a contrast, "a|b": a minus b. Default: means of each model, and no contrast.
    measure : {"density", "mass", "rank", "pointing"}
        How relevance in a region is measured. See
        `relstats.stats.maps.localisation.region_scores`. "mass" is the share of relevance in a
        region, "density" that share over the region's share of the pixels: 1 is what evenly spread
        relevance gives.
    ranking : {"positive", "absolute", "signed"}
        What counts as relevance.
    within : sequence of str, optional
        Axes to hold fixed: the contrast is taken at each of their levels, and averaged. Default:
        every other axis that varies.
    pool : sequence of str
        Axes to mix: left out of `within`, so that networks that differ on them are mixed.
    df : {"satterthwaite", "pooled"}
        Degrees of freedom. "pooled" has more power, and needs balanced designs with networks that
        vary alike.
    confidence : float
        Confidence level of the intervals.
    n_swaps : int
        Label swaps where they cannot be enumerated.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    rng : numpy.random.Generator
        For label swaps.

    Returns
    -------
    xarray.Dataset
        On `level` x `region`: `level_mean` and `level_ci`. On `region`: `area` (mean share of the
        pixels), `n_images` and `n_empty` (images on which it has no pixel, and no score).
        `network_score` of each network. With an axis, on `contrast` x `region`: `estimate`, `ci`,
        `p_value` (two-way jackknife over networks and images: "is the difference 0 for networks
        like these and images like these?"), `p_adjusted` (Holm over all regions and contrasts;
        NaN, with a warning, for levels of 2 networks or unbalanced ones of fewer than 4),
        `p_swap` (label swap of whole networks: "are the labels irrelevant on these images?"),
        `p_max_t` (the same for all regions at once), `min_p_swap`, `statistic`, `df`,
        `standard_error`, `variance_*`, `random`. The last region is "rest", what is in none of the
        others, unless it is empty everywhere.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` says why, and `ci_these_networks` is for these networks, over images.

        NaN: an image on which any network's map has no score (all zero, for instance) is left out
        for all networks, and counted in the attributes, and so is one without a pixel in any
        region, whose masks are missing; a region without pixels is left out of its own mean only.

    Raises
    ------
    UsageError
        No maps, no regions, or an unknown option.
    ImpossibleAnalysis
        One level only, no image with all maps, or the axis is confounded with another.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps; masks of other images or of
        another size.

    Notes
    -----
    A network has one score for each region and image. See `docs/statistics.md`, "Regions".

    Examples
    --------
    >>> import relstats
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=4, images=20, size=8, rng=rng)
    >>> masks = relstats.regions_dataset(np.arange(8) < np.full((1, 8, 1), 4), ["left"])
    >>> result = regions(
    ...     study.assign(regions=xr.DataTree(masks)), axis="pretrain", measure="mass", rng=rng
    ... )
    >>> result["level_mean"].sum("region").values
    array([1., 1.])
    """
    source = region_scores.read_source(study, measure, ranking, nan)
    if source.maps.networks.empty:
        raise ImpossibleAnalysis(
            "there is no network, so there is nothing to compare. Add networks to the study"
        )
    plan = plan_levels(source.maps.networks, axis, (), within, pool)
    found, tally = region_scores.region_moments(source, plan.functionals)
    dead = source.maps.dead(tally)
    if dead:
        source = replace(source, maps=source.maps.without(dead))
        if source.maps.networks.empty:
            raise ImpossibleAnalysis(
                f"no network has {ranking} relevance on any image. Nothing can be compared"
            )
        plan = plan_levels(source.maps.networks, axis, (), within, pool)
        found, tally = region_scores.region_moments(source, plan.functionals)
    if not any(moments is not None for moments in found.moments):
        raise ImpossibleAnalysis(
            f"no image has a score for every network ({tally.omitted_nan} left out for NaN,"
            f" {tally.omitted_degenerate} for maps without {ranking} relevance, {found.n_unmasked}"
            " without a pixel in any region). Nothing can be compared"
        )
    result = _means(found, plan, confidence).merge(_coverage(found, source, tally))
    if plan.contrasts is not None:
        result = result.merge(_contrasts(found, plan, plan.contrasts, df, confidence))
        means = _network_scores(found, plan).T
        result = result.merge(levels.swap_tests(means, plan.contrasts, "region", n_swaps, rng))
    result = result.assign_coords(_coords(source, plan, source.maps.networks))
    if not found.area[-1]:
        result = result.isel(region=slice(None, -1))
    if "p_value" in result:
        tested = [not reason for reason in _family_refusals(plan)]
        family = result["p_value"].where(xr.DataArray(tested, dims="contrast"))
        result["p_adjusted"] = (("contrast", "region"), holm(family.values))
    if plan.contrasts is not None:
        result = result.assign_attrs(min_p=float(result["min_p_swap"].min()), **plan.attrs)
    return result.assign_attrs(
        method=_method(result, plan, tally, _what(measure, ranking), confidence),
        population=_population(result, plan, tally),
        warnings=[
            *_overlap_notes(result, found),
            *_design_notes(result, plan, confidence),
            *_omissions(tally, dead, found.n_unmasked, ranking),
        ],
        overlapping=found.overlapping,
        n_images_omitted=found.n_images - tally.images,
    )


def describe(
    study: xr.DataTree,
    *,
    axis: str | None,
    measure: str,
    ranking: str,
    within: Sequence[str] | None,
    pool: Sequence[str],
) -> str:
    """What `regions` would do, without doing it."""
    check_options(regions, measure=measure, ranking=ranking)
    source = region_scores.read_source(study, measure, ranking, "raise")
    table = source.maps.networks
    plan = plan_levels(table, axis, (), within, pool)
    means = f"means of {', '.join(plan.levels)}"
    what = f"contrasts {', '.join(plan.names)}" if plan.names else means
    strata = (
        f" within {', '.join(plan.contrasts.within)}"
        if plan.contrasts and plan.contrasts.within
        else ""
    )
    return (
        f"{measure} of {ranking} relevance of {len(table)} networks in {len(source.names)} regions"
        f" of {len(source.maps.images)} images,"
        f" {what}{strata};"
        f" blocks of {shards.BLOCK_VALUES * 4 / 1e6:.0f} MB"
    )


def _tests(found: region_scores.Found, k: int, confidence: float, df: Degrees) -> list[Jackknife]:
    """Of one level or contrast, on each region."""
    return [
        jackknife.unknown()
        if moments is None
        else jackknife.two_way_jackknife(moments, k, confidence=confidence, df=df)
        for moments in found.moments
    ]


def _means(found: region_scores.Found, plan: Plan, confidence: float) -> xr.Dataset:
    tests = [_tests(found, k, confidence, "satterthwaite") for k in range(len(plan.levels))]
    result = levels.level_means(tests, ("level", "region"), of=0)
    return result.assign(network_score=(("region", "network"), _network_scores(found, plan)))


def _network_scores(found: region_scores.Found, plan: Plan) -> np.ndarray:
    """Mean over images of each network, (region, network)."""
    unknown = np.full(plan.rows[0].shape[1], np.nan)
    return np.stack([unknown if m is None else m.matrix[:, 0] for m in found.moments])


def _coverage(found: region_scores.Found, source: region_scores.Source, tally: Tally) -> xr.Dataset:
    counts = [0 if moments is None else moments.count for moments in found.moments]
    return xr.Dataset(
        {
            "area": ("region", found.area / max(1, found.n_images - found.n_unmasked)),
            "n_images": ("region", counts),
            "n_empty": ("region", found.n_empty),
        }
    )


def _contrasts(
    found: region_scores.Found, plan: Plan, planned: Contrasts, df: Degrees, confidence: float
) -> xr.Dataset:
    dims, first = ("contrast", "region"), len(plan.levels)
    tests = [_tests(found, first + c, confidence, df) for c in range(len(planned.pairs))]
    random = [[test.random for test in row] for row in tests]
    return levels.tabulated(tests, dims, (*levels.FIELDS, *levels.VARIANCES), of=0).assign(
        random=(dims, levels.words(random)),
        n_networks=("contrast", levels.n_networks(planned)),
        **levels.untested(tests, dims),
    )


def _coords(source: region_scores.Source, plan: Plan, table: pd.DataFrame) -> dict[str, Any]:
    contrast = {"contrast": levels.words(plan.names)} if plan.names else {}
    return {
        "region": levels.words(source.names),
        "level": levels.words(plan.levels),
        "bound": levels.words(["lower", "upper"]),
        **contrast,
        **levels.network_labels(table),
    }


def _overlap_notes(result: xr.Dataset, found: region_scores.Found) -> list[str]:
    notes = []
    if found.overlapping:
        notes.append(
            f"regions overlap (up to {100 * found.overlapping:.2g} % of an image's pixels are in"
            " several): shares of relevance add up to more than 1, and regions are no independent"
            " findings"
        )
    empty = result["n_empty"].where(result["n_empty"] > 0, drop=True)
    notes += [
        f"{name} has no pixel on {int(n)} image(s), which are left out of its mean"
        for name, n in zip(empty["region"].values, empty.values, strict=True)
    ]
    return notes


def _family_refusals(plan: Plan) -> list[str]:
    """Of each contrast: why its p cannot be adjusted for many regions; empty where it can."""
    if plan.contrasts is None:
        return []
    reasons = []
    for groups in plan.contrasts.groups:
        sizes = np.unique(groups[groups >= 0], return_counts=True)[1]
        reasons.append(
            f"no p adjusted for many regions: {sizes.min()} to {sizes.max()} networks a level are"
            " too few to know so small a p. Add seeds (3 a level, or 4 where levels differ in"
            " number)"
            if sizes.min() < 3 or contrasts.unbalanced(sizes)
            else ""
        )
    return reasons


def _design_notes(result: xr.Dataset, plan: Plan, confidence: float) -> list[str]:
    if plan.contrasts is None:
        return [
            f"{level} has one network only: its interval is for this network, over images"
            for level, rows in zip(plan.levels, plan.rows, strict=True)
            if (rows != 0).sum() == 1
        ]
    notes = [
        f"networks that differ on {a} are mixed: a difference may be one of {a}"
        for a in plan.contrasts.pooled
    ]
    notes += [
        f"{'|'.join(pair)}: {reason}"
        for pair, reason in zip(plan.contrasts.pairs, _family_refusals(plan), strict=True)
        if reason
    ]
    for pair, groups, floor in zip(
        plan.contrasts.pairs, plan.contrasts.groups, result["min_p_swap"].values, strict=True
    ):
        sizes, name = np.unique(groups[groups >= 0], return_counts=True)[1], "|".join(pair)
        if sizes.min() < 2:
            notes.append(
                f"{name}: a level of {plan.contrasts.axis} has one network only, so nothing is"
                " known of other networks like it: no p, and an interval for these networks only"
            )
        if contrasts.unbalanced(sizes):
            notes.append(
                f"{name}: unbalanced ({sizes.min()} to {sizes.max()} networks a level) with fewer"
                f" than {contrasts.MIN_UNBALANCED}: p-values are too small where networks vary"
                " unequally"
            )
        if floor > 1 - confidence:
            notes.append(
                f"{name}: with {int((groups >= 0).sum())} networks the label swap cannot give p"
                f" below {floor:.3g}"
            )
    return notes


def _omissions(tally: Tally, dead: list[tuple[str, str]], unmasked: int, ranking: str) -> list[str]:
    named = ", ".join(" seed ".join(network) for network in dead[:3])
    counted = (
        (len(dead), f"network(s) left out: none of their maps has {ranking} relevance ({named})"),
        (tally.omitted_nan, "image(s) left out for NaN"),
        (unmasked, "image(s) left out: they have no pixel in any region"),
        (
            tally.omitted_degenerate,
            f"image(s) left out: a map has no {ranking} relevance, or none in sum",
        ),
    )
    return [f"{count} {what}" for count, what in counted if count]


def _population(result: xr.Dataset, plan: Plan, tally: Tally) -> str:
    if plan.contrasts is None:
        return (
            f"intervals over networks and images like those measured ({result.sizes['network']}"
            f" networks, {tally.images} images)"
        )
    sizes = sorted({int(n) for n in result["n_networks"].values})
    networks_ = f"{' to '.join(str(n) for n in {sizes[0]: 0, sizes[-1]: 0})} networks a contrast"
    return f"{levels.inference_over(result)} ({networks_}, {tally.images} images); regions as given"


def _what(measure: str, ranking: str) -> str:
    what = {
        "density": "share of relevance over share of pixels",
        "mass": "share of relevance",
        "rank": "relevance rank accuracy",
        "pointing": "pointing game",
    }
    return f"{what[measure]} ({ranking} relevance)"


def _method(result: xr.Dataset, plan: Plan, tally: Tally, what: str, confidence: float) -> str:
    begin = (
        f"For each network and image, the {what} of {result.sizes['region']} regions was computed"
    )
    percent = f"{100 * confidence:g} %"
    if plan.contrasts is None:
        return (
            f"{begin} and averaged over networks and {tally.images} images; {percent} intervals:"
            f" two-way jackknife, {REFERENCE}."
        )
    strata = (
        f", within each level of {' and '.join(plan.contrasts.within)} and averaged"
        if plan.contrasts.within
        else ""
    )
    return (
        f"{begin} and compared over {plan.contrasts.axis} ({', '.join(plan.levels)}){strata}, on"
        f" {tally.images} images. p-values and {percent} intervals: two-way jackknife, {REFERENCE};"
        " Holm (1979) over regions and pairs of levels. Label swaps of whole networks test the"
        " sharp null that labels are irrelevant on these images; max-T over regions."
    )
