"""What a transfer consists of: which maps choose the pixels, which networks are shown them, in
which parts it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from relstats.compute import models
from relstats.compute.perturb import fills
from relstats.compute.stream import writer
from relstats.compute.study_file.settings import Model, Study, TransferSettings
from relstats.errors import InvalidData, UsageError
from relstats.study import check, layout, shards
from relstats.study.check import Problem
from relstats.study.variables import variables

STREAMED = {
    family: [v.name for v in variables("transfer", family)] for family in ("transfer", "controls")
}
#: A part has at least as many batches, so that the last, smaller one costs little.
_BATCHES_A_PART = 8
_ZERO_CHECK_STEP = 100


@dataclass(frozen=True)
class Target:
    """A network that is shown masked images, and its cell of the study."""

    model: Model
    seed: str
    cell: tuple[int, int]


@dataclass(frozen=True)
class Part:
    """A piece of work that is scored at once: a target, a block of images, and the maps of some
    sources or control draws.

    Its composition depends on the study file alone, never on what is done already: a resumed run
    scores the same batches.
    """

    target: int
    block: int
    sources: tuple[int, ...] = ()
    draws: tuple[int, ...] = ()


@dataclass(frozen=True)
class Design:
    """The maps, labelled and checked against the study file, and the networks on both sides.

    `relevance` has dims (model, seed, image, y, x); `sources` are the cells of it that choose
    pixels. `left_out` names networks without any relevance.
    """

    study: Study
    settings: TransferSettings
    relevance: xr.DataArray
    labels: xr.Dataset
    ids: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]
    targets: tuple[Target, ...]
    left_out: tuple[str, ...]

    def images(self, block: int) -> slice:
        """Positions of a block of images."""
        found = shards.Shard("transfer", (), block).images
        return slice(found.start, min(found.stop, len(self.ids)))

    @property
    def blocks(self) -> range:
        """Numbers of the blocks of images."""
        return range(-(-len(self.ids) // layout.FAMILIES["transfer"].images_per_shard))

    def shards(self, part: Part) -> list[shards.Shard]:
        """Where a part's scores go: one place for each of its sources, or that of its target's
        controls.
        """
        cell = self.targets[part.target].cell
        if part.draws:
            return [shards.Shard("controls", cell, part.block)]
        return [
            shards.Shard("transfer", (*self.sources[source], *cell), part.block)
            for source in part.sources
        ]

    def evaluations(self, part: Part) -> int:
        """Number of masked images of a part."""
        where = self.images(part.block)
        return (
            (where.stop - where.start)
            * len(self.settings.fractions)
            * (len(part.sources) + len(part.draws))
        )


def design(study: Study, maps: xr.Dataset) -> Design:
    """Match the maps with the study file, by label.

    Parameters
    ----------
    study : Study
        With transfer settings; its networks are the targets.
    maps : xarray.Dataset
        The `/relevance` group of any study: its networks are the sources.

    Returns
    -------
    Design

    Raises
    ------
    UsageError
        The study file has no table of transfer settings.
    InvalidData
        Image labels, the pixel grid or checkpoints differ, or a network has no true classes: all
        problems.
    """
    if study.transfer is None:
        raise UsageError(
            f"{study.path} has no [transfer]: add it, with at least fractions = [0.1, 0.2, 0.4]"
        )
    problems = _problems(study, maps)
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise InvalidData(
            f"{study.path}: {len(problems)} problem(s) between the study file and the maps:{lines}"
        )
    relevance = maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x")
    networks = shards.networks(maps)
    sources = tuple(cell for cell in networks if _has_relevance(relevance[cell]))
    dead = {
        (str(maps["model"].values[m]), str(maps["seed"].values[s]))
        for m, s in set(networks) - set(sources)
    }
    targets = tuple(
        Target(model, seed, (k, study.seeds.index(seed)))
        for k, model in enumerate(study.models)
        for seed in model.checkpoints
        if (model.name, seed) not in dead
    )
    if not sources or not targets:
        raise InvalidData("all maps of all networks are zero: no network chooses any pixel")
    left_out = tuple(f"model {model}, seed {seed}" for model, seed in sorted(dead))
    ids = tuple(str(image) for image in maps["image"].values)
    labels = _labels(study, maps, sources, targets)
    return Design(study, study.transfer, relevance, labels, ids, sources, targets, left_out)


def _problems(study: Study, maps: xr.Dataset) -> list[Problem]:
    problems = check.check_group(maps, "relevance")
    if problems:
        return problems
    ids = {str(image) for image in maps["image"].values}
    problems += check.disagreement(
        set(study.images.table.index), ids, "the study file", "/relevance"
    )
    grid = maps.sizes["y"], maps.sizes["x"]
    if grid != tuple(study.images.size):
        problems.append(
            Problem(
                "/relevance/relevance",
                f"maps have {grid[0]} x {grid[1]} pixels, images {study.images.size[0]} x "
                f"{study.images.size[1]}: a pixel of the map is no pixel of the image",
                "Give [images] the size of the maps",
            )
        )
    unlabelled = [model.name for model in study.models if not model.label]
    if unlabelled:
        problems.append(
            Problem(
                "[models]",
                f"{len(unlabelled)} model(s) have no label: what is right is not known",
                "Name the column of the true class",
                len(unlabelled),
                tuple(unlabelled[:3]),
            )
        )
    return problems + _other_checkpoints(study, maps)


def _other_checkpoints(study: Study, maps: xr.Dataset) -> list[Problem]:
    """Networks of one name whose maps are from another checkpoint than the one that would be
    scored.
    """
    if "checkpoint_sha256" not in maps:
        return []
    hashes = maps["checkpoint_sha256"].transpose(*layout.NETWORK).values
    names = [[str(v) for v in maps[dim].values] for dim in layout.NETWORK]
    there = {
        (m, s): str(hashes[i, j]) for i, m in enumerate(names[0]) for j, s in enumerate(names[1])
    }
    differ = tuple(
        f"{m.name} seed {seed}"
        for m in study.models
        for seed, path in m.checkpoints.items()
        if there.get((m.name, seed)) and there[m.name, seed] != models.checkpoint_sha256(path)
    )
    if not differ:
        return []
    return [
        Problem(
            "/relevance/checkpoint_sha256",
            f"{len(differ)} network(s) have maps of another checkpoint than the study file names",
            "Name that checkpoint, or compute the maps again",
            len(differ),
            differ[:3],
        )
    ]


def _has_relevance(maps: xr.DataArray) -> bool:
    """Whether any map of a network is not zero; reads no further than the first that is not."""
    if bool(np.any(maps[0].values)):
        return True
    starts = range(0, maps.sizes["image"], _ZERO_CHECK_STEP)
    return any(bool(np.any(maps[start : start + _ZERO_CHECK_STEP].values)) for start in starts)


def _labels(
    study: Study, maps: xr.Dataset, sources: Sequence[tuple[int, ...]], targets: Sequence[Target]
) -> xr.Dataset:
    """The group `/transfer` without its scores."""
    available = {
        "source": np.zeros([maps.sizes[d] for d in layout.NETWORK], bool),
        "target": np.zeros((len(study.models), len(study.seeds)), bool),
    }
    available["source"][tuple(np.transpose(sources))] = True
    available["target"][tuple(np.transpose([target.cell for target in targets]))] = True
    coords: dict[str, Any] = {
        "source_model": _text(maps["model"].values),
        "source_seed": _text(maps["seed"].values),
        "target_model": _text([model.name for model in study.models]),
        "target_seed": _text(study.seeds),
        "image": _text(maps["image"].values),
        "target_n_classes": ("target_model", [len(m.classes) for m in study.models]),
        "fraction": list(study.transfer.fractions if study.transfer else ()),
    }
    coords |= {
        f"source_{axis}": ("source_model", _text(levels))
        for axis, levels in layout.axes(maps).items()
    }
    coords |= {
        f"target_{axis}": ("target_model", _text([m.axes[axis] for m in study.models]))
        for axis in study.models[0].axes
    }
    found = {
        f"{side}_available": ((f"{side}_model", f"{side}_seed"), exists)
        for side, exists in available.items()
    }
    return xr.Dataset(found, coords=coords)


def _text(values: Sequence[object] | np.ndarray) -> np.ndarray:
    return np.array([str(value) for value in values], dtype=object)


def attributes(
    design: Design, colour: Sequence[float], device: str
) -> dict[str, str | int | list[float]]:
    """How the scores were made, for the group's attributes."""
    how = design.settings
    return {
        "operation": how.operation,
        "fill": how.fill,
        "fill_about": fills.ABOUT[how.fill],
        "fill_colour": list(colour),
        "ranking": how.ranking,
        "control": how.control,
        "n_control": how.n_control,
        "seed": how.seed,
        "fraction_about": (
            f"share of the pixels that are {'kept' if how.operation == 'keep' else 'removed'}, the"
            " most relevant first; fewer where fewer have any relevance"
        ),
        "dtype": design.study.dtype,
        "tf32": "off",
        "batch": design.study.batch,
        "margin_about": "true logit less the largest other; beyond 65504 it is stored as 65504",
        "device": device,
        "torch_version": torch.__version__,
        "networks_without_relevance": "; ".join(design.left_out) or "none",
    }


