"""The study of `relstats demo`: pictures, labels, checkpoints, a study file, label images of facial
parts and people's judgments.

That is what a user would have. Nothing that the demo knows beyond it reaches the analysis.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from relstats.demo import faces
from relstats.demo.faces import Faces
from relstats.demo.train import (
    PIXEL_MEAN,
    PIXEL_STD,
    PRETRAINING,
    SIZE,
    TASKS,
    Sizes,
    batches_in_all,
    network,
    one_thread,
    schooled,
)
from relstats.errors import UsageError

Progress = Callable[[int, int], None]

#: Weight of the gender's features in what a simulated person judges, beside 1 for those of
#: identity.
GENDER_WEIGHT = 1.0


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
    learnt, total = itertools.count(1), batches_in_all(sizes)
    for pretraining, task, number in itertools.product(PRETRAINING, TASKS, range(sizes.networks)):
        own = np.random.default_rng(
            [seed, 1 + PRETRAINING.index(pretraining), TASKS.index(task), number]
        )
        with one_thread(), torch.random.fork_rng():
            torch.manual_seed(int(own.integers(2**31)))
            module = network(1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for _ in schooled(module, people, pretraining, task, sizes, own):
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
            mean=PIXEL_MEAN,
            std=PIXEL_STD,
            classes=", ".join(f'"{name}"' for name in named[task]),
            checkpoints=paths,
        )
    return text
