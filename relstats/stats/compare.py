"""Stability, specificity, asymmetry and its parts, over an axis of the models.

Labels in, labels out. Scores come from `scores`, every number from `inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats import compare_text, contrast_tests, levels, normalisation
from relstats.stats.described import Degrees, Nan, described
from relstats.stats.inference import contrasts, nodes
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.moments import Moments
from relstats.stats.inference.operators import EFFECTS
from relstats.stats.sources import scores as score_source
from relstats.stats.sources.scores import Measure, Score, Scores
from relstats.study import shards
from relstats.study.omissions import Tally, omissions
from relstats.study.top_pixels import Ranking

Normalise = Literal["auto", "none", "target", "chance"]


@described
def compare(
    study: xr.DataTree | xr.Dataset,
    *,
    axis: str,
    measure: Measure = "transfer",
    score: Score = "correct",
    fraction: float | list[float] | None = None,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    ranking: Ranking = "positive",
    normalise: Normalise = "auto",
    margin: float | None = None,
    df: Degrees = "satterthwaite",
    confidence: float = 0.95,
    n_swaps: int = 9999,
    nan: Nan = "raise",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Test whether relevance maps generalize over the levels of an axis, and which direction is
    better.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/transfer` or `/relevance` group.
    axis : str
        Label of the models whose levels are compared, e.g. "pretrain". Every pair of its levels is
        a contrast, "a|b".
    measure : {"transfer", "spearman", "pearson", "cosine", "iou", "dice", "capture"}
        What is compared: scores of masked images, or agreement of maps. "transfer" and "capture"
        are directed; the others are symmetric and have no asymmetry.
    score : {"correct", "probability", "margin"}
        Of transfer: what is scored. Where pixels were removed (`operation` of `/transfer` is
        "remove"), it is the loss: the score on the whole image less that without the pixels. So a
        high value always speaks for the map.
    fraction : float or list of float, optional
        Shares of the pixels, in (0, 1]. Default: all measured; 0.05, 0.1 and 0.2 for maps.
    within : sequence of str, optional
        Axes to hold fixed: the contrast is taken at each of their levels, and averaged. Default:
        every other axis that varies.
    pool : sequence of str
        Axes to mix: left out of `within`, so that networks that differ on them are mixed.
    ranking : {"positive", "absolute", "signed"}
        Of pixels, for overlap and capture.
    normalise : {"auto", "none", "target", "chance"}
        Scale of the scores: each target's own (floor to ceiling), chance taken out, or none.
        "auto": "none", but "target" where networks of a contrast tell unlike numbers of classes
        apart, whose raw scores are on no common scale; the result says which. "target": 0 is a
        target network's score on control masks of the same area and 1 its score on whole images
        (with the variance of estimating both); for losses, 1 is a fall to chance. "chance": 0 is 1
        / number of classes.
    margin : float, optional
        Of equivalence: the margin of `specificity`, in units of the score. Default: 10 % of the
        mean within the two levels above floor, whose own variance the test takes in; its value is
        in `margin`.
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
        On `contrast` x `effect`: `estimate`, `ci`, `p_value` (two-way jackknife over networks and
        images: "is the effect 0 for networks like these and images like these?"), `p_adjusted`
        (Holm over contrasts), `p_swap` (label swap: "are the labels irrelevant on these images?"),
        `min_p_swap`, `p_equivalence`, `statistic`, `df`, `variance_*`, `hedges_g`, `n_networks`,
        `random`; with suffix `_by_fraction` for each fraction; `cell_mean`, `cell_ci`, `cell_flag`
        on (`source_level`, `target_level`), the first two `_by_fraction` too; raw transfer scores
        have `floor`, the mean on control masks, on `fraction`, and `ceiling`, that on whole images
        (of losses: a fall to chance); `pair_mean` of every two networks (`source_network`,
        `target_network`: in the order of `network`), `source_score`, `target_score` of each, and
        `specificity_score`: with its own level less with the other, as source and as target.
        Effects, for levels a|b and cell means XY = maps from X tested on Y, self pairs left out:
        `asymmetry` AB - BA, `source_effect` (AA + AB - BA - BB) / 2, `target_effect`
        (AA + BA - AB - BB) / 2, `specificity` (AA + BB - AB - BA) / 2, `own_level_difference`
        AA - BB. Asymmetry is source effect minus target effect: an easier target alone makes one.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` says why, and `ci_these_networks` is for these networks, over images.

        NaN: self pairs never matter; images with a NaN or all-zero map are left out and counted in
        the attributes; an estimate that the design cannot give is NaN, and `warnings` says why.

    Raises
    ------
    UsageError
        Unknown axis, measure, score or fraction.
    ImpossibleAnalysis
        One level only, or the axis is confounded with another.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite data, with the cells.

    Notes
    -----
    Two-way jackknife: the variance over networks and over images, their interaction counted once.
    See `docs/statistics.md` for its error rates.

    Examples
    --------
    >>> import relstats
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=4, images=50, size=8, rng=rng)
    >>> result = compare(study, axis="pretrain", score="probability", rng=rng)
    >>> bool(result["p_value"].sel(effect="source_effect").item() < 0.05)
    True
    """
    normalisation.check_scale(measure, score, normalise)
    source = partial(
        score_source.from_study,
        study,
        measure=measure,
        score=score,
        fraction=fraction,
        ranking=ranking,
        nan=nan,
    )
    planned = partial(
        contrasts.plan,
        axis=axis,
        within=within,
        pool=pool,
        symmetric=measure in score_source.SYMMETRIC,
    )
    scores = source()
    plan = planned(scores.networks)
    scale, notes = normalisation.chosen_scale(normalise, plan, scores)
    scores, plan, moments, tally, dead = _with_relevance(source, planned, scores, plan)
    analyse = partial(
        contrast_tests.jackknife_tests,
        plan=plan,
        scores=scores,
        margin=margin,
        df=df,
        confidence=confidence,
    )
    control = normalisation.control_means(scores, moments.count)
    if scale != "none":
        moments = normalisation.normalised_moments(scores, plan, moments, scale, control)
        control = None
    result, problems = _on_scales(moments, plan, scores, control, analyse)
    result = result.merge(contrast_tests.swap_tests(moments, plan, scores, n_swaps, rng))
    result = result.merge(_networks(moments, plan, scores))
    if len(plan.levels) > 2:
        result = result.merge(contrast_tests.omnibus_tests(moments, plan, scores, n_swaps, rng))
    result = _with_counts(result, plan, scores, tally)
    flags = compare_text.cell_flags(result, measure, score, scale)
    result["cell_flag"] = (("source_level", "target_level"), flags)
    what = compare_text.subject(measure, score, removed=scores.removed)
    return result.assign_attrs(
        normalise=scale,
        **levels.design(plan),
        method=compare_text.method(plan, tally, what, confidence, df),
        population=compare_text.population(result, tally),
        min_p=float(np.nanmin(result["min_p_swap"].values)),
        warnings=[
            *plan.warnings,
            *notes,
            *problems,
            *omissions(tally, dead),
            *compare_text.flag_notes(plan, flags),
            *compare_text.floor_notes(result, n_swaps, confidence),
        ],
        n_images_omitted=tally.omitted_nan + tally.omitted_degenerate,
        **{f"transfer_{name}": value for name, value in scores.attrs.items()},
    )


