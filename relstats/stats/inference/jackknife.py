"""Inference over crossed networks and images: the two-way jackknife. Plain arrays in and out.

Scores are `Y[m, k, ..., i]`: target network k on image i, masked with source network m's map; or
the similarity of the maps of m and k. Self pairs (m = k) are never used. The question is the weak
null: is the contrast zero for networks like these and images like these? Whether labels are
irrelevant on these images (the sharp null) is asked in `swaps`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError

#: Effects of a first level A against a second level B, as weights of the cell means [[AA, AB], [BA,
#: BB]]. Row: level of the source; column: level of the target. Asymmetry = source effect - target
#: effect.
_WEIGHTS = {
    "asymmetry": ((0.0, 1.0), (-1.0, 0.0)),
    "source_effect": ((0.5, 0.5), (-0.5, -0.5)),
    "target_effect": ((0.5, -0.5), (0.5, -0.5)),
    "specificity": ((0.5, -0.5), (-0.5, 0.5)),
    "own_level_difference": ((1.0, 0.0), (0.0, -1.0)),
}


EFFECTS = tuple(_WEIGHTS)


#: Of the two-way jackknife, as a method's text cites it.
REFERENCE = (
    "networks x images jackknife as in Gallas 2006 (doi:10.1016/j.acra.2005.12.011), degrees of"
    " freedom after Satterthwaite 1946 (doi:10.2307/3002019)"
)
EPS = float(np.finfo(np.float64).eps)


CHUNK = 2**17  # float64 numbers worked on at a time: they stay in the processor's cache


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
    """A contrast of cell means as a linear functional of the scores, and the same with each network
    deleted.

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
    pairs = n_pairs(member.sum(axis=0))
    if ((weights != 0) & (pairs == 0)).any():
        a, b = np.argwhere((weights != 0) & (pairs == 0))[0]
        raise ImpossibleAnalysis(
            f"the cell of sources in group {a} ({member[:, a].sum()} networks) and targets in group"
            f" {b} ({member[:, b].sum()}) holds no pair of two networks, so its mean does not"
            " exist. Add networks, or leave this contrast out"
        )
    apart = ~np.eye(len(groups), dtype=bool)
    estimate = _spread(weights, pairs, member) * apart
    without = _spread(weights, n_pairs(member.sum(axis=0) - member), member)
    # A network that is deleted takes no part as source, nor as target.
    deleted = without * apart[:, :, np.newaxis] * apart[:, np.newaxis, :] * apart
    empty = np.isnan(without).any(axis=(1, 2))
    deleted[empty] = np.nan
    return Operator(groups, estimate, deleted)


def n_pairs(sizes: np.ndarray) -> np.ndarray:
    """Ordered pairs of two networks in each cell: (..., G) to (..., G, G)."""
    self_pairs = sizes[..., np.newaxis] * np.eye(sizes.shape[-1], dtype=int)
    return sizes[..., :, np.newaxis] * sizes[..., np.newaxis, :] - self_pairs


