"""The writer of a study: a group is begun, worked off network by network by one or many workers,
written behind the work, and resumed to the same bytes.

An analysis describes its group (`Group`), says what labels it has (`begin`), and how one shard of
it is made (`write_shards`, or `write` where shards are made several at a time). Which shards are
left, the share of each worker, batches that fit into memory, progress and the end are here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
import zarr

from relstats.compute.stream import batches, running
from relstats.errors import UsageError
from relstats.study import shards, writing
from relstats.study.shards import Shard

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
#: What a shard holds: every variable of its family.
Arrays = dict[str, np.ndarray]
#: Labels, small variables and attributes of a group, and sizes of dims that only its shards have.
Labels = tuple[xr.Dataset, Mapping[str, int]]


@dataclass(frozen=True)
class Group:
    """A group of a study, and how one run writes it.

    Attributes
    ----------
    out : Path
        The study.
    name : str
        Of the group.
    families : mapping of str to sequence of str
        Families of shards that it has, and the variables of each that are written.
    plan : str
        All that decides its bytes, in a line (see `plan`). A run with another one is refused.
    n_images : int
    batch : int
        Images at a time, until memory runs out.
    worker : tuple of int
        (k, n): of n workers this is number k, counted from 0.
    progress : callable, optional
        Called with how much of this run's work is done, and how much there is.
    say : callable
        Called with each message.
    """

    out: Path
    name: str
    families: Mapping[str, Sequence[str]]
    plan: str
    n_images: int
    batch: int
    worker: tuple[int, int] = (0, 1)
    progress: Progress | None = None
    say: Say = lambda message: None

    def images(self, shard: Shard) -> slice:
        """Positions of the images of a shard: the last one may have fewer."""
        return slice(shard.images.start, min(shard.images.stop, self.n_images))

    def span(self, shard: Shard) -> str:
        """The images of a shard in words."""
        where = self.images(shard)
        return f"images {where.start} to {where.stop - 1}"


@dataclass(frozen=True)
class Piece[Work]:
    """Work that is done at once, where it is written, whose network it needs, and how much it is.

    Pieces that are written into the same shards are done by one worker.
    """

    work: Work
    shards: tuple[Shard, ...]
    network: Hashable
    size: int


class Fit(Protocol):
    """Runs the task of a network, for some images, with a batch that fits into memory."""

    def __call__[Value](self, task: Callable[[int], Value], network: str, images: str) -> Value:
        """Return what the task gives; where batches were halved, say so and record it."""


# ---- what a group is, and its beginning


def digest(settings: object) -> str:
    """A hash of plain values.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def plan(about: str, settings: object) -> str:
    """The plan of a group: what a reader wants to know, and a hash of all that decides its bytes.

    Examples
    --------
    >>> plan("relstats compute, epsilon", {"batch": 50})
    'relstats compute, epsilon, settings 92ac0f8711f7ed81'
    """
    return f"{about}, settings {digest(settings)[:16]}"


def is_begun(out: Path, name: str) -> bool:
    """Whether a study has a group, complete or not."""
    return (out / name / "zarr.json").exists()


def begin(
    group: Group, root: Mapping[str, object], labels: Callable[[], Labels]
) -> Mapping[str, Any]:
    """Begin a group, and its study, where they are not there; else go on with them.

    Parameters
    ----------
    group : Group
    root : mapping of str to object
        Attributes of the study, if it is new.
    labels : callable
        Called only for a new group, before anything is written.

    Returns
    -------
    mapping of str to object
        The attributes of the group that is there now, which may be another worker's.

    Raises
    ------
    UsageError
        The group is there with another plan.
    """
    dataset, sizes = (xr.Dataset(), {}) if is_begun(group.out, group.name) else labels()
    writing.begin_study(group.out, root)
    writing.add_group(group.out, group.name, dataset, group.families, group.plan, **sizes)
    return attributes(group)


def attributes(group: Group) -> Mapping[str, Any]:
    """The attributes that a group has in the study."""
    there = zarr.open_group(str(group.out), mode="r", use_consolidated=False)[group.name]
    return dict(there.attrs)


def require_same_plan(group: Group, force: bool) -> None:
    """Refuse a group that was made with another plan, or remove it.

    Raises
    ------
    UsageError
        It is there, and not to be replaced.
    """
    if not is_begun(group.out, group.name):
        return
    before = attributes(group).get("relstats_plan")
    if before == group.plan:
        return
    if not force:
        raise UsageError(
            f"/{group.name} of {group.out} was made with other settings ({before}; now"
            f" {group.plan}). Choose another study, or replace /{group.name} with --force"
        )
    _remove(group)


def _remove(group: Group) -> None:
    """The manifests first: scores without one are never taken for complete ones of another plan."""
    out = group.out
    with tempfile.TemporaryDirectory(
        prefix=f".{out.name[:100]}.relstats-", dir=out.parent
    ) as scratch:
        for name in (*(f"manifest/{family}" for family in group.families), group.name):
            with suppress(FileNotFoundError):
                shutil.move(out / name, Path(scratch) / name.replace("/", "-"))


# ---- the work


