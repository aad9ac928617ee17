"""Relevance of every network and image of a study file, streamed into a study: resumable, by one or
many workers.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relstats.compute import images, models
from relstats.compute.stream import batches, flags, groups, running
from relstats.compute.study_file.study import Study
from relstats.errors import UsageError
from relstats.study import layout, shards, store

Pixels = Callable[[slice], np.ndarray]
Say = Callable[[str], None]

#: Bytes of decoded images that are kept; what is beyond is decoded again for each network.
_KEPT_BYTES = 4 * 2**30


def export(
    study: Study,
    out: str | Path,
    *,
    worker: tuple[int, int] = (0, 1),
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
        _begin(study, out, found, device, pixels, force)
        expected = running.share(shards.expected(out, "relevance"), worker)
        todo = set(shards.unfinished(out, "relevance"))
        left = [shard for shard in expected if shard in todo]
        running.write_behind(out, _computed(study, out, device, left, pixels, progress, say))
        if not shards.unfinished(out, "relevance"):
            shards.sweep(out)
    for message in flags.flags(out, sorted({shard.cell for shard in expected})):
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
            batches.explain(study, network, pixels, rows)  # the first one also warms up
            start = time.perf_counter()
            batches.explain(study, network, pixels, rows)
            rate = len(rows) / (time.perf_counter() - start)
            maps = len(study.images.table) * len(model.checkpoints)
            total += maps / rate
            why = f" ({network.plan.why})" if network.plan.why else ""
            yield (
                f"{model.name}: engine {network.plan.engine}{why}, {rate:.3g} maps/s, {maps} maps,"
                f" about {maps / rate:.0f} s"
            )
            del network
    yield f"about {total:.0f} s in all, by one worker on {groups.device_name(device)}"


def _begin(
    study: Study,
    out: Path,
    found: dict[str, Any],
    device: torch.device,
    pixels: Pixels,
    force: bool,
) -> None:
    """Create what is not there yet. Everything is checked before a study is created or replaced."""
    is_new = force or not (out / "relevance").exists()
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
    plan = groups.plan_text(found)
    store.begin_study(out, groups.root_attrs(study, found), force=force)
    groups.require_same(out, found)  # another worker may have begun another study meanwhile
    store.add_group(out, "images", labels, {}, plan)
    y, x = study.images.size
    store.add_group(out, "relevance", relevance, groups.STREAMED, plan, y=y, x=x)


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


def _computed(
    study: Study,
    out: Path,
    device: torch.device,
    todo: Sequence[shards.Shard],
    pixels: Pixels,
    progress: Callable[[int, int], None] | None,
    say: Say,
) -> Iterator[tuple[shards.Shard, dict[str, np.ndarray]]]:
    """Explain shard by shard, network by network."""
    rows, done = study.images.table, 0
    total = sum(len(rows[shard.images]) for shard in todo)
    for cell, of_network in itertools.groupby(todo, key=lambda shard: shard.cell):
        for shard, arrays in _of_network(study, out, device, cell, list(of_network), pixels, say):
            yield shard, arrays
            done += len(rows[shard.images])
            if progress:
                progress(done, total)


def _of_network(
    study: Study,
    out: Path,
    device: torch.device,
    cell: tuple[int, ...],
    todo: Sequence[shards.Shard],
    pixels: Pixels,
    say: Say,
) -> Iterator[tuple[shards.Shard, dict[str, np.ndarray]]]:
    """The shards of one network, which is on the device only while they are computed."""
    model, seed = study.models[cell[0]], study.seeds[cell[1]]
    network = batches.network(study, model, seed, device, pixels(todo[0].images))
    rows, batch = study.images.table, _batch(study)
    for shard in todo:
        where = slice(shard.images.start, min(shard.images.stop, len(rows)))
        block = pixels(where)

        def explain(
            part: slice, start: int = where.start, block: np.ndarray = block
        ) -> dict[str, np.ndarray]:
            return batches.explain(
                study, network, block[part.start - start : part.stop - start], rows[part]
            )

        def halved(smaller: int) -> None:
            say(
                f"out of memory: {model.name}, seed {seed} goes on in batches of {smaller};"
                " recorded in batch_reduced of /relevance"
            )

        arrays, batch = batches.in_memory(partial(batches.in_turn, explain, where), batch, halved)
        if batch < _batch(study):
            running.record_batch(
                out,
                "relevance",
                f"{model.name}, seed {seed}, images {where.start} to {where.stop - 1}",
                batch,
            )
        yield shard, arrays
