"""The groups of a computed study: labels, attributes, and the settings that a resumed run must
share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr

from relstats.compute import images, models
from relstats.compute.lrp import reference
from relstats.compute.lrp.plans import Plan
from relstats.compute.stream import running, writer
from relstats.compute.study_file.settings import Study
from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, store
from relstats.study.provenance import provenance
from relstats.study.variables import variables

#: What is written shard by shard: all of the family.
STREAMED = {"relevance": [v.name for v in variables("relevance", "relevance")]}
_SHOWN = 3


def settings(study: Study, device: torch.device) -> dict[str, Any]:
    """All that decides the bytes of a study's maps, as plain values.

    Runs that write the same study must agree on it.

    Returns
    -------
    dict
        Images and checkpoints are in it by sha256, the device by its name.

    Raises
    ------
    InvalidData
        Two checkpoints are the same file: one network would count as two.
    """
    table = study.images.table.drop(columns="path")
    hashes = {
        (m.name, seed): models.checkpoint_sha256(path)
        for m in study.models
        for seed, path in m.checkpoints.items()
    }
    _require_different(hashes)
    about = {
        m.name: {
            "factory": m.factory,
            "arguments": dict(m.arguments),
            "axes": dict(m.axes),
            "label": m.label,
            "classes": list(m.classes),
            "preprocessing": asdict(m.preprocessing),
            "checkpoints": {seed: hashes[m.name, seed] for seed in m.checkpoints},
        }
        for m in study.models
    }
    grid = {"size": study.images.size, "resize": study.images.resize, "pixels": study.images.pixels}
    found = {
        "images": {**grid, "files": writer.digest([table.index.tolist(), table.to_dict("list")])},
        "models": about,
        "relevance": asdict(study.relevance),
        "batch": study.batch,
        "dtype": study.dtype,
        "device": running.device_name(device),
        "versions": {"torch": torch.__version__, "zennit": reference.version()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return plain


def plan_text(found: Mapping[str, Any]) -> str:
    """The settings in a line, for the manifest."""
    return writer.plan(f"relstats compute, {found['relevance']['composite']}", found)


def require_same(out: Path, found: Mapping[str, Any]) -> None:
    """Refuse a study that was begun with other settings, and name those that differ.

    Raises
    ------
    UsageError
        With the first three of them.
    """
    if not (out / "zarr.json").exists():
        return
    store.require_study(out)
    there = zarr.open_group(str(out), mode="r", use_consolidated=False).attrs.get(
        "compute_settings"
    )
    if not isinstance(
        there, str
    ):  # begun by another command, which may have left /relevance to this one
        return
    old, new = _flat(json.loads(there)), _flat(found)
    differ = [
        f"{key} was {old.get(key)!r}, is {new.get(key)!r}"
        for key in old | new
        if old.get(key) != new.get(key)
    ]
    if differ:
        more = f" and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise UsageError(
            f"{out} was begun with other settings: {'; '.join(differ[:_SHOWN])}{more}. "
            "Choose another path, or replace it with --force"
        )


def root_attrs(study: Study, found: Mapping[str, Any]) -> dict[str, object]:
    """Attributes of the whole study: its file's text, versions, and the settings."""
    return {
        "name": study.name,
        "study_file": study.text,
        "compute_settings": json.dumps(found, sort_keys=True),
        "device": found["device"],
        **provenance(),
        "torch_version": torch.__version__,
    }


def images_group(study: Study, pixels: np.ndarray | None) -> xr.Dataset:
    """The group `/images`: labels as text, sha256, and the pixels where they are asked for."""
    table = study.images.table.drop(columns="path")
    coords = {str(name): ("image", table[name].to_numpy(dtype=object)) for name in table}
    group = xr.Dataset(coords={"image": ("image", table.index.to_numpy(dtype=object)), **coords})
    group.attrs = {
        "resize": images.resize_rule(study.images),
        "decoded": "8-bit RGB, EXIF orientation applied",
    }
    if pixels is not None:
        group["pixels"] = (("image", "y", "x", "channel"), pixels)
    return _checked(group, "images")


def about(plan: Plan) -> dict[str, Any]:
    """What is recorded of how a network is explained: small, unlike the plan, which holds its
    weights.
    """
    return {
        "composite_parameters": plan.parameters,
        "engine": plan.engine,
        "engine_why": plan.why,
        "rules": plan.rules,
    }


def relevance_group(
    study: Study, found: Mapping[str, Any], plans: Mapping[str, Mapping[str, Any]]
) -> xr.Dataset:
    """The group `/relevance` without its maps: labels, which networks exist, and how they are
    explained.

    Parameters
    ----------
    plans : mapping of str to dict
        `about` one network of each model, by name; empty where the group is there already.
    """
    hashes = np.array(
        [
            [found["models"][m.name]["checkpoints"].get(seed, "") for seed in study.seeds]
            for m in study.models
        ],
        dtype=object,
    )
    names = list(study.models[0].axes)
    axes = {
        axis: ("model", np.array([m.axes[axis] for m in study.models], dtype=object))
        for axis in names
    }
    coords = {
        "model": [m.name for m in study.models],
        "seed": list(study.seeds),
        "image": study.images.table.index.tolist(),
    }
    group = xr.Dataset(
        {
            "available": (layout.NETWORK, (hashes != "").astype(bool)),
            "checkpoint_sha256": (layout.NETWORK, hashes),
        },
        coords={
            **{dim: (dim, np.array(labels, dtype=object)) for dim, labels in coords.items()},
            **axes,
        },
    )
    return group.assign_attrs(_attrs(study, found, plans))


def _attrs(
    study: Study, found: Mapping[str, Any], plans: Mapping[str, Mapping[str, Any]]
) -> dict[str, str | int]:
    how = study.relevance
    keys = dict.fromkeys(key for plan in plans.values() for key in plan)
    same = {key: _one_or_json({name: plan[key] for name, plan in plans.items()}) for key in keys}
    return {
        "composite": how.composite,
        **same,
        "canonizers": ", ".join(how.canonizers) or "none given",
        "engine_asked": how.engine,
        "dtype": study.dtype,
        "precision": how.precision,
        "tf32": "off",
        "batch": study.batch,
        "explained_class_rule": str(how.explained_class),
        "device": found["device"],
        "torch_version": found["versions"]["torch"],
        "zennit_version": found["versions"]["zennit"],
    }


def _one_or_json(values: Mapping[str, Any]) -> str:
    """The value that all models share, or all of them by model; JSON unless it is text."""
    different = list({json.dumps(v, default=str): v for v in values.values()}.values())
    found = different[0] if len(different) == 1 else dict(values)
    return found if isinstance(found, str) else json.dumps(found, default=str)


def _checked(group: xr.Dataset, name: str) -> xr.Dataset:
    problems = check.check_group(group, name)
    if problems:
        raise InvalidData(
            f"{len(problems)} problem(s) with the labels of the study file:"
            + "".join(f"\n  {p}" for p in problems)
        )
    return group


def _require_different(hashes: Mapping[tuple[str, str], str]) -> None:
    first: dict[str, tuple[str, str]] = {}
    for network, digest in hashes.items():
        if digest in first:
            raise InvalidData(
                f"the checkpoints of model {first[digest][0]!r}, seed {first[digest][1]!r} and"
                f" model {network[0]!r}, seed {network[1]!r} are the same bytes: one network would"
                " count as two. Name the right file"
            )
        first[digest] = network


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, Mapping) and value
            else {f"{prefix}{key}": value}
        )
    return flat
