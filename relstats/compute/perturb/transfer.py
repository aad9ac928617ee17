"""Masks from every source's relevance, shown to every target: scores streamed into `/transfer`, by
one or many workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from relstats.compute import models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.perturb import designs, pictures, viewing
from relstats.compute.perturb.designs import Design, Part
from relstats.compute.perturb.maps import read_maps
from relstats.compute.perturb.pictures import Pixels
from relstats.compute.perturb.scoring import stored
from relstats.compute.perturb.viewing import Pictures, Score, Viewer
from relstats.compute.stream import running, writer
from relstats.compute.stream.writer import Group, Progress, Say
from relstats.compute.study_file.settings import Study
from relstats.errors import UsageError
from relstats.study import shards, store
from relstats.study.provenance import provenance


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
        pixels, on = pictures.decoder(whole), running.device_name(device)
        group = Group(
            out,
            "transfer",
            designs.STREAMED,
            designs.plan_text(whole, found, on),
            len(whole.ids),
            study.batch,
            worker,
            progress,
            say,
        )
        writer.require_same_plan(group, force)
        root = {"name": study.name, **provenance()}
        begun = writer.begin(group, root, partial(_labels, whole, pixels, on))
        colour = tuple(begun["fill_colour"])
        writer.write(
            group,
            _pieces(whole),
            lambda part: viewing.viewer(
                whole, whole.targets[part.target], device, score, pixels(0)
            ),
            partial(_scored, whole, colour),
            _reader(whole, pixels, colour),
        )


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
    whole = designs.design(study, maps_of(Path(out), maps))
    shown = len(whole.sources) + whole.settings.n_control
    return viewing.rehearse(whole, len(whole.ids) * len(whole.settings.fractions) * shown)


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


def _labels(whole: Design, pixels: Pixels, device: str) -> writer.Labels:
    """The group without its scores; the colour of the fill is found once, and kept with them."""
    colour = pictures.fill_colour(whole, pixels)
    return whole.labels.assign_attrs(designs.attributes(whole, colour, device)), {}


def _pieces(whole: Design) -> list[writer.Piece[Part]]:
    return [
        writer.Piece(part, tuple(whole.shards(part)), part.target, whole.evaluations(part))
        for part in designs.parts(whole)
    ]


def _reader(
    whole: Design, pixels: Pixels, colour: Sequence[float]
) -> Callable[[Part], tuple[np.ndarray, Pictures]]:
    """A function from a part to its maps and pictures, which a thread calls ahead of time."""
    filled = pictures.reader(whole, pixels, colour)
    return lambda part: (read_maps(whole, part), filled(part.block))


def _scored(
    whole: Design,
    colour: Sequence[float],
    viewer: Viewer,
    parts: Iterable[tuple[Part, tuple[np.ndarray, Pictures]]],
    fit: writer.Fit,
) -> Iterator[tuple[shards.Shard, writer.Arrays]]:
    """Score the parts of one target.

    Yields complete shards.
    """
    drawn: list[np.ndarray] = []
    for part, (maps, shown) in parts:
        task = partial(viewing.of_masked, viewer, whole, part, maps, shown, colour)
        values = fit(task, str(viewer), str(part))
        if part.sources:
            yield from zip(whole.shards(part), map(stored, values), strict=True)
            continue
        drawn += list(values)
        if len(drawn) == whole.settings.n_control:
            truth = viewer.truth[whole.images(part.block)]
            task = partial(viewing.of_pictures, viewer, shown[0], truth)
            unmasked = fit(task, str(viewer), str(part))
            yield whole.shards(part)[0], _controls(np.array(drawn), unmasked)
            drawn = []


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
