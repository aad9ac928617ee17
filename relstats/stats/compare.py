"""Stability, specificity, asymmetry and its parts, over an axis of the models.

Labels in, labels out. Scores come from `scores`, every number from `inference`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats import levels
from relstats.stats.described import Degrees, Nan, described
from relstats.stats.inference import contrasts, jackknife, nodes, swaps
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.jackknife import REFERENCE
from relstats.stats.sources import scores as score_source
from relstats.stats.sources.scores import Measure, Score, Scores
from relstats.study import shards
from relstats.study.maps import Tally, omissions
from relstats.study.top_pixels import Ranking

CEILING, ABOVE_FLOOR = 0.98, 0.02
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
    _check_scale(measure, score, normalise)
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
    scale, notes = _scale(normalise, plan, scores)
    moments, tally = _moments(scores, plan)
    dead = scores.dead(tally)
    if dead:
        scores = source(without=dead)
        plan = _planned_without(dead, planned, scores, tally)
        moments, tally = _moments(scores, plan)
    moments = _require_images(moments, tally)
    analyse = partial(
        _analyse, plan=plan, scores=scores, margin=margin, df=df, confidence=confidence
    )
    control = None if scores.controls is None else _control_means(scores, moments.count)
    if scale != "none":
        moments, control = _normalised(scores, plan, moments, scale, control), None
    result = analyse(moments, floor=_mean_floor(control))
    problems = [] if control is None else _control_problems(scores.networks, control)
    if control is not None:
        result = result.assign(floor=("fraction", control[0].mean(axis=0)))
        result = result.assign(ceiling=((), control[1].mean()))
    if control is not None and not problems:
        other = analyse(_normalised(scores, plan, moments, "target", control), floor=0.0)
        result = _with_normalised(result, other)
    result = result.merge(_swaps(moments, plan, scores, n_swaps, rng))
    result = result.merge(_networks(moments, plan, scores))
    if len(plan.levels) > 2:
        result = result.merge(_omnibus(moments, plan, scores, n_swaps, rng))
    result = _with_counts(result, plan, scores, tally)
    flags = _flags(result, measure, score, scale)
    result["cell_flag"] = (("source_level", "target_level"), flags)
    what = _what(measure, score, removed=scores.removed)
    return result.assign_attrs(
        normalise=scale,
        **levels.design(plan),
        method=_method(plan, tally, what, confidence, df),
        population=_population(result, tally),
        min_p=float(np.nanmin(result["min_p_swap"].values)),
        warnings=[
            *plan.warnings,
            *notes,
            *problems,
            *omissions(tally, dead),
            *_flag_notes(plan, flags),
            *_floor_notes(result, n_swaps, confidence),
        ],
        n_images_omitted=tally.omitted_nan + tally.omitted_degenerate,
        **{f"transfer_{name}": value for name, value in scores.attrs.items()},
    )


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


def _require_images(moments: jackknife.Moments | None, tally: Tally) -> jackknife.Moments:
    if moments is None:
        raise ImpossibleAnalysis(
            f"no image has a score for every pair of networks ({tally.omitted_nan} left out for"
            f" NaN, {tally.omitted_degenerate} for maps that are all zero or constant, or have no"
            " pixel to rank). Nothing can be compared"
        )
    return moments


def _with_normalised(result: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """Raw results with those on each target's own scale beside them."""
    names = ("estimate", "ci", "p_value")
    return result.assign({f"{name}_normalised": other[name] for name in names})


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


def _check_scale(measure: str, score: str, normalise: str) -> None:
    if normalise in ("target", "chance") and measure != "transfer":
        raise UsageError(
            f"normalise is {normalise!r}, and {measure} is agreement of maps, which has no target's"
            " own scale nor chance of classes. Use --normalise none"
        )
    if normalise == "chance" and score == "margin":
        raise UsageError(
            "normalise is 'chance', and a margin at chance is not 1 / number of classes. Use"
            " --normalise target or none, or another score"
        )


