"""Groups of a study, written whole or not at all: begin a study, add a group, save a result beside
the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from relstats.errors import UsageError
from relstats.study import atomic, layout, provenance, shards, store

#: Labels are not in the manifest; their checksum makes a flipped bit an error.
_SMALL_COMPRESSORS = (ZstdCodec(level=3, checksum=True),)


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
        return store.require_study(path)
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
        require_same_plan(path, group, plan)
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
    require_same_plan(path, group, plan)
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
    store.require_study(path)
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


def require_same_plan(path: Path, group: str, plan: str) -> None:
    """Refuse a group that was written with other settings: a resumed run must have the same."""
    there = _attributes(path / group).get("relstats_plan")
    if there != plan:
        raise UsageError(
            f"{path} exists and its /{group} was written with other settings ({there!r}, now"
            f" {plan!r}). Choose another path, or replace it with --force"
        )


def save_result(path: str | Path, name: str, result: xr.Dataset) -> None:
    """Write one result into `/results/<name>` of a study, replacing an earlier one, whole or not at
    all.

    A name that could not be a folder everywhere is replaced by its letters and a hash of it. In the
    result's command the study gets its name.
    """
    store.require_study(path)
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
    require_removable(path)
    with atomic.scratch(path) as scratch:
        os.replace(path, scratch / "old")


def require_removable(path: Path) -> None:
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
