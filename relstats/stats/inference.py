"""Inference over crossed networks and images: jackknife, label swap, node scores. Plain arrays in and out.

Scores are `Y[m, k, ..., i]`: target network k on image i, masked with source network m's map; or the
similarity of the maps of m and k. Self pairs (m = k) are never used. Two questions are kept apart:

- Is the contrast zero for networks like these and images like these (weak null)? `two_way_jackknife`.
- Are the labels irrelevant on these images (sharp null)? `labelings`, `swap_effects`, `swap_p`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError

#: Effects of a first level A against a second level B, as weights of the cell means [[AA, AB], [BA, BB]].
#: Row: level of the source; column: level of the target. Asymmetry = source effect - target effect.
_WEIGHTS = {
    "asymmetry": ((0.0, 1.0), (-1.0, 0.0)),
    "source_effect": ((0.5, 0.5), (-0.5, -0.5)),
    "target_effect": ((0.5, -0.5), (0.5, -0.5)),
    "generalization_gap": ((0.5, -0.5), (-0.5, 0.5)),
    "stability": ((1.0, 0.0), (0.0, -1.0)),
}
EFFECTS = tuple(_WEIGHTS)

_EPS = float(np.finfo(np.float64).eps)
_TIE = 1e-9  # of the largest statistic: labelings that give one value in exact arithmetic differ by rounding
_CHUNK = 2**17  # float64 numbers worked on at a time: they stay in the processor's cache


def effect_weights(effect: str) -> np.ndarray:
    """Weights of the four cell means, (source level, target level), that make an effect.

    Raises
    ------
    UsageError
        Not one of `EFFECTS`.

    Examples
    --------
    >>> effect_weights("asymmetry")
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    if effect not in _WEIGHTS:
        raise UsageError(f"effect is {effect!r}; it is one of {', '.join(EFFECTS)}")
    return np.array(_WEIGHTS[effect])


@dataclass(frozen=True)
class Operator:
    """A contrast of cell means as a linear functional of the scores, and the same with each network deleted.

    Attributes
    ----------
    groups : ndarray of int, (network,)
        Jackknife cell of each network; -1 takes no part.
    estimate : ndarray, (source, target)
        The contrast is `sum(estimate * Y)`.
    deleted : ndarray, (network, source, target)
        The contrast without one network. NaN where a cell that it needs is then empty.
    """

    groups: np.ndarray
    estimate: np.ndarray
    deleted: np.ndarray


def contrast_operator(groups: np.ndarray, weights: np.ndarray) -> Operator:
    """Weights of the pairs of networks in a contrast of cell means, self pairs left out.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        Cell of each network, 0 to G - 1; -1 takes no part.
    weights : ndarray, (G, G)
        Weight of the mean of each cell (source group, target group).

    Raises
    ------
    ImpossibleAnalysis
        A cell with a weight holds no pair of networks.

    Examples
    --------
    >>> operator = contrast_operator(np.array([0, 0, 1, 1]), effect_weights("asymmetry"))
    >>> operator.estimate[0]
    array([0.  , 0.  , 0.25, 0.25])
    >>> operator.deleted[1, 0]
    array([0. , 0. , 0.5, 0.5])
    """
    groups, weights = np.asarray(groups), np.asarray(weights, float)
    member = groups[:, np.newaxis] == np.arange(len(weights))
    pairs = _n_pairs(member.sum(axis=0))
    if ((weights != 0) & (pairs == 0)).any():
        a, b = np.argwhere((weights != 0) & (pairs == 0))[0]
        raise ImpossibleAnalysis(
            f"the cell of sources in group {a} ({member[:, a].sum()} networks) and targets in group {b} "
            f"({member[:, b].sum()}) holds no pair of two networks, so its mean does not exist. Add "
            f"networks, or leave this contrast out"
        )
    apart = ~np.eye(len(groups), dtype=bool)
    estimate = _spread(weights, pairs, member) * apart
    without = _spread(weights, _n_pairs(member.sum(axis=0) - member), member)
    # A network that is deleted takes no part as source, nor as target.
    deleted = without * apart[:, :, np.newaxis] * apart[:, np.newaxis, :] * apart
    empty = np.isnan(without).any(axis=(1, 2))
    deleted[empty] = np.nan
    return Operator(groups, estimate, deleted)


def _n_pairs(sizes: np.ndarray) -> np.ndarray:
    """Ordered pairs of two networks in each cell: (..., G) to (..., G, G)."""
    self_pairs = sizes[..., np.newaxis] * np.eye(sizes.shape[-1], dtype=int)
    return sizes[..., :, np.newaxis] * sizes[..., np.newaxis, :] - self_pairs