def _with_relevance(
    source: Callable[..., Scores],
    planned: Callable[[pd.DataFrame], Contrasts],
    scores: Scores,
    plan: Contrasts,
) -> tuple[Scores, Contrasts, Moments, Tally, list[tuple[str, str]]]:
    """Scores, plan and moments without networks that have no relevance, and which these are."""
    moments, tally = normalisation.score_moments(scores, plan)
    dead = scores.dead(tally)
    if dead:
        scores = source(without=dead)
        plan = _planned_without(dead, planned, scores, tally)
        moments, tally = normalisation.score_moments(scores, plan)
    return scores, plan, _require_images(moments, tally), tally, dead


def _planned_without(
    dead: list[tuple[str, str]],
    planned: Callable[[pd.DataFrame], Contrasts],
    scores: Scores,
    tally: Tally,
) -> Contrasts:
    """The contrasts of the networks that have any relevance.

    Where none is left, the reason is that the others have not.
    """
    try:
        return planned(scores.networks)
    except ImpossibleAnalysis as error:
        raise ImpossibleAnalysis(f"{omissions(tally, dead)[0]}; without them, {error}") from error


def _require_images(moments: Moments | None, tally: Tally) -> Moments:
    if moments is None:
        raise ImpossibleAnalysis(
            f"no image has a score for every pair of networks ({tally.omitted_nan} left out for"
            f" NaN, {tally.omitted_degenerate} for maps that are all zero or constant, or have no"
            " pixel to rank). Nothing can be compared"
        )
    return moments


