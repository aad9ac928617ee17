"""What is said of networks and people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr

from relstats.results.sentences.parts import Sentence, difference
from relstats.results.text import number, safe
from relstats.results.wording import (
    capital,
    counts,
    decided,
    holds,
    levels,
    open_question,
    reason,
    sure,
    untested,
)


def rdm(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """That dissimilarities are in the study: they test nothing."""
    text = (
        f"Dissimilarities of images ({safe(result.attrs['dissimilarity'])}, on"
        f" {safe(result.attrs.get('on', 'maps'))}) are in the study: they describe, and test"
        " nothing."
    )
    yield Sentence("found", text, f"n: {counts(result)}.")


def rsa(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """How well each model, or level, matches people, and how models differ in that."""
    dim = "model" if "model" in result["estimate"].dims else "level"
    comparison, ceiling = safe(result.attrs["comparison"]), _ceiling(result)
    own = {"p_value_adjusted": "p_adjusted"} if "p_value_adjusted" in result else {}
    for label in result[dim].values:
        one = result.sel({dim: label}).rename(own)
        if np.isnan(float(one["estimate"])):
            yield Sentence(
                "unsaid", f"Could not be said: how well {safe(label)} matches people. {reason(one)}"
            )
            continue
        size = f"{number(float(one['estimate']))} ({comparison}; {sure(one)}{ceiling})"
        found = decided(one)
        text = (
            f"What is alike to {safe(label)} is alike to people: agreement {size}."
            if found
            else (
                f"{open_question(one)}: whether what is alike to {safe(label)} is alike to people:"
                f" agreement {size}."
            )
        )
        yield Sentence("found" if found else "open", text, holds(one))
    for contrast in result["contrast"].values if "contrast" in result.dims else ():
        ends = {
            "": "estimate",
            "_ci": "ci",
            "_p_value": "p_value",
            "_p_value_adjusted": "p_adjusted",
            "_random": "random",
            "_untested": "untested",
        }
        one = result.sel(contrast=contrast).drop_vars(ends.values(), errors="ignore")
        one = one.rename(
            {f"difference{end}": new for end, new in ends.items() if f"difference{end}" in one}
        )
        yield difference(
            one.drop_vars("n_networks", errors="ignore"), "agreement with people", *levels(contrast)
        )


def _ceiling(result: xr.Dataset) -> str:
    low, high = (
        result["noise_ceiling"].values.tolist() if "noise_ceiling" in result else (np.nan, np.nan)
    )
    return (
        ""
        if np.isnan(low)
        else f"; people with each other, the noise ceiling: {number(low)} to {number(high)}"
    )


def compare_human(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """How levels of an axis differ in their match with people."""
    for contrast, effect in itertools.product(result["contrast"].values, result["effect"].values):
        one = result.sel(contrast=contrast, effect=effect)
        yield difference(
            one,
            f"agreement with people ({safe(result.attrs['comparison'])}{_ceiling(result)})",
            *levels(contrast),
        )


def people(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """People's maps, or their choices: each level's agreement with them, then how levels differ."""
    effects = {
        "agreement": "agreement with people's maps",
        "kappa": "kappa with people's answers",
        "above_swapped": (
            "agreement with people's maps of the same image, less that with their maps of other"
            " images,"
        ),
    }
    for effect, group in itertools.product(result["effect"].values, result["level"].values):
        one, what = result.sel(effect=effect, level=group), effects.get(str(effect), safe(effect))
        if np.isnan(float(one["level_mean"])):
            yield Sentence("unsaid", f"Could not be said: {what} of {safe(group)}. {reason(one)}")
            continue
        size = f"{number(float(one['level_mean']))} ({sure(one, 'level_ci', 'level_p_value', '')})"
        tested = "level_p_value" in one and not np.isnan(float(one["level_p_value"]))
        described = not tested and not untested(one, "level_untested")
        kind = "found" if described or decided(one, "level_p_value", "") else "open"
        yield Sentence(
            kind, f"{capital(what)} of {safe(group)} is {size}.", holds(one, "level_random")
        )
    if "contrast" in result.dims:
        for contrast, effect in itertools.product(
            result["contrast"].values, result["effect"].values
        ):
            what = effects.get(str(effect), safe(effect)).rstrip(",")
            yield difference(result.sel(contrast=contrast, effect=effect), what, *levels(contrast))
