"""Tests of contrasts of levels and of cells: jackknife, equivalence, label swap and omnibus.

Moments and a plan in, variables of a result out.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from relstats.stats import levels
from relstats.stats.inference import contrasts, jackknife, swaps
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.moments import Moments
from relstats.stats.inference.operators import EFFECTS
from relstats.stats.sources.scores import Scores


def jackknife_tests(
    moments: Moments,
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
    result = result.assign(levels.untested(tests, dims[:2]))
    result["margin"] = ("contrast", width)
    result["p_adjusted"] = (dims[:2], holm(result["p_value"].values, axis=0))
    result["p_adjusted_by_fraction"] = (dims, holm(result["p_value_by_fraction"].values, axis=2))
    return result.merge(_cells(moments, plan, confidence)).assign_coords(_coords(plan, scores))


def _test(
    moments: Moments,
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
    moments: Moments,
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


def _cells(moments: Moments, plan: Contrasts, confidence: float) -> xr.Dataset:
    tests = [
        [_test(moments, plan, (source, target), confidence) for target in plan.levels]
        for source in plan.levels
    ]
    dims = ("source_level", "target_level", "fraction")
    return _primary_and_by_fraction(levels.level_means(tests, dims, "cell"))


def swap_tests(
    moments: Moments,
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
    rows = [EFFECTS.index(effect) for effect in plan.effects]
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


def omnibus_tests(
    moments: Moments,
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