def write_shards[Network, Value](
    group: Group,
    load: Callable[[Shard], Network],
    make: Callable[[Network, Shard, Value, Fit], Arrays],
    read: Callable[[Shard], Value],
    *,
    size: Callable[[Shard], int] | None = None,
) -> list[Shard]:
    """Make and write what is left of a worker's share of a group, shard by shard.

    Parameters
    ----------
    group : Group
        Begun.
    load : callable
        The network that a shard needs. It is kept for all shards of that network, no longer.
    make : callable
        Takes the network, a shard, what was read for it, and what finds the batch that fits.
        Returns what the shard holds.
    read : callable
        Reads what a shard needs, such as its images; called by a thread while the one before it is
        made.
    size : callable, optional
        How much of the work a shard is. Default: its number of images.

    Returns
    -------
    list of Shard
        The worker's share, whoever made it.
    """

    def n_images(shard: Shard) -> int:
        return group.images(shard).stop - group.images(shard).start

    def shard_by_shard(
        network: Network, items: Iterable[tuple[Shard, Value]], fit: Fit
    ) -> Iterator[tuple[Shard, Arrays]]:
        for shard, value in items:
            yield shard, make(network, shard, value, fit)

    pieces = [
        Piece(shard, (shard,), shard.cell[:2], (size or n_images)(shard))
        for family in group.families
        for shard in shards.expected(group.out, family)
    ]
    return [piece.work for piece in write(group, pieces, load, shard_by_shard, read)]


def write[Work, Network, Value](
    group: Group,
    pieces: Iterable[Piece[Work]],
    load: Callable[[Work], Network],
    make: Callable[[Network, Iterable[tuple[Work, Value]], Fit], Iterable[tuple[Shard, Arrays]]],
    read: Callable[[Work], Value],
) -> list[Piece[Work]]:
    """Do and write what is left of a worker's share of the work on a group.

    Parameters
    ----------
    group : Group
        Begun.
    pieces : iterable of Piece
        All work, in an order that does not depend on what is done; that on one network together.
    load : callable
        The network that a piece of work needs. It is kept for all its pieces, no longer.
    make : callable
        Takes the network, its work with what was read for each piece, and what finds the batch that
        fits. Yields shards and what they hold, each as soon as it is complete.
    read : callable
        Reads what a piece needs; called by a thread while the piece before it is done.

    Returns
    -------
    list of Piece
        The worker's share, whoever did it.
    """
    share = _share(pieces, group.worker)
    unfinished = set(_unfinished(group))
    left = [piece for piece in share if unfinished.intersection(piece.shards)]
    made = _network_by_network(group, left, load, make, read)
    running.write_behind(group.out, (item for item in made if item[0] in unfinished))
    if not _unfinished(group):
        shards.sweep(group.out)
    return share


def _share[Work](pieces: Iterable[Piece[Work]], worker: tuple[int, int]) -> list[Piece[Work]]:
    """A worker's share; never some of the pieces of a shard."""
    whole = [list(some) for _, some in itertools.groupby(pieces, key=lambda piece: piece.shards)]
    return list(itertools.chain.from_iterable(running.share(whole, worker)))


def _unfinished(group: Group) -> list[Shard]:
    return [shard for family in group.families for shard in shards.unfinished(group.out, family)]


def _network_by_network[Work, Network, Value](
    group: Group,
    pieces: Sequence[Piece[Work]],
    load: Callable[[Work], Network],
    make: Callable[[Network, Iterable[tuple[Work, Value]], Fit], Iterable[tuple[Shard, Arrays]]],
    read: Callable[[Work], Value],
) -> Iterator[tuple[Shard, Arrays]]:
    """Each network is on the device only while its shards are made."""
    first = {piece.network: piece.work for piece in reversed(pieces)}
    ahead = running.read_ahead(pieces, lambda piece: read(piece.work))
    for key, some in itertools.groupby(
        _counted(group, pieces, ahead), key=lambda item: item[0].network
    ):
        network = load(first[key])
        yield from make(network, ((piece.work, value) for piece, value in some), _fit(group))
        del network


def _counted[Work, Value](
    group: Group, pieces: Sequence[Piece[Work]], items: Iterable[tuple[Piece[Work], Value]]
) -> Iterator[tuple[Piece[Work], Value]]:
    """The same items; each is done when the next is asked for."""
    done, total = 0, sum(piece.size for piece in pieces)
    for piece, value in items:
        yield piece, value
        done += piece.size
        if group.progress:
            group.progress(done, total)


# ---- memory


def in_batches(
    group: Group,
    shard: Shard,
    task: Callable[[slice], Arrays],
    network: str,
    fit: Fit,
) -> Arrays:
    """All arrays of a shard, made in fixed batches that fit into memory.

    Parameters
    ----------
    task : callable
        Takes positions of images in the shard; returns arrays (image, ...).
    network : str
        Its name, for messages.
    """
    where = group.images(shard)
    whole = slice(0, where.stop - where.start)
    return fit(partial(batches.in_turn, task, whole), network, group.span(shard))


def _fit(group: Group) -> Fit:
    """For one network: a batch that did not fit is not tried again."""
    batch = group.batch

    def fit[Value](task: Callable[[int], Value], network: str, images: str) -> Value:
        nonlocal batch

        def halved(smaller: int) -> None:
            group.say(
                f"out of memory: {network} goes on in batches of {smaller}; recorded in"
                f" batch_reduced of /{group.name}"
            )

        value, batch = batches.in_memory(task, batch, halved)
        if batch < group.batch:
            record_batch(group.out, group.name, f"{network}, {images}", batch)
        return value

    return fit


def record_batch(out: Path, name: str, which: str, batch: int) -> None:
    """Note a smaller batch in the attributes of a group, before what it gave is written: it moves
    last digits.
    """
    with running.alone(out / name):
        attrs = zarr.open_group(str(out), mode="r+", use_consolidated=False)[name].attrs
        noted = {**json.loads(str(attrs.get("batch_reduced", "{}"))), which: batch}
        attrs["batch_reduced"] = json.dumps(noted, sort_keys=True)
