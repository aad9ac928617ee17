"""Masks from every source's relevance, shown to every target: scores streamed into `/transfer`, by
one or many workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from relstats.compute import models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.perturb import designs, pictures, viewing
from relstats.compute.perturb.designs import Design, Part
from relstats.compute.perturb.pictures import Pixels
from relstats.compute.perturb.scoring import stored
from relstats.compute.perturb.viewing import Pictures, Score
from relstats.compute.stream import running
from relstats.compute.stream.groups import device_name
from relstats.compute.study_file.study import Study
from relstats.errors import UsageError
from relstats.study import shards, store
from relstats.study.provenance import provenance

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Run:
    """What all parts of one run share."""

    design: Design
    out: Path
    device: torch.device
    score: Score | None
    progress: Progress | None
    say: Say


def transfer(
    study: Study,
    out: str | Path,
    *,
    worker: tuple[int, int] = (0, 1),
    force: bool = False,
    maps: xr.Dataset | None = None,
    score: Score | None = None,
    progress: Progress | None = None,
    say: Say = lambda message: None,
) -> None:
    """Show each network the images masked by each network's relevance and write what it says to
    `/transfer`.

    Masks are made on the device and never stored. Batches are fixed by the study file, so that a
    study that was interrupted and resumed on the same device has the same bytes as one that was
    not.

    Parameters
    ----------
    study : Study
        From `read_study`; its networks are the targets.
    out : str or Path
        The study to write. One that is there with the same settings is resumed.
    worker : tuple of int
        (k, n): of n workers this is number k, counted from 0. Any number may run at once.
    force : bool
        Replace `/transfer`, where it was made with other settings.
    maps : xarray.Dataset, optional
        A `/relevance` group whose networks are the sources. Default: that of the study at `out`,
        whoever wrote it.
    score : callable, optional
        For networks that are not torch: from pictures, uint8 (picture, y, x, channel), and (model,
        seed) to logits (picture, class). No network is built then, and no checkpoint is read.
    progress : callable, optional
        Called with the number of masked images that are scored and to be scored in this run.
    say : callable, optional
        Called with each message: a batch that was halved, a network that was left out.

    Raises
    ------
    UsageError
        There is no study, no transfer settings, a device or factory that does not exist, or other
        settings.
    InvalidData
        Maps, images, checkpoints or networks do not fit, or scores are not finite.
    OSError
        The disk is full: what is written is kept, and the same call resumes.

    Notes
    -----
    A map without any relevance chooses no pixel: its scores are missing (NaN, or 255 for
    `correct`), and a network whose maps are all so is not available, neither as source nor as
    target. A control is the mask of the same fraction from the map of another image, of a source
    drawn for each image alike for all targets ("image_swap"), or of random pixels.
    """
    out = Path(out)
    device = models.pick_device(study.device)
    with (
        models.modules_of(study.path.parent),
        running.disk_full_told(out),
        exact_float32(),
        torch.inference_mode(),
    ):
        found = maps_of(out, maps)
        whole = designs.design(study, found)
        for name in whole.left_out:
            say(f"warning: {name} is left out: all its maps are zero")
        pixels = pictures.decoder(whole)
        colour = _begin(whole, out, found, device, pixels, force)
        units = running.share(designs.parts(whole), worker)
        todo = {shard for family in designs.STREAMED for shard in shards.unfinished(out, family)}
        left = [
            unit
            for unit in units
            if todo.intersection(s for part in unit for s in whole.shards(part))
        ]
        run = _Run(whole, out, device, score, progress, say)
        finished = _finished(run, left, colour, pixels)
        running.write_behind(out, (item for item in finished if item[0] in todo))
        if not any(shards.unfinished(out, family) for family in designs.STREAMED):
            shards.sweep(out)


def describe(study: Study, out: str | Path, maps: xr.Dataset | None = None) -> str:
    """What a transfer would do, in a line, before anything is built or written."""
    whole = designs.design(study, maps_of(Path(out), maps))
    how, n = whole.settings, len(whole.ids)
    masked = len(whole.targets) * n * len(how.fractions) * (len(whole.sources) + how.n_control)
    values = len(whole.targets) * n * len(how.fractions) * (5 * len(whole.sources) + 6)
    return (
        f"{len(whole.sources)} sources x {len(whole.targets)} targets x {len(how.fractions)}"
        f" fractions x {n} images, and {how.n_control} control(s): {masked} masked images,"
        f" {values / 1e6:.1f} MB of scores before compression, in batches of {study.batch} on"
        f" {study.device}"
    )


def rehearse(study: Study, out: str | Path, maps: xr.Dataset | None = None) -> str:
    """Build one network of each model, show it one batch, and say how long all would take.

    Nothing is written.
    """
    whole, device = (
        designs.design(study, maps_of(Path(out), maps)),
        models.pick_device(study.device),
    )
    masked = (
        len(whole.ids)
        * len(whole.settings.fractions)
        * (len(whole.sources) + whole.settings.n_control)
    )
    with models.modules_of(study.path.parent), exact_float32(), torch.inference_mode():
        seconds = masked * viewing.seconds_a_picture(whole, device)
    return (
        f"about {seconds:.0f} s in all, by one worker on {device_name(device)}; making masks and"
        " fills not counted"
    )


def maps_of(out: Path, maps: xr.Dataset | None) -> xr.Dataset:
    """The maps that are given, or all of those of the study."""
    if maps is not None:
        return maps
    study = store.open_study(out)
    if "relevance" not in study.children:
        raise UsageError(
            f"{out} has no /relevance: run relstats compute first, or save maps of your own into it"
        )
    store.require_complete(study, "relevance")
    return study["relevance"].to_dataset()


def _begin(
    whole: Design, out: Path, maps: xr.Dataset, device: torch.device, pixels: Pixels, force: bool
) -> tuple[float, ...]:
    """Create the group, or find it; returns the colour of the fill."""
    name = device_name(device)
    plan = designs.plan_text(whole, maps, name)
    there = running.resumed(out, "transfer", designs.STREAMED, plan, force)
    colour = there["fill_colour"] if there else pictures.fill_colour(whole, pixels)
    store.begin_study(out, {"name": whole.study.name, **provenance()})
    dataset = whole.labels.assign_attrs(designs.attributes(whole, colour, name))
    store.add_group(out, "transfer", dataset, designs.STREAMED, plan)
    return tuple(colour)


def _reader(
    whole: Design, pixels: Pixels, colour: Sequence[float]
) -> Callable[[Part], tuple[np.ndarray, Pictures]]:
    """A function from a part to its maps and pictures, which a thread calls ahead of time."""
    filled = pictures.reader(whole, pixels, colour)
    return lambda part: (designs.read_maps(whole, part), filled(part.block))


def _finished(
    run: _Run, units: Sequence[Sequence[Part]], colour: Sequence[float], pixels: Pixels
) -> Iterator[tuple[shards.Shard, dict[str, np.ndarray]]]:
    """Score part by part, target by target, each of which is on the device only meanwhile.

    Yields complete shards.
    """
    whole, parts = run.design, [part for unit in units for part in unit]
    total, done = sum(map(whole.evaluations, parts)), 0
    ahead = running.read_ahead(parts, _reader(whole, pixels, colour))
    for k, items in itertools.groupby(ahead, key=lambda item: item[0].target):
        viewer = viewing.viewer(whole, whole.targets[k], run.device, run.score, pixels(0))
        batch, drawn = whole.study.batch, []
        for part, (maps, shown) in items:
            task = partial(viewing.of_masked, viewer, whole, part, maps, shown, colour)
            values, batch = _in_memory(run, viewer, part, task, batch)
            done += whole.evaluations(part)
            if run.progress:
                run.progress(done, total)
            if part.sources:
                yield from zip(whole.shards(part), map(stored, values), strict=True)
                continue
            drawn += list(values)
            if len(drawn) == whole.settings.n_control:
                truth = viewer.truth[whole.images(part.block)]
                task = partial(viewing.of_pictures, viewer, shown[0], truth)
                unmasked, batch = _in_memory(run, viewer, part, task, batch)
                yield whole.shards(part)[0], _controls(np.array(drawn), unmasked)
                drawn = []
        del viewer


def _controls(drawn: np.ndarray, unmasked: np.ndarray) -> dict[str, np.ndarray]:
    """What is stored of controls (draw, score, fraction, image) and of whole images (score, image).

    A control is the mean over the draws whose map has any relevance.
    """
    known = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, drawn, 0).sum(0) / known.sum(0)
    random = stored(mean) | {"correct": mean[0].astype(np.float16)}
    return {f"unmasked_{name}": v for name, v in stored(unmasked).items()} | {
        f"random_{n}": v for n, v in random.items()
    }


def _in_memory(
    run: _Run, viewer: viewing.Viewer, part: Part, task: Callable[[int], np.ndarray], batch: int
) -> tuple[np.ndarray, int]:
    told = str(viewer), f"{viewer}, {part}"
    return running.in_memory(
        run.out, "transfer", told, task, batch, run.design.study.batch, run.say
    )
