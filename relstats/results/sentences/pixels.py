"""What is said of pixels and parts of images: which are shared, enough, more relevant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr

from relstats.results.sentences.parts import Sentence, difference
from relstats.results.text import number, safe
from relstats.results.wording import (
    capital,
    decided,
    holds,
    interval,
    level,
    levels,
    open_question,
    p_text,
    reason,
    sure,
)

_WHO = {
    "all": "all networks",
    "most": "90 % of the networks",
    "majority": "more than half of the networks",
}


def shared(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """How many pixels all, most or the majority of networks share, and what chance gives."""
    top = f"{100 * float(result.attrs['fraction']):g} %"
    across = " in each condition" if result.sizes.get("condition", 1) > 1 else ""
    sizes = " and ".join(
        f"{int(n)} of {safe(c)}"
        for c, n in zip(result["condition"].values, result["n_networks"].values, strict=True)
    )
    about = (
        f"{holds(result)} n: {sizes if across else int(result['n_networks'].sum())} networks,"
        f" {int(result['n_images'])} images."
    )
    for consensus in result["consensus"].values:
        one = result.sel(consensus=consensus)
        who = f"{_WHO.get(str(consensus), safe(consensus))}{across}"
        if np.isnan(float(one["estimate"])):
            yield Sentence(
                "unsaid", f"Could not be said: how many pixels {who} share. {reason(one)}"
            )
            continue
        chance = number(100 * float(one["expected"].sel(null="image swap")))
        size = f"{number(100 * float(one['estimate']))} % of pixels are in the top {top} of {who}"
        yield Sentence(
            "found" if decided(one) else "open",
            f"{size} ({sure(one, ci='')}; {chance} % where maps do not depend on the image).",
            about,
        )


#: What the pixels are compared with that the other networks share, in words.
AGAINST = {
    "own": "each network's own most relevant pixels",
    "image_swap": "what the others share on another image",
    "random": "random pixels",
}
#: What is measured of these pixels, in words.
MEASURED = {
    "sufficiency": "the pixels that the other networks share, alone, give",
    "necessity": "removing the pixels that the other networks share costs",
}
#: In results of 0.1.0 each network helped to find what it was shown.
IN_SAMPLE = (
    "Could not be said: whether shared pixels are enough or needed. It is not known that networks"
    " were shown what the other networks share: one that helped to find its set says nothing of"
    " others. Compute the scores again: relstats transfer --masks, with --force, then relstats"
    " sufficiency."
)


def of_others(result: xr.Dataset) -> bool:
    """Whether each network was shown what the others share."""
    return result.attrs.get("sets_of") == "other networks"


def sufficiency(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """Whether what the other networks share is enough, and needed, beside sets of the same size."""
    if not of_others(result):
        yield Sentence("unsaid", IN_SAMPLE)
        return
    cells = itertools.product(
        result["level"].values, result["question"].values, result["against"].values
    )
    for group, question, against in cells:
        one = result.sel(level=group, question=question, against=against)
        estimate, other = float(one["estimate"]), AGAINST.get(str(against), safe(against))
        what = MEASURED[str(question)]
        if np.isnan(estimate):
            yield Sentence(
                "unsaid",
                f"Could not be said: whether {what} {safe(group)} more than {other}. {reason(one)}",
            )
        elif decided(one):
            sign = 1.0 if estimate > 0 else -1.0
            size = f"{number(abs(estimate))} {'more' if sign > 0 else 'less'} than {other}"
            yield Sentence(
                "found",
                f"{capital(what)} {safe(group)} {size} ({sure(one, scale=sign)}).",
                holds(one),
            )
        else:
            yield Sentence(
                "open",
                f"{open_question(one)}: whether {what} {safe(group)} more than {other}:"
                f" {number(estimate)} ({sure(one)}).",
                holds(one),
            )


def regions(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """How much relevance each region has: how two levels differ, or the mean of each."""
    measure = safe(result.attrs["measure"])
    unit = "; 1 is its share of the pixels" if measure == "density" else ""
    if "contrast" not in result.dims:
        for group, region in itertools.product(result["level"].values, result["region"].values):
            one = result.sel(level=group, region=region)
            size = f"{number(float(one['level_mean']))} ({interval(one, 'level_ci')}{unit})"
            yield Sentence(
                "found",
                f"Of {safe(group)}, {measure} of relevance in {safe(region)} is {size}.",
                holds(one),
            )
        return
    for contrast, region in itertools.product(result["contrast"].values, result["region"].values):
        means = [
            number(float(result["level_mean"].sel(level=side, region=region)))
            for side in str(contrast).split("|")
        ]
        what = f"{measure} of relevance in {safe(region)} ({' and '.join(means)}{unit})"
        yield difference(result.sel(contrast=contrast, region=region), what, *levels(contrast))


def differences(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """Where maps differ: how many pixels each correction leaves, at the result's level."""
    for contrast in result["contrast"].values:
        one, (a, b) = result.sel(contrast=contrast), levels(contrast)
        smallest = {
            p: float(np.nanmin(one[p].values))
            for p in ("p_max_t", "p_bh")
            if p in one and np.isfinite(one[p].values).any()
        }
        if not smallest:
            yield Sentence(
                "unsaid", f"Could not be said: where maps of {a} and {b} differ. {reason(one)}"
            )
            continue
        parts = []
        for p, least in smallest.items():
            n = int((one[p].values < 1 - level(one)).sum())
            how = "family-wise over pixels" if p == "p_max_t" else "false discovery rate"
            parts.append(f"{n} of {one[p].size} pixels ({how}; smallest {p_text(least)})")
        some = any(least < 1 - level(one) for least in smallest.values())
        start = (
            f"Maps of {a} and {b} differ at"
            if some
            else f"Not decided: where maps of {a} and {b} differ: at"
        )
        yield Sentence("found" if some else "open", f"{start} {', '.join(parts)}.", holds(one))
