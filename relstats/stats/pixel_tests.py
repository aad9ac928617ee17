"""Tests of one contrast, pixel by pixel: t, label swaps, clusters and their counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from relstats.stats.inference import clusters, contrasts, fields
from relstats.stats.inference.adjust import false_discovery
from relstats.stats.inference.moderated import Variance, moderated
from relstats.stats.levels import Labelings

_MAPS = ("estimate", "statistic", "standard_error", "df", "p_value", "p_max_t", "p_tfce", "p_bh")

_CLUSTERS = (
    "cluster_mass",
    "cluster_size",
    "cluster_sign",
    "cluster_peak_y",
    "cluster_peak_x",
    "p_cluster",
)


def alpha(confidence: float) -> float:
    """The level of tests, with room for the rounding of `1 - confidence`."""
    return 1 - confidence + 1e-12  # 0.95 is no binary fraction


#: How the variances of a level's networks are used.
_VARIANCES: dict[str, fields.Variances] = {
    "moderated": moderated,
    "welch": fields.unpooled,
}


def refusal(pair: Labelings, variance: Variance) -> str | None:
    """Why p over all pixels by the t distribution cannot be trusted at these numbers of networks.

    None where it can.
    """
    sizes = np.unique(2 * pair.strata + pair.first, return_counts=True)[1]
    least = int(sizes.min())
    if least < 3:
        return (
            f"a level has {least} networks in a stratum: how networks vary is not known well enough"
            " for p over many pixels. Add seeds (3 a level)"
        )
    if contrasts.unbalanced(sizes) and variance == "welch":
        return (
            f"unbalanced ({least} to {sizes.max()} networks a level) with fewer than"
            f" {contrasts.MIN_UNBALANCED}: p over many pixels by Welch t is too small where"
            " networks vary unequally. Add seeds, or give --variance moderated"
        )
    return None


def contrast_maps(
    maps: np.ndarray,
    pair: Labelings,
    shape: tuple[int, int],
    correction: Sequence[str],
    variance: Variance,
    forming_p: float,
    confidence: float,
) -> xr.Dataset:
    """Everything about one contrast."""
    own = maps[pair.members]
    found = {name: np.full(maps.shape[1], np.nan) for name in _MAPS}
    of_clusters = {
        "cluster_label": np.zeros(shape, np.int32),
        **{name: np.zeros(0) for name in _CLUSTERS},
    }
    left_out = np.ones(maps.shape[1], bool)
    if pair.testable and refusal(pair, variance):
        correction = [name for name in correction if name != "bh"]
    if not pair.testable:
        found["estimate"] = _difference(own, pair)
    else:
        left_out = fields.undefined(own, pair.first, pair.strata)
        found |= _tested(own, pair, left_out, variance)
        if set(correction) - {"bh"}:
            of_clusters |= _swapped(own, pair, left_out, found, shape, correction, forming_p)
        if "bh" in correction:
            found["p_bh"] = false_discovery(found["p_value"])
    half = stats.t.ppf((1 + confidence) / 2, found["df"]) * found["standard_error"]
    bounds = np.stack([found["estimate"] - half, found["estimate"] + half], axis=-1)
    dims: dict[str, Any] = {
        name: (("y", "x"), values.reshape(shape)) for name, values in found.items()
    }
    dims |= {
        "ci": (("y", "x", "bound"), bounds.reshape(*shape, 2)),
        "cluster_label": (("y", "x"), of_clusters.pop("cluster_label")),
    }
    dims |= {name: ("cluster", values) for name, values in of_clusters.items()}
    counts = {
        "n_networks": len(pair.members),
        "n_labelings": len(pair.labels),
        "min_p_swap": pair.min_p,
        "n_undefined": int(left_out.sum()),
    }
    return _summarised(
        xr.Dataset(dims | {name: ((), value) for name, value in counts.items()}),
        correction,
        confidence,
    )


def _difference(own: np.ndarray, pair: Labelings) -> np.ndarray:
    """First level less second within strata: for levels of one network, which have no test."""
    kinds = np.unique(pair.strata)
    each = [
        own[pair.first & (pair.strata == s)].mean(axis=0)
        - own[~pair.first & (pair.strata == s)].mean(axis=0)
        for s in kinds
    ]
    return np.mean(each, axis=0)


def _tested(
    own: np.ndarray, pair: Labelings, left_out: np.ndarray, variance: Variance
) -> dict[str, np.ndarray]:
    """T over networks, pixel by pixel."""
    estimate, error, df = _t_parts(own, pair, left_out, variance)
    t = estimate / error
    return {
        "estimate": estimate,
        "statistic": t,
        "standard_error": error,
        "df": df,
        "p_value": 2 * stats.t.sf(abs(t), df),
    }


def _t_parts(
    own: np.ndarray, pair: Labelings, left_out: np.ndarray, variance: Variance
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference, standard error and degrees of freedom; NaN where pixels are left out, which tell
    nothing of the variance of others.
    """
    difference = _difference(own, pair)
    error, df = np.full((2, own.shape[1]), np.nan)
    kept = own[:, ~left_out]
    if kept.size:
        _, error[~left_out], df[~left_out] = fields.welch(
            kept, pair.first, pair.strata, _VARIANCES[variance]
        )
    return difference, error, df


