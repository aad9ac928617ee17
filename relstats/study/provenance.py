"""Which versions computed something, and when."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time

_PACKAGES = ("numpy", "scipy", "xarray", "zarr", "numba", "dask")


def provenance() -> dict[str, str]:
    """Versions of what computes, for the attributes of a study or a result.

    Examples
    --------
    >>> sorted(provenance())[:2]
    ['created', 'dask_version']
    """
    versions = {f"{name}_version": version(name) for name in ("relstats", *_PACKAGES)}
    return {"created": now(), "python_version": platform.python_version(), **versions}


def version(name: str) -> str:
    """Of an installed package; "unknown" where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def now() -> str:
    """The time of day in UTC, ISO 8601."""
    # SOURCE_DATE_EPOCH is the convention for builds that must come out the same, byte for byte
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
