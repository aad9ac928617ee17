"""Random draws with planted effects: arrays of maps and of transfer scores.

Relevance maps are smooth fields made like LRP maps: mostly positive, many exact zeros, ties, no
common scale. Transfer scores follow the social relations model (Warner, Kenny & Stoto 1979) crossed
with images: an effect of the source, of the target, of the pair, and each of them by image. Default
variances are those of LRP maps of 80 networks trained on digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class Planted:
    """What is planted on the first axis, and how much everything else varies.

    Effects and standard deviations of transfer scores are in units of probability; those of maps
    are shares of the variance of a latent field, so that `layout + image + level` is the latent
    correlation of two seeds of one model.
    """

    source_effect: float = 0.06
    target_effect: float = 0.04
    specificity: float = 0.08
    base: float = 0.45
    full: float = 0.95
    floor: float = 0.2
    sd_image: float = 0.08
    sd_source: float = 0.02
    sd_target: float = 0.02
    sd_pair: float = 0.015
    sd_source_image: float = 0.06
    sd_target_image: float = 0.05
    sd_level_image: float = 0.03
    sd_cell_image: float = 0.02
    sd_residual: float = 0.06
    correlation: float = 0.27
    reciprocity: float = 0.24
    layout: float = 0.2
    image: float = 0.35
    level: float = 0.15
    network: float = 0.05
    zeros: float = 0.4
    ties: int = 255
    negative: float = 0.3
    shared_pixels: float = 0.0

    def effects(self) -> dict[str, float]:
        """The estimates that `compare` should find on the first axis, at the first level against
        the last.
        """
        source, target = self.source_effect, self.target_effect
        return {
            "asymmetry": source - target,
            "source_effect": source,
            "target_effect": target,
            "specificity": self.specificity,
            "own_level_difference": source + target,
        }


def draw(distribution: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random numbers of mean 0 and variance 1: "normal", "t3" (heavy tails), "exponential" (skew)
    or "collapse".

    In "collapse", 15 % of the draws fail: they lie 2.5 units lower, as networks do whose training
    broke down.

    Examples
    --------
    >>> draw("normal", (2, 3), np.random.default_rng(1)).shape
    (2, 3)
    """
    if distribution == "normal":
        return rng.standard_normal(shape)
    if distribution == "t3":
        return rng.standard_t(3, shape) / np.sqrt(3)
    if distribution == "exponential":
        return rng.exponential(size=shape) - 1
    failed, spread = 0.15, 0.35
    sd = np.sqrt(failed * (1 - failed) * 2.5**2 + spread**2)
    return (
        -2.5 * (rng.random(shape) < failed) + 2.5 * failed + spread * rng.standard_normal(shape)
    ) / sd


def fixed_effects(levels: np.ndarray, planted: Planted) -> np.ndarray:
    """Planted means of (source, target), relative to their mean: (network, network), in units of
    the score.

    Examples
    --------
    >>> effects = fixed_effects(
    ...     np.array([0, 1]), Planted(source_effect=0.2, target_effect=0, specificity=0)
    ... )
    >>> (effects[0, 1] - effects[1, 0]).round(3).tolist()
    0.2
    """
    position = np.where(levels.max() > 0, 1 - 2 * levels / max(1, levels.max()), 0.0)
    same = np.where(levels[:, np.newaxis] == levels, 1.0, -1.0)
    return (
        planted.source_effect / 2 * position[:, np.newaxis]
        + planted.target_effect / 2 * position
        + planted.specificity / 2 * same
    )


def network_effects(
    levels: np.ndarray,
    planted: Planted,
    rng: np.random.Generator,
    *,
    distribution: str = "normal",
    spread: float = 1.0,
) -> np.ndarray:
    """Random effects of sources, targets and pairs: (network, network), the same for every image.

    `spread` is the ratio of the standard deviations of level 0 and the others. A network that is a
    good source tends to be a good target (`planted.correlation`), and a pair resembles its reverse
    (`planted.reciprocity`).

    Examples
    --------
    >>> network_effects(np.array([0, 0, 1]), Planted(), np.random.default_rng(1)).shape
    (3, 3)
    """
    n = levels.size
    good, other = draw(distribution, (2, n), rng)
    scale = np.where(levels == 0, spread, 1.0) / np.sqrt((spread**2 + 1) / 2)
    target = planted.correlation * good + np.sqrt(1 - planted.correlation**2) * other
    upper, own = np.triu(rng.standard_normal((n, n)), 1), np.tril(rng.standard_normal((n, n)), -1)
    pair = upper + planted.reciprocity * upper.T + np.sqrt(1 - planted.reciprocity**2) * own
    return (
        planted.sd_source * (scale * good)[:, np.newaxis]
        + planted.sd_target * scale * target
        + planted.sd_pair * pair
    )


