"""Shared pixels: which pixels of an image matter to nearly all networks, beyond what their maps
share on every image.

Labels in, labels out; the arrays are in `consensus`. Maps are read twice, in blocks of images: once
for each network's rate of every pixel, once for the swaps. The pixels themselves are read again
where they are asked for, or saved.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.described import Nan, check_options, described
from relstats.stats.inference.adjust import holm
from relstats.stats.maps import consensus as cores
from relstats.stats.maps.consensus import CONSENSUS, Consensus
from relstats.stats.maps.single import top_count
from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps, Survey
from relstats.study import layout as schema
from relstats.study import shards
from relstats.study.maps import Block
from relstats.study.top_pixels import Ranking

REFERENCE = (
    "image-swap permutation with the maximum over pixels (Westfall & Young 1993; exact as a group"
    " of permutations, Hemerik & Goeman 2018, doi:10.1007/s11749-017-0571-1; p-values after Phipson"
    " & Smyth 2010)"
)


@dataclass(frozen=True)
class _Group:
    """What images that swap maps give; `positions` are theirs.

    Arrays by swap have the images themselves first.
    """

    positions: np.ndarray  # (image,)
    largest: np.ndarray  # z, (image,)
    pixels: np.ndarray  # of the shared sets, (image, consensus)
    p_largest: np.ndarray
    p_pixels: np.ndarray
    critical: np.ndarray  # z, (image,)
    swapped: np.ndarray  # mean of pixels over swaps, (image, consensus)
    kept: np.ndarray  # intersection over union without a network, (image, consensus, network)
    most_z: np.ndarray  # over images, (swap,)
    most: np.ndarray  # of pixels over images, (swap, consensus)
    total: np.ndarray  # of pixels over images, (swap, consensus)
    agreement: np.ndarray  # sum over images, (swap, network)
    conditions: np.ndarray  # of pixels over images, (swap, consensus, condition)


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
        On `consensus`: `estimate` (share of the pixels in the core set, mean over images) with `ci`
        over images; `expected` under each `null`: "independence" (every network marks pixels
        anywhere), "image swap", and "baseline" where there is one; `p_value` (mean over images,
        image swap), `p_adjusted` (Holm over the three); `n_needed` networks of a condition.

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
    found = _swapped(maps, kept, expected, n_swaps, alpha, int(rng.integers(2**63)))
    result = (
        _by_consensus(maps, found, confidence)
        .merge(_by_image(maps, found, kept, alpha))
        .merge(_by_network(maps, found, alpha, confidence))
    )
    if across:
        result = result.merge(_by_condition(maps, found))
    if baseline is not None:
        result = _with_baseline(result, maps, kept, baseline)
    result = result.merge(_pixels(maps, kept, expected, result, consensus))
    return result.assign_attrs(
        min_p=smallest,
        method=_method(maps, len(kept), across, n_swaps),
        warnings=_notes(result, maps, survey, dead),
        n_networks_omitted=len(dead),
        n_images_omitted=sum(_omitted(survey)),
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
        nans, flat = _omitted(survey)
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


def _swapped(
    maps: RankedMaps,
    kept: np.ndarray,
    expected: cores.Layout,
    n_swaps: int,
    alpha: Fraction,
    entropy: int,
) -> _Group:
    def each() -> Iterator[_Group]:
        for number, positions in enumerate(top_pixels.groups(maps, kept)):
            rng = np.random.default_rng([entropy, number])
            yield _group(maps, positions, expected, n_swaps, alpha, rng)

    return functools.reduce(_merge, each())


def _group(
    maps: RankedMaps,
    positions: np.ndarray,
    expected: cores.Layout,
    n_swaps: int,
    alpha: Fraction,
    rng: np.random.Generator,
) -> _Group:
    masks, _, _ = top_pixels.read(maps, positions)
    donors = cores.swaps(n_swaps, len(masks), len(positions), rng)
    largest, pixels = cores.swap_statistics(masks, donors, maps.sizes, expected)
    agreement = cores.agreement_with_others(masks, maps.sizes, maps.n_pixels)
    both, either = cores.leave_one_out(masks, maps.sizes, range(len(positions)))
    kept = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    return _Group(
        positions,
        largest[0],
        pixels[0],
        _share_as_large(largest),
        _share_as_large(pixels),
        _critical(largest, alpha),
        pixels[1:].mean(axis=0),
        np.moveaxis(kept, 2, 0),
        largest.max(axis=1),
        pixels.max(axis=1),
        pixels.sum(axis=1),
        _along(agreement, donors),
        _swapped_conditions(masks, maps.sizes, donors),
    )


def _share_as_large(values: np.ndarray) -> np.ndarray:
    """P-values: the share of all swaps, none among them, whose statistic is as large as that of
    none (the first).
    """
    return (values >= values[0]).mean(axis=0)


def _critical(values: np.ndarray, alpha: Fraction) -> np.ndarray:
    """What a value must exceed for a p-value of at most alpha, from those of the swaps: (1 + swap,
    ...) to (...).
    """
    allowed = int(alpha * len(values)) - 1
    return -np.partition(-values[1:], allowed, axis=0)[allowed]


def _along(matrix: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Sums over images of (unit, donor, image) along each swap of each unit: (swap, unit)."""
    images = np.arange(matrix.shape[-1])
    return np.stack(
        [each[donors[:, unit], images].sum(axis=1) for unit, each in enumerate(matrix)], axis=1
    )