def _on_scales(
    moments: Moments,
    plan: Contrasts,
    scores: Scores,
    control: tuple[np.ndarray, np.ndarray] | None,
    analyse: Callable[..., xr.Dataset],
) -> tuple[xr.Dataset, list[str]]:
    """Tests of scores; of raw ones also on each target's own scale, or why that cannot be."""
    result = analyse(moments, floor=normalisation.mean_floor(control))
    if control is None:
        return result, []
    result = result.assign(floor=("fraction", control[0].mean(axis=0)))
    result = result.assign(ceiling=((), control[1].mean()))
    problems = normalisation.control_problems(scores.networks, control)
    if problems:
        return result, problems
    own_scale = normalisation.normalised_moments(scores, plan, moments, "target", control)
    normalised = analyse(own_scale, floor=0.0)
    names = ("estimate", "ci", "p_value")
    return result.assign({f"{name}_normalised": normalised[name] for name in names}), []


def describe(
    study: xr.DataTree,
    *,
    axis: str,
    measure: str,
    within: Sequence[str] | None,
    pool: Sequence[str],
    **selection: Any,
) -> str:
    """What `compare` would do, without doing it."""
    scores = score_source.from_study(study, measure=measure, **selection)
    plan = contrasts.plan(
        scores.networks, axis, within=within, pool=pool, symmetric=measure in score_source.SYMMETRIC
    )
    names = ", ".join("|".join(pair) for pair in plan.pairs)
    n, blocks = len(scores.networks), shards.BLOCK_VALUES * 4 / 1e6
    return (
        f"{measure} of {n} networks ({n * n - n} pairs) on {scores.n_images} images,"
        f" {len(plan.effects)} effects of"
        f" {names}{' within ' + ', '.join(plan.within) if plan.within else ''}; blocks of"
        f" {blocks:.0f} MB"
    )


def _networks(moments: Moments, plan: Contrasts, scores: Scores) -> xr.Dataset:
    """Node scores of each network (the points behind the effects) and the effect sizes that they
    give.
    """
    shape = (len(plan.pairs), len(scores.networks))
    points = {
        name: np.full(shape, np.nan)
        for name in ("source_score", "target_score", "specificity_score")
    }
    for c, groups in enumerate(plan.groups):
        for stratum in np.unique(groups[groups >= 0] // 2):
            part = np.flatnonzero(groups // 2 == stratum)
            if np.bincount(groups[part] % 2, minlength=2).min() >= 2:
                matrix, level = moments.matrix[np.ix_(part, part)][..., -1:], groups[part] % 2
                found = (*nodes.node_scores(matrix, level), nodes.specificity_scores(matrix, level))
                for name, values in zip(points, found, strict=True):
                    points[name][c, part] = values[:, 0]
    result = xr.Dataset(
        {name: (("contrast", "network"), values) for name, values in points.items()}
    )
    result["pair_mean"] = (("source_network", "target_network"), moments.matrix[..., -1])
    if len(plan.effects) == len(EFFECTS):
        source, target = points["source_score"], points["target_score"]
        sizes = [
            [
                nodes.hedges_g(values[c], plan.groups[c])
                for values in (source - target, source, target)
            ]
            for c in range(shape[0])
        ]
        wide = np.column_stack([np.array(sizes).reshape(-1, 3), np.full((shape[0], 2), np.nan)])
        result["hedges_g"] = (("contrast", "effect"), wide)
    return result.assign_coords(levels.network_labels(scores.networks))


def _with_counts(result: xr.Dataset, plan: Contrasts, scores: Scores, tally: Tally) -> xr.Dataset:
    counts = levels.n_networks(plan)
    result = result.assign(n_networks=("contrast", counts), n_images=((), tally.images))
    return result.drop_dims("fraction") if np.isnan(scores.fractions).all() else result
