"""One target network, and what it says of masked and of whole images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from relstats.compute import images, models
from relstats.compute.lrp import faithful
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.perturb import fills
from relstats.compute.perturb.designs import Design, Part, Target
from relstats.compute.perturb.scoring import scored
from relstats.compute.perturb.top_pixels import places, top_count
from relstats.compute.stream import running
from relstats.compute.study_file.settings import true_classes
from relstats.errors import ImpossibleAnalysis, InvalidData

#: From pictures, uint8 (picture, y, x, channel), and (model, seed) to logits (picture, class).
Score = Callable[[np.ndarray, tuple[str, str]], np.ndarray]
#: Pixels, and what masked ones are filled from, of a block of images.
Pictures = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Viewer:
    """A target on the device: from pictures, uint8 (picture, y, x, channel), to logits.

    `truth` is of all images.
    """

    target: Target
    network: Callable[[Tensor], Tensor]
    truth: Tensor

    def __str__(self) -> str:
        return f"model {self.target.model.name!r}, seed {self.target.seed!r}"


def viewer(
    design: Design, target: Target, device: torch.device, score: Score | None, sample: np.ndarray
) -> Viewer:
    """Build and load a target, or wrap the callback that stands for it.

    Parameters
    ----------
    sample : ndarray of uint8, (image, y, x, channel)
        At least one image, to try it on.

    Raises
    ------
    InvalidData, UsageError
        The network does not fit its checkpoint, its classes or its images.
    ImpossibleAnalysis
        Its outputs are no logits, so that its probabilities would be wrong.
    """
    rows = design.study.images.table.loc[list(design.ids)]
    truth = torch.from_numpy(true_classes(target.model, rows)).to(device)
    if score is not None:
        return Viewer(target, _called(score, target), truth)
    model, dtype = target.model, getattr(torch, design.study.dtype)
    module = models.build(model, target.seed, device, dtype)
    tried = images.to_input(torch.from_numpy(sample[:2]).to(device), model.preprocessing, dtype)
    models.require_output(module, model, tried[:1])
    shown = Viewer(
        target,
        lambda pictures: module(images.to_input(pictures, model.preprocessing, dtype)),
        truth,
    )
    try:
        faithful.require_logits(module, tried)
    except ImpossibleAnalysis as error:
        raise ImpossibleAnalysis(f"{shown}: {error}") from error
    return shown


def _called(score: Score, target: Target) -> Callable[[Tensor], Tensor]:
    def network(pictures: Tensor) -> Tensor:
        logits = np.asarray(score(pictures.cpu().numpy(), (target.model.name, target.seed)))
        expected = (len(pictures), len(target.model.classes))
        if logits.shape != expected or logits.dtype.kind not in "iuf":
            raise InvalidData(
                f"the scoring callback returned {logits.dtype} {logits.shape} for model"
                f" {target.model.name!r}, seed {target.seed!r}; logits are real numbers of shape"
                f" {expected} (picture, class)"
            )
        return torch.from_numpy(logits.astype(np.float64)).to(pictures.device)

    return network


def of_masked(
    viewer: Viewer,
    design: Design,
    part: Part,
    maps: np.ndarray,
    pictures: Pictures,
    colour: Sequence[float],
    batch: int,
) -> np.ndarray:
    """Scores of a part's masked images, in batches across its maps, images and fractions.

    Parameters
    ----------
    maps : ndarray, (source or draw, image, pixel)
        Finite. They are ranked once, for all fractions.
    pictures : tuple of ndarray
        Of the block, see `fills.backgrounds`.
    colour : sequence of float
        Of the fill.

    Returns
    -------
    ndarray of float64, (source or draw, score, fraction, image)
        NaN where a map has no relevance.
    """
    device, how = viewer.truth.device, design.settings
    n, shares = maps.shape[1], len(how.fractions)
    pixels, background = (torch.from_numpy(values).to(device) for values in pictures)
    random = bool(part.draws) and how.control == "random"
    rows = torch.from_numpy(maps.reshape(-1, maps.shape[-1])).to(device)
    place = places(rows, "positive" if random else how.ranking)
    counts = torch.tensor(
        [top_count(f, maps.shape[-1]) for f in how.fractions], dtype=torch.int32, device=device
    )

    def masked(which: Tensor) -> tuple[Tensor, Tensor]:
        row, image = which // shares, which // shares % n
        chosen = (place[row] < counts[which % shares, None]).view(-1, *pixels.shape[1:3])
        kept = chosen if how.operation == "keep" else ~chosen
        return fills.masked(pixels[image], background[image], kept, colour), image

    truth = viewer.truth[design.images(part.block)]
    found = scored(viewer.network, truth, masked, len(rows) * shares, batch)
    values = (
        _finite(found, viewer, "masked images")
        .reshape(3, len(maps), n, shares)
        .transpose(1, 0, 3, 2)
    )
    return np.where(maps.any(-1)[:, np.newaxis, np.newaxis], values, np.nan)


def of_sets(
    viewer: Viewer,
    sets: Tensor,
    where: np.ndarray,
    pictures: Pictures,
    truth: Tensor,
    colour: Sequence[float],
    batch: int,
) -> np.ndarray:
    """Scores of images of which a set of pixels is kept, and of which it is removed.

    Parameters
    ----------
    sets : Tensor of bool, (set, image, pixel)
        On the device.
    where : ndarray of int, (image,)
        Their positions in the block of the pictures.
    pictures : tuple of ndarray
        Of the block, see `fills.backgrounds`.
    truth : Tensor of int64
        Of the block.

    Returns
    -------
    ndarray of float64, (operation, set, score, image)
        Operations are those of `layout.OPERATIONS`.
    """
    device, n = viewer.truth.device, len(where)
    pixels, background = (torch.from_numpy(values[where]).to(device) for values in pictures)
    rows = sets.view(-1, *pixels.shape[1:3])

    def masked(which: Tensor) -> tuple[Tensor, Tensor]:
        row, removed = which // 2, which % 2 == 1
        kept = rows[row] ^ removed[:, None, None]
        return fills.masked(pixels[row % n], background[row % n], kept, colour), row % n

    found = scored(
        viewer.network, truth[torch.from_numpy(where).to(device)], masked, 2 * len(rows), batch
    )
    values = _finite(found, viewer, "masked images").reshape(3, len(sets), n, 2)
    return values.transpose(3, 1, 0, 2)


def of_pictures(viewer: Viewer, pixels: np.ndarray, truth: Tensor, batch: int) -> np.ndarray:
    """Scores of pictures as they are, uint8 (picture, y, x, channel): float64 (score, picture)."""
    shown = torch.from_numpy(pixels).to(truth.device)
    found = scored(viewer.network, truth, lambda which: (shown[which], which), len(shown), batch)
    return _finite(found, viewer, "images")


def rehearse(design: Design, n_pictures: int) -> str:
    """Show one network of each model a batch, and say how long as many pictures take for all
    targets.
    """
    device = models.pick_device(design.study.device)
    with models.modules_of(design.study.path.parent), exact_float32(), torch.inference_mode():
        total = n_pictures * _seconds_a_picture(design, device)
    return f"{running.time_in_all(total, device)}; making masks and fills not counted"


def _seconds_a_picture(design: Design, device: torch.device) -> float:
    """Time that all targets together need for one picture."""
    seconds, pixels = 0.0, images.load_images(design.study.images, design.ids[: design.study.batch])
    for target in {target.model.name: target for target in reversed(design.targets)}.values():
        shown = viewer(design, target, device, None, pixels)
        truth = shown.truth[: len(pixels)]
        took = running.seconds(partial(of_pictures, shown, pixels, truth, design.study.batch))
        seconds += sum(other.model is target.model for other in design.targets) * took / len(pixels)
    return seconds


def _finite(found: Tensor, viewer: Viewer, what: str) -> np.ndarray:
    values: np.ndarray = found.double().cpu().numpy()
    wrong = ~np.isfinite(values).all(0)
    if wrong.any():
        raise InvalidData(
            f"{viewer} gives logits that are NaN, infinite or too large for {wrong.sum()} of"
            f" {wrong.size} {what}: "
            f'what it says of them is not known. Check its preprocessing, or give dtype = "float64"'
        )
    return values
