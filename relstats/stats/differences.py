"""Maps of differences: at which pixels do the networks of two levels differ, with control over all
pixels at once.

Labels in, labels out; the unit is the network. Mean maps come from `meanmaps`, every number from
`fields` and `clusters`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats import differences_text, pixel_tests
from relstats.stats.described import Nan, check_options, described
from relstats.stats.inference import contrasts, fields
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.fields import CORRECTIONS, Correction
from relstats.stats.inference.moderated import Variance
from relstats.stats.levels import Labelings, design, labelings
from relstats.stats.sources import mean_maps
from relstats.stats.sources.mean_maps import MeanMaps
from relstats.study import shards
from relstats.study.maps import BLOCKS_AT_ONCE, Maps, read_maps
from relstats.study.top_pixels import Ranking

_CLAIMS = {
    "p_max_t": "family-wise over pixels: each pixel with a small p differs",
    "p_bh": "false discovery rate over pixels: of all pixels with a small p, few do not differ",
    "p_tfce": (
        "family-wise: somewhere in the cluster around a pixel with a small p, levels differ; not at"
        " which pixels"
    ),
    "p_cluster": (
        "family-wise: somewhere in a cluster with a small p, levels differ; not at which of its"
        " pixels"
    ),
}


@described
def differences(
    study: xr.DataTree | xr.Dataset,
    *,
    axis: str,
    ranking: Ranking = "signed",
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    correction: Sequence[Correction] = CORRECTIONS,
    variance: Variance = "moderated",
    forming_p: float = 0.01,
    confidence: float = 0.95,
    n_swaps: int = 9999,
    nan: Nan = "raise",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Test at which pixels the mean maps of networks differ between the levels of an axis.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/relevance` group.
    axis : str
        Label of the models whose levels are compared, e.g. "pretrain". Every pair of its levels is
        a contrast, "a|b": a minus b.
    ranking : {"signed", "positive", "absolute"}
        What counts as relevance: itself, its positive part or its absolute value. Each map is
        divided by its mean absolute value, so that 1 is what evenly spread relevance gives.
    within : sequence of str, optional
        Axes at each level of which the contrast is taken, and then averaged. Labels are swapped
        within them. Default: every other axis that varies.
    pool : sequence of str
        Axes to mix: left out of `within`, so that networks that differ on them are mixed.
    correction : sequence of {"max-t", "tfce", "cluster", "bh"}
        How to correct for many pixels. The first three swap the labels of whole networks; "bh"
        needs no swap, and is what is left where there are too few networks for one.
    variance : {"moderated", "welch"}
        Variance over networks in `statistic`, `standard_error`, `df`, `ci`, `p_value` and `p_bh`:
        drawn towards that of all pixels, level by level (Smyth 2004, doi:10.2202/1544-6115.1027),
        or of each pixel by itself. Label swaps use the latter.
    forming_p : float
        Two-sided p of the t above which a pixel is in a cluster.
    confidence : float
        Confidence level; 1 - the level of tests.
    n_swaps : int
        Label swaps where they cannot be enumerated.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    rng : numpy.random.Generator
        For label swaps.

    Returns
    -------
    xarray.Dataset
        On `contrast`, `y`, `x`: `estimate`, pointwise `ci`, `statistic` (t over networks),
        `standard_error`, `df`, `p_value` (one pixel by itself). Over all pixels of a contrast:
        `p_max_t` (label swap, largest absolute t; holds for each pixel), `p_bh` (Benjamini &
        Hochberg), `p_tfce` (label swap, threshold-free cluster enhancement) and `cluster_label` (0
        in none, 1 the one of largest mass). The last two say that levels differ somewhere in a
        cluster, not where in it.

        On `contrast` x `cluster`: `p_cluster` (label swap, largest mass), `cluster_mass`,
        `cluster_size` (pixels), `cluster_sign`, `cluster_peak_y`, `cluster_peak_x`. On `contrast`:
        `peak_statistic`, the largest t of either sign, and its `peak_y`, `peak_x`;
        `largest_estimate`, `largest_y`, `largest_x` likewise; what is significant at 1 - `level`:
        `n_pixels_max_t`, `n_pixels_bh`, and of clusters `area_tfce` (pixels), `n_clusters`,
        `area_clusters` (pixels); `n_networks`, `n_labelings`, `min_p_swap`. On `level`, `y`, `x`:
        `level_mean`.

        NaN: images on which any network's map is NaN or has no relevance are left out for all
        networks, and networks without relevance on any image too, both counted in the attributes.
        `p_bh` of a contrast with 2 networks of a level in a stratum; with `variance="welch"`, also
        of unbalanced levels of fewer than 4.
        Pixels at which networks are all alike, or alike within both levels under some labeling,
        have an estimate and no test (`n_undefined`); they are in no cluster.

    Raises
    ------
    UsageError
        Unknown axis or option.
    ImpossibleAnalysis
        No label swap can reach the level, as with 3 networks against 3, or "bh" alone with too few
        networks for it: said before any map is read. One level only; axes that are confounded; no
        level with two networks; no image.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps.

    Notes
    -----
    Label swaps test the sharp null that labels are irrelevant on these images. See
    `docs/statistics.md`, "Maps of differences".

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=5, images=20, size=16, rng=np.random.default_rng(1)
    ... )
    >>> result = differences(study, axis="pretrain", rng=np.random.default_rng(1))
    >>> (
    ...     result["estimate"].sizes["y"],
    ...     int(result["n_labelings"][0]),
    ...     round(float(result["min_p_swap"][0]), 4),
    ... )
    (16, 252, 0.0079)
    """
    _check_options(correction, forming_p)
    maps = read_maps(study, "maps of differences need", nan=nan)
    swap = (correction, variance, confidence, n_swaps, rng)
    planned, pairs = _plan(maps.networks, axis, within, pool, *swap)
    found = mean_maps.mean_maps(maps, ranking)
    dead = found.dead
    if dead:
        maps = maps.without(dead)
        if maps.networks.empty:
            raise ImpossibleAnalysis(
                f"no network has {ranking} relevance on any image. Nothing can be compared"
            )
        planned, pairs = _plan(maps.networks, axis, within, pool, *swap)
        found = mean_maps.mean_maps(maps, ranking)
    if not found.tally.images:
        raise ImpossibleAnalysis(
            f"no image has a map of every network ({found.tally.omitted_nan} left out for NaN,"
            f" {found.tally.omitted_degenerate} for maps without {ranking} relevance). Nothing can"
            " be compared"
        )
    shape = maps.shape
    each = [
        pixel_tests.contrast_maps(
            found.maps, pair, shape, correction, variance, forming_p, confidence
        )
        for pair in pairs
    ]
    most = max(one.sizes["cluster"] for one in each)
    each = [one.pad(cluster=(0, most - one.sizes["cluster"])) for one in each]
    result = xr.concat(each, "contrast").merge(_levels(found, planned, shape))
    result = result.assign_coords(
        contrast=_text([pair.name for pair in pairs]),
        level=_text(planned.levels),
        bound=_text(["lower", "upper"]),
    )
    for name, claim in _CLAIMS.items():
        result[name].attrs["claim"] = claim
    for name in ("estimate", "level_mean", "standard_error"):
        result[name].attrs["unit"] = "multiples of evenly spread relevance"
    return result.assign_attrs(
        min_p=min(pair.min_p for pair in pairs),
        **design(planned),
        n_images=found.tally.images,
        n_images_omitted=found.tally.omitted_nan + found.tally.omitted_degenerate,
        n_networks_omitted=len(dead),
        method=differences_text.method(
            planned, pairs, found, ranking, correction, variance, forming_p
        ),
        population=differences_text.population(pairs, found),
        warnings=[
            *differences_text.family_notes(planned, pairs),
            *differences_text.pair_notes(result, pairs, correction, variance, confidence),
            *differences_text.omissions(found, dead, ranking),
        ],
    )


