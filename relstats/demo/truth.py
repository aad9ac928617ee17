"""What `relstats demo` planted, and whether the results of its study found it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.demo import faces

#: A network that names this share of pictures right can do its task.
_GOOD = 0.8


@dataclass(frozen=True)
class Finding:
    """One thing that is true of the demo, what the study says of it, and whether they agree.

    `verdict` is "found"; "found, not certain" where the estimate agrees and its interval includes
    the opposite; "missed".
    """

    planted: str
    found: str
    verdict: str


def recovered(study: xr.DataTree) -> list[Finding]:
    """Compare the results in the study of a demo with what was planted.

    Parameters
    ----------
    study : DataTree
        With the results of `relstats run`; what a missing result would say is left out.
    """
    results = {str(name): node.to_dataset() for name, node in study["results"].children.items()}
    found = [_skill(study["relevance"].to_dataset())]
    for result in results.values():
        kind, axis = result.attrs.get("statistic"), result.attrs.get("axis")
        if kind == "regions" and axis == "task":
            found += _parts(result)
        if kind == "compare" and axis == "pretrain" and result.attrs.get("normalise") == "chance":
            found += _directions(result)
        if kind == "rsa":
            found += _people(result)
    return found


def _skill(relevance: xr.Dataset) -> Finding:
    right = relevance["correct"].mean("image").values
    verdict = "found" if right.min() >= _GOOD else "missed"
    return Finding(
        "every network can do its task on new pictures",
        f"{100 * right.min():.0f} to {100 * right.max():.0f} % right",
        verdict,
    )


def _parts(result: xr.Dataset) -> Iterator[Finding]:
    """Where the relevance of each task lies, as its density in each part."""
    contrast = str(result["contrast"].values[0])
    sign = {"gender|identity": 1, "identity|gender": -1}[contrast]
    for features, task, own in ((faces.GENDER, "gender", 1), (faces.IDENTITY, "identity", -1)):
        for region in dict.fromkeys(features.values()):
            one = result.sel(contrast=contrast, region=region)
            of = {
                level: one["level_mean"].sel(level=level).item() for level in ("gender", "identity")
            }
            said = f"density {of['gender']:.2f} for gender, {of['identity']:.2f} for identity"
            names = " and ".join(
                name.replace("_", " ") for name, where in features.items() if where == region
            )
            yield Finding(
                f"{region} ({names}) tell {task}",
                said,
                _verdict(own * sign * one["estimate"].item(), own * sign * one["ci"].values),
            )
    rest = result["level_mean"].sel(region="rest")
    highest = result["level_ci"].sel(region="rest").values.max()
    said = f"density {rest.values.min():.2f} to {rest.values.max():.2f} (1 by chance)"
    yield Finding(
        "the background tells nothing",
        said,
        _verdict(1 - float(rest.max()), np.array([1 - highest, np.inf])),
    )


def _directions(result: xr.Dataset) -> Iterator[Finding]:
    """Networks that grew up with faces have learnt from partly hidden ones, and do better on
    whatever pixels are left.
    """
    contrast = str(result["contrast"].values[0])
    faces_first = {"faces|objects": 1, "objects|faces": -1}[contrast]
    for effect, sign, planted in (
        (
            "target_effect",
            1,
            "networks that learnt from partly hidden faces are the easier targets",
        ),
        (
            "asymmetry",
            -1,
            "so objects' maps on faces' networks beat faces' maps on objects' networks",
        ),
    ):
        one = result.sel(contrast=contrast, effect=effect)
        estimate, interval = (
            faces_first * one["estimate"].item(),
            np.sort(faces_first * one["ci"].values),
        )
        said = f"{effect.replace('_', ' ')} {estimate:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
        yield Finding(planted, said, _verdict(sign * estimate, sign * interval))


def _people(result: xr.Dataset) -> Iterator[Finding]:
    """Simulated people judge by the planted features, which the networks use too."""
    estimates, intervals = result["estimate"].values, result["ci"].values
    weakest = int(np.argmin(estimates))
    said = (
        f"agreement {estimates.min():.2f} to {estimates.max():.2f}, ceiling"
        f" {result['noise_ceiling'].values[0]:.2f}"
    )
    yield Finding(
        "people judge by the same parts", said, _verdict(estimates[weakest], intervals[weakest])
    )


def _verdict(estimate: float, interval: np.ndarray) -> str:
    """Of an estimate that should be above 0."""
    if not estimate > 0:
        return "missed"
    return "found" if np.min(interval) > 0 else "found, not certain"
