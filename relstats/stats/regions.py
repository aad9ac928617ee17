"""Which regions carry the relevance, and whether levels of an axis differ in that.

Labels in, labels out. Scores of single maps come from `localisation`, every number from
`inference`, `networks` and `swaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats.compare import REFERENCE
from relstats.stats.described import Degrees, Nan, check_options, described
from relstats.stats.inference import contrasts, networks, swaps
from relstats.stats.inference import jackknife as inference
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.maps import localisation
from relstats.stats.sources import region_scores
from relstats.study import shards
from relstats.study.maps import Tally
from relstats.study.top_pixels import Ranking

_FIELDS = (
    "estimate",
    "statistic",
    "df",
    "p_value",
    "standard_error",
    "variance_networks",
    "variance_images",
    "variance_interaction",
    "lower",
    "upper",
)


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
        like these and images like these?"), `p_adjusted` (Holm over all regions and contrasts),
        `p_swap` (label swap of whole networks: "are the labels irrelevant on these images?"),
        `p_max_t` (the same for all regions at once), `min_p_swap`, `statistic`, `df`,
        `standard_error`, `variance_*`, `random`. The last region is "rest", what is in none of the
        others, unless it is empty everywhere.

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
    plan = _plan(source.maps.networks, axis, within, pool)
    found, tally = region_scores.region_moments(source, plan.functionals)
    dead = source.maps.dead(tally)
    if dead:
        source = replace(source, maps=source.maps.without(dead))
        if source.maps.networks.empty:
            raise ImpossibleAnalysis(
                f"no network has {ranking} relevance on any image. Nothing can be compared"
            )
        plan = _plan(source.maps.networks, axis, within, pool)
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
        result = result.merge(_swaps(found, plan.contrasts, n_swaps, rng))
    result = result.assign_coords(_coords(source, plan, source.maps.networks))
    if not found.area[-1]:
        result = result.isel(region=slice(None, -1))
    if "p_value" in result:
        result["p_adjusted"] = (("contrast", "region"), inference.holm(result["p_value"].values))
    if plan.contrasts is not None:
        result = result.assign_attrs(
            min_p=float(result["min_p_swap"].min()),
            within=list(plan.contrasts.within),
            pooled=list(plan.contrasts.pooled),
            strata=plan.contrasts.strata,
        )
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
    plan = _plan(table, axis, within, pool)
    pairs = [] if plan.contrasts is None else ["|".join(pair) for pair in plan.contrasts.pairs]
    what = f"contrasts {', '.join(pairs)}" if pairs else f"means of {', '.join(plan.levels)}"
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


@dataclass(frozen=True)
class _Plan:
    """Functionals of the network scores: the mean of each level, then the contrasts."""

    levels: list[str]
    functionals: list[networks.Functional]
    contrasts: Contrasts | None


def _plan(
    table: pd.DataFrame, axis: str | None, within: Sequence[str] | None, pool: Sequence[str]
) -> _Plan:
    if axis is None:
        levels = sorted(table["model"].unique())
        group = np.array([levels.index(model) for model in table["model"]])
        return _Plan(
            levels,
            [
                networks.network_functional(group, np.eye(len(levels))[k])
                for k in range(len(levels))
            ],
            None,
        )
    planned = contrasts.plan(table, axis, within=within, pool=pool)
    used = (planned.groups >= 0).any(axis=0)
    cell = np.where(used, planned.stratum * len(planned.levels) + planned.level, -1)
    kinds = np.unique(cell[used])
    compact = np.where(used, np.searchsorted(kinds, cell), -1)
    means = []
    for k in range(len(planned.levels)):
        own = kinds % len(planned.levels) == k
        means.append(networks.network_functional(compact, own / max(1, own.sum())))
    return _Plan(
        planned.levels, means + [_difference(groups) for groups in planned.groups], planned
    )


def _difference(groups: np.ndarray) -> networks.Functional:
    """First level minus second in each stratum, averaged over strata: groups are 2 x stratum, and
    one more for the second.
    """
    kinds = np.unique(groups[groups >= 0])
    compact = np.where(groups >= 0, np.searchsorted(kinds, groups), -1)
    return networks.network_functional(compact, np.where(kinds % 2 == 0, 2, -2) / len(kinds))


def _jackknives(
    found: region_scores.Found, k: int, confidence: float, df: str
) -> dict[str, np.ndarray]:
    """The fields of one functional, each (region,)."""
    out = {name: np.full(len(found.moments), np.nan) for name in _FIELDS}
    out["random"] = np.full(len(found.moments), "nothing", dtype=object)
    for r, moments in enumerate(found.moments):
        if moments is not None:
            jackknife = inference.two_way_jackknife(moments, k, confidence=confidence, df=df)
            for name in _FIELDS:
                out[name][r] = getattr(jackknife, name)[0]
            over = [name for name in ("networks", "images") if getattr(jackknife, f"{name}_random")]
            out["random"][r] = " and ".join(over) or "nothing"
    return out


def _means(found: region_scores.Found, plan: _Plan, confidence: float) -> xr.Dataset:
    each = [_jackknives(found, k, confidence, "satterthwaite") for k in range(len(plan.levels))]
    mean, lower, upper = (
        np.array([one[name] for one in each]) for name in ("estimate", "lower", "upper")
    )
    points = np.stack(
        [
            np.full(len(plan.functionals[0].groups), np.nan) if m is None else m.matrix[:, 0]
            for m in found.moments
        ]
    )
    return xr.Dataset(
        {
            "level_mean": (("level", "region"), mean),
            "network_score": (("region", "network"), points),
            "level_ci": (("level", "region", "bound"), np.stack([lower, upper], axis=-1)),
        }
    )


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
    found: region_scores.Found, plan: _Plan, planned: Contrasts, df: str, confidence: float
) -> xr.Dataset:
    each = [
        _jackknives(found, len(plan.levels) + c, confidence, df) for c in range(len(planned.pairs))
    ]
    out = {name: np.array([one[name] for one in each]) for name in each[0]}
    interval = np.stack([out.pop("lower"), out.pop("upper")], axis=-1)
    dims = ("contrast", "region")
    result = xr.Dataset(
        {
            **{name: (dims, values) for name, values in out.items()},
            "ci": ((*dims, "bound"), interval),
        }
    )
    return result.assign(
        n_networks=("contrast", [int((groups >= 0).sum()) for groups in planned.groups])
    )


def _swaps(
    found: region_scores.Found, planned: Contrasts, n_swaps: int, rng: np.random.Generator
) -> xr.Dataset:
    """Label swap of whole networks, with the same labelings for all regions."""
    shape = (len(planned.pairs), len(found.moments))
    p, p_max, floor = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape[0], np.nan)
    scored = [r for r, moments in enumerate(found.moments) if moments is not None]
    means = np.stack([found.moments[r].matrix[:, 0] for r in scored], axis=-1)  # type: ignore[union-attr]
    for c, groups in enumerate(planned.groups):
        part = groups >= 0
        strata = groups[part] // 2
        labels, exact = swaps.labelings(groups[part] % 2 == 0, strata, n_swaps=n_swaps, rng=rng)
        differences = networks.swapped_means(means[part], labels, strata)
        p[c, scored] = swaps.swap_p(differences, exact)
        p_max[c, scored] = swaps.max_t_p(differences[:, np.newaxis])[0]
        floor[c] = swaps.smallest_p(labels, strata, exact)[0]
    dims = ("contrast", "region")
    return xr.Dataset(
        {"p_swap": (dims, p), "p_max_t": (dims, p_max), "min_p_swap": ("contrast", floor)}
    )


def _coords(source: region_scores.Source, plan: _Plan, table: pd.DataFrame) -> dict[str, Any]:
    pairs = [] if plan.contrasts is None else ["|".join(pair) for pair in plan.contrasts.pairs]
    labels = {f"network_{c}": ("network", table[c].to_numpy(dtype=object)) for c in table}
    contrast = {"contrast": np.array(pairs, dtype=object)} if pairs else {}
    return {
        "region": np.array(source.names, dtype=object),
        "level": np.array(plan.levels, dtype=object),
        "bound": np.array(["lower", "upper"], dtype=object),
        **contrast,
        **labels,
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


def _design_notes(result: xr.Dataset, plan: _Plan, confidence: float) -> list[str]:
    if plan.contrasts is None:
        return [
            f"{level} has one network only: its interval is over images, for this network"
            for level, functional in zip(plan.levels, plan.functionals, strict=True)
            if (functional.groups >= 0).sum() == 1
        ]
    notes = [
        f"networks that differ on {a} are mixed: a difference may be one of {a}"
        for a in plan.contrasts.pooled
    ]
    for pair, groups, floor in zip(
        plan.contrasts.pairs, plan.contrasts.groups, result["min_p_swap"].values, strict=True
    ):
        sizes, name = np.unique(groups[groups >= 0], return_counts=True)[1], "|".join(pair)
        if sizes.min() < 2:
            notes.append(
                f"{name}: a level of {plan.contrasts.axis} has one network only, so nothing is"
                " known of other networks like it: intervals and p-values are over images, for"
                " these networks"
            )
        if sizes.min() != sizes.max() and sizes.min() < contrasts.MIN_UNBALANCED:
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


def _population(result: xr.Dataset, plan: _Plan, tally: Tally) -> str:
    if plan.contrasts is None:
        return (
            f"intervals over networks and images like those measured ({result.sizes['network']}"
            f" networks, {tally.images} images)"
        )
    kinds = sorted({str(kind) for kind in result["random"].values.ravel()} - {"nothing"}) or [
        "nothing"
    ]
    sizes = sorted({int(n) for n in result["n_networks"].values})
    networks_ = f"{' to '.join(str(n) for n in {sizes[0]: 0, sizes[-1]: 0})} networks a contrast"
    return (
        f"inference over {'; '.join(kinds)} like those measured ({networks_}, {tally.images}"
        " images); regions as given"
    )


def _what(measure: str, ranking: str) -> str:
    what = {
        "density": "share of relevance over share of pixels",
        "mass": "share of relevance",
        "rank": "relevance rank accuracy",
        "pointing": "pointing game",
    }
    return f"{what[measure]} ({ranking} relevance)"


def _method(result: xr.Dataset, plan: _Plan, tally: Tally, what: str, confidence: float) -> str:
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
