"""What `differences` says beside its numbers: population, warnings and method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from relstats.stats import pixel_tests
from relstats.stats.inference import contrasts
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.moderated import Variance
from relstats.stats.levels import Labelings
from relstats.stats.sources.mean_maps import MeanMaps

_T = {
    "moderated": (
        "t with the variance of each level's networks moderated over pixels (Smyth 2004,"
        " doi:10.2202/1544-6115.1027; prior of at most twice their degrees of freedom, shared among"
        " strata; 0.7 of it counts)"
    ),
    "welch": "Welch t",
}


def population(pairs: list[Labelings], found: MeanMaps) -> str:
    """What the inference is about: networks like those measured, these images."""
    sizes = sorted({len(pair.members) for pair in pairs})
    networks = " to ".join(str(n) for n in {sizes[0]: 0, sizes[-1]: 0})
    return (
        f"inference over networks like those measured ({networks} a contrast), on these"
        f" {found.tally.images} images"
    )


def family_notes(planned: Contrasts, pairs: list[Labelings]) -> list[str]:
    """Warn of mixed axes and of several contrasts."""
    notes = [
        f"networks that differ on {a} are mixed: a difference may be one of {a}"
        for a in planned.pooled
    ]
    if len(pairs) > 1:
        notes.append(
            f"p-values hold over the pixels of one contrast; there are {len(pairs)}: name one"
            f" before you look, or multiply by {len(pairs)}"
        )
    return notes


def pair_notes(
    result: xr.Dataset,
    pairs: list[Labelings],
    correction: Sequence[str],
    variance: Variance,
    confidence: float,
) -> list[str]:
    """Warn of contrasts that have no test, no power, unlike group sizes or constant pixels."""
    notes = []
    for pair, left_out in zip(pairs, result["n_undefined"].values, strict=True):
        sizes = np.unique(2 * pair.strata + pair.first, return_counts=True)[1]
        if not pair.testable:
            notes.append(f"{pair.name}: a level has one network in a stratum, so there is no test")
            continue
        refusal = pixel_tests.refusal(pair, variance)
        if "bh" in correction and refusal:
            notes.append(f"{pair.name}: no false discovery rate (p_bh): {refusal}")
        if set(correction) != {"bh"} and pair.min_p > pixel_tests.alpha(confidence):
            notes.append(
                f"{pair.name}: label swaps cannot give p below {pair.min_p:.3g}: only BH can be"
                " significant"
            )
        if contrasts.unbalanced(sizes):
            notes.append(
                f"{pair.name}: unbalanced ({sizes.min()} to {sizes.max()} networks a level) with"
                " few networks: label swaps also reject where networks of one level only vary more"
            )
        if left_out:
            notes.append(
                f"{pair.name}: {int(left_out)} pixel(s) without a test: networks are alike there"
                " (e.g. all zero)"
            )
    return notes


def omissions(found: MeanMaps, dead: list[tuple[str, str]], ranking: str) -> list[str]:
    """Networks and images left out, counted."""
    named = ", ".join(" seed ".join(network) for network in dead[:3])
    counted = (
        (len(dead), f"network(s) left out: none of their maps has {ranking} relevance ({named})"),
        (found.tally.omitted_nan, "image(s) left out for NaN"),
        (found.tally.omitted_degenerate, f"image(s) left out: a map has no {ranking} relevance"),
    )
    return [f"{count} {what}" for count, what in counted if count]


def method(
    planned: Contrasts,
    pairs: list[Labelings],
    found: MeanMaps,
    ranking: str,
    correction: Sequence[str],
    variance: Variance,
    forming_p: float,
) -> str:
    """The sentences for a methods section."""
    strata = (
        f", within each level of {' and '.join(planned.within)} and averaged"
        if planned.within
        else ""
    )
    text = (
        f"Maps ({ranking} relevance) were divided by their mean absolute value and"
        f" averaged over {found.tally.images} images for each network. Networks were compared over"
        f" {planned.axis} ({', '.join(planned.levels)}){strata}, by {_T[variance]} at each pixel;"
        " the unit is the network."
    )
    swapped = [text for name, text in _families(forming_p).items() if name in correction]
    if swapped:
        counts = sorted({(len(pair.labels), pair.exact) for pair in pairs})
        tried = "; ".join(f"{'all' if exact else ''} {n} labelings".strip() for n, exact in counts)
        text += (
            f" Family-wise p-values by label swaps of whole networks ({tried}; Welch t) with"
            f" {'; '.join(swapped)}."
        )
    if "bh" in correction:
        text += " False discovery rate over pixels by Benjamini & Hochberg (1995)."
    return text


def _families(forming_p: float) -> dict[str, str]:
    """What label swaps take the largest of, for each correction."""
    return {
        "max-t": "the maximum of |t| over pixels (Westfall & Young 1993)",
        "tfce": (
            "threshold-free cluster enhancement (Smith & Nichols 2009; E = 0.5, H = 2, exact"
            " integral)"
        ),
        "cluster": (
            "the largest cluster mass (Bullmore et al. 1999; clusters formed at p <"
            f" {forming_p:g}, 4 neighbours)"
        ),
    }
