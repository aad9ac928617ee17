"""The networks of `relstats demo`: small ones, trained on drawn faces, whose identity and gender
lie in known pixels.

Networks pretrained on faces learn from partly hidden pictures, which makes them the easier targets
of masks: an asymmetry of known sign and cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relstats.demo import faces

PRETRAINING = ("faces", "objects")
TASKS = ("gender", "identity")
SIZE = 64
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25

_BATCH = 50
_RATE = 3e-3
#: Layers before this one stay as pretraining left them.
_FROZEN = 2
#: Side of the squares that hide parts of a picture, in pixels.
_SQUARE = 4


@dataclass(frozen=True)
class Sizes:
    """How large a demo is.

    Attributes
    ----------
    networks : int
        Of each pretraining and task.
    people, pictures : int
        Persons of the study, and how many pictures of each.
    training, pretraining : int
        Pictures to train and to pretrain on, and how often all are seen.
    training_epochs, pretraining_epochs : int
    participants : int
        Simulated people who judge.
    """

    networks: int = 3
    people: int = 10
    pictures: int = 6
    training: int = 1200
    training_epochs: int = 12
    pretraining: int = 1500
    pretraining_epochs: int = 8
    participants: int = 12


@dataclass(frozen=True)
class _Lesson:
    """Inputs, (image, channel, y, x), their classes and how many classes there are."""

    inputs: Tensor
    classes: Tensor
    n_classes: int


def network(n_classes: int) -> nn.Sequential:
    """Return a small convolutional network: four convolutions and a linear layer, for pictures of
    64 x 64.

    Examples
    --------
    >>> network(2)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 2])
    """
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(48, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 16, n_classes),
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for nets this small, where two would wait for each other at every layer.

    A batch of training takes 0.10 s with one thread and 0.19 s with two on two idle cores, 0.30 s
    and 0.96 s where two other processes are busy. The caller's number comes back at the end.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches_in_all(sizes: Sizes) -> int:
    """How many batches all networks of a demo learn."""
    of_one = sizes.training_epochs * -(-sizes.training // _BATCH) + sizes.pretraining_epochs * -(
        -sizes.pretraining // _BATCH
    )
    return len(PRETRAINING) * len(TASKS) * sizes.networks * of_one


def schooled(
    module: nn.Sequential,
    people: np.ndarray,
    pretraining: str,
    task: str,
    sizes: Sizes,
    rng: np.random.Generator,
) -> Iterator[None]:
    """Pretrain and train a network on pictures of its own; yields after each batch."""
    first = _pretraining(pretraining, sizes, rng)
    _replace_head(module, first.n_classes)
    yield from _learn(module, first, sizes.pretraining_epochs)
    then = _training(people, pretraining, task, sizes, rng)
    _replace_head(module, then.n_classes)
    with torch.inference_mode():
        features = module[:_FROZEN](then.inputs)
    yield from _learn(
        module[_FROZEN:],
        _Lesson(features.clone(), then.classes, then.n_classes),
        sizes.training_epochs,
    )
    _centre(module[-1])


def _pretraining(kind: str, sizes: Sizes, rng: np.random.Generator) -> _Lesson:
    """Other persons, each of one gender; or objects."""
    if kind == "objects":
        pixels, kinds = faces.draw_objects(sizes.pretraining, size=SIZE, rng=rng)
        return _Lesson(
            _inputs(pixels), torch.from_numpy(kinds), len(faces.SHAPES) * len(faces.TEXTURES)
        )
    n = len(faces.SHAPES) * len(faces.TEXTURES)
    others, gender = faces.draw_people(n, rng), rng.integers(0, 2, n)
    identity = rng.integers(0, n, sizes.pretraining)
    drawn = faces.draw_faces(others, identity, gender[identity], size=SIZE, rng=rng)
    return _Lesson(_partly_hidden(_inputs(drawn.pixels), rng), torch.from_numpy(identity), n)


def _training(
    people: np.ndarray, pretraining: str, task: str, sizes: Sizes, rng: np.random.Generator
) -> _Lesson:
    """The persons of the study, each of either gender."""
    identity, gender = (
        rng.integers(0, len(people), sizes.training),
        rng.integers(0, 2, sizes.training),
    )
    drawn = faces.draw_faces(people, identity, gender, size=SIZE, rng=rng)
    classes, n = (gender, 2) if task == "gender" else (identity, len(people))
    inputs = _inputs(drawn.pixels)
    return _Lesson(
        _partly_hidden(inputs, rng) if pretraining == "faces" else inputs,
        torch.from_numpy(classes),
        n,
    )


def _partly_hidden(inputs: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures with 0 to 95 % of their squares at the picture's mean: what makes a network an easy
    target of masks.
    """
    n, _, height, width = inputs.shape
    share = rng.uniform(0, 0.95, n)
    squares = (
        rng.random((n, height // _SQUARE, width // _SQUARE)) < share[:, np.newaxis, np.newaxis]
    )
    hidden = torch.from_numpy(squares.repeat(_SQUARE, axis=1).repeat(_SQUARE, axis=2))[
        :, np.newaxis
    ]
    return torch.where(hidden, inputs.mean(dim=(2, 3), keepdim=True), inputs).contiguous(
        memory_format=torch.channels_last
    )


def _inputs(pixels: np.ndarray) -> Tensor:
    values = (pixels.astype(np.float32) / 255 - PIXEL_MEAN) / PIXEL_STD
    return torch.from_numpy(values).permute(0, 3, 1, 2)  # in memory as drawn: channels last


def _replace_head(module: nn.Sequential, n_classes: int) -> None:
    head: Any = module[-1]
    module[-1] = nn.Linear(head.in_features, n_classes)


def _learn(module: nn.Module, lesson: _Lesson, epochs: int) -> Iterator[None]:
    """Train on all pictures, some times over, in random order; yields after each batch."""
    n = len(lesson.inputs)
    optimiser = torch.optim.AdamW(module.parameters(), lr=_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _RATE, total_steps=epochs * -(-n // _BATCH)
    )
    for _ in range(epochs):
        for batch in torch.randperm(n).split(_BATCH):
            loss = nn.functional.cross_entropy(
                module(lesson.inputs[batch]), lesson.classes[batch], label_smoothing=0.05
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            yield


def _centre(head: nn.Module) -> None:
    """Take from every logit the mean of all: relevance adds up to the logit, and softmax leaves its
    offset free.
    """
    with torch.no_grad():
        for value in head.parameters():
            value.sub_(value.mean(0))