def _swapped(
    own: np.ndarray,
    pair: Labelings,
    left_out: np.ndarray,
    found: dict[str, np.ndarray],
    shape: tuple[int, int],
    correction: Sequence[str],
    forming_p: float,
) -> dict[str, np.ndarray]:
    """Label swaps: p of pixels into `found`; and the clusters.

    By Welch t: it needs no other pixel, and a labeling takes one product of matrices.
    """
    threshold = float(
        stats.t.isf(forming_p / 2, len(pair.members) - 2 * len(np.unique(pair.strata)))
    )
    largest = fields.swap_maxima(own, pair.labels, pair.strata, shape, threshold, correction)
    estimate, error, _ = _t_parts(own, pair, left_out, "welch")
    t = (estimate / error).astype(np.float32).reshape(shape)
    if "max-t" in correction:
        found["p_max_t"] = fields.family_p(np.abs(t).ravel(), largest[:, 0])
    if "tfce" in correction:
        enhanced = np.where(np.isnan(t), np.nan, clusters.enhance(t))
        found["p_tfce"] = fields.family_p(enhanced.ravel(), largest[:, 1])
    if "cluster" not in correction:
        return {}
    labels, mass = clusters.label_clusters(t, threshold)
    peaks = [np.argmax(np.where(labels == k + 1, np.abs(t), -1)) for k in range(len(mass))]
    y, x = np.unravel_index(np.array(peaks, int), shape)
    return {
        "cluster_label": labels,
        "cluster_mass": mass,
        "cluster_size": np.bincount(labels.ravel(), minlength=1)[1:] * 1.0,
        "cluster_sign": np.sign(t[y, x]) * 1.0,
        "cluster_peak_y": y * 1.0,
        "cluster_peak_x": x * 1.0,
        "p_cluster": fields.family_p(mass, largest[:, 2]),
    }


def _summarised(one: xr.Dataset, correction: Sequence[str], confidence: float) -> xr.Dataset:
    """Where t and the difference are largest, and how much is significant.

    NaN where it was not asked for.
    """
    small = {
        name: one[name].values <= alpha(confidence)
        for name in ("p_max_t", "p_bh", "p_tfce", "p_cluster")
    }
    counts = {
        "n_pixels_max_t": ("max-t", small["p_max_t"].sum()),
        "n_pixels_bh": ("bh", small["p_bh"].sum()),
        "area_tfce": ("tfce", small["p_tfce"].sum()),
        "n_clusters": ("cluster", small["p_cluster"].sum()),
        "area_clusters": ("cluster", one["cluster_size"].values[small["p_cluster"]].sum()),
    }
    found = {
        name: float(count) if needed in correction else np.nan
        for name, (needed, count) in counts.items()
    }
    found |= _largest(one, "statistic", "peak") | _largest(one, "estimate", "largest")
    return one.assign({name: ((), value) for name, value in found.items()})


def _largest(one: xr.Dataset, of: str, name: str) -> dict[str, float]:
    """The value of largest size, and its place; NaN where there is none."""
    values = one[of].values
    if np.isnan(values).all():
        return {f"{name}_{of}": np.nan, f"{name}_y": np.nan, f"{name}_x": np.nan}
    y, x = np.unravel_index(int(np.nanargmax(np.abs(values))), values.shape)
    return {f"{name}_{of}": float(values[y, x]), f"{name}_y": float(y), f"{name}_x": float(x)}
