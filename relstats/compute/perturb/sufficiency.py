"""Every network shown what the other networks share on each image alone, and the image without it:
scores streamed into `/sufficiency`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from torch import Tensor

from relstats.compute import models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.perturb import designs, fills, pictures, scoring, sets, transfer, viewing
from relstats.compute.perturb.designs import Design, Target
from relstats.compute.perturb.pictures import Pixels
from relstats.compute.perturb.sets import OthersSets, Shared
from relstats.compute.perturb.viewing import Pictures, Score
from relstats.compute.stream import running, writer
from relstats.compute.stream.writer import Group, Progress, Say
from relstats.compute.study_file.settings import Study
from relstats.errors import InvalidData, UsageError
from relstats.study import layout
from relstats.study.provenance import provenance
from relstats.study.shards import Shard
from relstats.study.variables import variables

STREAMED = {layout.SUFFICIENCY: [v.name for v in variables(layout.SUFFICIENCY, layout.SUFFICIENCY)]}


@dataclass(frozen=True)
class _Run:
    """What all shards of one run share."""

    design: Design
    sets: OthersSets
    device: torch.device

    def images(self, block: int) -> np.ndarray:
        """Positions of the images of a block that have a set for every network."""
        where, images = self.design.images(block), self.sets.images()
        return images[(where.start <= images) & (images < where.stop)]

    def target(self, shard: Shard) -> Target:
        """The network that is shown the sets of a shard."""
        cells = {self.sets.shared.cells[t.model.name, t.seed]: t for t in self.design.targets}
        return cells[shard.cell[0], shard.cell[1]]

    @property
    def n_sets(self) -> int:
        """Sets of an image: the others', own, and the draws of both controls."""
        return 2 + 2 * self.design.settings.n_control


def score_sets(
    study: Study,
    out: str | Path,
    name: str,
    *,
    worker: tuple[int, int] = (0, 1),
    force: bool = False,
    score: Score | None = None,
    progress: Progress | None = None,
    say: Say = lambda message: None,
) -> None:
    """Score each network with only the set kept that the other networks share on each image, and
    with it removed, and write it to `/sufficiency`.

    The set of the others is what `relstats shared` would find without this network, with the same
    options: a network that helped to find a set has its own relevance in it. The same is done with
    three other sets of the same area: the network's own most relevant pixels, what the others share
    on another image, and random pixels. What fills masked pixels, the number of controls and their
    seed are those of the study file.

    Parameters
    ----------
    study : Study
        From `read_study`, with transfer settings. Its networks that the result has are scored.
    out : str or Path
        The study, with maps and the result. A run with the same settings is resumed, to the same
        bytes.
    name : str
        The result of `relstats shared` that holds the sets, such as "shared_pretrain_task".
    worker, force, score, progress, say
        See `transfer`.

    Raises
    ------
    UsageError
        No study, no such result, no transfer settings, or other settings.
        Or `/sufficiency` has scores of the sets of all networks, as 0.1.0 wrote them.
    InvalidData
        The result is of other maps, images or networks; maps, images or checkpoints do not fit;
        scores are not finite.
    ImpossibleAnalysis
        Fewer than three networks, or a condition of one: without it no others are left.
    OSError
        The disk is full: what is written is kept, and the same call resumes.

    Notes
    -----
    An image that the result left out, or on which the others of any network share no pixel, has no
    scores but those of the whole image (NaN).
    """
    out = Path(out)
    device = models.pick_device(study.device)
    with (
        models.modules_of(study.path.parent),
        running.disk_full_told(out),
        exact_float32(),
        torch.inference_mode(),
    ):
        maps = transfer.maps_of(out, None)
        whole, shared = _design(study, maps, out, name)
        if not force:
            _require_sets_of_others(out)
        for message in _left_out(study, whole, shared):
            say(message)
        chosen = sets.others_sets(shared, maps, device)
        pixels, on = pictures.decoder(whole), running.device_name(device)
        group = Group(
            out,
            layout.SUFFICIENCY,
            STREAMED,
            _plan(whole, chosen, maps, on),
            len(whole.ids),
            study.batch,
            worker,
            progress,
            say,
        )
        writer.require_same_plan(group, force)
        root = {"name": study.name, **provenance()}
        begun = writer.begin(group, root, partial(_labels, whole, chosen, maps, pixels, on))
        colour, run = tuple(begun["fill_colour"]), _Run(whole, chosen, device)
        writer.write_shards(
            group,
            lambda shard: viewing.viewer(whole, run.target(shard), device, score, pixels(0)),
            partial(_scored, run, group, colour),
            _reader(run, pixels, colour),
            size=lambda shard: 2 * run.n_sets * len(run.images(shard.block)),
        )


