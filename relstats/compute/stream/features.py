"""What networks make of images at some of their layers, streamed into `/features`: resumable, by
one or many workers.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from relstats.compute import images, models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.stream import groups, running, writer
from relstats.compute.stream.export import decoder
from relstats.compute.stream.writer import Group
from relstats.compute.study_file.settings import FeatureSettings, Model, Study
from relstats.errors import InvalidData, UsageError
from relstats.study import layout
from relstats.study.shards import Shard

#: From pixels, uint8 (image, y, x, channel), to features (image, feature) by layer.
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


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
        Called with the number of shards that are done and to be done in this run.
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
        settings = groups.settings(study, device)
        group = Group(
            out,
            "features",
            {"features": how.layers},
            _plan(study, how, settings),
            len(study.images.table),
            min(study.batch, layout.FAMILIES["features"].images_per_shard),
            worker,
            progress,
            say,
        )
        sample = partial(pixels, slice(0, 1))
        writer.begin(
            group, groups.root_attrs(study, settings), partial(_labels, study, how, device, sample)
        )
        writer.write_shards(
            group,
            partial(_network, study, how, device),
            partial(_of_shard, group, *_sizes_there(out)),
            lambda shard: pixels(group.images(shard)),
            size=lambda shard: 1,
        )


def describe(study: Study) -> str:
    """What would be in `/features`, in a line."""
    how = study.features
    return "" if how is None else f"features of {', '.join(how.layers)} ({_POOLED[how.pool]})"


_POOLED = {"mean": "mean over pixels", "none": "all values"}


def _plan(study: Study, how: FeatureSettings, settings: Mapping[str, Any]) -> str:
    """The layers in a line; how maps are made is no setting of features."""
    chosen = {
        "layers": how.layers,
        "pool": how.pool,
        "modules": {m.name: dict(m.layers) for m in study.models},
    }
    shared = ("images", "models", "batch", "dtype", "device", "versions")
    about = f"relstats compute, features of {', '.join(how.layers)}"
    return writer.plan(about, chosen | {key: settings[key] for key in shared})


def _labels(
    study: Study, how: FeatureSettings, device: torch.device, sample: Callable[[], np.ndarray]
) -> writer.Labels:
    """The group without its features, and how many there are, found on one image."""
    pixels = sample()
    sizes = {model.name: _try(study, how, model, device, pixels) for model in study.models}
    largest = {f"{name}_feature": max(size[name] for size in sizes.values()) for name in how.layers}
    return _group(study, how, sizes), largest


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


def _network(
    study: Study, how: FeatureSettings, device: torch.device, shard: Shard
) -> tuple[Model, str, Run]:
    """A network, and what gives its features of some images."""
    model, seed = study.models[shard.cell[0]], study.seeds[shard.cell[1]]
    module = models.build(model, seed, device, getattr(torch, study.dtype))
    return model, seed, partial(_run, study, how, model, module, device)


def _of_shard(
    group: Group,
    counts: np.ndarray,
    room: Mapping[str, int],
    network: tuple[Model, str, Run],
    shard: Shard,
    pixels: np.ndarray,
    fit: writer.Fit,
) -> writer.Arrays:
    """What one shard holds: the activations of its images, NaN where another model has more."""
    model, seed, run = network
    values = writer.in_batches(
        group, shard, lambda part: run(pixels[part]), f"{model.name}, seed {seed}", fit
    )
    return _padded(model, values, counts[shard.cell[0]], room)


def _padded(
    model: Model,
    values: Mapping[str, np.ndarray],
    counts: np.ndarray,
    room: Mapping[str, int],
) -> writer.Arrays:
    for count, name in zip(counts, room, strict=True):
        if values[name].shape[1] != count:
            raise InvalidData(
                f"layer {name!r} of model {model.name!r} has {values[name].shape[1]} features in"
                f" one network and {count} in another: they cannot be compared. Mend the factory"
            )
    return {
        name: np.pad(array, ((0, 0), (0, room[name] - array.shape[1])), constant_values=np.nan)
        for name, array in values.items()
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
