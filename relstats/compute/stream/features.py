"""What networks make of images at some of their layers, streamed into `/features`: resumable, by
one or many workers.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from relstats.compute import images, models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.stream import batches, groups, running
from relstats.compute.stream.export import Pixels, decoder
from relstats.compute.study_file.study import FeatureSettings, Model, Study
from relstats.errors import InvalidData, UsageError
from relstats.study import layout, shards, store


def export_features(
    study: Study,
    out: str | Path,
    *,
    worker: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> None:
    """Write the activations of the layers of `study.features` for every network and image to
    `/features`.

    Parameters
    ----------
    study : Study
        From `read_study`, with `features`.
    out : str or Path
        A study, with or without other groups. What is there with the same settings is resumed.
    worker : tuple of int
        (k, n): of n workers this is number k, counted from 0.
    progress : callable, optional
        Called with the number of images (for each network) that are done and to be done in this
        run.
    say : callable, optional
        Called with each message: a batch that was halved.

    Raises
    ------
    UsageError
        No layers are named, or `/features` is there with other settings.
    InvalidData
        A network has no such layer, a layer gives no activations of each image, or is used more
        than once.
    """
    out, how = Path(out), study.features
    if how is None:
        raise UsageError(f"{study.path} names no layers: give [features] with layers")
    device = models.pick_device(study.device)
    with models.modules_of(study.path.parent), running.disk_full_told(out):
        pixels = decoder(study)
        _begin(study, how, out, device, pixels)
        expected = running.share(shards.expected(out, "features"), worker)
        left = set(shards.unfinished(out, "features"))
        todo, done = [shard for shard in expected if shard in left], 0
        sizes = _sizes_there(out)
        for cell, of_network in itertools.groupby(todo, key=lambda shard: shard.cell):
            model = study.models[cell[0]]
            module = models.build(model, study.seeds[cell[1]], device, getattr(torch, study.dtype))
            run = partial(_run, study, how, model, module, device)
            for shard in of_network:
                shards.write_shard(
                    out,
                    shard,
                    _padded(how, model, shard, _all_of(run, study, shard, pixels, say), *sizes),
                )
                done += 1
                if progress:
                    progress(done, len(todo))
        if not shards.unfinished(out, "features"):
            shards.sweep(out)


def describe(study: Study) -> str:
    """What would be in `/features`, in a line."""
    how = study.features
    return "" if how is None else f"features of {', '.join(how.layers)} ({_POOLED[how.pool]})"


_POOLED = {"mean": "mean over pixels", "none": "all values"}


def _begin(
    study: Study, how: FeatureSettings, out: Path, device: torch.device, pixels: Pixels
) -> None:
    """Create the group, with sizes found on one image.

    Where it is there with the same settings, nothing is tried.
    """
    settings = groups.settings(study, device)
    chosen = {
        "layers": how.layers,
        "pool": how.pool,
        "modules": {m.name: dict(m.layers) for m in study.models},
        **{
            key: settings[key]
            for key in ("images", "models", "batch", "dtype", "device", "versions")
        },
    }
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]
    plan = f"relstats compute, features of {', '.join(how.layers)}, settings {digest}"
    store.begin_study(out, groups.root_attrs(study, settings))
    if (out / "features").exists():
        store.add_group(out, "features", xr.Dataset(), {}, plan)
        return
    sizes = {
        model.name: _try(study, how, model, device, pixels(slice(0, 1))) for model in study.models
    }
    largest = {f"{name}_feature": max(size[name] for size in sizes.values()) for name in how.layers}
    store.add_group(
        out, "features", _group(study, how, sizes), {"features": how.layers}, plan, **largest
    )


def _group(
    study: Study, how: FeatureSettings, sizes: Mapping[str, Mapping[str, int]]
) -> xr.Dataset:
    """Labels, which networks exist, and how many features each model has."""
    axes = {
        axis: ("model", np.array([m.axes[axis] for m in study.models], dtype=object))
        for axis in study.models[0].axes
    }
    coords = {
        "model": [m.name for m in study.models],
        "seed": list(study.seeds),
        "layer": list(how.layers),
        "image": study.images.table.index.tolist(),
    }
    there = [[seed in m.checkpoints for seed in study.seeds] for m in study.models]
    counts = np.array(
        [[sizes[m.name][name] for name in how.layers] for m in study.models], dtype=np.int32
    )
    modules = {
        m.name: {name: m.layers.get(name, name) for name in how.layers} for m in study.models
    }
    return xr.Dataset(
        {
            "available": (layout.NETWORK, np.array(there)),
            "n_features": (("model", "layer"), counts),
        },
        coords={
            **{dim: (dim, np.array(labels, dtype=object)) for dim, labels in coords.items()},
            **axes,
        },
        attrs={"pool": how.pool, "modules": json.dumps(modules), "dtype": study.dtype},
    )


def _sizes_there(out: Path) -> tuple[np.ndarray, dict[str, int]]:
    """How many features each model has of each layer, and how many there is room for."""
    with xr.open_zarr(str(out), group="features", consolidated=False, chunks=None) as group:
        return group["n_features"].values, {
            name: group.sizes[f"{name}_feature"] for name in map(str, group["layer"].values)
        }


def _try(
    study: Study, how: FeatureSettings, model: Model, device: torch.device, pixels: np.ndarray
) -> dict[str, int]:
    """Number of features of each layer, by one image and the model's first network."""
    module = models.build(model, next(iter(model.checkpoints)), device, getattr(torch, study.dtype))
    return {
        name: values.shape[1]
        for name, values in _run(study, how, model, module, device, pixels).items()
    }


