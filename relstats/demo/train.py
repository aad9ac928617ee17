"""The study of `relstats demo`: small networks trained on drawn faces, whose identity and gender
lie in known pixels.

What it writes is what a user would have: pictures, labels, checkpoints, a study file, label images
of facial parts and people's judgments. Nothing that it knows beyond that reaches the analysis.
Networks pretrained on faces learn from partly hidden pictures, which makes them the easier targets
of masks: an asymmetry of known sign and cause.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from relstats.demo import faces
from relstats.demo.faces import Faces
from relstats.errors import UsageError

Progress = Callable[[int, int], None]

PRETRAINING = ("faces", "objects")
TASKS = ("gender", "identity")
SIZE = 64
#: Weight of the gender's features in what a simulated person judges, beside 1 for those of
#: identity.
GENDER_WEIGHT = 1.0

_BATCH = 50
_RATE = 3e-3
#: Layers before this one stay as pretraining left them.
_FROZEN = 2
#: Side of the squares that hide parts of a picture, in pixels.
_SQUARE = 4
_PIXEL_MEAN, _PIXEL_STD = 0.5, 0.25


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


def write_demo(
    folder: Path,
    *,
    sizes: Sizes | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Draw the faces, train the networks, and write all that a study needs.

    Parameters
    ----------
    folder : Path
        Where to; made if it is not there. One that holds this demo already is left alone.
    sizes : Sizes, optional
    seed : int
        Of all that is random: persons, pictures, training, judgments.
    progress : callable, optional
        Called with the number of batches that were learnt and of how many.

    Returns
    -------
    Path
        The study file, `faces.toml`; beside it `images.csv`, `photos/`, `parts/`, `judgments.csv`
        and a checkpoint a network.

    Raises
    ------
    UsageError
        The folder holds a demo with other options.
    """
    sizes, file = sizes or Sizes(), folder / "faces.toml"
    text = _study_file(sizes, seed)
    if file.exists():
        return _require_same(file, text)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 0])
    people = faces.draw_people(sizes.people, rng)
    shown = _crossed(people, sizes.pictures, rng)
    _write_images(folder, shown)
    _write_judgments(folder / "judgments.csv", shown, sizes.participants, rng)
    learnt, total = itertools.count(1), _batches_in_all(sizes)
    for pretraining, task, number in itertools.product(PRETRAINING, TASKS, range(sizes.networks)):
        own = np.random.default_rng(
            [seed, 1 + PRETRAINING.index(pretraining), TASKS.index(task), number]
        )
        with one_thread(), torch.random.fork_rng():
            torch.manual_seed(int(own.integers(2**31)))
            module = network(1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for _ in _schooled(module, people, pretraining, task, sizes, own):
                progress(next(learnt), total)
        weights = {name: value.contiguous() for name, value in module.state_dict().items()}
        save_file(weights, folder / f"{pretraining}_{task}_{number}.safetensors")
    file.write_text(text, encoding="utf-8")  # last: it stands for all the others
    return file


def _require_same(file: Path, text: str) -> Path:
    if file.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{str(file)!r} is there, and of a demo with other options. Choose another folder, or"
            " remove this one"
        )
    return file


def _crossed(people: np.ndarray, pictures: int, rng: np.random.Generator) -> Faces:
    """Pictures of each person, half of them of each gender."""
    identity = np.repeat(np.arange(len(people)), pictures)
    return faces.draw_faces(people, identity, np.arange(len(identity)) % 2, size=SIZE, rng=rng)


def _batches_in_all(sizes: Sizes) -> int:
    of_one = sizes.training_epochs * -(-sizes.training // _BATCH) + sizes.pretraining_epochs * -(
        -sizes.pretraining // _BATCH
    )
    return len(PRETRAINING) * len(TASKS) * sizes.networks * of_one


