"""Shared pixels: which pixels of an image matter to nearly all networks, beyond what their maps
share on every image.

Labels in, labels out; the arrays are in `consensus`. Maps are read twice, in blocks of images: once
for each network's rate of every pixel, once for the swaps. The pixels themselves are read again
where they are asked for, or saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats import shared_pixels, shared_swaps, shared_tables, shared_text
from relstats.stats.described import Nan, check_options, described
from relstats.stats.maps import consensus as cores
from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps, Survey
from relstats.study import shards
from relstats.study.top_pixels import Consensus, Ranking


@described
def shared(
    study: xr.DataTree | xr.Dataset,
    *,
    fraction: float = 0.1,
    across: Sequence[str] = (),
    ranking: Ranking = "positive",
    consensus: Consensus = "most",
    baseline: xr.DataTree | xr.Dataset | None = None,
    confidence: float = 0.95,
    n_swaps: int = 999,
    nan: Nan = "raise",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Find the pixels of each image that nearly all networks find relevant, and test whether they
    are more than chance.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/relevance` group.
    fraction : float
        Share of the pixels of a map that count as relevant, in (0, 1].
    across : sequence of str
        Axes: shared in every combination of their levels. Each combination is a condition, and one
        with more seeds does not count more. Default: one condition, of all networks.
    ranking : {"positive", "absolute", "signed"}
        Of pixels, see `relstats.stats.maps.single.top_fractions`.
    consensus : {"all", "most", "majority"}
        The core set: pixels of all networks, of most (90 %), or of a majority. Those of all
        networks, of 90 % (rounded up), or of more than half (of each condition). Sizes and tests
        are given for all three; the choice is what `core` holds.
    baseline : DataTree or Dataset, optional
        Maps of the same images that no training made: of networks with random weights, or of edges.
    confidence : float
        Confidence level, and 1 - the level of tests.
    n_swaps : int
        Image swaps.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    rng : numpy.random.Generator
        One number is drawn from it.

    Returns
    -------
    xarray.Dataset
        On `consensus`: `estimate` (share of the pixels in the core set, mean over images) with
        `ci_these_networks`
        over images; `expected` under each `null`: "independence" (every network marks pixels
        anywhere), "image swap", and "baseline" where there is one; `p_value` (mean over images,
        image swap), `p_adjusted` (Holm over the three); `n_needed` networks of a condition.
        `excess`, the estimate less what the image swap gives, has `excess_ci_these_networks` over
        images, in which both vary.

        On `image`: `max_z`, the largest (count - mean) / spread over pixels, `p_max_z` (holds for
        all pixels of one image), `p_max_z_family` (for all pixels of all images), `p_max_z_bh`
        (false discovery rate over images); `core_size` (share of the pixels), `core_size_swapped`,
        `p_core`, `p_core_family`, `p_core_bh` on `consensus` as well.

        On `network`: `agreement` with the consensus of the other networks (share of those that also
        have a pixel of its mask), `agreement_swapped`, `p_network`, and `stability`: intersection
        over union of the core set with and without it. `n_sharing` networks agree beyond chance;
        `prevalence` and `prevalence_lower` say how many networks like these would. With `across`:
        `p_condition` on `consensus` and `condition` (only that condition's maps are swapped) and
        `p_every_condition`, the largest of them.

        Lazy, on `image`, `y`, `x`, read from the maps when they are asked for or saved: `count` of
        networks, `core` (bool, with attributes `fraction`, `ranking` and `consensus`) and
        `beyond_chance` (bool: z above `critical_z`, so that under the image swap an image has any
        such pixel in 1 - `level` of cases). `expected_count` and `spread` on `y`, `x`.

        NaN: images on which a map is NaN, all zero or constant, or has no pixel to rank, are left
        out and counted; networks without any map are left out too.

    Raises
    ------
    UsageError
        Unknown axis or option; too few swaps for the level.
    ImpossibleAnalysis
        One network, one image, or too few to reach the level.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps, with the cells; a baseline of
        other images.

    Notes
    -----
    The image swap takes, for each network on its own, the map of another image: what networks share
    on every image stays. It is exact for the null that maps do not depend on the image. See
    `docs/statistics.md` for its error rates.

    Examples
    --------
    >>> import relstats
    >>> planted = relstats.Planted(shared_pixels=0.05, image=0, level=0)
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=20, size=16, planted=planted, rng=np.random.default_rng(1)
    ... )
    >>> result = shared(study, rng=np.random.default_rng(1))
    >>> result["p_value"].values.tolist(), result["core"].sizes["image"]
    ([0.001, 0.001, 0.001], 20)
    """
    alpha = _alpha(confidence, n_swaps)
    maps = top_pixels.ranked_maps(study, fraction, ranking, across, nan)
    maps, survey, dead = top_pixels.without_dead(maps)
    kept = np.flatnonzero((survey.state == top_pixels.FINE).all(axis=0))
    _require_enough(maps, survey, kept, across)
    smallest = _smallest_p(maps, kept, n_swaps, alpha)
    expected = cores.layout(survey.inclusion / len(kept))
    found = shared_swaps.summed_swaps(
        maps, kept, expected, n_swaps, alpha, int(rng.integers(2**63))
    )
    result = (
        shared_tables.by_consensus(maps, found, confidence)
        .merge(shared_tables.by_image(maps, found, kept, alpha))
        .merge(shared_tables.by_network(maps, found, alpha, confidence))
    )
    if across:
        result = result.merge(shared_tables.by_condition(maps, found))
    if baseline is not None:
        result = shared_tables.with_baseline(result, maps, kept, baseline)
    result = result.merge(shared_pixels.lazy_maps(maps, kept, expected, result, consensus))
    return result.assign_attrs(
        min_p=smallest,
        method=shared_text.method(maps, len(kept), across, n_swaps),
        warnings=shared_text.notes(result, maps, survey, dead),
        n_networks_omitted=len(dead),
        n_images_omitted=sum(shared_text.omitted_images(survey)),
        population=(
            f"p-values and core sets: these {len(maps.networks)} networks on these {len(kept)}"
            " images; intervals: these networks on images like these; prevalence: networks like"
            " these"
        ),
    )


