"""What `stability` says beside its numbers: warnings, method and population."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from relstats.stats import levels
from relstats.stats.inference.jackknife import REFERENCE
from relstats.study.omissions import Tally


def notes(result: xr.Dataset, tally: Tally) -> list[str]:
    """Warn of few networks, of maps that do not agree, and of one image."""
    notes = []
    for model, n in zip(result["model"].values, result["n_networks"].values, strict=True):
        if n < 2:
            notes.append(f"{model} has {n} network(s): agreement takes two")
        elif n == 2:
            notes.append(
                f"{model} has two networks, too few to estimate how agreement varies between"
                " networks: no p, and an interval for these two only"
            )
    low = result["model"].values[(result["estimate"] <= 0).values]
    notes += [
        f"{model}: maps do not agree (mean not above 0), so no number of networks makes a reliable"
        " mean map"
        for model in low
    ]
    if tally.images < 2:
        notes.append(
            "one image: there is no other image to swap maps with, and nothing is known of other"
            " images"
        )
    return notes


def method(measure: str, tally: Tally) -> str:
    """The sentences for a methods section."""
    return (
        f"Agreement of relevance maps ({measure}) was averaged over pairs of networks of a model"
        f" and {tally.images} images, self pairs left out; intervals by two-way jackknife,"
        f" {REFERENCE}. Reliability of mean maps: Spearman-Brown. Baseline: agreement of the same"
        " networks' maps of different images, over all pairs of images."
    )


def population(result: xr.Dataset, table: pd.DataFrame, tally: Tally) -> str:
    """What the inference is about: networks and images like those measured."""
    return f"{levels.inference_over(result)} ({len(table)} networks, {tally.images} images)"