def _run(
    study: Study,
    how: FeatureSettings,
    model: Model,
    module: nn.Module,
    device: torch.device,
    pixels: np.ndarray,
) -> dict[str, np.ndarray]:
    inputs = images.to_input(
        torch.from_numpy(pixels).to(device), model.preprocessing, getattr(torch, study.dtype)
    )
    return activations(module, model, how, inputs)


def _all_of(
    run: Callable[[np.ndarray], dict[str, np.ndarray]],
    study: Study,
    shard: shards.Shard,
    pixels: Pixels,
    say: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """The activations of a shard's images, in fixed batches that fit into memory."""
    where = slice(shard.images.start, min(shard.images.stop, len(study.images.table)))
    block, batch = pixels(where), min(study.batch, layout.FAMILIES["features"].images_per_shard)
    in_turn = partial(batches.in_turn, lambda part: run(block[part]), slice(0, len(block)))
    name = study.models[shard.cell[0]].name
    found, _ = batches.in_memory(
        in_turn,
        batch,
        lambda smaller: say(f"out of memory: features of {name} go on in batches of {smaller}"),
    )
    return found


def _padded(
    how: FeatureSettings,
    model: Model,
    shard: shards.Shard,
    found: Mapping[str, np.ndarray],
    counts: np.ndarray,
    room: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """NaN where another model has more features."""
    for k, name in enumerate(how.layers):
        if found[name].shape[1] != counts[shard.cell[0], k]:
            raise InvalidData(
                f"layer {name!r} of model {model.name!r} has {found[name].shape[1]} features in one"
                f" network and {counts[shard.cell[0], k]} in another: they cannot be compared. Mend"
                " the factory"
            )
    return {
        name: np.pad(values, ((0, 0), (0, room[name] - values.shape[1])), constant_values=np.nan)
        for name, values in found.items()
    }


def activations(
    module: nn.Module, model: Model, how: FeatureSettings, inputs: Tensor
) -> dict[str, np.ndarray]:
    """Activations of layers for a batch.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode.
    model : Model
        Its name, for messages, and what its modules are called.
    how : FeatureSettings
        "mean" pools (image, channel, y, x) over pixels, and leaves (image, feature) as it is.
    inputs : Tensor, (image, channel, y, x)

    Returns
    -------
    dict of str to ndarray, (image, feature), float32
        By name of the layer; what comes out of the module, before anything later changes it in
        place.

    Raises
    ------
    InvalidData
        As `export_features`.
    """
    found: dict[str, np.ndarray] = {}
    with _hooked(module, model, how, found), exact_float32(), torch.no_grad():
        module(inputs)
    silent = [name for name in how.layers if name not in found]
    if silent:
        raise InvalidData(
            f"layer {silent[0]!r} of model {model.name!r} is not used when images are classified:"
            " it has no activations. Name another"
        )
    return found


@contextmanager
def _hooked(
    module: nn.Module, model: Model, how: FeatureSettings, found: dict[str, np.ndarray]
) -> Iterator[None]:
    handles = []
    try:
        for name in how.layers:
            layer = _layer(module, model, name)
            handles.append(
                layer.register_forward_hook(partial(_keep, model, how.pool, name, found))
            )
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layer(module: nn.Module, model: Model, name: str) -> nn.Module:
    there = dict(module.named_modules())
    wanted = model.layers.get(name, name)
    if wanted in there and wanted:
        return there[wanted]
    near = difflib.get_close_matches(wanted, there, n=3) or [key for key in there if key][:5]
    raise InvalidData(
        f"model {model.name!r} has no layer {wanted!r}; it has {', '.join(near)}, ..."
        f" ({len(there) - 1} in all). Mend "
        f'[features] layers, or name its module: [models.{model.name}] layers = {{ "{name}" ='
        ' "..." }'
    )


def _keep(
    model: Model,
    pool: str,
    name: str,
    found: dict[str, np.ndarray],
    _module: nn.Module,
    inputs: tuple[Tensor, ...],
    output: object,
) -> None:
    """Called by torch when a layer has worked."""
    where = f"layer {name!r} of model {model.name!r}"
    if name in found:
        raise InvalidData(
            f"{where} is used more than once for an image: which of its activations is meant is not"
            " known. Name another"
        )
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(inputs[0]):
        got = (
            f"a tensor of shape {tuple(output.shape)}"
            if isinstance(output, Tensor)
            else type(output).__name__
        )
        raise InvalidData(f"{where} gives {got}, not activations (image, ...). Name another")
    if pool == "mean" and output.ndim not in (2, 4):
        raise InvalidData(
            f"{where} gives {output.ndim - 1} dims an image, and the mean over pixels needs"
            ' (channel, y, x). Use pool = "none"'
        )
    values = output.mean(dim=(2, 3)) if pool == "mean" and output.ndim == 4 else output.flatten(1)
    kept = values.detach().to("cpu", torch.float32).numpy().copy()
    if not np.isfinite(kept).all():
        raise InvalidData(
            f"{where}: {int((~np.isfinite(kept)).sum())} activations are NaN or infinite. Use"
            " another checkpoint or dtype"
        )
    found[name] = kept
