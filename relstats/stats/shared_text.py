"""What `shared` says beside its numbers: warnings and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from relstats.stats.sources import top_pixels
from relstats.stats.sources.top_pixels import RankedMaps, Survey

REFERENCE = (
    "image-swap permutation with the maximum over pixels (Westfall & Young 1993; exact as a group"
    " of permutations, Hemerik & Goeman 2018, doi:10.1007/s11749-017-0571-1; p-values after Phipson"
    " & Smyth 2010)"
)


def omitted_images(survey: Survey) -> tuple[int, int]:
    """Images with a map that is NaN, and with one that has nothing to rank."""
    nans, flat = (
        int((survey.state == value).any(axis=0).sum())
        for value in (top_pixels.NAN, top_pixels.FLAT)
    )
    return nans, flat


def notes(result: xr.Dataset, maps: RankedMaps, survey: Survey, dead: pd.DataFrame) -> list[str]:
    """What was left out, and what weakens the result."""
    nans, flat = omitted_images(survey)
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


def method(maps: RankedMaps, images: int, across: Sequence[str], n_swaps: int) -> str:
    """The sentences for a methods section."""
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
