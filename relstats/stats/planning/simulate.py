"""Studies with planted effects, for power analysis, for teaching and for the tests.

What was planted is in the attribute `truth`. The random draws are in `planted`; here they become a
labelled study, in memory or shard by shard on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from relstats.errors import UsageError
from relstats.stats.planning import planted as draws
from relstats.stats.planning.design import Design, design_of
from relstats.stats.planning.planted import Planted
from relstats.study import layout as schema
from relstats.study import shards, store, writing
from relstats.study.provenance import provenance
from relstats.study.variables import variables

# streams of random numbers: what is drawn depends on these and on positions, never on the order of
# writing
_SHARED, _IMAGE_FIELDS, _NETWORK_FIELDS, _LAYOUT, _NETWORKS, _SCORES = range(6)


def simulate(
    path: str | Path | None = None,
    *,
    models: str = "2x2",
    seeds: int | Sequence[int] = 5,
    images: int = 200,
    size: int = 64,
    fractions: Sequence[float] = (0.1, 0.2, 0.4),
    planted: Planted | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    rng: np.random.Generator,
) -> xr.DataTree:
    """Simulate a study with planted effects.

    Parameters
    ----------
    path : str or Path, optional
        Write the study there, shard by shard (resumed where it was interrupted), and open it.
        Default: in memory.
    models : str
        Levels on each axis, as "2x2": pretrain x task (x architecture).
    seeds : int or sequence of int
        Networks of each model; a sequence gives each model its own number.
    images, size : int
        Number of images, and their height and width in pixels.
    fractions : sequence of float
        Shares of the pixels kept in the transfer, in (0, 1].
    planted : Planted, optional
        Effects on the first axis and variances.
    force : bool
        Replace a study at `path`.
    progress : callable, optional
        Called with the number of shards written and to write.
    rng : numpy.random.Generator
        One number is drawn from it; it decides everything.

    Returns
    -------
    xarray.DataTree
        Groups `/images`, `/relevance`, `/transfer`, and `/regions` where shared pixels were
        planted. The attribute `truth` (JSON) holds the planted parameters and the estimates that
        they imply.

    Raises
    ------
    UsageError
        `models`, `seeds` or a share cannot be simulated.

    Examples
    --------
    >>> study = simulate(models="2x1", seeds=3, images=10, size=16, rng=np.random.default_rng(1))
    >>> study["relevance"]["relevance"].sizes["model"]
    2
    """
    planted = planted or Planted()
    design = design_of(models, seeds, images, size, fractions)
    _check_planted(planted)
    entropy = int(rng.integers(2**63))
    attrs = {"name": f"simulated {models}", "truth": _truth(design, planted, entropy)}
    groups = _labels(design, planted, entropy)
    if path is None:
        return _in_memory(design, planted, entropy, groups, attrs)
    _write(path, design, planted, entropy, groups, attrs, force, progress)
    return store.open_study(path)


def describe(
    *, models: str, seeds: int | Sequence[int], images: int, size: int, fractions: Sequence[float]
) -> str:
    """What a simulated study would hold, in a line.

    Examples
    --------
    >>> print(describe(models="2x2", seeds=5, images=200, size=64, fractions=[0.1]))
    4 models, 20 networks, 200 images of 64 x 64: 16 MB a network block at most, 66 MB of maps,
    0.4 MB of scores
    """
    design = design_of(models, seeds, images, size, fractions)
    n = len(design.networks)
    maps, scores = n * images * size**2 * 4, n**2 * images * len(design.fractions) * 5
    block = min(images, schema.FAMILIES["relevance"].images_per_shard) * size**2 * 4 * 10
    return (
        f"{len(design.models)} models, {n} networks, {images} images of {size} x {size}:"
        f" {block / 1e6:.0f} MB a network block at most, {maps / 1e6:.0f} MB of maps,"
        f" {scores / 1e6:.1f} MB of scores"
    )


def _check_planted(planted: Planted) -> None:
    share = planted.layout + planted.image + planted.level + planted.network
    if share > 1 or min(planted.layout, planted.image, planted.level, planted.network) < 0:
        raise UsageError(
            f"layout + image + level + network is {share:g}: shares of variance are >= 0 and sum to"
            " 1 at most"
        )
    if not (0 <= planted.zeros < 1 and 0 <= planted.shared_pixels < 0.5):
        raise UsageError(
            f"zeros is {planted.zeros:g} and shared_pixels {planted.shared_pixels:g}: they are"
            " shares of the pixels"
        )


def _truth(design: Design, planted: Planted, entropy: int) -> str:
    sizes = {
        "models": design.models,
        "seeds": design.seeds,
        "images": design.images,
        "size": design.size,
        "fractions": design.fractions,
    }
    return json.dumps(
        {
            "axis": next(iter(design.axes)),
            "effects": planted.effects(),
            "planted": asdict(planted),
            "entropy": entropy,
            **sizes,
        }
    )


def _labels(design: Design, planted: Planted, entropy: int) -> dict[str, xr.Dataset]:
    """Everything of the study but the large arrays."""
    images = [f"img{k:05d}" for k in range(design.images)]
    seeds = [str(k) for k in range(max(design.seeds))]
    exists = np.arange(len(seeds)) < np.array(design.seeds)[:, np.newaxis]
    gender = [("female", "male")[k % 2] for k in range(design.images)]
    groups = {"images": _dataset({"image": images}, gender=("image", gender))}
    relevance = _dataset(
        {"model": design.models, "seed": seeds, "image": images},
        **{a: ("model", levels) for a, levels in design.axes.items()},
    )
    groups["relevance"] = relevance.assign(available=(schema.NETWORK, exists))
    sides = {
        f"{side}_{name}": labels
        for side in ("source", "target")
        for name, labels in (("model", design.models), ("seed", seeds))
    }
    levels = {
        f"{side}_{a}": (f"{side}_model", v)
        for side in ("source", "target")
        for a, v in design.axes.items()
    }
    transfer = _dataset({**sides, "image": images}, **levels).assign_coords(
        fraction=list(design.fractions)
    )
    groups["transfer"] = transfer.assign(
        source_available=(schema.SOURCE, exists), target_available=(schema.TARGET, exists)
    )
    groups["transfer"].attrs = {
        "operation": "keep",
        "ranking": "positive",
        "fill": "simulated",
        "control": "random",
    }
    groups["relevance"].attrs = {"composite": "simulated", "explained_class_rule": "true"}
    if planted.shared_pixels:
        masks = draws.shared_masks(
            design.images, design.size, planted, np.random.default_rng([entropy, _SHARED])
        )
        regions = xr.Dataset({"mask": (("region", "image", "y", "x"), masks[np.newaxis])})
        groups[schema.REGIONS] = regions.assign_coords(
            region=np.array(["planted"], object), image=np.array(images, object)
        )
    return groups


def _dataset(index: Mapping[str, Sequence[str]], **coords: tuple[str, Sequence[str]]) -> xr.Dataset:
    text = {name: np.array(values, dtype=object) for name, values in index.items()}
    return xr.Dataset(
        coords={**text, **{n: (dim, np.array(v, dtype=object)) for n, (dim, v) in coords.items()}}
    )


def _blocks(n_images: int, family: str) -> Iterator[shards.Shard]:
    return (
        shards.Shard(family, (), b)
        for b in range(-(-n_images // schema.FAMILIES[family].images_per_shard))
    )


def _write(
    path: str | Path,
    design: Design,
    planted: Planted,
    entropy: int,
    groups: dict[str, xr.Dataset],
    attrs: dict[str, str],
    force: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    writing.begin_study(
        path,
        {**attrs, **{k: v for k, v in provenance().items() if k != "created"}},
        force=force,
    )
    for group, dataset in groups.items():
        streamed = {f: _streamed(f) for f, info in schema.FAMILIES.items() if info.group == group}
        writing.add_group(
            path, group, dataset, streamed, attrs["truth"], y=design.size, x=design.size
        )
    # block by block: what the networks share on a block of images is drawn once
    missing = [shard for family in schema.FAMILIES for shard in shards.unfinished(path, family)]
    missing.sort(key=lambda shard: (list(schema.FAMILIES).index(shard.family), shard.block))
    drawn, make = None, None
    for done, shard in enumerate(missing, start=1):
        if make is None or drawn != (shard.family, shard.block):
            drawn, make = (shard.family, shard.block), _maker(design, planted, entropy, shard)
        shards.write_shard(path, shard, make(shard.cell))
        if progress:
            progress(done, len(missing))
    shards.sweep(path)


def _streamed(family: str) -> list[str]:
    prefixes = {"relevance": (), "transfer": ("",), "controls": ("unmasked_", "random_")}[family]
    scores = ("correct", "probability", "margin")
    return (
        ["relevance"]
        if family == "relevance"
        else [p + score for p in prefixes for score in scores]
    )


def _in_memory(
    design: Design,
    planted: Planted,
    entropy: int,
    groups: dict[str, xr.Dataset],
    attrs: dict[str, str],
) -> xr.DataTree:
    for family, info in schema.FAMILIES.items():
        if info.group not in groups:
            continue
        dataset = groups[info.group]
        sizes = {**dataset.sizes, "y": design.size, "x": design.size}
        specs = [v for v in variables(info.group, family) if v.name in _streamed(family)]
        arrays = {
            v.name: np.full([sizes[d] for d in v.dims], schema.FILL[v.dtype], v.dtype)
            for v in specs
        }
        for block in _blocks(design.images, family):
            make = _maker(design, planted, entropy, block)
            for cell in np.argwhere(shards.available(dataset, info.outer)):
                for name, values in make(tuple(int(k) for k in cell)).items():
                    arrays[name][
                        (
                            *cell,
                            ...,
                            block.images,
                            *((slice(None),) * (2 if family == "relevance" else 0)),
                        )
                    ] = values
        decoded = {v.name: (v.dims, _decoded(arrays[v.name])) for v in specs}
        groups[info.group] = dataset.assign(decoded)
    root = xr.Dataset(attrs={"relstats_schema": schema.SCHEMA_VERSION, **provenance(), **attrs})
    return xr.DataTree.from_dict({"/": root, **groups})


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype != np.uint8:
        return values
    return np.where(values == schema.FILL["uint8"], np.nan, values).astype(np.float32)


def _maker(
    design: Design, planted: Planted, entropy: int, block: shards.Shard
) -> Callable[[tuple[int, ...]], dict[str, np.ndarray]]:
    """A function from a cell to its values for one block of images.

    What the cells share is drawn once.
    """
    n = len(range(*block.images.indices(design.images)))
    if block.family == "relevance":
        return _map_maker(design, planted, entropy, block, n)
    return _score_maker(design, planted, entropy, block, n)


def _map_maker(
    design: Design, planted: Planted, entropy: int, block: shards.Shard, n: int
) -> Callable[..., dict[str, np.ndarray]]:
    layout = draws.fields(1, design.size, np.random.default_rng([entropy, _LAYOUT]))[0]
    rng = np.random.default_rng([entropy, _IMAGE_FIELDS, block.block])
    by_image = draws.fields(n, design.size, rng)
    by_level = [draws.fields(n, design.size, rng) for _ in range(int(design.levels.max()) + 1)]
    shared = draws.shared_masks(
        design.images, design.size, planted, np.random.default_rng([entropy, _SHARED])
    )[block.images]
    level = dict(zip(design.networks, design.levels, strict=True))

    def make(cell: tuple[int, ...]) -> dict[str, np.ndarray]:
        own = draws.fields(
            1, design.size, np.random.default_rng([entropy, _NETWORK_FIELDS, *cell])
        )[0]
        noise = np.random.default_rng([entropy, _NETWORK_FIELDS, *cell, 1 + block.block])
        parts = {
            "layout": layout,
            "image": by_image,
            "level": by_level[level[cell]],
            "network": own,
        }
        return {"relevance": draws.relevance(parts, shared, planted, noise)}

    return make


def _score_maker(
    design: Design, planted: Planted, entropy: int, block: shards.Shard, n: int
) -> Callable[..., dict[str, np.ndarray]]:
    rng = np.random.default_rng([entropy, _SCORES, block.block])
    networks = draws.network_effects(
        design.levels, planted, np.random.default_rng([entropy, _NETWORKS])
    )
    base = draws.curve(np.array(design.fractions), planted)[:, np.newaxis]
    effects = (draws.fixed_effects(design.levels, planted) + networks)[..., np.newaxis]
    latent = effects + draws.image_effects(design.levels, planted, n, rng)
    position = {network: k for k, network in enumerate(design.networks)}

    def transfer(cell: tuple[int, ...]) -> dict[str, np.ndarray]:
        pair = position[cell[:2]], position[cell[2:]]
        noise = np.random.default_rng([entropy, _SCORES, block.block, 1, *pair])
        return draws.observed(
            base + latent[pair] + planted.sd_residual * noise.standard_normal((base.size, n)), noise
        )

    def controls(cell: tuple[int, ...]) -> dict[str, np.ndarray]:
        noise = np.random.default_rng([entropy, _SCORES, block.block, 2, position[cell]])
        whole = draws.observed(
            planted.full + 0.1 * planted.sd_image * noise.standard_normal(n), noise
        )
        masked = draws.observed(
            planted.floor + 0 * base + planted.sd_image * noise.standard_normal((base.size, n)),
            noise,
        )
        return {
            **{f"unmasked_{k}": v for k, v in whole.items()},
            **{f"random_{k}": v for k, v in masked.items()},
        }

    return transfer if block.family == "transfer" else controls