def plan_text(design: Design, maps: xr.Dataset, device: str) -> str:
    """All that decides the scores, in a line with a digest.

    Runs that write the same study must agree on it.
    """
    how = design.settings
    shares = ", ".join(f"{f:g}" for f in how.fractions)
    return writer.plan(
        f"relstats transfer, {how.operation} {shares} by {how.ranking} relevance, fill {how.fill},"
        f" control {how.control} x {how.n_control}, batch {design.study.batch} on {device}",
        deciding(design, maps, device),
    )


def deciding(design: Design, maps: xr.Dataset, device: str) -> list[object]:
    """All that decides scores: images, networks, maps, settings and device, as plain values."""
    study, how = design.study, design.settings
    return [
        asdict(how),
        study.batch,
        study.dtype,
        device,
        torch.__version__,
        design.ids,
        list(study.images.size),
        study.images.resize,
        study.images.table.loc[list(design.ids)].drop(columns="path").to_dict("list"),
        [_network(model) for model in study.models],
        str(maps.attrs.get("relstats_plan")),
        design.left_out,
        {name: coord.values.tolist() for name, coord in maps.coords.items()},
    ]


def _network(model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "factory": model.factory,
        "arguments": dict(model.arguments),
        "axes": dict(model.axes),
        "label": model.label,
        "classes": model.classes,
        "preprocessing": asdict(model.preprocessing),
        "checkpoints": {s: _hash(path) for s, path in model.checkpoints.items()},
    }


def _hash(path: Path) -> str:
    """Networks that a callback scores need no file."""
    return models.checkpoint_sha256(path) if path.is_file() else str(path)


def parts(design: Design) -> list[Part]:
    """All work, target by target: for each block of images the parts of its controls, then those of
    its sources.

    Sources are taken together where the images are few, so that batches are full.
    """
    first, shares = design.images(0), len(design.settings.fractions)
    together = -(-_BATCHES_A_PART * design.study.batch // (first.stop * shares))
    found = []
    for target in range(len(design.targets)):
        for block in design.blocks:
            draws = _groups(range(design.settings.n_control), together)
            found += [Part(target, block, draws=some) for some in draws]
            sources = _groups(range(len(design.sources)), together)
            found += [Part(target, block, sources=some) for some in sources]
    return found


def _groups(positions: range, size: int) -> Iterator[tuple[int, ...]]:
    return (tuple(positions[first : first + size]) for first in range(0, len(positions), size))
