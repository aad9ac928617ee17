"""Agreement of models with people, their differences and the noise ceiling, as labelled results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from relstats.human import evaluation
from relstats.human.evaluation import FACTORS, Evaluations
from relstats.human.rdms.mantel import Mantel
from relstats.human.reading import Data
from relstats.stats import levels
from relstats.stats.inference.crossed import Inference, random_words


def models(
    found: Evaluations,
    weights: np.ndarray,
    chance: Mantel | None,
    data: Data,
    dim: str,
    confidence: float,
) -> xr.Dataset:
    """Each model's mean agreement, tested against 0; each network's, and each participant's with
    the model; the noise ceiling.

    Parameters
    ----------
    found : Evaluations
    weights : ndarray, (model, network)
        Of the mean over each model's networks.
    chance : Mantel, or None
        Permutations of image labels.
    data : Data
    dim : str
        "model" or "level".
    confidence : float
    """
    rows = [row[np.newaxis] for row in weights]
    tests = [evaluation.contrast(found, row, confidence) for row in rows]
    result = _fields(tests, dim)
    for factor in FACTORS:
        shares = [
            test.variances.get("seeds 0" if factor == "seeds" else factor, np.nan) for test in tests
        ]
        result[f"variance_{factor}"] = (dim, np.array(shares, float))
    unknown = np.full(len(rows), np.nan)
    result["p_mantel"] = (dim, unknown if chance is None else chance.p_value)
    result["p_mantel_max"] = (dim, unknown if chance is None else chance.p_max)
    result["n_networks"] = (dim, (weights > 0).sum(axis=1))
    result["random"] = (dim, _random(found, rows))
    result["agreement"] = ((dim, "participant"), weights @ found.observed)
    result["network_estimate"] = ("network", found.observed.mean(axis=1))
    result["noise_ceiling"] = ("bound", np.array([found.ceiling.lower, found.ceiling.upper]))
    intervals = evaluation.ceiling_intervals(found, confidence)
    for name, interval in zip(("lower", "upper"), intervals, strict=True):
        result[f"noise_ceiling_{name}_ci"] = ("bound", interval)
    result["n_pairs"] = ("participant", np.isfinite(data.people).sum(axis=1))
    labels = {
        f"network_{c}": ("network", data.networks[c].to_numpy(dtype=object)) for c in data.networks
    }
    return result.assign(n_images=data.n_images, n_participants=len(data.people)).assign_coords(
        {
            dim: np.array(data.groups, dtype=object),
            "participant": np.array(data.participants, dtype=object),
            "bound": np.array(["lower", "upper"], dtype=object),
            **labels,
        }
    )


def contrasts(found: Evaluations, weights: np.ndarray, data: Data, confidence: float) -> xr.Dataset:
    """The difference of any two models; empty for one."""
    chosen = list(itertools.combinations(range(len(weights)), 2))
    if not chosen:
        return xr.Dataset()
    rows = [np.stack([weights[a], -weights[b]]) for a, b in chosen]
    result = _fields(
        [evaluation.contrast(found, row, confidence) for row in rows], "contrast", "difference"
    )
    result["difference_random"] = ("contrast", _random(found, rows))
    names = [f"{data.groups[a]}|{data.groups[b]}" for a, b in chosen]
    return result.assign_coords(contrast=np.array(names, dtype=object))


def _random(found: Evaluations, rows: Sequence[np.ndarray]) -> np.ndarray:
    """What each claim holds for beyond what was measured."""
    return levels.words([random_words(evaluation.random_of(found, row)) for row in rows])


def _fields(tests: Sequence[Inference], dim: str, prefix: str = "") -> xr.Dataset:
    result = levels.tabulated(tests, (dim,)).assign(levels.untested(tests, (dim,)))
    if not prefix:
        return result
    names = {str(name): f"{prefix}_{name}" for name in result.data_vars}
    return result.rename(names | {"estimate": prefix})