def _schooled(
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
    values = (pixels.astype(np.float32) / 255 - _PIXEL_MEAN) / _PIXEL_STD
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


def _write_images(folder: Path, shown: Faces) -> None:
    """Pictures, label images of the facial parts, and the table of labels."""
    for name in ("photos", "parts"):
        (folder / name).mkdir(exist_ok=True)
    with open(folder / "images.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "path", "identity", "gender"])
        for k, (identity, gender) in enumerate(zip(shown.identity, shown.gender, strict=True)):
            name = image_id(k)
            Image.fromarray(shown.pixels[k]).save(folder / "photos" / f"{name}.png")
            Image.fromarray(shown.regions[k]).save(folder / "parts" / f"{name}.png")
            table.writerow([name, f"photos/{name}.png", person_id(identity), faces.GENDERS[gender]])


def image_id(k: int) -> str:
    """Id of the k-th picture."""
    return f"face{k:03d}"


def person_id(k: int) -> str:
    """Name of the k-th person."""
    return f"p{k:02d}"


def judgments(shown: Faces, participants: int, rng: np.random.Generator) -> np.ndarray:
    """How unlike simulated people find each two pictures: they see the planted features, each
    weighs them in an own way.

    Returns
    -------
    ndarray, (participant, pair)
        Pairs in the order of `numpy.triu_indices(image, 1)`: a weighted distance, with noise, 0 or
        more.
    """
    seen = np.stack([shown.features[name] for name in (*faces.IDENTITY, *faces.GENDER)], axis=1)
    seen = (seen - seen.mean(0)) / seen.std(0)
    first, second = np.triu_indices(len(seen), 1)
    usual = np.array([1.0] * len(faces.IDENTITY) + [GENDER_WEIGHT] * len(faces.GENDER))
    weights = usual * rng.lognormal(0, 0.3, (participants, len(usual)))
    distance = np.sqrt(np.einsum("pf,nf->pn", weights, (seen[first] - seen[second]) ** 2))
    return np.maximum(distance + distance.std() * rng.standard_normal(distance.shape), 0)


def _write_judgments(path: Path, shown: Faces, participants: int, rng: np.random.Generator) -> None:
    names = [image_id(k) for k in range(len(shown.pixels))]
    pairs = list(itertools.combinations(names, 2))
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["participant", "image_i", "image_j", "dissimilarity"])
        for number, row in enumerate(judgments(shown, participants, rng)):
            table.writerows(
                (f"person{number:02d}", *pair, f"{value:.3f}")
                for pair, value in zip(pairs, row, strict=True)
            )


_STUDY = """\
# Written by relstats demo: {sizes}, seed {seed}. Paths are relative to this file.
name = "drawn faces"
batch = 50

[images]
table = "images.csv"
size = [{size}, {size}]
pixels = true

[relevance]
composite = "epsilon_plus_flat"
explained_class = "true"

[transfer]
operation = "keep"
fill = "mean"
fractions = [0.05, 0.1, 0.2, 0.4]
ranking = "positive"
control = "image_swap"
n_control = 3
"""
_MODEL = """
[models.{pretraining}_{task}]
factory = "relstats.demo.train:network"
arguments = {{ n_classes = {n_classes} }}
axes = {{ pretrain = "{pretraining}", task = "{task}" }}
label = "{task}"
classes = [{classes}]
preprocessing = {{ mean = [{mean}], std = [{std}] }}
checkpoints = {{ {checkpoints} }}
"""


def _study_file(sizes: Sizes, seed: int) -> str:
    named = {"gender": faces.GENDERS, "identity": [person_id(k) for k in range(sizes.people)]}
    text = _STUDY.format(size=SIZE, sizes=sizes, seed=seed)
    for pretraining, task in itertools.product(PRETRAINING, TASKS):
        paths = ", ".join(
            f'"{k}" = "{pretraining}_{task}_{k}.safetensors"' for k in range(sizes.networks)
        )
        text += _MODEL.format(
            pretraining=pretraining,
            task=task,
            n_classes=len(named[task]),
            mean=_PIXEL_MEAN,
            std=_PIXEL_STD,
            classes=", ".join(f'"{name}"' for name in named[task]),
            checkpoints=paths,
        )
    return text