def describe(study: Study, out: str | Path, name: str) -> str:
    """What would be scored, in a line, before anything is built or written."""
    whole, shared = _design(study, transfer.maps_of(Path(out), None), Path(out), name)
    images, n = np.count_nonzero(shared.rows >= 0), whole.settings.n_control
    total = 2 * len(whole.targets) * images * (2 + 2 * n)
    core = shared.result["core"]
    return (
        f"{len(whole.targets)} networks x {images} of {len(whole.ids)} images, each with the set of"
        f" the other networks as in /results/{name} (that of all has"
        f" {100 * float(core.mean()):.3g} % of the pixels), kept and removed, beside own, {n}"
        f" image-swapped and {n} random set(s): at most {total} masked images, in batches of"
        f" {study.batch} on {study.device}"
    )


def rehearse(study: Study, out: str | Path, name: str) -> str:
    """Build one network of each model, show it one batch, and say how long all would take.

    Nothing is written.
    """
    whole, shared = _design(study, transfer.maps_of(Path(out), None), Path(out), name)
    return viewing.rehearse(
        whole, 4 * int(np.count_nonzero(shared.rows >= 0)) * (1 + whole.settings.n_control)
    )


def _design(study: Study, maps: xr.Dataset, out: Path, name: str) -> tuple[Design, Shared]:
    """The design of a transfer without what is not used here, and only the networks of the
    result.
    """
    if study.transfer is not None:
        how = replace(study.transfer, fractions=(), operation="", control="", ranking="")
        study = replace(study, transfer=how)
    whole, shared = designs.design(study, maps), sets.read_shared(out, name, maps)
    targets = tuple(
        target for target in whole.targets if (target.model.name, target.seed) in shared.cells
    )
    if not targets:
        raise InvalidData(
            f"{study.path} has none of the networks of /results/{name}: nobody can be shown its"
            " sets. Name them in the study file"
        )
    return replace(whole, targets=targets), shared


def _require_sets_of_others(out: Path) -> None:
    """Refuse to go on with scores of sets that the networks helped to find."""
    if not writer.is_begun(out, layout.SUFFICIENCY):
        return
    there = zarr.open_group(str(out), mode="r", use_consolidated=False)[layout.SUFFICIENCY].attrs
    if there.get("sets_of") != layout.OTHER_NETWORKS:
        raise UsageError(
            f"/sufficiency of {out} has scores of the sets of all networks, as relstats 0.1.0 wrote"
            " them: each network helped to find what it was shown, and they are not mixed with"
            " those of the sets of the other networks. Compute all of them again, with --force"
        )


def _left_out(study: Study, whole: Design, shared: Shared) -> list[str]:
    scored = {(target.model.name, target.seed) for target in whole.targets}
    there = {(model.name, seed) for model in study.models for seed in model.checkpoints}
    told = (
        (there - scored, "of the study file are not scored: the result does not have them"),
        (
            set(shared.cells) - scored,
            "of the result are not scored: the study file does not have them",
        ),
    )
    return [
        f"warning: {len(some)} network(s) {what}"
        f" ({', '.join(' seed '.join(n) for n in sorted(some)[:3])})"
        for some, what in told
        if some
    ]


def _plan(whole: Design, chosen: OthersSets, maps: xr.Dataset, device: str) -> str:
    how, shared = whole.settings, chosen.shared
    scored = [(target.model.name, target.seed) for target in whole.targets]
    return writer.plan(
        f"relstats transfer --masks {shared.name}, sets of the {layout.OTHER_NETWORKS}, fill"
        f" {how.fill}, controls x {how.n_control}, batch {whole.study.batch} on {device}",
        [*designs.deciding(whole, maps, device), chosen.digest, shared.about, scored],
    )