def _check_options(correction: Sequence[str], forming_p: float) -> None:
    if not len(correction):
        raise UsageError(
            f"correction is {correction!r}: many pixels are tested, so give at least one of"
            f" {', '.join(CORRECTIONS)}"
        )
    if not 0 < forming_p < 1:
        raise UsageError(f"forming_p is {forming_p}; it lies between 0 and 1, such as 0.01")


def _plan(
    table: pd.DataFrame,
    axis: str,
    within: Sequence[str] | None,
    pool: Sequence[str],
    correction: Sequence[str],
    variance: Variance,
    confidence: float,
    n_swaps: int,
    rng: np.random.Generator,
) -> tuple[Contrasts, list[Labelings]]:
    """The contrasts and their labelings, or a refusal: none of them could be tested, or none be
    significant.
    """
    planned = contrasts.plan(table, axis, within=within, pool=pool, symmetric=True)
    pairs = list(labelings(planned, n_swaps, rng))
    if not any(pair.testable for pair in pairs):
        strata = ",".join(planned.within)
        mixed = f", or mix strata with --pool {strata}" if strata else ""
        raise ImpossibleAnalysis(
            f"each contrast over {axis!r} has a level of one network in a stratum, so nothing is"
            f" known of how networks like it vary. Add seeds{mixed}"
        )
    if set(correction) != {"bh"}:
        _require_reachable(pairs, confidence)
    else:
        _require_family(pairs, variance)
    return planned, pairs


