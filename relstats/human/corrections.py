"""Adjusted p-values beside the raw ones, for each family of tests on its own."""

from __future__ import annotations

from typing import Literal

import xarray as xr

from relstats.errors import UsageError
from relstats.stats.inference.adjust import false_discovery, holm

Correction = Literal["holm", "bh", "none"]
FAMILIES = ("p_value", "p_mantel", "difference_p_value")


def corrected(result: xr.Dataset, method: Correction) -> xr.Dataset:
    """Adjust all families of a result of `rsa`; with "holm", the best of all models by its own
    draws.
    """
    for family in FAMILIES if method != "none" else ():
        if family in result:
            by_draws = family == "p_mantel" and method == "holm"
            result = correct(result, family, "max-t" if by_draws else method)
    return result


def correct(result: xr.Dataset, p_value: str, method: str = "holm") -> xr.Dataset:
    """Adjust p-values of a result for how many there are; the raw ones stay.

    Parameters
    ----------
    result : Dataset
        From `rsa`.
    p_value : {"p_value", "p_mantel", "difference_p_value"}
        Which family of tests.
    method : {"holm", "bh", "max-t"}
        "holm": family-wise error. "bh": false discovery rate (Benjamini & Hochberg 1995). "max-t":
        family-wise, by permutation, for "p_mantel" alone; it uses how models depend on each other.

    Returns
    -------
    Dataset
        With `<p_value>_adjusted`, whose attribute `correction` names the method. NaN are no tests,
        and stay.

    Raises
    ------
    UsageError
        Unknown p-value or method; max-t for another family.

    Examples
    --------
    >>> result = xr.Dataset({"p_value": ("model", [0.01, 0.04])})
    >>> correct(result, "p_value")["p_value_adjusted"].values
    array([0.02, 0.04])
    """
    known = [str(name) for name in result.data_vars if str(name).endswith(("p_value", "p_mantel"))]
    if p_value not in known:
        raise UsageError(f"p_value is {p_value!r}; this result has {', '.join(known)}")
    if method not in ("holm", "bh", "max-t"):
        raise UsageError(f"method is {method!r}; it is one of holm, bh, max-t")
    if method == "max-t" and p_value != "p_mantel":
        raise UsageError(
            f"max-t of {p_value!r}: only p_mantel has draws under its null. Use holm or bh"
        )
    raw = result[p_value]
    if method == "max-t":
        adjusted = result["p_mantel_max"].values
    else:
        adjusted = holm(raw.values) if method == "holm" else false_discovery(raw.values)
    return result.assign({f"{p_value}_adjusted": (raw.dims, adjusted, {"correction": method})})