def _labels(
    whole: Design, chosen: OthersSets, maps: xr.Dataset, pixels: Pixels, device: str
) -> writer.Labels:
    """The group without its scores; the colour of the fill is found once, and kept with them."""
    colour = pictures.fill_colour(whole, pixels)
    return _networks(whole, chosen, maps).assign_attrs(
        _attributes(whole, chosen.shared, colour, device)
    ), {}


def _networks(whole: Design, chosen: OthersSets, maps: xr.Dataset) -> xr.Dataset:
    """Which networks and images have scores, and their labels.

    Its networks are placed as those of the maps, so that both have one grid in a study.
    """
    study, classes = (
        whole.study,
        {target.model.name: len(target.model.classes) for target in whole.targets},
    )
    grid = [maps.sizes[dim] for dim in layout.NETWORK]
    available, area = np.zeros(grid, bool), np.full((*grid, len(whole.ids)), np.nan)
    shares = np.where(chosen.shared.rows >= 0, chosen.areas / np.prod(study.images.size), np.nan)
    for target in whole.targets:
        network = (target.model.name, target.seed)
        available[chosen.shared.cells[network]] = True
        area[chosen.shared.cells[network]] = shares[chosen.position(network)]
    text: dict[str, Any] = {
        "model": maps["model"].values,
        "seed": maps["seed"].values,
        "image": whole.ids,
        "operation": layout.OPERATIONS,
        "choice": layout.CHOICES,
    }
    coords = {
        dim: np.array([str(value) for value in values], object) for dim, values in text.items()
    }
    axes = {axis: ("model", levels) for axis, levels in layout.axes(maps).items()}
    n_classes = ("model", [classes.get(str(model), 0) for model in maps["model"].values])
    found = {"available": (layout.NETWORK, available), "area": ((*layout.NETWORK, "image"), area)}
    return xr.Dataset(found, coords={**coords, **axes, "n_classes": n_classes})


def _attributes(
    whole: Design, shared: Shared, colour: Sequence[float], device: str
) -> dict[str, object]:
    how = whole.settings
    found = {key: str(value) if key == "across" else value for key, value in shared.about.items()}
    return {
        "masks": shared.name,
        "sets_of": layout.OTHER_NETWORKS,
        **found,
        "fill": how.fill,
        "fill_about": fills.ABOUT[how.fill],
        "fill_colour": list(colour),
        "n_control": how.n_control,
        "seed": how.seed,
        "dtype": whole.study.dtype,
        "tf32": "off",
        "batch": whole.study.batch,
        "device": device,
        "torch_version": torch.__version__,
        "choice_about": (
            "shared: what the other networks share, by the options of the result; own: as many of"
            " the network's most relevant pixels; image_swap: as many of what the others share on"
            " another image, most shared first; random: as many random pixels"
        ),
    }


def _reader(
    run: _Run, pixels: Pixels, colour: Sequence[float]
) -> Callable[[Shard], tuple[Tensor | None, Pictures]]:
    """A function from a shard to its sets and pictures, which a thread calls ahead of time."""
    filled = pictures.reader(run.design, pixels, colour)

    def read(shard: Shard) -> tuple[Tensor | None, Pictures]:
        target, images = run.target(shard), run.images(shard.block)
        if not len(images):
            return None, filled(shard.block)
        network = (target.model.name, target.seed)
        chosen = sets.network_sets(run.sets, run.design, network, images, run.device)
        return chosen, filled(shard.block)

    return read


def _scored(
    run: _Run,
    group: Group,
    colour: Sequence[float],
    viewer: viewing.Viewer,
    shard: Shard,
    shown: tuple[Tensor | None, Pictures],
    fit: writer.Fit,
) -> writer.Arrays:
    """What one shard holds: scores of whole images, and of those with a shared set."""
    chosen, filled = shown
    block, network, span = group.images(shard), str(viewer), group.span(shard)
    truth, where = viewer.truth[block], run.images(shard.block) - block.start
    unmasked = fit(partial(viewing.of_pictures, viewer, filled[0], truth), network, span)
    values = np.empty((len(scoring.SCORES), len(layout.OPERATIONS), len(layout.CHOICES), 0))
    if chosen is not None:
        task = partial(viewing.of_sets, viewer, chosen, where, filled, truth, colour)
        values = sets.averaged(fit(task, network, span), run.design.settings.n_control)
    return sets.stored(values, unmasked, where, scoring.SCORES)
