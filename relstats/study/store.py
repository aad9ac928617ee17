"""The only opener of studies: is it one, is it valid, is all of it written."""

from __future__ import annotations

import difflib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, provenance, shards


def open_study(path: str | Path, *, align: str = "exact") -> xr.DataTree:
    """Open a study lazily and check its layout and labels.

    Parameters
    ----------
    path : str or Path
        A Zarr v3 store.
    align : {"exact", "inner"}
        "inner" keeps the images that all groups have and records in the attribute `dropped_images`
        what it left out.

    Returns
    -------
    xarray.DataTree
        Groups `/images`, `/relevance`, `/transfer`, `/features`, `/human`, `/human_maps`,
        `/behaviour`, `/regions`, `/manifest`, `/results`: those that are there.

    Raises
    ------
    UsageError
        There is no such store, or `align` is unknown.
    InvalidData
        The study breaks rules of the layout: all problems, one a line.

    Examples
    --------
    >>> import tempfile, relstats
    >>> path = tempfile.mkdtemp() + "/study.zarr"
    >>> _ = relstats.simulate(
    ...     path, models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> open_study(path)["relevance"].sizes["image"]
    4
    """
    if align not in ("exact", "inner"):
        raise UsageError(f"align is {align!r}; it is one of exact, inner")
    study = open_unchecked(path)
    if align == "inner":
        study = _inner(study)
    problems = check.check(study)
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise InvalidData(f"{path}: {len(problems)} problem(s) with this study:{lines}")
    return study


def open_unchecked(path: str | Path) -> xr.DataTree:
    """Open a study lazily without checking it, for `validate`."""
    require_study(path)
    # set while opening, or zarr returns fill values for shards that are not there
    try:
        with zarr.config.set({"array.read_missing_chunks": False}), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ZarrUserWarning
            )  # files of others; what a study lacks is told by the check
            study = xr.open_datatree(path, engine="zarr", consolidated=False, chunks=None)
        if (
            "manifest" in study.children
        ):  # here a missing chunk is the message: this shard is not complete
            study["manifest"] = xr.DataTree(
                xr.open_zarr(path, group="manifest", consolidated=False, chunks=None)
            )
        for group in layout.GROUPS:
            if group in study.children and group != "results":
                _load_labels(study[group].to_dataset())
    except Exception as error:
        # Of a codec, of JSON, of the file system: the reader needs the path, not the traceback.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidData(
            f"{path} is damaged: its metadata or labels cannot be read ({reason}). Restore it from"
            " a copy, or write it again with --force"
        ) from error
    return study


def _load_labels(group: xr.Dataset) -> None:
    """What says which cell is which is small: it is read at once, so that damage is found at the
    door.
    """
    for name, variable in group.variables.items():
        if name in group.coords or str(name).endswith("available"):
            variable.load()


def require_study(path: str | Path) -> None:
    """Raise a clear error unless `path` is a Zarr v3 group that this version can read."""
    path = Path(path)
    if not path.exists():
        near = difflib.get_close_matches(
            path.name, os.listdir(path.parent) if path.parent.is_dir() else []
        )
        hint = (
            f" Did you mean {' or '.join(repr(str(path.parent / n)) for n in near)}?"
            if near
            else ""
        )
        raise UsageError(f"no such study: {str(path)!r}.{hint}")
    if (path / ".zgroup").exists() or (path / ".zmetadata").exists():
        raise InvalidData(
            f"{path} is a Zarr v2 store; studies are Zarr v3. Convert it with "
            f"xarray.open_datatree({str(path)!r}, engine='zarr') and relstats.save_study"
        )
    if not path.is_dir() or not (path / "zarr.json").exists():
        raise UsageError(f"{str(path)!r} is not a study (a Zarr v3 store, a folder with zarr.json)")
    try:
        version = json.loads((path / "zarr.json").read_text())["attributes"].get(
            "relstats_schema", layout.SCHEMA_VERSION
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidData(
            f"{path / 'zarr.json'} is damaged ({error}): the study cannot be opened. Restore this"
            " file from a copy, or remove the study yourself and write it again"
        ) from error
    if isinstance(version, int) and version > layout.SCHEMA_VERSION:
        raise InvalidData(
            f"{path} has study layout version {version}; this relstats"
            f" ({provenance.version('relstats')}) reads up to {layout.SCHEMA_VERSION}. Upgrade"
            " relstats"
        )


def _inner(study: xr.DataTree) -> xr.DataTree:
    groups = [g for g in layout.IMAGE_GROUPS if g in study.children and "image" in study[g].coords]
    labels = {g: [str(v) for v in study[g].to_dataset()["image"].values] for g in groups}
    common = set.intersection(*map(set, labels.values())) if groups else set()
    datasets = {name: node.to_dataset() for name, node in study.subtree_with_keys}
    for group in groups:
        kept = [k for k, label in enumerate(labels[group]) if label in common]
        datasets[group] = datasets[group].isel(image=kept)
    dropped = sorted(set.union(*map(set, labels.values())) - common) if groups else []
    aligned = xr.DataTree.from_dict(datasets)
    if dropped:
        aligned.attrs["dropped_images"] = dropped
    return aligned


def require_complete(study: xr.DataTree, group: str) -> None:
    """Refuse a group whose manifest names shards that are not written yet, and name them.

    Raises
    ------
    InvalidData
        With the number of missing cells, the first three and how to resume.
    """
    problems = incomplete(study, group)
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))


def incomplete(study: xr.DataTree, group: str) -> list[check.Problem]:
    """Cells of a group that its manifest says are not written yet (none where the study has no
    manifest).
    """
    problems = []
    for family, info in layout.FAMILIES.items():
        if (
            info.group != group
            or "manifest" not in study.children
            or family not in study["manifest"]
        ):
            continue
        if group not in study.children:
            problems.append(
                check.Problem(
                    f"/{group}",
                    f"{family!r} was begun, and nothing of it is written",
                    "Run the command that writes it again: it resumes",
                )
            )
            continue
        dataset = study[group].to_dataset()
        manifest = study["manifest"].to_dataset()[family]
        done = shards.completed(manifest, family)
        gone = [name for name in manifest.attrs.get("variables", ()) if name not in dataset]
        problems += [
            check.Problem(
                f"/{group}/{name}",
                "its metadata are gone, though it was written",
                "Restore its zarr.json from a copy, or write the study again with --force",
            )
            for name in gone
        ]
        lacking = np.argwhere(shards.available(dataset, info.outer)[..., np.newaxis] & ~done)
        if lacking.size:
            cells = [
                shards.Shard(family, tuple(int(k) for k in index[:-1]), int(index[-1]))
                for index in lacking
            ]
            first = tuple(shards.describe(dataset, cell) for cell in cells[:3])
            problems.append(
                check.Problem(
                    f"/{group}",
                    f"{len(cells)} of {done.size} shards of {family!r} are not written",
                    "Run the command that writes it again: it resumes",
                    len(cells),
                    first,
                )
            )
    return problems
