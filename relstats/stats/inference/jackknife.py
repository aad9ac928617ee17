"""Inference over crossed networks and images: the two-way jackknife. Plain arrays in and out.

Scores are `Y[m, k, ..., i]`: target network k on image i, masked with source network m's map; or
the similarity of the maps of m and k. Self pairs (m = k) are never used. The question is the weak
null: is the contrast zero for networks like these and images like these? Whether labels are
irrelevant on these images (the sharp null) is asked in `swaps`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from relstats.errors import UsageError
from relstats.stats.inference.moments import Moments
from relstats.stats.inference.population import why_fixed

#: Of the two-way jackknife, as a method's text cites it.
REFERENCE = (
    "networks x images jackknife as in Gallas 2006 (doi:10.1016/j.acra.2005.12.011), degrees of"
    " freedom after Satterthwaite 1946 (doi:10.2307/3002019)"
)


@dataclass(frozen=True)
class Jackknife:
    """Estimate, interval and tests of a contrast: arrays (fraction + 1,), the last the mean over
    fractions.

    Attributes
    ----------
    estimate, variance, standard_error, statistic, df, p_value, lower, upper : ndarray
        In units of the score. `p_value` is two-sided, of the null that the contrast is 0. All but
        the estimate are NaN where networks are not random (see `untested`).
    variance_networks, variance_images, variance_interaction : ndarray
        Parts of `variance` = networks + images - interaction, and at least the larger of the first
        two. NaN where the design cannot estimate one.
    p_equivalence : ndarray
        Two one-sided tests that the contrast lies within the margin. NaN without a margin.
    lower_these_networks, upper_these_networks : ndarray
        Interval over images alone, for these networks and no others. NaN where networks are random.
    networks_random, images_random : bool
        Whether the interval speaks for other networks, and for other images.
    untested : str
        Why there is no p: networks are not random. Empty where they are.
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
    lower_these_networks: np.ndarray
    upper_these_networks: np.ndarray
    networks_random: bool
    images_random: bool
    untested: str = ""

    @property
    def random(self) -> str:
        """What the interval generalizes to, in words."""
        kinds = ["networks"] * self.networks_random + ["images"] * self.images_random
        return " and ".join(kinds) or "nothing"


def unknown(n: int = 1) -> Jackknife:
    """Of n values where nothing was measured: NaN."""
    return Jackknife(*(np.full(n, np.nan),) * 14, networks_random=False, images_random=False)


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
        With fewer than two networks in a group (three where pairs within the group count) the
        variance over networks cannot be estimated, and with two in one of unequal groups it is
        not known well enough. Then there is no test (`networks_random` is False, `untested` says
        why): a p over images, of networks that happen to differ, would be read as one of networks
        like these. With one image it is for this image, over networks only (`images_random` is
        False). Scores without any variance give p = 1 where the contrast is 0 and NaN where it is
        not: never a number below 1.

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
    >>> from relstats.stats.inference.moments import block_moments
    >>> from relstats.stats.inference.operators import contrast_operator, effect_weights
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
    images = moments.count > 1
    untested = why_fixed(sizes, np.isnan(v_groups).any(axis=1))
    if untested:
        variance, parts = v_images, []
    elif images:
        variance = np.maximum(v_networks + v_images - v_both, np.maximum(v_networks, v_images))
        parts = _network_parts(v_groups, sizes, df)
    else:
        variance, parts = v_networks, _network_parts(v_groups, sizes, df)
    if images:
        parts.append((v_images, moments.count - 1))
    mean = moments.mean[operator_index]
    nothing = (variance == 0) & (np.abs(mean) <= moments.rounding[operator_index])
    estimate = np.where(nothing, 0.0, mean)
    tests = _t_tests(estimate, variance, _degrees_of_freedom(variance, parts), confidence, margin)
    return Jackknife(
        estimate=estimate,
        variance_networks=v_networks,
        variance_images=v_images,
        variance_interaction=v_both,
        networks_random=not untested,
        images_random=images,
        untested=untested,
        **_of_these_networks(tests) if untested else tests,
    )


def _network_parts(
    v_groups: np.ndarray, sizes: np.ndarray, df: str
) -> list[tuple[np.ndarray, int]]:
    """Parts of the variance over networks, with their degrees of freedom."""
    if df == "pooled":
        return [(v_groups.sum(axis=0), int((sizes - 1).sum()))]
    return list(zip(v_groups, (sizes - 1).tolist(), strict=True))


def _of_these_networks(tests: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Only the interval is kept, under its own name."""
    nothing = {name: np.full_like(values, np.nan) for name, values in tests.items()}
    return nothing | {
        "lower_these_networks": tests["lower"],
        "upper_these_networks": tests["upper"],
    }


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
    unknown_bounds = np.full_like(estimate, np.nan)
    return {
        "variance": variance,
        "standard_error": error,
        "statistic": statistic,
        "df": df,
        "p_value": np.where(
            (variance == 0) & (estimate == 0), 1.0, 2 * stats.t.sf(np.abs(statistic), df)
        ),
        "lower": estimate - reach,
        "upper": estimate + reach,
        "p_equivalence": stats.t.sf((room - np.abs(estimate)) / some, df),
        "lower_these_networks": unknown_bounds,
        "upper_these_networks": unknown_bounds,
    }