def _moments(
    scores: Scores,
    plan: Contrasts,
    transform: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[jackknife.Moments | None, Tally]:
    operators = list(plan.operators.values())

    def one(block: np.ndarray, images: np.ndarray) -> jackknife.Moments:
        return jackknife.block_moments(
            block if transform is None else transform(block, images), operators
        )

    blocks, tally = scores.reduce(one)
    return (jackknife.merge_moments(blocks) if blocks else None), tally


def _scale(normalise: str, plan: Contrasts, scores: Scores) -> tuple[str, list[str]]:
    """Which normalisation to use, and a note where it was not asked for."""
    if normalise in ("target", "chance"):
        return normalise, []
    try:
        contrasts.require_one_scale(plan, scores.n_classes)
    except ImpossibleAnalysis:
        if normalise == "none" or scores.controls is None:
            raise
        kinds = " and ".join(str(n) for n in sorted(set(np.asarray(scores.n_classes).tolist())))
        return "target", [
            f"networks tell {kinds} classes apart: each target's scores are on its own scale"
            " (normalise='target')"
        ]
    return "none", []


def _control_means(scores: Scores, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean floor (network, fraction) and ceiling (network,) of each target."""
    controls = scores.controls
    assert controls is not None
    sums, _ = scores.reduce(lambda _, images: [part.sum(axis=-1) for part in controls(images)])
    floor, full = (np.sum(parts, axis=0) / n_images for parts in zip(*sums, strict=True))
    return floor, full


def _normalised(
    scores: Scores,
    plan: Contrasts,
    raw: jackknife.Moments,
    normalise: str,
    control: tuple[np.ndarray, np.ndarray] | None,
) -> jackknife.Moments:
    if normalise == "chance":
        if scores.n_classes is None:
            raise ImpossibleAnalysis(
                "chance correction needs the number of classes: add the coordinate target_n_classes"
                " to /transfer, or use --normalise target"
            )
        chance = 1 / scores.n_classes.astype(float)[:, np.newaxis, np.newaxis]
        offset = 0 if scores.removed else chance  # chance cancels in a loss
        moments, _ = _moments(scores, plan, lambda block, _: (block - offset) / (1 - chance))
    else:
        moments, _ = _moments(scores, plan, _by_target(scores, raw, control))
    assert moments is not None  # there was an image with scores in the raw pass
    return moments


def _by_target(
    scores: Scores, raw: jackknife.Moments, control: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    controls = scores.controls
    if controls is None or control is None:
        raise ImpossibleAnalysis(
            "target normalisation needs scores of whole images and of control masks (unmasked_* and"
            " random_* in /transfer). Measure them, or use --normalise none"
        )
    floor, full = control
    problems = _control_problems(scores.networks, control)
    if problems:
        raise ImpossibleAnalysis(f"{problems[0]}. Use --normalise none")
    span = full[:, np.newaxis] - floor
    ratio = (raw.matrix[..., : span.shape[1]] - floor) / span

    def transform(block: np.ndarray, images: np.ndarray) -> np.ndarray:
        return jackknife.normalised_scores(block.astype(float), *controls(images), ratio, span)

    return transform


def _control_problems(networks: pd.DataFrame, control: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """Why scores cannot be put on their targets' own scale, in words; nothing where they can."""
    floor, full = control
    span = (full[:, np.newaxis] - floor).min(axis=1)
    wrong = np.flatnonzero(~(span > 0))
    if not len(wrong):
        return []
    unknown = wrong[np.isnan(span[wrong])]
    first = networks.iloc[int(unknown[0]) if len(unknown) else int(np.argmin(span))]
    name = f"{first['model']} seed {first['seed']}"
    if len(unknown):
        return [
            f"scores of {name} on whole images or control masks are NaN: scores cannot be"
            " normalised"
        ]
    return [
        f"{name} has no range: whole images (or, where pixels were removed, a fall to chance) are"
        f" not above control masks (difference {span.min():.3g}), so scores cannot be normalised"
    ]


def _mean_floor(control: tuple[np.ndarray, np.ndarray] | None) -> float:
    return 0.0 if control is None else float(control[0].mean())


def _analyse(
    moments: jackknife.Moments,
    *,
    plan: Contrasts,
    scores: Scores,
    margin: float | None,
    df: str,
    confidence: float,
    floor: float,
) -> xr.Dataset:
    """Two-way jackknife of every contrast and effect, and of every cell."""
    keys = [[(c, effect) for effect in plan.effects] for c in range(len(plan.pairs))]
    tests = [[_test(moments, plan, key, confidence, df) for key in row] for row in keys]
    dims = ("contrast", "effect", "fraction")
    found = levels.tabulated(tests, dims, (*levels.FIELDS, *levels.VARIANCES))
    p, width = np.full(found["p_value"].shape, np.nan), np.full(len(plan.pairs), np.nan)
    for c, effect in (key for row in keys for key in row if key in plan.operators):
        if effect == "specificity":
            p[c, plan.effects.index(effect)], width[c] = equivalence(
                moments, plan, c, margin, floor, df
            )
    result = _primary_and_by_fraction(found.assign(p_equivalence=(dims, p)))
    result["random"] = (dims[:2], levels.words([[test.random for test in row] for row in tests]))
    result["margin"] = ("contrast", width)
    result["p_adjusted"] = (dims[:2], holm(result["p_value"].values, axis=0))
    result["p_adjusted_by_fraction"] = (dims, holm(result["p_value_by_fraction"].values, axis=2))
    return result.merge(_cells(moments, plan, confidence)).assign_coords(_coords(plan, scores))


def _test(
    moments: jackknife.Moments,
    plan: Contrasts,
    key: tuple[int, str] | tuple[str, str],
    confidence: float,
    df: str = "satterthwaite",
) -> jackknife.Jackknife:
    """Of a contrast and effect, or of a cell; unknown where the design has none."""
    if key not in plan.operators:
        return jackknife.unknown(moments.matrix.shape[-1])
    k = list(plan.operators).index(key)
    return jackknife.two_way_jackknife(moments, k, confidence=confidence, df=df)


def _primary_and_by_fraction(found: xr.Dataset) -> xr.Dataset:
    """The last entry of `fraction` is the mean over fractions, the primary result."""
    each = found.isel(fraction=slice(-1))
    return found.isel(fraction=-1).assign(
        {f"{name}_by_fraction": values for name, values in each.items()}
    )


def _coords(plan: Contrasts, scores: Scores) -> dict[str, object]:
    return {
        "contrast": levels.words(levels.pair_names(plan)),
        "effect": levels.words(plan.effects),
        "bound": levels.words(["lower", "upper"]),
        "fraction": scores.fractions,
        "source_level": levels.words(plan.levels),
        "target_level": levels.words(plan.levels),
    }


def equivalence(
    moments: jackknife.Moments,
    plan: Contrasts,
    contrast: int,
    margin: float | None,
    floor: float,
    df: str,
) -> tuple[np.ndarray, float]:
    """Two one-sided tests that the specificity is smaller than a margin.

    Parameters
    ----------
    moments : Moments
        Of all operators of the plan.
    contrast : int
        Which one.
    margin : float or None
        In units of the score; None for `EQUIVALENCE_SHARE` of the mean within the two levels above
        `floor`. That margin varies as the scores do, so what is tested is the gap less it, and the
        gap plus it.
    floor : float
        Mean score on control masks, taken as known.
    df : str
        As in `compare`.

    Returns
    -------
    p, margin : ndarray of shape (fraction + 1,), float
    """
    keys = list(plan.operators)
    if margin is not None:
        k = keys.index((contrast, "specificity"))
        return jackknife.two_way_jackknife(moments, k, df=df, margin=margin).p_equivalence, margin
    less, plus = (
        jackknife.two_way_jackknife(moments, keys.index((contrast, name)), df=df)
        for name in (contrasts.LESS_SHARE, contrasts.PLUS_SHARE)
    )
    above_floor = contrasts.EQUIVALENCE_SHARE * floor
    above = stats.t.cdf(_ratio(less.estimate + above_floor, less.standard_error), less.df)
    below = stats.t.sf(_ratio(plus.estimate - above_floor, plus.standard_error), plus.df)
    return np.maximum(above, below), float(
        (plus.estimate[-1] - less.estimate[-1]) / 2 - above_floor
    )


def _ratio(estimate: np.ndarray, error: np.ndarray) -> np.ndarray:
    return np.divide(estimate, error, out=np.full_like(estimate, np.nan), where=error > 0)


def _cells(moments: jackknife.Moments, plan: Contrasts, confidence: float) -> xr.Dataset:
    tests = [
        [_test(moments, plan, (source, target), confidence) for target in plan.levels]
        for source in plan.levels
    ]
    dims = ("source_level", "target_level", "fraction")
    return _primary_and_by_fraction(levels.level_means(tests, dims, "cell"))


def _swaps(
    moments: jackknife.Moments,
    plan: Contrasts,
    scores: Scores,
    n_swaps: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Label swap of whole networks: the sharp null that labels are irrelevant on these images."""
    shape = (len(plan.pairs), len(plan.effects), len(scores.fractions) + 1)
    p, p_max, smallest = (
        np.full(shape, np.nan),
        np.full((*shape[:2], shape[2] - 1), np.nan),
        np.full(shape[:2], np.nan),
    )
    rows = [jackknife.EFFECTS.index(effect) for effect in plan.effects]
    for c, pair in enumerate(levels.labelings(plan, n_swaps, rng)):
        matrix = moments.matrix[np.ix_(pair.members, pair.members)]
        effects = swaps.swap_effects(matrix, pair.labels, pair.strata)
        p[c] = swaps.swap_p(effects, pair.exact)[rows]
        p_max[c] = swaps.max_t_p(effects[..., :-1])[rows]
        smallest[c] = pair.smallest[rows]
    dims = ("contrast", "effect", "fraction")
    result = _primary_and_by_fraction(xr.Dataset({"p_swap": (dims, p)}))
    result["p_max_t_by_fraction"] = (("contrast", "effect", "fraction"), p_max)
    return result.assign(min_p_swap=(("contrast", "effect"), smallest))


def _omnibus(
    moments: jackknife.Moments,
    plan: Contrasts,
    scores: Scores,
    n_swaps: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Do any of the levels differ? Label permutation over all of them, in the strata that hold two
    networks of each.
    """
    p = np.full((3, len(scores.fractions) + 1), np.nan)
    level, stratum = plan.level, plan.stratum
    sizes = np.array(
        [
            np.bincount(level[stratum == s], minlength=len(plan.levels)).min()
            for s in range(stratum.max() + 1)
        ]
    )
    strata = np.where(sizes[stratum] >= 2, stratum, -1)
    if (strata >= 0).any():
        found = swaps.omnibus(moments.matrix, level, strata, n_swaps=n_swaps, rng=rng)
        p = np.stack([found.p_source, found.p_target, found.p_gap])
    names = ("source_effect", "target_effect", "specificity")
    rows = [names.index(effect) if effect in names else None for effect in plan.effects]
    values = np.array([np.full(p.shape[1], np.nan) if k is None else p[k] for k in rows])
    return _primary_and_by_fraction(xr.Dataset({"p_omnibus": (("effect", "fraction"), values)}))


def _networks(moments: jackknife.Moments, plan: Contrasts, scores: Scores) -> xr.Dataset:
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
    if len(plan.effects) == len(jackknife.EFFECTS):
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


def _flags(result: xr.Dataset, measure: str, score: str, normalise: str) -> np.ndarray:
    """Cells at the ceiling, or at the floor of control masks: contrasts of such cells are
    compressed.
    """
    mean = result["cell_mean"].values
    flags = np.full(mean.shape, "", dtype=object)
    if measure != "transfer" or score == "margin" or normalise != "none":
        return flags
    flags[mean > CEILING] = "ceiling"
    if "floor" in result:
        flags[mean < result["floor"].values.mean() + ABOVE_FLOOR] = "floor"
    return flags


def _flag_notes(plan: Contrasts, flags: np.ndarray) -> list[str]:
    cells = itertools.product(plan.levels, plan.levels)
    return [
        f"cell {a} on {b} is at the {flag}: differences there mean little"
        for (a, b), flag in zip(cells, flags.ravel(), strict=True)
        if flag
    ]


def _floor_notes(result: xr.Dataset, n_swaps: int, confidence: float) -> list[str]:
    """Contrasts whose label swap can never be significant."""
    floors = result["min_p_swap"].min("effect").values
    contrast, n_networks = result["contrast"].values, result["n_networks"].values
    return [
        f"{name}: with {n} networks and {n_swaps} resamples the label swap cannot give p below"
        f" {floor:.3g}"
        for name, n, floor in zip(contrast, n_networks, floors, strict=True)
        if floor > 1 - confidence
    ]


def _population(result: xr.Dataset, tally: Tally) -> str:
    kinds = sorted({str(kind) for kind in result["random"].values.ravel()} - {"nothing"}) or [
        "nothing"
    ]
    sizes = sorted({int(n) for n in result["n_networks"].values})
    networks = f"{' to '.join(str(n) for n in {sizes[0]: 0, sizes[-1]: 0})} networks a contrast"
    return (
        f"inference over {'; '.join(kinds)} like those measured ({networks}, {tally.images} images)"
    )


def _what(measure: str, score: str, *, removed: bool) -> str:
    if measure != "transfer":
        return f"agreement of maps ({measure})"
    how = "loss of score without" if removed else "transfer of"
    return f"{how} the most relevant pixels ({score})"


def _method(plan: Contrasts, tally: Tally, what: str, confidence: float, df: str) -> str:
    strata = (
        f", within each level of {' and '.join(plan.within)} and averaged" if plan.within else ""
    )
    per_level = {
        pair: [int((groups == g).sum()) for g in np.unique(groups[groups >= 0])]
        for pair, groups in zip(plan.pairs, plan.groups, strict=True)
    }
    sizes = sorted({n for counts in per_level.values() for n in counts})
    seeds = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return (
        f"{what.capitalize()} was compared over {plan.axis} ({', '.join(plan.levels)}){strata},"
        f" with {seeds} networks a level and {tally.images} images; self pairs were left out."
        " Contrasts of cell means are means over fractions. Standard errors,"
        f" {100 * confidence:g} % intervals and p-values come from a two-way"
        f" jackknife over networks and images with t and {df.capitalize()}"
        f" degrees of freedom ({REFERENCE}), Holm-adjusted over contrasts. p_swap permutes the"
        " labels of whole networks: the sharp null that labels are irrelevant on these images."
    )