def describe(
    study: xr.DataTree | xr.Dataset,
    *,
    fraction: float,
    across: Sequence[str],
    ranking: str,
    n_swaps: int,
) -> str:
    """What `shared` would do, without doing it."""
    check_options(shared, ranking=ranking)
    maps = top_pixels.ranked_maps(study, fraction, ranking, across)
    images, swapped = len(maps.images), min(len(maps.images), top_pixels.GROUP)
    memory = (shards.BLOCK_VALUES * 4 + len(maps.networks) * swapped * maps.n_pixels / 8) / 1e6
    return (
        f"top {100 * fraction:g} % of {len(maps.networks)} networks' maps ({ranking}) on {images}"
        f" images, shared in {len(maps.sizes)} condition(s); {n_swaps} swaps among {swapped}"
        f" images at a time; blocks and masks of {memory:.0f} MB"
    )


def _alpha(confidence: float, n_swaps: int) -> Fraction:
    """The level of tests, exactly: shares of whole numbers of swaps depend on it."""
    alpha = 1 - Fraction(str(confidence))
    if Fraction(1, n_swaps + 1) > alpha:
        raise UsageError(
            f"n_swaps is {n_swaps}: {n_swaps} swaps cannot give p below {1 / (n_swaps + 1):.3g}, so"
            f" nothing could be significant at {float(alpha):g}. Give at least"
            f" {-(-1 // alpha) - 1}, better 999"
        )
    return alpha


def _require_enough(
    maps: RankedMaps, survey: Survey, kept: np.ndarray, across: Sequence[str]
) -> None:
    if len(maps.networks) < 2:
        raise ImpossibleAnalysis(
            f"{len(maps.networks)} network(s): a pixel is shared by two or more. Add networks"
        )
    if len(kept) < 2:
        nans, flat = shared_text.omitted_images(survey)
        raise ImpossibleAnalysis(
            f"{len(kept)} of {len(maps.images)} image(s) with a map of every network ({nans} with"
            f" NaN, {flat} with a map that is all zero or constant, or has no pixel to rank):"
            " chance is known from other images. Add images, or rank by another --ranking"
        )
    if across and len(maps.sizes) < 2:
        raise ImpossibleAnalysis(
            f"all networks are {maps.networks['condition'][0]!r} on {', '.join(across)}: pixels are"
            " shared across two or more levels. Leave --across out"
        )


def _smallest_p(maps: RankedMaps, kept: np.ndarray, n_swaps: int, alpha: Fraction) -> float:
    """Of one image: as many tuples of images as there are, or swaps.

    Of one network: as many orders of the images.
    """
    images = min(len(group) for group in top_pixels.groups(maps, kept))
    orders = float(np.prod(np.arange(1.0, min(images, 20) + 1)))
    smallest = max(1 / (n_swaps + 1), float(images) ** -len(maps.networks), 1 / orders)
    if smallest > float(alpha):
        raise ImpossibleAnalysis(
            f"with {len(maps.networks)} networks and {len(kept)} images no p can be below"
            f" {smallest:.3g}, so nothing could be significant at {float(alpha):g}. Add images"
        )
    return smallest
