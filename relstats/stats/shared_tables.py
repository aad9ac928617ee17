"""Tables of shared pixels: by consensus, image, network and condition, and against a baseline."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from relstats.errors import InvalidData
from relstats.stats.inference.adjust import false_discovery, holm
from relstats.stats.maps import consensus as cores
from relstats.stats.maps.single import top_count
from relstats.stats.shared_swaps import SwapStatistics, share_as_large
from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps
from relstats.study import check
from relstats.study.maps import Block
from relstats.study.top_pixels import CONSENSUS


def by_consensus(maps: RankedMaps, found: SwapStatistics, confidence: float) -> xr.Dataset:
    """Sizes of the core sets, what chance gives, and their p-values."""
    size, chance = found.pixels / maps.n_pixels, found.swapped.mean(axis=0) / maps.n_pixels
    n, mean, excess = len(size), size.mean(axis=0), size.mean(axis=0) - chance
    half = _half_width(size, confidence)
    # Chance is known from the same images: an image with large sets lends its maps to the swaps.
    excess_half = _half_width(size - found.donated / maps.n_pixels, confidence)
    wanted, rate = (
        cores.needed(maps.sizes),
        np.array(top_count(maps.fraction, maps.n_pixels) / maps.n_pixels),
    )
    expected = np.stack(
        [
            cores.share_by_chance(wanted, maps.sizes, rate),
            chance,
        ],
        axis=1,
    )
    p = share_as_large(found.total)
    conditions = maps.networks["condition"].to_numpy(dtype=object)[
        np.unique(maps.codes, return_index=True)[1]
    ]
    return xr.Dataset(
        {
            "estimate": ("consensus", mean),
            "ci_these_networks": (
                ("consensus", "bound"),
                np.stack([mean - half, mean + half], axis=1),
            ),
            "expected": (("consensus", "null"), expected),
            "excess": ("consensus", excess),
            "excess_ci_these_networks": (
                ("consensus", "bound"),
                np.stack([excess - excess_half, excess + excess_half], axis=1),
            ),
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


def _half_width(values: np.ndarray, confidence: float) -> np.ndarray:
    """Of the t interval of a mean over images, from values (image, consensus)."""
    n = len(values)
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1)
    return np.asarray(quantile * values.std(axis=0, ddof=1) / np.sqrt(n))


def _text(words: Sequence[str]) -> np.ndarray:
    return np.array(words, dtype=object)


def by_image(
    maps: RankedMaps, found: SwapStatistics, kept: np.ndarray, alpha: Fraction
) -> xr.Dataset:
    """Largest z and core set of each image, with p-values within and over images."""
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
        "p_max_z_bh": false_discovery(found.p_largest),
        "critical_z": found.critical,
    }
    of_core = {
        "core_size": found.pixels / maps.n_pixels,
        "core_size_swapped": found.swapped / maps.n_pixels,
        "p_core": found.p_pixels,
        "p_core_family": family,
        "p_core_bh": false_discovery(found.p_pixels, axis=0),
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


def by_network(
    maps: RankedMaps, found: SwapStatistics, alpha: Fraction, confidence: float
) -> xr.Dataset:
    """How far each network agrees with the others, and how many share anything."""
    n, p = len(found.positions), share_as_large(found.agreement)
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


def by_condition(maps: RankedMaps, found: SwapStatistics) -> xr.Dataset:
    """P-values of core sets where the maps of one condition alone are swapped."""
    p = share_as_large(found.conditions)
    return xr.Dataset(
        {
            "p_condition": (("consensus", "condition"), p),
            "p_every_condition": ("consensus", p.max(axis=1)),
        }
    )


def with_baseline(
    result: xr.Dataset, maps: RankedMaps, kept: np.ndarray, baseline: xr.DataTree | xr.Dataset
) -> xr.Dataset:
    """Expected size if each network drew its pixels at the rate at which networks of the baseline
    have them, image by image.
    """
    other = top_pixels.ranked_maps(baseline, maps.fraction, maps.ranking, ())
    problems = check.disagreement(set(maps.images), set(other.images), "the study", "the baseline")
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