def _spread(weights: np.ndarray, pairs: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Share a cell's weight out to its pairs: (..., G, G) to (..., network, network).

    NaN if it has none.
    """
    n = len(weights)
    each = np.zeros(
        (*pairs.shape[:-2], n + 1, n + 1)
    )  # one more group for networks that take no part
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
        Sum over images and networks of the squared deviations of the contrast without one network,
        both from its mean over images and from its group's mean on the image.
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
    rounding = EPS * used.size * size[:, np.newaxis] * largest
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


def _project(
    scores: np.ndarray, weights: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The functionals on each image (fraction + 1, row, image), the mean matrix, the largest score
    in use.
    """
    n_networks, _, n_fractions, n_images = scores.shape
    values = np.empty((n_fractions + 1, len(weights), n_images))
    sums, largest = np.zeros((n_fractions, used.size)), np.zeros(n_fractions + 1)
    width = max(16, CHUNK // used.size)
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
        first = "; ".join(
            f"source {m}, target {k}, fraction {f}, image {i}" for m, k, f, i in where[:3]
        )
        raise InvalidData(
            f"{len(where)} of {used.sum() * scores[0, 0].size} scores are NaN or infinite in this"
            f" block of images ({first}): a mean over them does not exist. Mend them, or leave"
            " these images out for all networks"
        )


def _operator_moments(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean, m2, mean and (by group) m2 without each network, of values (fraction + 1, row,
    image).
    """
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
    return np.array(
        [np.concatenate([part, np.zeros((longest - len(part), *part.shape[1:]))]) for part in parts]
    )


def merge_moments(blocks: Sequence[Moments]) -> Moments:
    """Moments over the images of all blocks, merged in the given order (Chan, Golub & LeVeque
    1983).

    Raises
    ------
    ImpossibleAnalysis
        No block.
    """
    if not blocks:
        raise ImpossibleAnalysis(
            "there is no block of images to merge: without images nothing can be estimated"
        )
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
    """Estimate, interval and tests of a contrast: arrays (fraction + 1,), the last the mean over
    fractions.

    Attributes
    ----------
    estimate, variance, standard_error, statistic, df, p_value, lower, upper : ndarray
        In units of the score. `p_value` is two-sided, of the null that the contrast is 0.
    variance_networks, variance_images, variance_interaction : ndarray
        Parts of `variance` = networks + images - interaction, and at least the larger of the first
        two. NaN where the design cannot estimate one.
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

    @property
    def random(self) -> str:
        """What the interval generalizes to, in words."""
        kinds = ["networks"] * self.networks_random + ["images"] * self.images_random
        return " and ".join(kinds) or "nothing"


def unknown(n: int = 1) -> Jackknife:
    """Of n values where nothing was measured: NaN."""
    return Jackknife(*(np.full(n, np.nan),) * 12, networks_random=False, images_random=False)


def two_way_jackknife(
    moments: Moments,
    operator_index: int,
    *,
    confidence: float = 0.95,
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
    confidence : float
        Confidence level of the interval.
    df : {"satterthwaite", "pooled"}
        Degrees of freedom. "pooled" has more power; it needs equal group sizes and groups whose
        networks vary alike.
    margin : float or ndarray (fraction + 1,), optional
        Equivalence margin, at least 0, in units of the score.

    Returns
    -------
    Jackknife
        With fewer than two networks in a group (three where pairs within the group count), the
        variance over networks cannot be estimated: the result is for these networks, over images
        only (`networks_random` is False). With one image it is for this image, over networks only
        (`images_random` is False). With neither, all but the estimate is NaN. Scores without any
        variance give p = 1 where the contrast is 0 and NaN where it is not: never a number below 1.

    Raises
    ------
    UsageError
        `level`, `df` or `margin` out of range.

    Notes
    -----
    Delete-one jackknife over networks within groups, and over images; their sum counts the
    interaction twice, so it is taken off once, as for readers and cases in Gallas (2006,
    doi:10.1016/j.acra.2005.12.011). Degrees of freedom after Satterthwaite (1946,
    doi:10.2307/3002019). Needs nothing of labels, so it holds where levels differ in variance.

    Examples
    --------
    >>> scores = np.random.default_rng(1).random((6, 6, 1, 50))
    >>> scores[:3] += 0.2
    >>> operator = contrast_operator(np.array([0, 0, 0, 1, 1, 1]), effect_weights("source_effect"))
    >>> result = two_way_jackknife(block_moments(scores, [operator]), 0)
    >>> bool(result.lower[-1] < 0.2 < result.upper[-1]), bool(result.p_value[-1] < 0.05)
    (True, True)
    """
    _check_options(confidence, df, margin)
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
        **_t_tests(estimate, variance, _degrees_of_freedom(variance, parts), confidence, margin),
    )


def _check_options(confidence: float, df: str, margin: float | np.ndarray | None) -> None:
    if not 0 < confidence < 1:
        raise UsageError(
            f"confidence is {confidence}; a confidence level lies between 0 and 1, such as 0.95"
        )
    if df not in ("satterthwaite", "pooled"):
        raise UsageError(f"df is {df!r}; it is one of satterthwaite, pooled")
    if margin is not None and not (np.asarray(margin) >= 0).all():  # nor NaN
        raise UsageError(
            f"margin is {margin}; an equivalence margin is not negative, in units of the score"
        )


def _variances(moments: Moments, o: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Variance over the networks of each group, over images, of their interaction.

    Sizes of the groups.
    """
    groups, deleted, tiny = moments.groups[o], moments.deleted_mean[o], moments.rounding[o]
    used, sizes = np.unique(groups[groups >= 0], return_counts=True)
    factors = ((sizes - 1) / sizes)[:, np.newaxis]
    squares = []
    for g in used:
        deviation = deleted[groups == g] - deleted[groups == g].mean(axis=0)
        deviation[np.abs(deviation) <= tiny] = 0.0
        squares.append((deviation**2).sum(axis=0))
    v_groups = factors * np.array(squares)
    v_both = (factors * _image_variance(moments.deleted_m2[o, used], moments.count, tiny)).sum(
        axis=0
    )
    v_both = np.where(np.isnan(v_groups).any(axis=0), np.nan, v_both)
    return v_groups, _image_variance(moments.m2[o], moments.count, tiny), v_both, sizes


def _image_variance(m2: np.ndarray, count: int, tiny: np.ndarray) -> np.ndarray:
    """Variance of a mean over images from the sum of squares.

    0 where the deviations are rounding error.
    """
    if count < 2:
        return np.full(m2.shape, np.nan)
    variance = m2 / (count - 1)
    return np.where(np.sqrt(variance) <= tiny, 0.0, variance / count)


def _degrees_of_freedom(variance: np.ndarray, parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Satterthwaite: V^2 / sum(part^2 / df of part), by shares, so that no scale overflows.

    NaN if V is 0.
    """
    inverse = np.zeros_like(variance)
    for part, df in parts:
        inverse += (
            np.divide(part, variance, out=np.zeros_like(variance), where=variance > 0) ** 2 / df
        )
    return np.divide(1.0, inverse, out=np.full_like(variance, np.nan), where=inverse > 0)


def _t_tests(
    estimate: np.ndarray,
    variance: np.ndarray,
    df: np.ndarray,
    confidence: float,
    margin: float | np.ndarray | None,
) -> dict[str, np.ndarray]:
    error = np.sqrt(variance)
    some = np.where(error > 0, error, np.nan)
    statistic = estimate / some
    reach = stats.t.ppf((1 + confidence) / 2, df) * some
    room = np.nan if margin is None else np.asarray(margin, float)
    return {
        "standard_error": error,
        "statistic": statistic,
        "df": df,
        "p_value": np.where(
            (variance == 0) & (estimate == 0), 1.0, 2 * stats.t.sf(np.abs(statistic), df)
        ),
        "lower": estimate - reach,
        "upper": estimate + reach,
        "p_equivalence": stats.t.sf((room - np.abs(estimate)) / some, df),
    }


def normalised_scores(
    scores: np.ndarray, floor: np.ndarray, full: np.ndarray, ratio: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """Scores on each target's own scale: 0 is its score on control masks, 1 on whole images.

    A ratio of means is not a mean of ratios, so each image gets the ratio plus its influence on it
    (delete-one, to first order). The mean over all images is the ratio exactly; the variance over
    images includes estimating floor and ceiling.

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
    >>> scores, floor, full = (
    ...     np.full((1, 1, 1, 2), 0.6),
    ...     np.full((1, 1, 2), 0.2),
    ...     np.full((1, 2), 1.0),
    ... )
    >>> normalised_scores(scores, floor, full, np.full((1, 1, 1), 0.5), np.full((1, 1), 0.8))[
    ...     0, 0, 0
    ... ]
    array([0.5, 0.5])
    """
    if not (span > 0).all():
        k, f = np.argwhere(~(span > 0))[0]
        raise ImpossibleAnalysis(
            f"{(~(span > 0)).sum()} target(s) x fraction(s) score no higher on whole images than on"
            f" control masks (target {k}, fraction {f}: {span[k, f]:+.3g}): nothing to normalise"
            " by. Drop these fractions, or do not normalise"
        )
    above = scores.astype(np.float64) - floor
    whole = full[:, np.newaxis] - floor.astype(np.float64)
    slope = ratio[..., np.newaxis]
    return slope + (above - slope * whole) / span[..., np.newaxis]