def _require_family(pairs: list[Labelings], variance: Variance) -> None:
    reasons = [
        f"{pair.name}: {pixel_tests.refusal(pair, variance)}"
        for pair in pairs
        if pair.testable and pixel_tests.refusal(pair, variance)
    ]
    if len(reasons) == sum(pair.testable for pair in pairs):
        raise ImpossibleAnalysis(
            f"{reasons[0]}, or use label swaps where strata allow (--correction max-t)"
        )


def _require_reachable(pairs: list[Labelings], confidence: float) -> None:
    best = min((pair for pair in pairs if pair.testable), key=lambda pair: pair.min_p)
    if best.min_p <= pixel_tests.alpha(confidence):
        return
    sizes = [int(best.first.sum()), int((~best.first).sum())]
    do = (
        "add seeds or strata (4 networks a level, or 3 in each of two strata, suffice)"
        if best.exact
        else "give more --n-swaps"
    )
    raise ImpossibleAnalysis(
        f"{best.name}: {sizes[0]} against {sizes[1]} networks have {len(best.labels)} label swaps,"
        f" whose smallest p is {best.min_p:.3g}: nothing could be significant at"
        f" {pixel_tests.alpha(confidence):.3g} by max-T, TFCE or clusters, so no map was read. Use"
        f" --correction bh (t over networks, false discovery rate), or {do}"
    )


def _levels(found: MeanMaps, planned: Contrasts, shape: tuple[int, int]) -> xr.Dataset:
    """Mean map of each level: over the networks of a stratum, then over strata."""
    used = (planned.groups >= 0).any(axis=0)
    means = []
    for k in range(len(planned.levels)):
        own = used & (planned.level == k)
        cells = [
            found.maps[own & (planned.stratum == s)].mean(axis=0)
            for s in np.unique(planned.stratum[own])
        ]
        means.append(np.mean(cells, axis=0) if cells else np.full(found.maps.shape[1], np.nan))
    return xr.Dataset({"level_mean": (("level", "y", "x"), np.array(means).reshape(-1, *shape))})


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)


def describe(
    study: xr.DataTree | xr.Dataset,
    *,
    axis: str,
    ranking: str,
    within: Sequence[str] | None,
    pool: Sequence[str],
    correction: Sequence[str],
    variance: Variance,
    forming_p: float,
    confidence: float,
    n_swaps: int,
    nan: str,
    rng: np.random.Generator,
) -> str:
    """What `differences` would do, with memory and time.

    A few maps and label swaps are tried for that.
    """
    options = {"ranking": ranking, "correction": correction, "variance": variance, "nan": nan}
    check_options(differences, **options, confidence=confidence, n_swaps=n_swaps)
    _check_options(correction, forming_p)
    maps = read_maps(study, "maps of differences need", nan="omit")
    swap = (correction, variance, confidence, n_swaps, rng)
    _, pairs = _plan(maps.networks, axis, within, pool, *swap)
    (y, x), n, images = maps.shape, len(maps.networks), len(maps.images)
    seconds = _rehearsed(maps, ranking, pairs, correction)
    block = max(shards.BLOCK_VALUES, n * y * x) * 4
    memory = 2 * block + n * y * x * 8 * (BLOCKS_AT_ONCE + 6) + fields.BLOCK * 24
    said = ", ".join(
        f"{pair.name} (smallest p {pair.min_p:.3g}, {len(pair.labels)} labelings)" for pair in pairs
    )
    return (
        f"maps of {n} networks on {images} images ({n * images} maps of {y} x"
        f" {x}); {said}; about {memory / 1e9:.1f} GB of memory and {max(1, round(seconds))} s"
    )


def _rehearsed(
    maps: Maps, ranking: str, pairs: list[Labelings], correction: Sequence[str]
) -> float:
    """Seconds that all will take, from a few images and label swaps, what is done once left out."""

    def read(images: int) -> MeanMaps:
        return mean_maps.mean_maps(maps.select(images=slice(0, images)), ranking)

    few = min(5, len(maps.images))
    mean = np.nan_to_num(read(few).maps)  # files opened
    seconds = _seconds_each(read, 1, few) * len(maps.images)
    for pair in pairs if set(correction) != {"bh"} else []:

        def swap(labelings: int, pair: Labelings = pair) -> np.ndarray:
            return fields.swap_maxima(
                mean[pair.members],
                pair.labels[:labelings],
                pair.strata,
                maps.shape,
                3.0,
                correction,
            )

        swap(1)  # compiled
        seconds += _seconds_each(swap, 1, min(50, len(pair.labels))) * len(pair.labels)
    return seconds


def _seconds_each(run: Callable[[int], object], few: int, many: int) -> float:
    """Of one more, from two runs."""
    start = time.perf_counter()
    run(few)
    between = time.perf_counter()
    run(many)
    return max(0.0, time.perf_counter() - between - (between - start)) / max(1, many - few)
