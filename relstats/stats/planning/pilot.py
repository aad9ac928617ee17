"""Variance components of a study, to plan the next one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference import contrasts, nodes
from relstats.stats.sources import scores as score_source

#: A pilot is small: its scores are held in memory, at most this many.
MOST_SCORES = 2**27


def pilot_components(
    study: xr.DataTree | xr.Dataset, *, axis: str, score: str = "probability"
) -> nodes.Components:
    """Variance components of the asymmetry over an axis, mean over contrasts and strata, for
    `relstats.power`.

    Parameters
    ----------
    study : DataTree or Dataset
        A study with transfer scores, or its `/transfer` group.
    axis : str
        Label of the models.
    score : {"correct", "probability", "margin"}
        The score that is planned for.

    Returns
    -------
    Components
        In squared units of the score, mean over fractions.

    Raises
    ------
    ImpossibleAnalysis
        A level has one network only, there is one image, or the pilot does not fit into memory.

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=4, images=50, size=8, rng=np.random.default_rng(1)
    ... )
    >>> round(pilot_components(study, axis="pretrain").s2e ** 0.5, 2)
    0.06
    """
    scores = score_source.from_study(study, measure="transfer", score=score)
    plan = contrasts.plan(scores.networks, axis)
    if scores.n_images * len(scores.networks) ** 2 > MOST_SCORES:
        raise ImpossibleAnalysis(
            f"{len(scores.networks)} networks x {scores.n_images} images are more than a pilot"
            " needs: select fewer images"
        )
    blocks, _ = scores.reduce(lambda block, _: block.astype(float).mean(axis=2))
    mean = np.concatenate(blocks, axis=-1)
    found = [
        _components(mean, groups, stratum)
        for groups in plan.groups
        for stratum in np.unique(groups[groups >= 0] // 2)
    ]
    names = [field.name for field in fields(nodes.Components) if field.name != "floored"]
    mean_of = {name: float(np.mean([getattr(c, name) for c in found])) for name in names}
    return nodes.Components(
        **mean_of, floored=tuple(sorted({name for c in found for name in c.floored}))
    )


def _components(scores: np.ndarray, groups: np.ndarray, stratum: int) -> nodes.Components:
    first, second = (np.flatnonzero(groups == 2 * stratum + side) for side in (0, 1))
    if min(first.size, second.size) < 2 or scores.shape[-1] < 2:
        raise ImpossibleAnalysis(
            f"a pilot needs two networks in each level and two images; got {first.size} and"
            f" {second.size} networks and {scores.shape[-1]} image(s)"
        )
    return nodes.variance_components(scores[np.ix_(first, second)], scores[np.ix_(second, first)])