def _spread(weights: np.ndarray, pairs: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Share a cell's weight out to its pairs: (..., G, G) to (..., network, network). NaN if it has none."""
    n = len(weights)
    each = np.zeros((*pairs.shape[:-2], n + 1, n + 1))  # one more group for networks that take no part
    each[..., :n, :n] = np.where(weights != 0, np.nan, 0.0)
    np.divide(weights, pairs, out=each[..., :n, :n], where=(weights != 0) & (pairs > 0))
    group = np.where(member.any(axis=1), member.argmax(axis=1), n)
    return each[..., group[:, np.newaxis], group]


@dataclass(frozen=True)
class Moments:
    """Means and sums of squares over images. The last fraction is the mean over all fractions.

    Attributes
    ----------
    count : int
        Number of images.
    mean, m2 : ndarray, (operator, fraction + 1)
        Mean over images of the contrast, and sum of squared deviations from it.
    deleted_mean : ndarray, (operator, network, fraction + 1)
        Mean over images of the contrast without one network. NaN where it does not exist.
    deleted_m2 : ndarray, (operator, group, fraction + 1)
        Sum over images and networks of the squared deviations of the contrast without one network, both from
        its mean over images and from its group's mean on the image.
    matrix : ndarray, (source, target, fraction + 1)
        Mean score over images. NaN on the diagonal.
    rounding : ndarray, (operator, fraction + 1)
        Contrasts smaller than this cannot be told from rounding error.
    groups : ndarray of int, (operator, network)
        Jackknife cell of the networks that take part; -1 for the others.
    """

    count: int
    mean: np.ndarray
    m2: np.ndarray
    deleted_mean: np.ndarray
    deleted_m2: np.ndarray
    matrix: np.ndarray
    rounding: np.ndarray
    groups: np.ndarray


def block_moments(scores: np.ndarray, operators: Sequence[Operator]) -> Moments:
    """Moments over one block of images.

    Parameters
    ----------
    scores : ndarray, (source, target, fraction, image)
        Any real type; summed in float64. The diagonal and pairs that no operator uses may be NaN.
    operators : sequence of Operator
        Contrasts, all of these networks.

    Raises
    ------
    InvalidData
        NaN or infinite scores among the pairs that are used.

    Examples
    --------
    >>> scores = np.random.default_rng(1).random((6, 6, 1, 50))
    >>> operator = contrast_operator(np.array([0, 0, 0, 1, 1, 1]), effect_weights("source_effect"))
    >>> blocks = scores[..., :20], scores[..., 20:]
    >>> moments = merge_moments([block_moments(block, [operator]) for block in blocks])
    >>> moments.count, two_way_jackknife(moments, 0).df.shape
    (50, (2,))
    """
    weights, rows, groups = _stacked(operators)
    used = (weights != 0).any(axis=0)
    values, matrix, largest = _project(scores, weights, used)
    each = [_operator_moments(values[:, r], g) for r, g in zip(rows, groups, strict=True)]
    size = np.abs(weights[[r.start for r in rows]]).sum(axis=1)
    rounding = _EPS * used.size * size[:, np.newaxis] * largest
    mean, m2, deleted_mean, deleted_m2 = (_padded(parts) for parts in zip(*each, strict=True))
    everywhere = np.full((len(operators), len(scores), len(largest)), np.nan)
    for o, rest in enumerate(groups):
        everywhere[o, rest >= 0] = deleted_mean[o, : (rest >= 0).sum()]
    missing = [np.isnan(operator.deleted).any(axis=(1, 2)) for operator in operators]
    everywhere[np.array(missing)] = np.nan
    return Moments(scores.shape[-1], mean, m2, everywhere, deleted_m2, matrix, rounding, groups)


def _stacked(operators: Sequence[Operator]) -> tuple[np.ndarray, list[slice], np.ndarray]:
    """Rows of all operators: first the estimate, then one for each network that takes part."""
    stack, rows, groups, start = [], [], [], 0
    for operator in operators:
        touched = (operator.estimate != 0).any(axis=0) | (operator.estimate != 0).any(axis=1)
        group = np.where(np.isin(operator.groups, operator.groups[touched]), operator.groups, -1)
        stack += [operator.estimate[np.newaxis], np.nan_to_num(operator.deleted[group >= 0])]
        stop = start + 1 + int((group >= 0).sum())
        rows.append(slice(start, stop))
        groups.append(group)
        start = stop
    weights = np.concatenate(stack)
    return weights.reshape(len(weights), -1), rows, np.array(groups)


def _project(scores: np.ndarray, weights: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The functionals on each image (fraction + 1, row, image), the mean matrix, the largest score in use."""
    n_networks, _, n_fractions, n_images = scores.shape
    values = np.empty((n_fractions + 1, len(weights), n_images))
    sums, largest = np.zeros((n_fractions, used.size)), np.zeros(n_fractions + 1)
    width = max(16, _CHUNK // used.size)
    for f, start in itertools.product(range(n_fractions), range(0, n_images, width)):
        chunk = scores[:, :, f, start : start + width].astype(np.float64).reshape(used.size, -1)
        with np.errstate(invalid="ignore"):  # infinite scores of pairs that are not used
            sums[f] += chunk.sum(axis=1)
        if not np.isfinite(sums[f, used]).all():
            _require_finite(scores, used.reshape(n_networks, n_networks))
        chunk[~used] = 0.0
        np.matmul(weights, chunk, out=values[f, :, start : start + width])
        largest[f] = max(largest[f], chunk.max(), -chunk.min())
    values[-1], largest[-1] = values[:-1].mean(axis=0), largest.max()
    means = np.concatenate([sums, sums.mean(axis=0, keepdims=True)]) / n_images
    matrix = means.T.reshape(n_networks, n_networks, -1)
    matrix[np.diag_indices(n_networks)] = np.nan
    return values, matrix, largest


def _require_finite(scores: np.ndarray, used: np.ndarray) -> None:
    where = np.argwhere(~np.isfinite(scores) & used[:, :, np.newaxis, np.newaxis])
    if len(where):
        first = "; ".join(f"source {m}, target {k}, fraction {f}, image {i}" for m, k, f, i in where[:3])
        raise InvalidData(
            f"{len(where)} of {used.sum() * scores[0, 0].size} scores are NaN or infinite in this block of "
            f"images ({first}): a mean over them does not exist. Mend them, or leave these images out for "
            f"all networks"
        )


def _operator_moments(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean, m2, mean and (by group) m2 without each network, of values (fraction + 1, row, image)."""
    estimate, deleted = values[:, 0], values[:, 1:]
    means = deleted.mean(axis=-1)
    m2 = np.zeros((groups.max() + 1, len(values)))
    for g in np.unique(groups[groups >= 0]):
        of_group = groups[groups >= 0] == g
        deviation = deleted[:, of_group] - means[:, of_group, np.newaxis]
        deviation -= deviation.mean(axis=1, keepdims=True)
        m2[g] = np.einsum("fni,fni->f", deviation, deviation)
    mean = estimate.mean(axis=-1)
    return mean, ((estimate - mean[:, np.newaxis]) ** 2).sum(axis=-1), means.T, m2


def _padded(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """Stack arrays whose first axes differ in length; the rest is 0."""
    longest = max(len(part) for part in parts)
    return np.array([np.concatenate([part, np.zeros((longest - len(part), *part.shape[1:]))]) for part in parts])


def merge_moments(blocks: Sequence[Moments]) -> Moments:
    """Moments over the images of all blocks, merged in the given order (Chan, Golub & LeVeque 1983).

    Raises
    ------
    ImpossibleAnalysis
        No block.
    """
    if not blocks:
        raise ImpossibleAnalysis("there is no block of images to merge: without images nothing can be estimated")
    return functools.reduce(_merge, blocks)


def _merge(a: Moments, b: Moments) -> Moments:
    count = a.count + b.count
    share, both = b.count / count, a.count * b.count / count
    step = b.deleted_mean - a.deleted_mean
    between = np.zeros_like(a.deleted_m2)
    for o, g in itertools.product(range(len(step)), range(between.shape[1])):
        of_group = step[o, a.groups[o] == g]
        if len(of_group):
            between[o, g] = ((of_group - of_group.mean(axis=0)) ** 2).sum(axis=0)
    return Moments(
        count,
        a.mean + (b.mean - a.mean) * share,
        a.m2 + b.m2 + (b.mean - a.mean) ** 2 * both,
        a.deleted_mean + step * share,
        a.deleted_m2 + b.deleted_m2 + between * both,
        a.matrix + (b.matrix - a.matrix) * share,
        np.maximum(a.rounding, b.rounding),
        a.groups,
    )


@dataclass(frozen=True)
class Jackknife:
    """Estimate, interval and tests of a contrast: arrays (fraction + 1,), the last the mean over fractions.

    Attributes
    ----------
    estimate, variance, standard_error, statistic, df, p_value, lower, upper : ndarray
        In units of the score. `p_value` is two-sided, of the null that the contrast is 0.
    variance_networks, variance_images, variance_interaction : ndarray
        Parts of `variance` = networks + images - interaction, and at least the larger of the first two. NaN
        where the design cannot estimate one.
    p_equivalence : ndarray
        Two one-sided tests that the contrast lies within the margin. NaN without a margin.
    networks_random, images_random : bool
        Whether the interval speaks for other networks, and for other images.
    """

    estimate: np.ndarray
    variance: np.ndarray
    standard_error: np.ndarray
    statistic: np.ndarray
    df: np.ndarray
    p_value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    variance_networks: np.ndarray
    variance_images: np.ndarray
    variance_interaction: np.ndarray
    p_equivalence: np.ndarray
    networks_random: bool
    images_random: bool


def two_way_jackknife(
    moments: Moments,
    operator_index: int,
    *,
    level: float = 0.95,
    df: str = "satterthwaite",
    margin: float | np.ndarray | None = None,
) -> Jackknife:
    """Test a contrast for networks like these and images like these: both are random.

    Parameters
    ----------
    moments : Moments
        Over all images.
    operator_index : int
        Which of the operators.
    level : float
        Confidence level of the interval.
    df : {"satterthwaite", "pooled"}
        Degrees of freedom. "pooled" has more power; it needs equal group sizes and groups whose networks vary
        alike.
    margin : float or ndarray (fraction + 1,), optional
        Equivalence margin, at least 0, in units of the score.

    Returns
    -------
    Jackknife
        With fewer than two networks in a group (three where pairs within the group count), the variance over
        networks cannot be estimated: the result is for these networks, over images only (`networks_random` is
        False). With one image it is for this image, over networks only (`images_random` is False). With
        neither, all but the estimate is NaN. Scores without any variance give p = 1 where the contrast is 0
        and NaN where it is not: never a number below 1.

    Raises
    ------
    UsageError
        `level`, `df` or `margin` out of range.

    Notes
    -----
    Delete-one jackknife over networks within groups, and over images; their sum counts the interaction twice,
    so it is taken off once, as for readers and cases in Gallas (2006, doi:10.1016/j.acra.2005.12.011).
    Degrees of freedom after Satterthwaite (1946, doi:10.2307/3002019). Needs nothing of labels, so it holds
    where levels differ in variance.

    Examples
    --------
    >>> scores = np.random.default_rng(1).random((6, 6, 1, 50))
    >>> scores[:3] += 0.2
    >>> operator = contrast_operator(np.array([0, 0, 0, 1, 1, 1]), effect_weights("source_effect"))
    >>> result = two_way_jackknife(block_moments(scores, [operator]), 0)
    >>> bool(result.lower[-1] < 0.2 < result.upper[-1]), bool(result.p_value[-1] < 0.05)
    (True, True)
    """
    _check_options(level, df, margin)
    v_groups, v_images, v_both, sizes = _variances(moments, operator_index)
    v_networks = v_groups.sum(axis=0)
    networks, images = not np.isnan(v_groups).any(), moments.count > 1
    if networks and images:
        variance = np.maximum(v_networks + v_images - v_both, np.maximum(v_networks, v_images))
    else:
        variance = v_networks if networks else v_images
    parts = []
    if networks and df == "pooled":
        parts.append((v_networks, int((sizes - 1).sum())))
    elif networks:
        parts += zip(v_groups, (sizes - 1).tolist(), strict=True)
    if images:
        parts.append((v_images, moments.count - 1))
    mean = moments.mean[operator_index]
    nothing = (variance == 0) & (np.abs(mean) <= moments.rounding[operator_index])
    estimate = np.where(nothing, 0.0, mean)
    return Jackknife(
        estimate=estimate,
        variance=variance,
        variance_networks=v_networks,
        variance_images=v_images,
        variance_interaction=v_both,
        networks_random=networks,
        images_random=images,
        **_t_tests(estimate, variance, _degrees_of_freedom(variance, parts), level, margin),
    )


def _check_options(level: float, df: str, margin: float | np.ndarray | None) -> None:
    if not 0 < level < 1:
        raise UsageError(f"level is {level}; a confidence level lies between 0 and 1, such as 0.95")
    if df not in ("satterthwaite", "pooled"):
        raise UsageError(f"df is {df!r}; it is one of satterthwaite, pooled")
    if margin is not None and (np.asarray(margin) < 0).any():
        raise UsageError(f"margin is {margin}; an equivalence margin is not negative, in units of the score")


def _variances(moments: Moments, o: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Variance over the networks of each group, over images, of their interaction; sizes of the groups."""
    groups, deleted, tiny = moments.groups[o], moments.deleted_mean[o], moments.rounding[o]
    used, sizes = np.unique(groups[groups >= 0], return_counts=True)
    factors = ((sizes - 1) / sizes)[:, np.newaxis]
    squares = []
    for g in used:
        deviation = deleted[groups == g] - deleted[groups == g].mean(axis=0)
        deviation[np.abs(deviation) <= tiny] = 0.0
        squares.append((deviation**2).sum(axis=0))
    v_groups = factors * np.array(squares)
    v_both = (factors * _image_variance(moments.deleted_m2[o, used], moments.count, tiny)).sum(axis=0)
    v_both = np.where(np.isnan(v_groups).any(axis=0), np.nan, v_both)
    return v_groups, _image_variance(moments.m2[o], moments.count, tiny), v_both, sizes


def _image_variance(m2: np.ndarray, count: int, tiny: np.ndarray) -> np.ndarray:
    """Variance of a mean over images from the sum of squares; 0 where the deviations are rounding error."""
    if count < 2:
        return np.full(m2.shape, np.nan)
    variance = m2 / (count - 1)
    return np.where(np.sqrt(variance) <= tiny, 0.0, variance / count)


def _degrees_of_freedom(variance: np.ndarray, parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Satterthwaite: V^2 / sum(part^2 / df of part), by shares, so that no scale overflows. NaN if V is 0."""
    inverse = np.zeros_like(variance)
    for part, df in parts:
        inverse += np.divide(part, variance, out=np.zeros_like(variance), where=variance > 0) ** 2 / df
    return np.divide(1.0, inverse, out=np.full_like(variance, np.nan), where=inverse > 0)


def _t_tests(
    estimate: np.ndarray,
    variance: np.ndarray,
    df: np.ndarray,
    level: float,
    margin: float | np.ndarray | None,
) -> dict[str, np.ndarray]:
    error = np.sqrt(variance)
    some = np.where(error > 0, error, np.nan)
    statistic = estimate / some
    reach = stats.t.ppf((1 + level) / 2, df) * some
    room = np.nan if margin is None else np.asarray(margin, float)
    return {
        "standard_error": error,
        "statistic": statistic,
        "df": df,
        "p_value": np.where((variance == 0) & (estimate == 0), 1.0, 2 * stats.t.sf(np.abs(statistic), df)),
        "lower": estimate - reach,
        "upper": estimate + reach,
        "p_equivalence": stats.t.sf((room - np.abs(estimate)) / some, df),
    }


def labelings(
    first: np.ndarray,
    strata: np.ndarray,
    *,
    n_resamples: int,
    rng: np.random.Generator,
    max_exact: int = 20_000,
) -> tuple[np.ndarray, bool]:
    """Ways to give the networks their labels: all, or a random sample.

    Parameters
    ----------
    first : ndarray of bool, (network,)
        Whether the network belongs to the first level.
    strata : ndarray of int, (network,)
        Labels are swapped within a stratum only, and never in stratum -1.
    n_resamples : int
        Number of random labelings where there are more than `max_exact`.

    Returns
    -------
    ndarray, (labeling, network)
        1 for the first level, 0 for the second. Row 0 is the labeling observed.
    bool
        Whether these are all labelings, each once.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> labels, exact = labelings(np.arange(6) < 3, np.zeros(6, int), n_resamples=99, rng=rng)
    >>> labels.shape, exact
    ((20, 6), True)
    """
    rows, exact = _relabelings(np.where(first, 0, 1), strata, n_resamples, rng, max_exact)
    return (rows == 0).astype(np.float64), exact


def _relabelings(
    levels: np.ndarray, strata: np.ndarray, n_resamples: int, rng: np.random.Generator, max_exact: int
) -> tuple[np.ndarray, bool]:
    blocks = [np.flatnonzero(strata == s) for s in np.unique(strata[strata >= 0])]
    total = _n_labelings(levels, strata)
    if total > max_exact:
        rows = np.tile(levels, (n_resamples + 1, 1))
        for block in blocks:
            rows[1:, block] = rng.permuted(rows[1:, block], axis=1)
        return rows, False
    orders = [_orders(levels[block]) for block in blocks]
    chosen = np.unravel_index(np.arange(total), [len(order) for order in orders])
    rows = np.tile(levels, (total, 1))
    for block, order, index in zip(blocks, orders, chosen, strict=True):
        rows[:, block] = order[index]
    observed = int(np.flatnonzero((rows == levels).all(axis=1))[0])
    rows[[0, observed]] = rows[[observed, 0]]
    return rows, True


def _n_labelings(levels: np.ndarray, strata: np.ndarray) -> int:
    total = 1
    for s in np.unique(strata[strata >= 0]):
        counts = np.unique(levels[strata == s], return_counts=True)[1].tolist()
        total *= math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))
    return total


def _orders(levels: np.ndarray) -> np.ndarray:
    """All distinct orders of some labels: (order, network)."""
    kinds, counts = np.unique(levels, return_counts=True)
    orders, free = np.full((1, len(levels)), kinds[-1]), np.arange(len(levels))[np.newaxis]
    for kind, count in zip(kinds[:-1], counts[:-1], strict=True):
        picks = np.array(list(itertools.combinations(range(free.shape[1]), count)))
        rest = np.array([np.setdiff1d(np.arange(free.shape[1]), pick) for pick in picks])
        orders = np.repeat(orders, len(picks), axis=0)
        np.put_along_axis(orders, free[:, picks].reshape(-1, count), kind, axis=1)
        free = free[:, rest].reshape(len(orders), -1)
    return orders


def swap_effects(matrix: np.ndarray, labels: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """All effects under each labeling: within each stratum, then averaged over strata with equal weights.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images; the diagonal is not used. NaN makes the fraction NaN.
    labels : ndarray, (labeling, network)
        From `labelings`.
    strata : ndarray of int, (network,)
        -1 takes no part.

    Returns
    -------
    ndarray, (labeling, effect, fraction)
        In the order of `EFFECTS`. NaN where an effect needs pairs within a level of one network.

    Raises
    ------
    ImpossibleAnalysis
        A stratum lacks a level.

    Examples
    --------
    >>> matrix = np.arange(16.0).reshape(4, 4, 1)
    >>> labels = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    >>> swap_effects(matrix, labels, np.zeros(4, int))[:, 0, 0]  # (2 + 3 + 6 + 7) / 4 - (8 + 9 + 12 + 13) / 4
    array([-6.,  6.])
    """
    onehot = np.stack([labels, 1 - labels], axis=1)
    means, tiny = _stratified_means(matrix, onehot, strata)
    effects = np.empty((len(labels), len(EFFECTS), matrix.shape[-1]))
    for e, effect in enumerate(EFFECTS):
        weights = effect_weights(effect)
        effects[:, e] = sum(weights[a, b] * means[:, a, b] for a, b in np.argwhere(weights))
    return _without_rounding(effects, tiny)


def _stratified_means(matrix: np.ndarray, onehot: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell means (labeling, level, level, fraction) averaged over strata, and the size of their rounding."""
    parts, tiny = [], np.zeros(matrix.shape[-1])
    for s in np.unique(strata[strata >= 0]):
        own = np.flatnonzero(strata == s)
        if not onehot[0][:, own].any(axis=1).all():
            raise ImpossibleAnalysis(f"stratum {s} lacks a level, so labels cannot be swapped in it: leave it out (-1)")
        block = matrix[np.ix_(own, own)].astype(np.float64)
        block[np.diag_indices(len(own))] = 0.0
        tiny = np.maximum(tiny, _EPS * len(own) ** 2 * np.abs(block).max(axis=(0, 1)))
        width = max(1, _CHUNK // (block.size // len(own)))
        pieces = [_cell_means(block, onehot[p : p + width][..., own]) for p in range(0, len(onehot), width)]
        parts.append(np.concatenate(pieces))
    return functools.reduce(np.add, parts) / len(parts), tiny


def _cell_means(block: np.ndarray, onehot: np.ndarray) -> np.ndarray:
    """Means of the cells of a matrix with zero diagonal, under labelings (labeling, level, network)."""
    n_labelings, n_levels, n = onehot.shape
    last = n_levels - 1  # the last row and column of cells follow from the sums of the matrix
    sources, targets = onehot @ block.sum(axis=1), onehot @ block.sum(axis=0)
    sums = np.empty((n_labelings, n_levels, n_levels, block.shape[-1]))
    for a in range(last):
        received = (onehot[:, a] @ block.reshape(n, -1)).reshape(n_labelings, n, -1)
        for b in range(last):
            sums[:, a, b] = np.einsum("pn,pnf->pf", onehot[:, b], received)
    sums[:, :last, last] = sources[:, :last] - sums[:, :last, :last].sum(axis=2)
    sums[:, last] = targets - sums[:, :last].sum(axis=1)
    pairs = _n_pairs(onehot.sum(axis=2))[..., np.newaxis]
    return np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)


def _without_rounding(values: np.ndarray, tiny: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) <= tiny, 0.0, values)


def swap_p(effects: np.ndarray, exact: bool = True) -> np.ndarray:
    """Two-sided p-values of effects under all labelings: the share of labelings at least as extreme as row 0.

    Parameters
    ----------
    effects : ndarray, (labeling, ...)
        Row 0 observed. It counts: for n random labelings, of which b are as extreme, p is (b + 1) / (n + 1).
    exact : bool
        Whether these are all labelings: if not, the p-value is of a random sample of them. The formula is the
        same.

    Examples
    --------
    >>> swap_p(np.array([[3.0], [-3.0], [1.0], [-1.0]]))
    array([0.5])
    """
    sizes = np.abs(effects)
    p = (sizes >= sizes[0] - _TIE * sizes.max(axis=0)).mean(axis=0)
    return np.where(np.isnan(sizes).any(axis=0), np.nan, p)


def max_t_p(effects: np.ndarray) -> np.ndarray:
    """Two-sided p-values that hold for all fractions at once: max-T (Westfall & Young 1993).

    Parameters
    ----------
    effects : ndarray, (labeling, effect, fraction)
        Row 0 observed. Each is divided by its own standard deviation over labelings, then the largest is
        taken.

    Examples
    --------
    >>> effects = np.array([[3.0, 1.0], [-3.0, -1.0], [1.0, 2.0], [-1.0, -2.0]])[:, np.newaxis]
    >>> max_t_p(effects)
    array([[0.5, 1. ]])
    """
    spread = np.sqrt((effects**2).mean(axis=0))
    sizes = np.abs(np.divide(effects, spread, out=np.zeros_like(effects), where=spread > 0))
    largest = np.where(np.isnan(effects), 0.0, sizes).max(axis=2, keepdims=True)
    p = (largest >= sizes[0] - _TIE * largest.max(axis=0)).mean(axis=0)
    return np.where(np.isnan(effects).any(axis=0), np.nan, p)


def smallest_p(labels: np.ndarray, strata: np.ndarray, exact: bool = True) -> np.ndarray:
    """The smallest two-sided p-value that label swaps can reach, for each of `EFFECTS`.

    Swapping the two labels everywhere only turns the sign of an effect, where the levels are of one size in
    every stratum; and the generalization gap stays as it is when they are swapped in any one such stratum.
    Labelings that cannot be told apart share one p-value.

    Parameters
    ----------
    labels : ndarray, (labeling, network)
        From `labelings`; row 0 observed.
    strata : ndarray of int, (network,)
        -1 takes no part.
    exact : bool
        Whether these are all labelings, or a random sample of them.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> labels, exact = labelings(np.arange(6) < 3, np.zeros(6, int), n_resamples=99, rng=rng)
    >>> smallest_p(labels, np.zeros(6, int), exact)
    array([0.1, 0.1, 0.1, 0.1, 0.1])
    """
    levels, gap = _floors(np.where(labels[0] == 1, 0, 1), strata, len(labels), exact)
    return np.where(np.array(EFFECTS) == "generalization_gap", gap, levels)


def _floors(levels: np.ndarray, strata: np.ndarray, n_rows: int, exact: bool) -> tuple[float, float]:
    """Smallest p of effects that know levels apart, and of the gap, which does not: within each stratum."""
    kinds = np.unique(levels[strata >= 0])
    sizes = np.array([[(levels[strata == s] == k).sum() for k in kinds] for s in np.unique(strata[strata >= 0])])
    alike = _renamings(sizes), math.prod(_renamings(row[np.newaxis]) for row in sizes)
    if exact:
        return alike[0] / n_rows, alike[1] / n_rows
    total = _n_labelings(levels, strata)
    return max(1 / n_rows, alike[0] / total), max(1 / n_rows, alike[1] / total)


def _renamings(sizes: np.ndarray) -> int:
    """Ways to permute the levels (columns) that leave their sizes in all strata (rows) as they are."""
    return math.prod(math.factorial(n) for n in Counter(map(tuple, sizes.T.tolist())).values())


def node_operator(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares scores of each network as source and as target, as weights of the score matrix.

    The fit is `Y[m, k] = mean of cell + a_m + b_k` over all pairs m != k (the social relations model: Warner,
    Kenny & Stoto 1979, doi:10.1037/0022-3514.37.10.1742); a source score is the unweighted mean of the cell
    means of its row plus a_m. The diagonal is missing by design, so plain row means would mix levels
    unequally.

    Parameters
    ----------
    groups : ndarray of int, (network,)
        Level of each network; -1 takes no part.

    Returns
    -------
    source, target : ndarray, (network, source * target)
        Scores are `source @ Y.reshape(M * M, -1)`, with any finite diagonal. NaN rows for networks that take
        no part.

    Raises
    ------
    ImpossibleAnalysis
        Fewer than two networks in a level, or three where there is one level only.

    Examples
    --------
    >>> source, target = node_operator(np.array([0, 0, 0]))
    >>> scores = np.array([[0.0, 3.0, 3.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0]])
    >>> source @ scores.ravel()
    array([3., 1., 2.])
    """
    part = np.flatnonzero(groups >= 0)
    kinds, level = np.unique(groups[part], return_inverse=True)
    n, n_levels = len(part), len(kinds)
    source, target = np.nonzero(~np.eye(n, dtype=bool))
    columns = np.concatenate([level[source] * n_levels + level[target], n_levels**2 + source, n_levels**2 + n + target])
    design = np.zeros((len(source), n_levels**2 + 2 * n))
    design[np.tile(np.arange(len(source)), 3), columns] = 1
    if np.linalg.matrix_rank(design) < n_levels**2 + 2 * (n - n_levels):
        sizes = np.bincount(level).tolist()
        raise ImpossibleAnalysis(
            f"levels of {sizes} networks are too small for scores of single networks: they take two networks "
            f"in each level, and three where there is one level only"
        )
    solution = np.linalg.pinv(design)
    cells, a, b = np.split(solution, [n_levels**2, n_levels**2 + n])
    average = np.equal.outer(np.arange(n_levels), level) / np.bincount(level)[:, np.newaxis]
    cells = cells.reshape(n_levels, n_levels, -1) + (average @ a)[:, np.newaxis] + average @ b
    rows = cells.mean(axis=1)[level] + a - (average @ a)[level]
    cols = cells.mean(axis=0)[level] + b - (average @ b)[level]
    return tuple(_on_all_pairs(w, part, source, target, len(groups)) for w in (rows, cols))  # type: ignore[return-value]


def _on_all_pairs(weights: np.ndarray, part: np.ndarray, source: np.ndarray, target: np.ndarray, n: int) -> np.ndarray:
    full = np.full((n, n, n), np.nan)
    full[part] = 0.0
    full[part[:, np.newaxis], part[source], part[target]] = weights
    return full.reshape(n, n * n)


def node_scores(matrix: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score of each network as source and as target, (network, fraction); NaN for networks that take no part.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images. The diagonal and networks that take no part may be NaN.
    groups : ndarray of int, (network,)
        As for `node_operator`.

    Examples
    --------
    >>> matrix = np.array([[np.nan, 3, 3], [1, np.nan, 1], [2, 2, np.nan]])[..., np.newaxis]
    >>> node_scores(matrix, np.array([0, 0, 0]))[0].ravel()
    array([3., 1., 2.])
    """
    source, target = node_operator(groups)
    part = groups >= 0
    used = np.outer(part, part) & ~np.eye(len(groups), dtype=bool)
    flat = np.where(used[..., np.newaxis], matrix, 0.0).reshape(len(groups) ** 2, -1)
    return source @ flat, target @ flat


@dataclass(frozen=True)
class Omnibus:
    """Label-permutation tests over all levels of an axis; p-values are (fraction,).

    Attributes
    ----------
    p_source, p_target : ndarray
        Of no difference between levels as sources, and as targets.
    p_gap : ndarray
        Of no difference between pairs within and between levels.
    exact : bool
        Whether all labelings were tried.
    n_labelings : int
        How many were.
    min_p_levels, min_p_gap : float
        The smallest p that this design can reach: for sources and targets, and for the gap.
    """

    p_source: np.ndarray
    p_target: np.ndarray
    p_gap: np.ndarray
    exact: bool
    n_labelings: int
    min_p_levels: float
    min_p_gap: float


def omnibus(
    matrix: np.ndarray,
    groups: np.ndarray,
    strata: np.ndarray,
    *,
    n_resamples: int,
    rng: np.random.Generator,
    max_exact: int = 20_000,
) -> Omnibus:
    """Do any of K levels differ? Permutes the labels of networks within strata (sharp null).

    The statistics are computed anew for each labeling, from cell means averaged over strata: the sum of
    squared deviations of the levels' unweighted row means (source) or column means (target), and the mean
    within levels minus the mean between them (gap). With two levels they are the label swap's source effect,
    target effect and gap.

    Parameters
    ----------
    matrix : ndarray, (source, target, fraction)
        Mean scores over images; the diagonal is not used.
    groups : ndarray of int, (network,)
        Level of each network.
    strata : ndarray of int, (network,)
        -1 takes no part.

    Raises
    ------
    ImpossibleAnalysis
        A level has fewer than two networks in a stratum.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> levels = np.repeat([0, 1, 2], 3)
    >>> matrix = rng.random((9, 9, 1)) + levels[:, np.newaxis, np.newaxis]
    >>> result = omnibus(matrix, levels, np.zeros(9, int), n_resamples=999, rng=rng)
    >>> result.n_labelings, bool(result.p_source[0] == result.min_p_levels)
    (1680, True)
    """
    kinds = np.unique(groups[strata >= 0])
    for s in np.unique(strata[strata >= 0]):
        sizes = [int(((groups == k) & (strata == s)).sum()) for k in kinds]
        if min(sizes) < 2:
            raise ImpossibleAnalysis(
                f"stratum {s} holds {sizes} networks of the {len(kinds)} levels: a comparison of all levels "
                f"takes two of each. Leave the stratum out (-1), or compare pairs"
            )
    rows, exact = _relabelings(groups, strata, n_resamples, rng, max_exact)
    onehot = (rows[:, np.newaxis] == kinds[:, np.newaxis]).astype(np.float64)
    means, tiny = _stratified_means(matrix, onehot, strata)
    source, target, gap = (swap_p(_without_rounding(t, tiny), exact) for t in _omnibus_statistics(means))
    levels_floor, gap_floor = _floors(groups, strata, len(rows), exact)
    return Omnibus(source, target, gap, exact, len(rows), levels_floor, gap_floor)


def _omnibus_statistics(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n_levels = means.shape[1]
    source, target = means.mean(axis=2), means.mean(axis=1)
    within = np.einsum("paaf->pf", means) / n_levels
    between = (means.sum(axis=(1, 2)) - n_levels * within) / (n_levels * (n_levels - 1))
    sizes = [np.sqrt(((m - m.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)) for m in (source, target)]
    return *sizes, within - between  # type: ignore[return-value]


def hedges_g(scores: np.ndarray, groups: np.ndarray) -> float:
    """Standardised difference of node scores, even groups minus odd groups, averaged over pairs of groups.

    In units of the standard deviation within groups (pooled), with the correction for few networks (Hedges
    1981, doi:10.3102/10769986006002107).

    Parameters
    ----------
    scores : ndarray, (network,)
        Node scores, or their difference.
    groups : ndarray of int, (network,)
        2 x stratum for the first level, 2 x stratum + 1 for the second; -1 takes no part.

    Returns
    -------
    float
        NaN where no group has two networks, or networks within groups do not differ.

    Examples
    --------
    >>> hedges_g(np.array([3.0, 4.0, 5.0, 1.0, 2.0, 3.0]), np.array([0, 0, 0, 1, 1, 1]))
    1.6
    """
    used, sizes = np.unique(groups[groups >= 0], return_counts=True)
    means = np.array([scores[groups == g].mean() for g in used])
    squares = sum(((scores[groups == g] - mean) ** 2).sum() for g, mean in zip(used, means, strict=True))
    df = int((sizes - 1).sum())
    largest = np.abs(scores[groups >= 0]).max()
    if df == 0 or not squares > (_EPS * len(scores) * largest) ** 2:
        return float("nan")
    difference = means[used % 2 == 0].mean() - means[used % 2 == 1].mean()
    return float(difference / np.sqrt(squares / df) * (1 - 3 / (4 * df - 1)))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment over all p-values of an array. NaN stay NaN and do not count.

    Examples
    --------
    >>> holm(np.array([0.01, np.nan, 0.04]))
    array([0.02,  nan, 0.04])
    """
    from statsmodels.stats.multitest import multipletests  # takes a second to import

    p = np.asarray(p, float)
    adjusted, known = np.full(p.shape, np.nan), ~np.isnan(p)
    if known.any():
        adjusted[known] = multipletests(p[known], method="holm")[1]
    return adjusted


def normalised_scores(
    scores: np.ndarray, floor: np.ndarray, full: np.ndarray, ratio: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """Scores on each target's own scale: 0 is its score on control masks, 1 on whole images.

    A ratio of means is not a mean of ratios, so each image gets the ratio plus its influence on it
    (delete-one, to first order). The mean over all images is the ratio exactly; the variance over images
    includes estimating floor and ceiling.

    Parameters
    ----------
    scores : ndarray, (source, target, fraction, image)
        A block of images.
    floor : ndarray, (target, fraction, image)
        Scores on control masks of the same area.
    full : ndarray, (target, image)
        Scores on whole images.
    ratio : ndarray, (source, target, fraction)
        (mean score - mean floor) / span, over all images.
    span : ndarray, (target, fraction)
        Mean full - mean floor, over all images.

    Returns
    -------
    ndarray, (source, target, fraction, image)
        NaN where a score is NaN.

    Raises
    ------
    ImpossibleAnalysis
        A target does no better on whole images than on control masks: the scale has no length.

    Examples
    --------
    >>> scores, floor, full = np.full((1, 1, 1, 2), 0.6), np.full((1, 1, 2), 0.2), np.full((1, 2), 1.0)
    >>> normalised_scores(scores, floor, full, np.full((1, 1, 1), 0.5), np.full((1, 1), 0.8))[0, 0, 0]
    array([0.5, 0.5])
    """
    if not (span > 0).all():
        k, f = np.argwhere(~(span > 0))[0]
        raise ImpossibleAnalysis(
            f"{(~(span > 0)).sum()} target(s) x fraction(s) score no higher on whole images than on control "
            f"masks (target {k}, fraction {f}: {span[k, f]:+.3g}): nothing to normalise by. Drop these "
            f"fractions, or do not normalise"
        )
    above = scores.astype(np.float64) - floor
    whole = full[:, np.newaxis] - floor.astype(np.float64)
    slope = ratio[..., np.newaxis]
    return slope + (above - slope * whole) / span[..., np.newaxis]


@dataclass(frozen=True)
class Components:
    """Variances of the difference K = Y[a, b] - Y[b, a] between both directions, per pair and image.

    Attributes
    ----------
    s2u, s2v : float
        Between networks of the first level, and of the second.
    s2K : float
        Between pairs of networks, beyond both.
    s2uI, s2vI : float
        Networks of the first (second) level x images.
    s2e : float
        Pairs x images, and error.
    s2CI : float
        Between images, common to all networks.
    floored : tuple of str
        Components estimated below 0, and set to 0.
    """

    s2u: float
    s2v: float
    s2K: float
    s2uI: float
    s2vI: float
    s2e: float
    s2CI: float
    floored: tuple[str, ...] = ()


def variance_components(ab: np.ndarray, ba: np.ndarray) -> Components:
    """Variance components of the asymmetry in a pilot: expected mean squares of a three-way random ANOVA.

    Parameters
    ----------
    ab : ndarray, (network of A, network of B, image)
        Scores of targets B with maps of sources A.
    ba : ndarray, (network of B, network of A, image)
        Scores of targets A with maps of sources B.

    Raises
    ------
    ImpossibleAnalysis
        Fewer than two networks in a level, or two images.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ab, ba = rng.standard_normal((2, 8, 8, 200))
    >>> round(variance_components(ab, ba).s2e, 1)
    2.0
    """
    k = ab.astype(np.float64) - ba.astype(np.float64).swapaxes(0, 1)
    if min(k.shape) < 2:
        raise ImpossibleAnalysis(
            f"a pilot of {k.shape[0]} and {k.shape[1]} networks and {k.shape[2]} image(s) is too small: "
            f"variance components take two of each"
        )
    square = {axes: _mean_square(k, axes) for r in (1, 2, 3) for axes in itertools.combinations(range(3), r)}
    n_u, n_v, n_i = k.shape
    e, s, t, i = square[0, 1, 2], square[0, 1], square[0, 2], square[1, 2]
    raw = {
        "s2u": (square[0,] - s - t + e) / (n_v * n_i),
        "s2v": (square[1,] - s - i + e) / (n_u * n_i),
        "s2K": (s - e) / n_i,
        "s2uI": (t - e) / n_v,
        "s2vI": (i - e) / n_u,
        "s2e": e,
        "s2CI": (square[2,] - t - i + e) / (n_u * n_v),
    }
    floored = tuple(name for name, value in raw.items() if value < 0)
    return Components(**{name: max(float(value), 0.0) for name, value in raw.items()}, floored=floored)


def _mean_square(k: np.ndarray, axes: tuple[int, ...]) -> float:
    """Mean square of a main effect or an interaction in a full crossing."""
    effect = k
    for axis in range(3):
        mean = effect.mean(axis=axis, keepdims=True)
        effect = effect - mean if axis in axes else mean
    repeats = math.prod(k.shape[axis] for axis in range(3) if axis not in axes)
    return repeats * float((effect**2).sum()) / math.prod(k.shape[axis] - 1 for axis in axes)
