"""The only opener and writer of studies: open, begin, add, save, and results written atomically
beside the data.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shlex
import warnings
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import ZarrUserWarning

from relstats.errors import InvalidData, UsageError
from relstats.study import atomic, check, layout, provenance, shards
from relstats.study.variables import Variable, family_variables

#: Labels are not in the manifest; their checksum makes a flipped bit an error.
_SMALL_COMPRESSORS = (ZstdCodec(level=3, checksum=True),)


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


def begin_study(path: str | Path, attrs: Mapping[str, object], *, force: bool = False) -> None:
    """Create an empty study, whole or not at all.

    An existing one is left alone, or replaced with `force`.

    Raises
    ------
    UsageError
        `force` would remove something that is not a study.
    """
    path = Path(path)
    atomic.sweep(path)
    if path.exists() and not force:
        return require_study(path)
    if path.exists():
        _remove_study(path)
    with atomic.scratch(path) as scratch:
        root = zarr.open_group(str(scratch / "new"), mode="w", zarr_format=3)
        root.attrs.update(
            {
                "relstats_schema": layout.SCHEMA_VERSION,
                "relstats_version": provenance.version("relstats"),
                "created": provenance.now(),
                **attrs,
            }
        )
        atomic.commit(scratch / "new", path)


def add_group(
    path: str | Path,
    group: str,
    dataset: xr.Dataset,
    streamed: Mapping[str, Sequence[str]],
    plan: str,
    **sizes: int,
) -> bool:
    """Add a group to a study: small variables at once, the streamed ones empty, to be filled shard
    by shard.

    Parameters
    ----------
    path : str or Path
        An existing study.
    group : str
        Its name.
    dataset : xarray.Dataset
        Coordinates and small variables.
    streamed : mapping of str to sequence of str
        Family to the variables of it that will be written with `shards.write_shard`.
    plan : str
        Says what is being written. A group with the same plan is resumed.
    **sizes : int
        Sizes of dims of the streamed variables that `dataset` does not have.

    Returns
    -------
    bool
        False where the group with this plan is there already (resume), True where it was added.

    Raises
    ------
    UsageError
        The group is there with another plan.
    """
    path = Path(path)
    if (path / group).exists():
        _require_same_plan(path, group, plan)
        return False
    with atomic.scratch(path) as scratch:
        small = dataset.drop_vars(
            [name for names in streamed.values() for name in names], errors="ignore"
        )
        _write(small, scratch / "new", group)
        new = zarr.open_group(str(scratch / "new"), mode="r+", use_consolidated=False)
        new[group].attrs["relstats_plan"] = plan
        for family, names in streamed.items():
            shards.create_family(
                new, {**{str(d): n for d, n in dataset.sizes.items()}, **sizes}, family, names, plan
            )
            _require_group(path, "manifest", scratch)
            _put_manifest(
                scratch / "new" / "manifest" / family, path / "manifest" / family, scratch, plan
            )
        added = atomic.commit(scratch / "new" / group, path / group)
    _require_same_plan(path, group, plan)
    return added


def add_small_group(
    path: str | Path, group: str, dataset: xr.Dataset, plan: str, *, force: bool = False
) -> None:
    """Add a group that is written at once, whole or not at all.

    Lazy arrays are made block by block.

    Parameters
    ----------
    path : str or Path
        An existing study.
    group : str
        Its name.
    dataset : xarray.Dataset
        All of it.
    plan : str
        Says what is written. A group with the same plan is left alone.
    force : bool
        Replace a group with another plan.

    Raises
    ------
    UsageError
        The group is there with another plan.
    """
    path = Path(path)
    require_study(path)
    if not force:
        add_group(path, group, dataset, {}, plan)
        return
    with atomic.scratch(path) as scratch:
        _write(dataset.assign_attrs(relstats_plan=plan), scratch / "new", group)
        atomic.replace(scratch / "new" / group, path / group, scratch / f"old-{group}")


def _put_manifest(new: Path, target: Path, scratch: Path, plan: str) -> None:
    """One with the same plan is from another process, which may be writing shards already: it
    stays.
    """
    if not atomic.commit(new, target) and _attributes(target).get("plan") != plan:
        atomic.replace(new, target, scratch / f"old-{target.name}")


def _require_group(path: Path, name: str, scratch: Path) -> None:
    zarr.open_group(str(scratch / name), mode="w", zarr_format=3)
    atomic.commit(scratch / name, path / name)


def _attributes(node: Path) -> dict[str, object]:
    attributes: dict[str, object] = json.loads((node / "zarr.json").read_text()).get(
        "attributes", {}
    )
    return attributes


def _require_same_plan(path: Path, group: str, plan: str) -> None:
    there = _attributes(path / group).get("relstats_plan")
    if there != plan:
        raise UsageError(
            f"{path} exists and its /{group} was written with other settings ({there!r}, now"
            f" {plan!r}). Choose another path, or replace it with --force"
        )


def save_study(study: xr.DataTree, path: str | Path, *, force: bool = False) -> None:
    """Write a study, shard by shard; an interrupted call is resumed by the same call.

    Parameters
    ----------
    study : xarray.DataTree
        From `relstats.study`, or opened from elsewhere. Arrays may be lazy: one shard is in memory
        at a time.
    path : str or Path
        Where to. An existing complete study is not overwritten without `force`.

    Raises
    ------
    InvalidData
        The study breaks rules of the layout (all problems), or relevance is infinite.
    UsageError
        A study with other labels or other data is at `path`.

    Examples
    --------
    >>> import tempfile, relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> save_study(study, tempfile.mkdtemp() + "/copy.zarr")
    """
    problems = check.check(study)
    if problems:
        raise InvalidData(
            f"{len(problems)} problem(s) with this study:" + "".join(f"\n  {p}" for p in problems)
        )
    path = Path(path)
    if force and path.exists():
        return _save_over(study, path)
    groups = {
        g: study[g].to_dataset()
        for g in layout.GROUPS
        if g in study.children and g not in ("manifest", "results")
    }
    for group, dataset in groups.items():  # all of them before anything is written
        if (path / group / "zarr.json").exists():
            _require_same_plan(path, group, _plan_of(dataset, _streamed(dataset, group)))
    begin_study(path, {str(k): v for k, v in study.attrs.items()})
    for group, dataset in groups.items():
        _save_group(dataset, path, group)
    shards.sweep(path)


def _save_over(study: xr.DataTree, path: Path) -> None:
    """The old study goes only when the new one is whole: it may be the very one that is read."""
    _require_removable(path)
    with atomic.scratch(path) as scratch:
        save_study(study, scratch / "new")
        atomic.replace(scratch / "new", path, scratch / "old")


def _streamed(dataset: xr.Dataset, group: str) -> dict[str, list[str]]:
    """The variables of each family that a group has."""
    there = (
        layout.layers(dataset) if group == "features" else [str(name) for name in dataset.variables]
    )
    names = {
        family: [v.name for v in family_variables(family, there)]
        for family, info in layout.FAMILIES.items()
        if info.group == group
    }
    return {family: found for family, found in names.items() if found}


def _save_group(dataset: xr.Dataset, path: str | Path, group: str) -> None:
    streamed = _streamed(dataset, group)
    plan = _plan_of(dataset, streamed)
    add_group(
        path,
        group,
        dataset.drop_attrs(deep=False).assign_attrs(_lasting(dataset.attrs)),
        streamed,
        plan,
    )
    for family, names in streamed.items():
        for shard in shards.expected(path, family):
            shards.write_shard(
                path, shard, {name: _shard_values(dataset[name], shard, name) for name in names}
            )


def _lasting(attrs: Mapping[str, object]) -> dict[str, object]:
    return {str(k): v for k, v in attrs.items() if k != "relstats_plan"}


def _plan_of(dataset: xr.Dataset, streamed: Mapping[str, Sequence[str]]) -> str:
    """Labels, sizes and small variables, as a digest: a resumed save must have the same, or maps
    get the labels of others.
    """
    large = [name for names in streamed.values() for name in names]
    digest = hashlib.sha256(
        json.dumps([streamed, _lasting(dataset.attrs)], default=str, sort_keys=True).encode()
    )
    for name in sorted(map(str, dataset.variables)):
        array = dataset[name]
        dims = {str(d): array.sizes[d] for d in sorted(array.dims, key=str)}
        digest.update(json.dumps([name, dims]).encode())
        if name not in large:
            values = array.transpose(*dims).values
            digest.update(
                json.dumps(values.tolist(), default=str).encode()
                if values.dtype.kind in "OUT"
                else values.tobytes()
            )
    return f"saved from arrays, labels {digest.hexdigest()[:16]}"


def _shard_values(array: xr.DataArray, shard: shards.Shard, name: str) -> np.ndarray:
    (spec,) = family_variables(shard.family, [name])
    part = array.transpose(*spec.dims)[shard.cell].isel(image=shard.images)
    values = part.values
    where = f"{name} of {shards.describe(array.to_dataset(name=name), shard)}"
    _check_values(values[~np.isnan(values)], spec, where)
    if spec.dtype in ("uint8", "int32"):
        return np.where(np.isnan(values), layout.FILL[spec.dtype], values).astype(spec.dtype)
    with np.errstate(over="ignore"):  # an overflow is an infinite value, and told below
        stored = values.astype(spec.dtype)
    if np.isinf(stored).any():
        raise InvalidData(
            f"{where} holds {int(np.isinf(stored).sum())} infinite value(s), of dtype"
            f" {values.dtype} stored as {spec.dtype} (largest {np.finfo(spec.dtype).max:g}; float16"
            " overflows at 65504). Compute it in float32 and rescale it"
        )
    return stored


def _check_values(values: np.ndarray, spec: Variable, where: str) -> None:
    low, high = spec.low, spec.high
    if (
        low is not None
        and high is not None
        and values.size
        and (values.min() < low or values.max() > high)
    ):
        raise InvalidData(
            f"{where} lies in [{values.min():g}, {values.max():g}], not in [{low:g}, {high:g}]."
            " Give it in that unit"
        )
    cut = values[values != np.trunc(values)] if spec.dtype in ("uint8", "int32") else values[:0]
    if cut.size:
        raise InvalidData(
            f"{where} holds {cut.size} number(s) that are not whole (e.g. {cut[0]:g}); {spec.dtype}"
            " would cut them. Give whole numbers"
        )


def save_result(path: str | Path, name: str, result: xr.Dataset) -> None:
    """Write one result into `/results/<name>` of a study, replacing an earlier one, whole or not at
    all.

    A name that could not be a folder everywhere is replaced by its letters and a hash of it. In the
    result's command the study gets its name.
    """
    require_study(path)
    path, name = Path(path), _slug(name)
    if "command" in result.attrs:
        typed = re.sub(r"\bSTUDY\b", shlex.quote(path.name), str(result.attrs["command"]), count=1)
        result = result.assign_attrs(command=typed)
    with atomic.scratch(path) as scratch:
        _require_group(path, "results", scratch)
        _write(result, scratch / "new", None)
        atomic.replace(scratch / "new", path / "results" / name, scratch / "old")


def _slug(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    return (
        plain if plain == name != "" else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    )


def _write(dataset: xr.Dataset, path: Path, group: str | None) -> None:
    storable = _storable(dataset)
    encoding: dict[Hashable, dict[str, object]] = {
        n: {"compressors": _SMALL_COMPRESSORS} for n in storable.variables
    }
    # write_empty_chunks: or an array of fill values is not there, and reading it back is refused
    storable.to_zarr(
        path,
        group=group,
        mode="w",
        zarr_format=3,
        consolidated=False,
        encoding=encoding,
        write_empty_chunks=True,
    )


def _storable(dataset: xr.Dataset) -> xr.Dataset:
    """Text as variable-length strings: fixed-width ones have no place in Zarr v3."""
    text = {name: v.astype(object) for name, v in dataset.variables.items() if v.dtype.kind in "UT"}
    plain = dataset.drop_encoding()
    return plain.assign({n: v for n, v in text.items() if n not in plain.coords}).assign_coords(
        {n: v for n, v in text.items() if n in plain.coords}
    )


def _remove_study(path: Path) -> None:
    _require_removable(path)
    with atomic.scratch(path) as scratch:
        os.replace(path, scratch / "old")


def _require_removable(path: Path) -> None:
    """Whoever gives --force wants to lose a study, and nothing else."""
    if not path.is_dir() or not (path / "zarr.json").exists():
        raise UsageError(
            f"{str(path)!r} is not a study; --force only replaces studies. Remove it yourself"
        )
    foreign = sorted(
        e.name for e in path.iterdir() if e.name != "zarr.json" and not (e / "zarr.json").exists()
    )
    if foreign:
        raise UsageError(
            f"{str(path)!r} holds things that are not of a study"
            f" ({', '.join(map(repr, foreign[:3]))}); --force only replaces studies. Remove it"
            " yourself"
        )
    with suppress(ValueError, AttributeError):
        if "relstats_schema" in _attributes(path):
            return
    raise UsageError(
        f"{str(path)!r} is a Zarr store but not a study (no relstats_schema); --force only replaces"
        " studies. Remove it yourself"
    )
