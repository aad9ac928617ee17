"""Relevance of every network and image of a study file, streamed into a study: resumable, by one or
many workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relstats.compute import images, models
from relstats.compute.stream import batches, flags, groups, running, writer
from relstats.compute.stream.writer import Group, Progress, Say
from relstats.compute.study_file.settings import Study
from relstats.errors import UsageError
from relstats.study import layout, shards, writing

Pixels = Callable[[slice], np.ndarray]

#: Bytes of decoded images that are kept; what is beyond is decoded again for each network.
_KEPT_BYTES = 4 * 2**30


def export(
    study: Study,
    out: str | Path,
    *,
    worker: tuple[int, int] = (0, 1),
    force: bool = False,
    progress: Progress | None = None,
    say: Say = lambda message: None,
) -> None:
    """Compute the relevance of every network and image and write it to `/relevance`, a shard at a
    time.

    Batches are fixed by the study file and lie within shards of 100 images, so that a study that
    was interrupted and resumed on the same device has the same bytes as one that was not.

    Parameters
    ----------
    study : Study
        From `read_study`.
    out : str or Path
        The study to write. One that is there with the same settings is resumed.
    worker : tuple of int
        (k, n): of n workers this is number k, counted from 0. Any number may run at once; whoever
        comes first creates the study.
    force : bool
        Replace a study at `out`.
    progress : callable, optional
        Called with the number of maps that are done and to be done in this run.
    say : callable, optional
        Called with each message: a batch that was halved, and what `flags` finds in the maps.

    Raises
    ------
    UsageError
        A study with other settings is at `out`, or the device or a factory does not exist.
    InvalidData
        An image, a checkpoint or a network cannot be used.
    OSError
        The disk is full: what is written is kept, and the same call resumes.
    """
    out = Path(out)
    if force and worker[1] > 1:
        raise UsageError(
            "force with several workers: each would remove what the others write. Remove the study"
            " first"
        )
    device = models.pick_device(study.device)
    for text in filter(None, map(models.note, study.models)):
        say(text)
    found = groups.settings(study, device)
    if not force:
        groups.require_same(out, found)
    with models.modules_of(study.path.parent), running.disk_full_told(out):
        pixels = decoder(study)
        group = Group(
            out,
            "relevance",
            groups.STREAMED,
            groups.plan_text(found),
            len(study.images.table),
            _batch(study),
            worker,
            progress,
            say,
        )
        _begin(study, group, found, device, pixels, force)
        share = writer.write_shards(
            group,
            lambda shard: _network(study, device, shard, pixels(group.images(shard))),
            partial(_explained, study, group),
            lambda shard: pixels(group.images(shard)),
        )
    for message in flags.flags(out, sorted({shard.cell for shard in share})):
        say(message)


def _batch(study: Study) -> int:
    """Images at a time: batches lie within shards."""
    return min(study.batch, layout.FAMILIES["relevance"].images_per_shard)


def describe(study: Study) -> str:
    """What a study would hold, in a line, before anything is computed."""
    networks = sum(len(model.checkpoints) for model in study.models)
    n, (y, x) = len(study.images.table), study.images.size
    batch = _batch(study)
    return (
        f"{len(study.models)} models, {networks} networks, {n} images of {y} x {x}: {networks * n}"
        f" maps, {networks * n * y * x * 4 / 1e6:.1f} MB before compression, in batches of {batch}"
        f" on {study.device}"
    )


def rehearse(study: Study) -> Iterator[str]:
    """Build one network of each model and explain a batch: a line a model with engine, speed and
    time; nothing is written.
    """
    device = models.pick_device(study.device)
    rows = study.images.table[: _batch(study)]
    pixels, total = images.load_images(study.images, rows.index), 0.0
    with models.modules_of(study.path.parent):
        for model in study.models:
            network = batches.network(study, model, next(iter(model.checkpoints)), device, pixels)
            explain = partial(batches.explain, study, network, pixels, rows)
            rate = len(rows) / running.seconds(explain)
            maps = len(study.images.table) * len(model.checkpoints)
            total += maps / rate
            why = f" ({network.plan.why})" if network.plan.why else ""
            yield (
                f"{model.name}: engine {network.plan.engine}{why}, {rate:.3g} maps/s, {maps} maps,"
                f" about {maps / rate:.0f} s"
            )
            del network, explain
    yield running.time_in_all(total, device)


def _begin(
    study: Study,
    group: Group,
    found: Mapping[str, Any],
    device: torch.device,
    pixels: Pixels,
    force: bool,
) -> None:
    """Create what is not there yet. Everything is checked before a study is created or replaced."""
    is_new = force or not writer.is_begun(group.out, group.name)
    plans = {}
    for model in study.models if is_new else ():
        network = batches.network(
            study, model, next(iter(model.checkpoints)), device, pixels(slice(0, 2))
        )
        plans[model.name] = groups.about(network.plan)
        del network
    whole = slice(0, len(study.images.table))
    labels = groups.images_group(study, pixels(whole) if is_new and study.images.pixels else None)
    relevance = groups.relevance_group(study, found, plans)
    root = groups.root_attrs(study, found)
    writing.begin_study(group.out, root, force=force)
    groups.require_same(group.out, found)  # another worker may have begun another study meanwhile
    writing.add_group(group.out, "images", labels, {}, group.plan)
    y, x = study.images.size
    writer.begin(group, root, lambda: (relevance, {"y": y, "x": x}))


def decoder(study: Study) -> Pixels:
    """A function from positions to pixels.

    All images are decoded now, so that all that are corrupt are named at once.
    """
    ids = study.images.table.index
    y, x = study.images.size
    kept = images.load_images(study.images, ids[: _KEPT_BYTES // (y * x * 3)])

    def pixels(where: slice) -> np.ndarray:
        if where.stop <= len(kept) or len(kept) == len(ids):
            return kept[where]
        return images.load_images(study.images, ids[where])

    return pixels


def _network(
    study: Study, device: torch.device, shard: shards.Shard, pixels: np.ndarray
) -> batches.Network:
    model, seed = study.models[shard.cell[0]], study.seeds[shard.cell[1]]
    return batches.network(study, model, seed, device, pixels)


def _explained(
    study: Study,
    group: Group,
    network: batches.Network,
    shard: shards.Shard,
    pixels: np.ndarray,
    fit: writer.Fit,
) -> writer.Arrays:
    """What one shard holds: the maps of its images, and what they explain."""
    rows = study.images.table[group.images(shard)]

    def explain(part: slice) -> writer.Arrays:
        return batches.explain(study, network, pixels[part], rows[part])

    name = f"{network.model.name}, seed {network.seed}"
    return writer.in_batches(group, shard, explain, name, fit)
