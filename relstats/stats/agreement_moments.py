"""Moments of the agreement of networks' maps, and of what it has beyond that of other images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relstats.stats.inference.moments import Moments, block_moments
from relstats.stats.inference.operators import Operator, contrast_operator
from relstats.stats.maps import agreement
from relstats.study.maps import Block
from relstats.study.omissions import Tally


def of_usable(function: Any, block: Block) -> tuple[Any, Tally]:
    """A function of the images of a block on which every network's map varies."""
    maps, usable = block.pixels, block.present
    for i in np.flatnonzero(usable):
        usable[i] = (maps[:, i].min(axis=-1) < maps[:, i].max(axis=-1)).all()
    tally = block.tally(usable, block.empty())
    return (function(maps[:, usable]) if usable.any() else None), tally


def vector_sums(measure: str, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over images of the unit vectors, and of their products."""
    total, same = np.zeros((maps.shape[0], maps.shape[2])), np.zeros((maps.shape[0],) * 2)
    for image in range(maps.shape[1]):
        vectors = agreement.unit_vectors(maps[:, image], measure)
        total += vectors
        same += vectors @ vectors.T
    return total, same


def both_moments(
    measure: str,
    operators: Sequence[Operator],
    total: np.ndarray,
    swapped: np.ndarray,
    n_images: int,
    maps: np.ndarray,
) -> tuple[Moments, Moments]:
    """Moments of the agreement, and of what it has beyond that of different images.

    The mean over pairs of images depends on an image through all its pairs, twice as strongly as a
    mean over images: so each image has its agreement less twice its own mean over the other images,
    plus the mean over all (Hoeffding's projection). The mean over images is exact, and the variance
    includes that of the baseline.
    """
    scores = np.empty((maps.shape[0], maps.shape[0], 1, maps.shape[1]))
    beyond = np.empty_like(scores)
    for image in range(maps.shape[1]):
        vectors = agreement.unit_vectors(maps[:, image], measure)
        scores[..., 0, image] = np.clip(same := vectors @ vectors.T, -1, 1)
        others = (vectors @ total.T - same) / max(1, n_images - 1)
        beyond[..., 0, image] = same - (others + others.T) + swapped
    if n_images < 2:
        beyond[:] = 0.0  # there is no other image; the result is NaN
    return block_moments(scores, operators), block_moments(beyond, operators)


def agreement_operators(
    table: pd.DataFrame, models: list[str], baseline: str | None
) -> dict[tuple[str, str], Operator]:
    """Agreement within each model that has two networks; and less that of the baseline."""
    sizes, operators = table["model"].value_counts(), {}
    for model in models:
        own = np.where(table["model"] == model, 0, -1)
        if sizes.get(model, 0) > 1:
            operators[model, "within"] = contrast_operator(own, np.ones((1, 1)))
            if baseline not in (None, model) and sizes.get(baseline, 0) > 1:
                pair = np.where(table["model"] == baseline, 1, own)
                operators[model, "baseline"] = contrast_operator(pair, np.diag([1.0, -1.0]))
    return operators
