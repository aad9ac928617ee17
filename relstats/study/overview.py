"""What is in a study, and all that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from relstats.study import check, layout, shards, store, verify


def problems(path: str | Path, *, deep: bool = False) -> list[check.Problem]:
    """Every problem of a study: layout, labels, what is not written yet.

    With `deep`, every damaged shard.

    Examples
    --------
    >>> import tempfile, relstats
    >>> path = tempfile.mkdtemp() + "/study.zarr"
    >>> _ = relstats.simulate(
    ...     path, models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> problems(path, deep=True)
    []
    """
    study = store.open_unchecked(path)
    found = check.check(study)
    for group in {info.group for info in layout.FAMILIES.values()} & set(study.children):
        found += store.incomplete(study, group)
    return found + (verify.verify(path) if deep else [])


def summary(path: str | Path) -> dict[str, Any]:
    """What a study holds, as plain values: `name`, `facts`, `groups`, `axes`, `results`.

    Examples
    --------
    >>> import tempfile, relstats
    >>> path = tempfile.mkdtemp() + "/study.zarr"
    >>> _ = relstats.simulate(
    ...     path, models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> summary(path)["facts"]["networks"]
    6
    """
    study = store.open_unchecked(path)
    datasets = {
        str(name): node.to_dataset()
        for name, node in study.children.items()
        if name not in ("manifest", "results")
    }
    base = datasets.get("relevance", datasets.get("transfer", xr.Dataset()))
    prefix = "" if "relevance" in datasets else "source_"
    cells = (
        shards.networks(base, tuple(f"{prefix}{d}" for d in layout.NETWORK))
        if f"{prefix}model" in base.sizes
        else []
    )
    results = (
        sorted(str(name) for name in study["results"].children)
        if "results" in study.children
        else []
    )
    facts = {
        "created": study.attrs.get("created", "unknown"),
        "relstats": study.attrs.get("relstats_version", "unknown"),
        "models": base.sizes.get(f"{prefix}model", 0),
        "networks": len(cells),
        "images": base.sizes.get("image", 0),
        "size on disk": _size(Path(path)),
        "results": ", ".join(results) or "none",
    }
    return {
        "name": str(study.attrs.get("name", "")),
        "facts": facts,
        "results": results,
        "axes": _axes(base, prefix, cells),
        "groups": [_group(study, name, dataset) for name, dataset in datasets.items()],
    }


def _axes(dataset: xr.Dataset, prefix: str, cells: list[tuple[int, ...]]) -> list[dict[str, Any]]:
    rows = []
    for axis, levels in layout.axes(dataset, prefix).items():
        for level in sorted(set(levels)):
            rows.append(
                {
                    "axis": axis,
                    "level": level,
                    "networks": sum(levels[m] == level for m, _ in cells),
                }
            )
    return rows


def _group(study: xr.DataTree, name: str, dataset: xr.Dataset) -> dict[str, str]:
    lacking = store.incomplete(study, name)
    return {
        "group": f"/{name}",
        "size": " x ".join(f"{n} {dim}" for dim, n in dataset.sizes.items()),
        "variables": ", ".join(str(v) for v in dataset.data_vars) or "labels only",
        "complete": "; ".join(problem.what for problem in lacking) or "yes",
    }


def _size(path: Path) -> str:
    total = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    power = min(4, int(np.log10(max(1, total)) // 3))
    return f"{total / 1000**power:.3g} {['B', 'kB', 'MB', 'GB', 'TB'][power]}"