def image_effects(
    levels: np.ndarray, planted: Planted, n_images: int, rng: np.random.Generator
) -> np.ndarray:
    """Random effects of images, and of sources, targets, levels and cells by image: (network,
    network, image).

    Examples
    --------
    >>> image_effects(np.array([0, 0, 1]), Planted(), 7, np.random.default_rng(1)).shape
    (3, 3, 7)
    """
    n, k = levels.size, int(levels.max()) + 1
    source = planted.sd_source_image * rng.standard_normal((n, n_images))
    target = planted.sd_target_image * rng.standard_normal((n, n_images))
    source += planted.sd_level_image * rng.standard_normal((k, n_images))[levels]
    target += planted.sd_level_image * rng.standard_normal((k, n_images))[levels]
    cell = (
        planted.sd_cell_image * rng.standard_normal((k, k, n_images))[levels[:, np.newaxis], levels]
    )
    return source[:, np.newaxis] + target + cell + planted.sd_image * rng.standard_normal(n_images)


def curve(fractions: np.ndarray, planted: Planted) -> np.ndarray:
    """Mean score at each fraction of pixels kept: `base` on average, a little higher where more is
    kept.

    Examples
    --------
    >>> curve(np.array([0.1, 0.3]), Planted(base=0.5)).round(2).tolist()
    [0.49, 0.51]
    """
    return planted.base + 0.1 * (fractions - fractions.mean())


def observed(score: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A latent score as what is measured: probability of the true class, margin and whether the
    answer is right.

    Examples
    --------
    >>> {k: v.dtype.name for k, v in observed(np.array([0.2]), np.random.default_rng(1)).items()}
    {'correct': 'uint8', 'probability': 'float16', 'margin': 'float16'}
    """
    probability = np.clip(score, 0, 1)
    return {
        "correct": (rng.random(score.shape) < probability).astype(np.uint8),
        "probability": probability.astype(np.float16),
        "margin": (2 * score - 1).astype(np.float16),
    }


def fields(n: int, size: int, rng: np.random.Generator, *, smooth: float = 1 / 16) -> np.ndarray:
    """Smooth random fields of unit variance on a torus: (n, y, x) float32.

    `smooth` is the width of the kernel / size.

    Examples
    --------
    >>> fields(2, 16, np.random.default_rng(1)).shape
    (2, 16, 16)
    """
    frequency = fft.fftfreq(size)[:, np.newaxis] ** 2 + fft.rfftfreq(size) ** 2
    gain = np.exp(-2 * (np.pi * smooth * size) ** 2 * frequency).astype(np.float32)
    kernel = fft.irfft2(gain, (size, size))
    noise = rng.standard_normal((n, size, size), dtype=np.float32)
    return (fft.irfft2(fft.rfft2(noise) * gain, (size, size)) / np.sqrt((kernel**2).sum())).astype(
        np.float32
    )


def shared_masks(
    n_images: int, size: int, planted: Planted, rng: np.random.Generator
) -> np.ndarray:
    """Where the planted shared pixels are: a disc a random place per image, bool (image, y, x)."""
    radius = size * np.sqrt(planted.shared_pixels / np.pi)
    centre = rng.uniform(radius, size - radius, (2, n_images, 1, 1))
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


def relevance(
    parts: Mapping[str, np.ndarray], shared: np.ndarray, planted: Planted, rng: np.random.Generator
) -> np.ndarray:
    """Maps of one network from the fields that it shares and noise of its own: float32 (image, y,
    x).

    Parameters
    ----------
    parts : mapping of str to ndarray
        Unit-variance fields by the name of their share in `planted`: "layout", "image", "level",
        "network".
    shared : ndarray of bool, (image, y, x)
        Pixels that every network finds relevant.
    planted : Planted
        Shares of variance; share of exact zeros, of negative size, number of distinct values a map.
    rng : numpy.random.Generator
        For the noise of this network on each image and the scale of each map.
    """
    n, size = shared.shape[0], shared.shape[-1]
    own = 1 - sum(getattr(planted, name) for name in parts)
    field = np.sqrt(max(0.0, own)) * fields(n, size, rng)
    for name, part in parts.items():
        field = field + np.sqrt(getattr(planted, name)) * part
    field = np.where(shared, field + 4, field)
    scale = np.exp(rng.standard_normal((n, 1, 1)))
    return (scale * _like_lrp(field, planted)).astype(np.float32)


def _like_lrp(field: np.ndarray, planted: Planted) -> np.ndarray:
    if planted.zeros:
        threshold = np.quantile(np.abs(field), planted.zeros, axis=(-2, -1), keepdims=True)
        field = np.sign(field) * np.maximum(np.abs(field) - threshold, 0)
    field = np.where(field < 0, planted.negative * field, field)
    if not planted.ties:
        return field
    step = np.abs(field).max(axis=(-2, -1), keepdims=True) / planted.ties
    return np.round(field / step) * step
