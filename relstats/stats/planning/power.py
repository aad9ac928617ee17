"""How many networks and images: power of the networks x images jackknife for the asymmetry of two
levels.

More images shrink all that varies over images, but not how networks differ: no images replace
networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import xarray as xr
from scipy import optimize, stats

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats.inference.nodes import Components

_NODES = 64  # of Gauss-Legendre quadrature: power to 4 digits
_UNIT = 0.16  # standard deviation over images of the probability of the true class

#: LRP maps (10 % of the pixels kept) of 2 x 40 small networks trained on 8 x 8 digits; scores:
#: probabilities. In units of the standard deviation over images: sources 0.14, targets 0.125
#: (correlated 0.27), pairs 0.10 (reciprocity 0.24), sources x images 0.80, targets x images 0.50,
#: residual 0.67; levels x images 0.6 as sources and as targets, and 0.5 for a pair of levels.
DIGITS = Components(
    s2u=_UNIT**2 * (0.14**2 + 0.125**2 - 2 * 0.27 * 0.14 * 0.125),
    s2v=_UNIT**2 * (0.14**2 + 0.125**2 - 2 * 0.27 * 0.14 * 0.125),
    s2K=_UNIT**2 * 2 * 0.10**2 * (1 - 0.24),
    s2uI=_UNIT**2 * (0.80**2 + 0.50**2),
    s2vI=_UNIT**2 * (0.80**2 + 0.50**2),
    s2e=_UNIT**2 * 2 * 0.67**2,
    s2CI=_UNIT**2 * 2 * (0.6**2 + 0.6**2 + 0.5**2),
)


def power(
    effect: float,
    networks: int,
    images: int,
    components: Components = DIGITS,
    *,
    confidence: float = 0.95,
    df: str = "satterthwaite",
) -> float:
    """Probability that `inference.two_way_jackknife` finds an asymmetry.

    Parameters
    ----------
    effect : float
        True asymmetry, in units of the score.
    networks : int
        Networks in each of the two levels, at least 2.
    images : int
        At least 2.
    components : Components
        Of a pilot, from `nodes.variance_components`. Default: `DIGITS`. Other networks need their
        own.
    confidence : float
        1 - size of the test.
    df : {"satterthwaite", "pooled"}
        As in the planned analysis.

    Raises
    ------
    UsageError
        A number out of range.
    ImpossibleAnalysis
        All components are 0.

    Notes
    -----
    The estimate is normal; the variances that the test estimates over the networks of each level
    are scaled chi-squares, and power is integrated over them. A noncentral t with the expected
    variance and degrees of freedom promises too much: 64 % against 55 % simulated, with 3 networks.

    Examples
    --------
    >>> round(power(0.05, networks=5, images=1000), 2)
    0.66
    """
    return _power(effect, *_cutoffs(networks, images, components, confidence, df))


def detectable_effect(
    networks: int,
    images: int,
    components: Components = DIGITS,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    df: str = "satterthwaite",
) -> float:
    """The asymmetry that is found with a given power, in units of the score.

    Parameters
    ----------
    networks, images, components, level, df
        As for `power`.
    power : float
        At least twice the size of the test, and below 1.

    Raises
    ------
    UsageError
        A number out of range.
    ImpossibleAnalysis
        All components are 0.

    Examples
    --------
    >>> round(detectable_effect(networks=10, images=1000), 3)
    0.040
    """
    return _detectable(power, confidence, *_cutoffs(networks, images, components, confidence, df))


def detectable_d(networks: int, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """The difference of two levels, in standard deviations of networks, that a t test over networks
    finds.

    Parameters
    ----------
    networks : int
        Networks in each level, at least 2.
    power, confidence : float
        As for `detectable_effect`.

    Raises
    ------
    UsageError
        A number out of range.

    Examples
    --------
    >>> [round(detectable_d(n), 2) for n in (3, 5, 10)]
    [3.07, 2.02, 1.32]
    """
    _require_design(networks, 2, confidence)
    df = 2 * networks - 2
    quantiles, weights = _chi_square(df)
    cutoffs = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(quantiles)
    return float(_detectable(power, confidence, cutoffs, weights, 1.0) * np.sqrt(2 / networks))


def power_table(
    networks: Sequence[int],
    images: Sequence[int],
    effect: float | None = None,
    components: Components = DIGITS,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    df: str = "satterthwaite",
) -> xr.Dataset:
    """Detectable asymmetry of several designs, and their power for an effect.

    Parameters
    ----------
    networks, images : sequence of int
        Networks in each level; images.
    effect : float, optional
        True asymmetry, in units of the score. Without it, power is NaN.
    components, power, level, df
        As for `detectable_effect`.

    Returns
    -------
    xarray.Dataset
        `power` and `detectable_effect` on (`networks`, `images`).

    Examples
    --------
    >>> table = power_table([3, 5, 10], [50, 1000], effect=0.1)
    >>> table["power"].sel(networks=3).values.round(2)
    array([0.54, 0.82])
    """
    designs = [[_cutoffs(n, m, components, confidence, df) for m in images] for n in networks]
    found = [
        [np.nan if effect is None else _power(effect, *design) for design in row] for row in designs
    ]
    least = [[_detectable(power, confidence, *design) for design in row] for row in designs]
    attrs = {name: value for name, value in asdict(components).items() if name != "floored"}
    attrs |= {"statistic": "power", "confidence": confidence, "target_power": power, "df": df}
    attrs["method"] = (
        f"Power of the two-sided test of asymmetry at the {1 - confidence:.3g} level, by a"
        f" jackknife over networks and images (t, {df} degrees of freedom), from variance"
        f" components; detectable effects have power {power:g}."
    )
    if effect is not None:
        attrs["effect"] = effect
    dims = ("networks", "images")
    coords = {"networks": list(networks), "images": list(images)}
    return xr.Dataset({"power": (dims, found), "detectable_effect": (dims, least)}, coords, attrs)


def _power(effect: float, cutoffs: np.ndarray, weights: np.ndarray, error: float) -> float:
    beyond = stats.norm.sf((cutoffs - effect) / error) + stats.norm.cdf((-cutoffs - effect) / error)
    return float((weights * beyond).sum())


def _detectable(
    power: float, confidence: float, cutoffs: np.ndarray, weights: np.ndarray, error: float
) -> float:
    if not 2 * (1 - confidence) <= power < 1:
        least = f"{2 * (1 - confidence):.3g}"
        raise UsageError(f"power is {power}; aim for {least} or more, and less than 1, such as 0.8")

    def excess(units: float) -> float:
        return _power(units * error, cutoffs, weights, error) - power

    return error * float(optimize.brentq(excess, 0, cutoffs.max() / error + 10, rtol=1e-9))


def _cutoffs(
    networks: int, images: int, components: Components, confidence: float, df: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """Sizes of the estimate from which the test rejects, their probabilities, and the estimate's
    error.

    The cutoff is random: it depends on the variances over networks that are estimated within each
    level. The variance over images, from many more degrees of freedom, is taken as it is expected.
    """
    _require_design(networks, images, confidence)
    if df not in ("satterthwaite", "pooled"):
        raise UsageError(f"df is {df!r}; it is one of satterthwaite, pooled")
    v_first, v_second, v_images, v_both, error = _expected(components, networks, images)
    quantiles, weights = _chi_square(networks - 1)
    first, second = np.meshgrid(v_first * quantiles, v_second * quantiles)
    v_networks = first + second
    variance = np.maximum(v_networks + v_images - v_both, np.maximum(v_networks, v_images))
    parts = [first, second] if df == "satterthwaite" else [v_networks]
    inverse = sum((part / variance) ** 2 for part in parts) / (networks - 1) / (3 - len(parts))
    inverse = inverse + (v_images / variance) ** 2 / (images - 1)
    cutoffs = stats.t.ppf((1 + confidence) / 2, 1 / inverse) * np.sqrt(variance)
    return cutoffs, np.outer(weights, weights), error


def _expected(c: Components, n: int, images: int) -> tuple[float, float, float, float, float]:
    """Expected variances of the jackknife (two levels, images, interaction), and the true standard
    error.

    The jackknife counts the variance of pairs once with each level's networks: twice.
    """
    pair, image_pair = c.s2K / n**2, c.s2e / (n**2 * images)
    first, second = c.s2uI / (n * images), c.s2vI / (n * images)
    v_first = c.s2u / n + pair + first + image_pair
    v_second = c.s2v / n + pair + second + image_pair
    v_images = c.s2CI / images + first + second + image_pair
    error = (v_first + v_second - pair - image_pair + c.s2CI / images) ** 0.5
    if error == 0:
        raise ImpossibleAnalysis(
            "all variance components are 0, so any effect would be found. Use those of a pilot"
        )
    return v_first, v_second, v_images, first + second + 2 * image_pair, error


def _chi_square(df: int) -> tuple[np.ndarray, np.ndarray]:
    """Values, and their weights, of an estimated variance with expectation 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return stats.chi2.ppf((nodes + 1) / 2, df) / df, weights / 2


def _require_design(networks: int, images: int, confidence: float) -> None:
    if networks < 2 or images < 2:
        raise UsageError(
            f"{networks} networks in each level and {images} images: the test takes two of each or"
            " more"
        )
    if not 0 < confidence < 1:
        raise UsageError(
            f"confidence is {confidence}; a confidence level lies between 0 and 1, such as 0.95"
        )
