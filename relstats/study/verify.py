"""Every shard against its sha256: which are removed, truncated or changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import dask
import numpy as np
import zarr

from relstats.study import check, layout, shards


def verify(path: str | Path) -> list[check.Problem]:
    """Read every shard that should be complete and compare it with its sha256.

    Name each that differs.

    Returns
    -------
    list of Problem
        One for each removed, truncated or changed shard.
    """
    store = zarr.open_group(str(path), mode="r", use_consolidated=False)
    problems = []
    for family in layout.FAMILIES:
        if f"manifest/{family}" in store:
            done = np.argwhere(shards.completed(store[f"manifest/{family}"], family))
            if not done.size:  # begun, and nothing written
                continue
            group, names = (
                layout.FAMILIES[family].group,
                store[f"manifest/{family}"].attrs["variables"],
            )
            gone = [name for name in names if f"{group}/{name}" not in store]
            problems += [
                check.Problem(
                    f"/{group}/{name}",
                    f"the metadata of {len(done)} complete shards are gone",
                    "Restore its zarr.json from a copy, or compute it again",
                    len(done),
                )
                for name in gone
            ]
            if gone:
                continue
            with zarr.config.set(
                {"array.read_missing_chunks": False}
            ):  # read when an array is opened
                arrays = {name: store[f"{group}/{name}"] for name in names}
            check_one = partial(_verify_shard, store, family, arrays)
            problems += [
                p
                for p in dask.compute(*(dask.delayed(check_one)(index) for index in done))
                if p is not None
            ]
    return problems


def _verify_shard(
    store: zarr.Group, family: str, arrays: Mapping[str, zarr.Array], index: np.ndarray
) -> check.Problem | None:
    info, manifest = layout.FAMILIES[family], store[f"manifest/{family}"]
    shard = shards.Shard(family, tuple(int(k) for k in index[:-1]), int(index[-1]))
    group, values = store[info.group], {}
    for name, array in arrays.items():
        try:
            values[name] = np.asarray(array[shards.region_of(array, shard)[0]])
        except Exception as error:  # whatever the store raises, the shard cannot be read: say which
            return _damaged(group, shard, name, str(error).splitlines()[0])
    if shards.sha256_of(values) == manifest[(*shard.cell, shard.block)].tobytes():
        return None
    return _damaged(
        group, shard, ", ".join(values), "the data are not those that were written (sha256 differs)"
    )


def _damaged(group: zarr.Group, shard: shards.Shard, name: str, reason: str) -> check.Problem:
    return check.Problem(
        f"/{group.basename}/{name}",
        f"{shards.describe(group, shard)}: {reason}",
        "Restore this shard from a copy, or compute it again",
    )
