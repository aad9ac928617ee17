"""The scale of scores: raw, above chance, or from each target's control masks to whole images.

Choices that cannot be taken are refused with what to take instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats.inference import contrasts
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.moments import (
    Moments,
    block_moments,
    merge_moments,
    normalised_scores,
)
from relstats.stats.sources.scores import Scores
from relstats.study.omissions import Tally


def check_scale(measure: str, score: str, normalise: str) -> None:
    """Refuse a `normalise` that the measure or the score does not have (UsageError)."""
    if normalise in ("target", "chance") and measure != "transfer":
        raise UsageError(
            f"normalise is {normalise!r}, and {measure} is agreement of maps, which has no target's"
            " own scale nor chance of classes. Use --normalise none"
        )
    if normalise == "chance" and score == "margin":
        raise UsageError(
            "normalise is 'chance', and a margin at chance is not 1 / number of classes. Use"
            " --normalise target or none, or another score"
        )


def score_moments(
    scores: Scores,
    plan: Contrasts,
    transform: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[Moments | None, Tally]:
    """Moments of all operators of the plan; None where no image has all scores."""
    operators = list(plan.operators.values())

    def one(block: np.ndarray, images: np.ndarray) -> Moments:
        return block_moments(block if transform is None else transform(block, images), operators)

    blocks, tally = scores.reduce(one)
    return (merge_moments(blocks) if blocks else None), tally


def chosen_scale(normalise: str, plan: Contrasts, scores: Scores) -> tuple[str, list[str]]:
    """Which normalisation to use, and a note where it was not asked for."""
    if normalise in ("target", "chance"):
        return normalise, []
    try:
        contrasts.require_one_scale(plan, scores.n_classes)
    except ImpossibleAnalysis:
        if normalise == "none" or scores.controls is None:
            raise
        kinds = " and ".join(str(n) for n in sorted(set(np.asarray(scores.n_classes).tolist())))
        return "target", [
            f"networks tell {kinds} classes apart: each target's scores are on its own scale"
            " (normalise='target')"
        ]
    return "none", []


def control_means(scores: Scores, n_images: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean floor (network, fraction) and ceiling (network,) of each target, or None."""
    controls = scores.controls
    if controls is None:
        return None
    sums, _ = scores.reduce(lambda _, images: [part.sum(axis=-1) for part in controls(images)])
    floor, full = (np.sum(parts, axis=0) / n_images for parts in zip(*sums, strict=True))
    return floor, full


def normalised_moments(
    scores: Scores,
    plan: Contrasts,
    raw: Moments,
    normalise: str,
    control: tuple[np.ndarray, np.ndarray] | None,
) -> Moments:
    """Moments on the scale "target" or "chance"; raw ones give the ratio of each target."""
    if normalise == "chance":
        if scores.n_classes is None:
            raise ImpossibleAnalysis(
                "chance correction needs the number of classes: add the coordinate target_n_classes"
                " to /transfer, or use --normalise target"
            )
        chance = 1 / scores.n_classes.astype(float)[:, np.newaxis, np.newaxis]
        offset = 0 if scores.removed else chance  # chance cancels in a loss
        moments, _ = score_moments(scores, plan, lambda block, _: (block - offset) / (1 - chance))
    else:
        moments, _ = score_moments(scores, plan, _by_target(scores, raw, control))
    assert moments is not None  # there was an image with scores in the raw pass
    return moments


def _by_target(
    scores: Scores, raw: Moments, control: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    controls = scores.controls
    if controls is None or control is None:
        raise ImpossibleAnalysis(
            "target normalisation needs scores of whole images and of control masks (unmasked_* and"
            " random_* in /transfer). Measure them, or use --normalise none"
        )
    floor, full = control
    problems = control_problems(scores.networks, control)
    if problems:
        raise ImpossibleAnalysis(f"{problems[0]}. Use --normalise none")
    span = full[:, np.newaxis] - floor
    ratio = (raw.matrix[..., : span.shape[1]] - floor) / span

    def transform(block: np.ndarray, images: np.ndarray) -> np.ndarray:
        return normalised_scores(block.astype(float), *controls(images), ratio, span)

    return transform


def control_problems(networks: pd.DataFrame, control: tuple[np.ndarray, np.ndarray]) -> list[str]:
    """Why scores cannot be put on their targets' own scale, in words; nothing where they can."""
    floor, full = control
    span = (full[:, np.newaxis] - floor).min(axis=1)
    wrong = np.flatnonzero(~(span > 0))
    if not len(wrong):
        return []
    unknown = wrong[np.isnan(span[wrong])]
    first = networks.iloc[int(unknown[0]) if len(unknown) else int(np.argmin(span))]
    name = f"{first['model']} seed {first['seed']}"
    if len(unknown):
        return [
            f"scores of {name} on whole images or control masks are NaN: scores cannot be"
            " normalised"
        ]
    return [
        f"{name} has no range: whole images (or, where pixels were removed, a fall to chance) are"
        f" not above control masks (difference {span.min():.3g}), so scores cannot be normalised"
    ]


def mean_floor(control: tuple[np.ndarray, np.ndarray] | None) -> float:
    """Mean score on control masks; 0 where there are none."""
    return 0.0 if control is None else float(control[0].mean())