def _swapped_conditions(masks: np.ndarray, sizes: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Size of the core sets, summed over images, where only one condition is swapped: (swap,
    consensus, condition).
    """
    if len(sizes) < 2:
        return np.zeros((len(donors), len(CONSENSUS), 0))
    overlap = cores.condition_overlap(masks, sizes)
    first = np.append(0, np.cumsum(sizes)[:-1])
    return np.stack([_along(each, donors[:, first]) for each in overlap], axis=1)


_APART = ("positions", "largest", "pixels", "p_largest", "p_pixels", "critical", "swapped", "kept")
_SUMS = ("total", "agreement", "conditions")


def _merge(a: _Group, b: _Group) -> _Group:
    joined = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in _APART}
    joined |= {name: getattr(a, name) + getattr(b, name) for name in _SUMS}
    return _Group(**joined, most_z=np.maximum(a.most_z, b.most_z), most=np.maximum(a.most, b.most))


def _by_consensus(maps: RankedMaps, found: _Group, confidence: float) -> xr.Dataset:
    size = found.pixels / maps.n_pixels
    n, mean = len(size), size.mean(axis=0)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * size.std(axis=0, ddof=1) / np.sqrt(n)
    wanted, rate = (
        cores.needed(maps.sizes),
        np.array(top_count(maps.fraction, maps.n_pixels) / maps.n_pixels),
    )
    expected = np.stack(
        [
            cores.share_by_chance(wanted, maps.sizes, rate),
            found.swapped.mean(axis=0) / maps.n_pixels,
        ],
        axis=1,
    )
    p = _share_as_large(found.total)
    conditions = maps.networks["condition"].to_numpy(dtype=object)[
        np.unique(maps.codes, return_index=True)[1]
    ]
    return xr.Dataset(
        {
            "estimate": ("consensus", mean),
            "ci": (("consensus", "bound"), np.stack([mean - half, mean + half], axis=1)),
            "expected": (("consensus", "null"), expected),
            "p_value": ("consensus", p),
            "p_adjusted": ("consensus", holm(p)),
            "n_needed": (("consensus", "condition"), wanted),
            "n_networks": ("condition", maps.sizes),
            "n_images": ((), n),
        },
        coords={
            "consensus": _text(CONSENSUS),
            "bound": _text(("lower", "upper")),
            "null": _text(("independence", "image swap")),
            "condition": conditions,
        },
    )


def _text(words: Sequence[str]) -> np.ndarray:
    return np.array(words, dtype=object)


def _by_image(maps: RankedMaps, found: _Group, kept: np.ndarray, alpha: Fraction) -> xr.Dataset:
    back = np.argsort(found.positions)  # the order of the study
    family_z = _family_p(found.most_z, found.largest)
    family = np.stack(
        [_family_p(most, seen) for most, seen in zip(found.most.T, found.pixels.T, strict=True)],
        axis=1,
    )
    of_image = {
        "max_z": found.largest,
        "p_max_z": found.p_largest,
        "p_max_z_family": family_z,
        "p_max_z_bh": stats.false_discovery_control(found.p_largest),
        "critical_z": found.critical,
    }
    of_core = {
        "core_size": found.pixels / maps.n_pixels,
        "core_size_swapped": found.swapped / maps.n_pixels,
        "p_core": found.p_pixels,
        "p_core_family": family,
        "p_core_bh": stats.false_discovery_control(found.p_pixels, axis=0),
    }
    values: dict[str, Any] = {name: ("image", v[back]) for name, v in of_image.items()}
    values |= {
        "n_images_beyond": ((), int((found.p_largest <= float(alpha)).sum())),
        "n_images_beyond_family": ((), int((family_z <= float(alpha)).sum())),
    }
    values |= {name: (("consensus", "image"), v[back].T) for name, v in of_core.items()}
    return xr.Dataset(values, coords={"image": _text([maps.images[k] for k in kept])})


def _family_p(most: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """P-values over all images: the share of swaps (none among them) whose maximum over images is
    as large.
    """
    return (most.size - np.searchsorted(np.sort(most), seen)) / most.size


def _by_network(maps: RankedMaps, found: _Group, alpha: Fraction, confidence: float) -> xr.Dataset:
    n, p = len(found.positions), _share_as_large(found.agreement)
    sharing = int((p <= float(alpha)).sum())
    prevalence, lower = cores.prevalence(sharing, len(p), float(alpha), confidence)
    known = (~np.isnan(found.kept)).sum(axis=0)
    stability = np.divide(
        np.nansum(found.kept, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0
    )
    labels = {
        f"network_{c}": ("network", maps.networks[c].to_numpy(dtype=object)) for c in maps.networks
    }
    return xr.Dataset(
        {
            "agreement": ("network", found.agreement[0] / n),
            "agreement_swapped": ("network", found.agreement[1:].mean(axis=0) / n),
            "p_network": ("network", p),
            "stability": (("consensus", "network"), stability),
            "n_sharing": ((), sharing),
            "prevalence": ((), prevalence),
            "prevalence_lower": ((), lower),
        },
        coords=labels,
    )


def _by_condition(maps: RankedMaps, found: _Group) -> xr.Dataset:
    p = _share_as_large(found.conditions)
    return xr.Dataset(
        {
            "p_condition": (("consensus", "condition"), p),
            "p_every_condition": ("consensus", p.max(axis=1)),
        }
    )


def _with_baseline(
    result: xr.Dataset, maps: RankedMaps, kept: np.ndarray, baseline: xr.DataTree | xr.Dataset
) -> xr.Dataset:
    """Expected size if each network drew its pixels at the rate at which networks of the baseline
    have them, image by image.
    """
    other = top_pixels.ranked_maps(baseline, maps.fraction, maps.ranking, ())
    problems = schema.disagreement(set(maps.images), set(other.images), "the study", "the baseline")
    if problems:
        raise InvalidData(str(problems[0]))
    if other.shape != maps.shape:
        raise InvalidData(
            f"maps of the baseline have {other.shape} pixels (y, x), those of the study"
            f" {maps.shape}: a pixel of one is no pixel of the other. Compute both at"
            " one size"
        )
    position = {label: k for k, label in enumerate(other.images)}
    order = [position[maps.images[k]] for k in kept]
    rates = np.arange(len(other.cells) + 1) / len(other.cells)
    table = cores.share_by_chance(cores.needed(maps.sizes), maps.sizes, rates)
    task = functools.partial(_baseline_block, maps.fraction, maps.ranking, table)
    size = np.concatenate(other.select(images=np.array(order)).stream(task), axis=1)
    known = ~np.isnan(size).any(axis=0)
    mean = size[:, known].mean(axis=1) if known.any() else np.full(len(size), np.nan)
    expected = np.column_stack([result["expected"].values, mean])
    rest = result.drop_vars(["expected", "null"])
    return rest.assign(
        expected=(("consensus", "null"), expected),
        core_size_baseline=(("consensus", "image"), size),
        n_images_without_baseline=((), int((~known).sum())),
        n_networks_baseline=((), len(other.cells)),
    ).assign_coords(null=_text((*result["null"].values, "baseline")))


def _baseline_block(fraction: float, ranking: str, table: np.ndarray, block: Block) -> np.ndarray:
    words, state, _ = top_pixels.mask_block(fraction, ranking, block)
    pixels = block.pixels.shape[-1]
    count = cores.counts(words, np.array([len(words)]), pixels)[0]
    frequency = np.stack([np.bincount(each, minlength=table.shape[1]) for each in count], axis=1)
    size = table @ frequency / pixels
    size[:, (state != top_pixels.FINE).any(axis=0)] = np.nan
    return size


def _pixels(
    maps: RankedMaps, kept: np.ndarray, expected: cores.Layout, result: xr.Dataset, consensus: str
) -> xr.Dataset:
    """The maps of the result, lazily: a block of images is read when it is asked for."""
    shape = maps.shape
    wanted = cores.needed(maps.sizes)[CONSENSUS.index(consensus)]
    step = maps.images_per_block
    parts: list[list[Any]] = [[], [], []]
    dtypes = (np.uint8 if len(maps.cells) < 2**8 else np.uint16, bool, bool)
    for start in range(0, len(kept), step):
        positions, critical = (
            kept[start : start + step],
            result["critical_z"].values[start : start + step],
        )
        made = dask.delayed(
            functools.partial(_pixel_block, maps, expected, wanted, positions, critical, dtypes[0]),
            pure=False,
        )()
        for part, k, dtype in zip(parts, range(3), dtypes, strict=True):
            part.append(dask.array.from_delayed(made[k], (len(positions), *shape), dtype))
    values = [(("image", "y", "x"), dask.array.concatenate(part)) for part in parts]
    layout = {
        "expected_count": (("y", "x"), expected.mean.reshape(shape)),
        "spread": (("y", "x"), expected.spread.reshape(shape)),
    }
    attrs = {"fraction": maps.fraction, "ranking": maps.ranking, "consensus": consensus}
    pixels = xr.Dataset(
        {**dict(zip(("count", "core", "beyond_chance"), values, strict=True)), **layout}
    )
    pixels["core"].attrs = attrs | {
        "about": "pixels among the top fraction of as many networks as n_needed, in every condition"
    }
    pixels["beyond_chance"].attrs = attrs | {
        "about": "pixels with z above critical_z: family-wise over the pixels of an image"
    }
    return pixels


def _pixel_block(
    maps: RankedMaps,
    expected: cores.Layout,
    wanted: np.ndarray,
    positions: np.ndarray,
    critical: np.ndarray,
    dtype: type,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    masks, _, _ = top_pixels.read(maps, positions)
    count = cores.counts(masks, maps.sizes, maps.n_pixels)
    core = (count >= wanted[:, np.newaxis, np.newaxis]).all(axis=0)
    total = count.sum(axis=0)
    beyond = (total - expected.mean) / expected.spread > critical[:, np.newaxis]
    shape = (len(positions), *maps.shape)
    return total.astype(dtype).reshape(shape), core.reshape(shape), beyond.reshape(shape)


def _omitted(survey: Survey) -> tuple[int, int]:
    """Images with a map that is NaN, and with one that has nothing to rank."""
    nans, flat = (
        int((survey.state == value).any(axis=0).sum())
        for value in (top_pixels.NAN, top_pixels.FLAT)
    )
    return nans, flat


def _notes(result: xr.Dataset, maps: RankedMaps, survey: Survey, dead: pd.DataFrame) -> list[str]:
    nans, flat = _omitted(survey)
    first = dead[["model", "seed"]].to_numpy()[:3]
    named = ", ".join(f"{model} seed {seed}" for model, seed in first)
    counted = (
        (
            len(dead),
            "network(s) left out: all their maps are zero or constant, or have no pixel to rank"
            f" ({named})",
        ),
        (nans, "image(s) left out for NaN"),
        (flat, "image(s) left out: a map is all zero or constant, or has no pixel to rank"),
        (
            survey.short,
            "map(s) have fewer pixels to rank than the fraction asks for: their masks are smaller",
        ),
    )
    notes = [f"{count} {what}" for count, what in counted if count]
    if maps.sizes.min() < 2 and len(maps.sizes) > 1:
        notes.append("a condition has one network only: what it shares may be that network's own")
    n = len(maps.networks)
    if int(result.get("n_networks_baseline", n)) < n:
        notes.append("the baseline has fewer networks than the study: what it shares is overstated")
    return notes


def _method(maps: RankedMaps, images: int, across: Sequence[str], n_swaps: int) -> str:
    where = f" in each condition ({' x '.join(across)})" if across else ""
    groups = (
        f", among groups of at most {top_pixels.GROUP} images" if images > top_pixels.GROUP else ""
    )
    return (
        f"On each of {images} images, the pixels among the top {100 * maps.fraction:g} % of the"
        f" relevance ({maps.ranking}) of {len(maps.networks)} networks were counted; the core set"
        f" has the pixels of all, of 90 %, or of more than half of the networks{where}. Chance is"
        f" that of maps that do not depend on the image: {n_swaps} times, each network's maps were"
        f" permuted over images on their own{groups}, which keeps what networks share on every"
        f" image. {REFERENCE[0].upper()}{REFERENCE[1:]}; maxima over pixels, and over pixels and"
        " images; Holm over the three sets, Benjamini-Hochberg over images. Prevalence after Ince"
        " et al. 2021."
    )
