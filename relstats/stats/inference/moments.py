"""Moments of scores over networks and images, block by block: all that the jackknife needs.

Plain arrays in and out.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relstats.errors import ImpossibleAnalysis, InvalidData
from relstats.stats.inference.operators import Operator

EPS = float(np.finfo(np.float64).eps)

CHUNK = 2**17  # float64 numbers worked on at a time: they stay in the processor's cache


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
    >>> from relstats.stats.inference.jackknife import two_way_jackknife
    >>> from relstats.stats.inference.operators import contrast_operator, effect_weights
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
