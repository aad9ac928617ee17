"""Finetune MobileNet-V1 from ImageNet and from VGGFace2, for gender and for identity, several seeds
each.

    python finetune.py DATA OUT

DATA holds `london_faces/` and `mobilenet_v1_pair/` (README.md says where to get them). OUT gets
`images.csv` (the images that are explained), one safetensors file a network, and `faces.toml`, the
study file.

The body up to block 12 is frozen, so its output is computed once for each training crop; block 13
and the head are trained on it. A seed stands for all that is random in training: the head's initial
weights, the order of batches and a bootstrap resample of the training images.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mobilenet import FEATURES, MobileNet
from PIL import Image
from safetensors.torch import save_file
from torch import nn

SIZE = 128
FROZEN = -5  # block 13: padding, depthwise, ReLU6, pointwise, ReLU6
MARGIN = 8  # pixels that a training crop may be shifted, each way
CROPS = 8  # of each training image
EPOCHS = {"gender": 4, "identity": 12}
BATCH = 64
RATE = 1e-3
PREPROCESSING = {
    "imagenet": {
        "channels": "rgb",
        "mean": [128.0, 128.0, 128.0],
        "std": [128.0, 128.0, 128.0],
        "scale": 255.0,
    },
    "vggface2": {
        "channels": "bgr",
        "mean": [103.939, 116.779, 123.68],
        "std": [1.0, 1.0, 1.0],
        "scale": 255.0,
    },
}


@dataclass(frozen=True)
class Faces:
    """Pictures, one label of each, and the person that each shows."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]


def genders(folder: Path) -> dict[str, str]:
    """Return the gender of each person of the London set."""
    with open(folder / "london_info.csv", newline="", encoding="utf-8") as file:
        return {row["face_id"]: row["face_gender"] for row in csv.DictReader(file)}


def training_images(folder: Path, task: str) -> Faces:
    """Return the images that a task is trained on: neutral London faces, and for gender two more
    sets.
    """
    gender = genders(folder)
    london = sorted((folder / "images" / "neutral").glob("*.jpg"))
    people = [path.stem.split("_")[0] for path in london]
    if task == "identity":
        return Faces(tuple(london), tuple(people))
    paths, labels = list(london), [gender[person] for person in people]
    for path in sorted((folder / "images" / "canada").glob("*.jpg")):
        paths.append(path)
        labels.append({"f": "female", "m": "male"}[path.stem[-1]])
    for label in ("female", "male"):
        more = sorted((folder / "images" / f"3dsk_{label}").glob("*.jpg"))
        paths += more
        labels += [label] * len(more)
    return Faces(tuple(paths), tuple(labels))


def picture(path: Path) -> np.ndarray:
    """Return an image at the size of the networks' input, uint8, (y, x, channel)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def crops(path: Path, rng: np.random.Generator) -> np.ndarray:
    """Return shifted and mirrored crops of an image, uint8, (crop, y, x, channel).

    The first is the plain one.
    """
    pixels = np.pad(picture(path), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    shifts = np.vstack([[MARGIN, MARGIN], rng.integers(0, 2 * MARGIN + 1, (CROPS - 1, 2))])
    cut = np.stack([pixels[y : y + SIZE, x : x + SIZE] for y, x in shifts])
    cut[1::2] = cut[1::2, :, ::-1]
    return cut


def prepared(pixels: np.ndarray, pretrain: str) -> torch.Tensor:
    """Return pixels as the pretrained network expects them, (image, channel, y, x)."""
    how = PREPROCESSING[pretrain]
    ordered = pixels if how["channels"] == "rgb" else pixels[..., ::-1]
    values = (ordered.astype(np.float32) - np.float32(how["mean"])) / np.float32(how["std"])
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def pretrained(folder: Path, pretrain: str, n_classes: int) -> MobileNet:
    """Return the network with its pretrained body."""
    network = MobileNet(n_classes)
    with np.load(folder / "mobilenet_v1_imagenet_vggface2_fp16.npz") as weights:
        names = [name for name in weights if name.startswith(f"{pretrain}/features.")]
        body = {
            name.split("/")[1]: torch.from_numpy(weights[name].astype(np.float32)) for name in names
        }
    missing, unexpected = network.load_state_dict(body, strict=False)
    assert set(missing) == {"head.weight", "head.bias"}, missing
    assert not unexpected, unexpected
    return network


def frozen_features(network: MobileNet, faces: Faces, pretrain: str) -> torch.Tensor:
    """Return what the frozen body makes of all crops: (image, crop, channel, y, x)."""
    rng = np.random.default_rng(0)  # the same crops for every network: seeds resample them
    with torch.inference_mode():
        batches = [
            network.features[:FROZEN](prepared(crops(path, rng), pretrain)) for path in faces.paths
        ]
    return torch.stack(batches)


def resampled(labels: np.ndarray, task: str, rng: np.random.Generator) -> np.ndarray:
    """Return a bootstrap resample as rows of (image, crop): of people within gender, of crops
    within a person.
    """
    everything = np.array([(image, crop) for image in range(len(labels)) for crop in range(CROPS)])
    groups = labels[everything[:, 0]]
    if task == "identity":
        return np.concatenate(
            [rng.choice(everything[groups == g], CROPS) for g in np.unique(groups)]
        )
    drawn = np.concatenate(
        [rng.choice(np.flatnonzero(labels == g), (labels == g).sum()) for g in np.unique(labels)]
    )
    return np.array([(image, crop) for image in drawn for crop in range(CROPS)])


def batches(rows: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the rows in a new order, batch by batch."""
    order = rng.permutation(len(rows))
    for start in range(0, len(rows), BATCH):
        yield rows[order[start : start + BATCH]]


def train(
    network: MobileNet, features: torch.Tensor, labels: np.ndarray, task: str, seed: int
) -> None:
    """Train block 13 and a new head on frozen features."""
    rng = np.random.default_rng([seed, len(task)])
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    network.head.weight.data.normal_(0, FEATURES**-0.5, generator=generator)
    network.head.bias.data.zero_()
    top = nn.Sequential(network.features[FROZEN:], network.pool, network.flatten, network.head)
    epochs, rows, truth = EPOCHS[task], resampled(labels, task, rng), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(top.parameters(), lr=RATE, weight_decay=1e-2)
    steps = epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(epochs):
        for batch in batches(rows, rng):
            images, crop = torch.from_numpy(batch).unbind(1)
            loss = nn.functional.cross_entropy(
                top(features[images, crop]), truth[images], label_smoothing=0.1
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    centre(network.head)


def centre(head: nn.Linear) -> None:
    """Take from every logit the mean of all logits.

    Softmax does not see what all logits have in common, but relevance does: it adds up to the
    explained logit, and the largest logit may well be negative, which turns the sign of the map.
    """
    head.weight.data -= head.weight.data.mean(0)
    head.bias.data -= head.bias.data.mean()


def accuracy(network: MobileNet, pixels: np.ndarray, labels: np.ndarray, pretrain: str) -> float:
    """Return the share of held-out images that the network names right."""
    with torch.inference_mode():
        return float((network(prepared(pixels, pretrain)).argmax(1).numpy() == labels).mean())


def held_out(folder: Path, out: Path) -> list[dict[str, str]]:
    """Write `images.csv`: the smiling faces, whose neutral pictures were for training."""
    gender = genders(folder)
    rows = []
    for path in sorted((folder / "images" / "smiling").glob("*.jpg")):
        person = path.stem.split("_")[0]
        rows.append(
            {
                "image": path.stem,
                "path": str(path.resolve()),
                "identity": person,
                "gender": gender[person],
            }
        )
    with open(out / "images.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def finetuned(
    data: Path, pretrain: str, task: str, seeds: range
) -> Iterator[tuple[int, MobileNet, list[str]]]:
    """Yield networks of one pretraining and task, one a seed, with their class names."""
    faces = training_images(data / "london_faces", task)
    classes = sorted(set(faces.labels))
    labels = np.array([classes.index(label) for label in faces.labels])
    features = frozen_features(
        pretrained(data / "mobilenet_v1_pair", pretrain, len(classes)), faces, pretrain
    )
    for seed in seeds:
        network = pretrained(data / "mobilenet_v1_pair", pretrain, len(classes))
        train(network, features, labels, task, seed)
        yield seed, network, classes


STUDY = """\
# Written by finetune.py. Relevance: z+ in the convolutions, epsilon in the head, flat in the
# first layer.
name = "faces"
batch = 34

[images]
table = "images.csv"
size = [{size}, {size}]
resize = "squash"
pixels = true

[relevance]
composite = "epsilon_plus_flat"
explained_class = "true"

# Why these settings: README.md.
[transfer]
operation = "remove"
fill = "blur"
fractions = [0.02, 0.05, 0.1, 0.2, 0.4]
ranking = "positive"
control = "image_swap"
n_control = 3
"""
MODEL = """
[models.{pretrain}_{task}]
factory = "mobilenet:MobileNet"
arguments = {{ n_classes = {n_classes} }}
axes = {{ pretrain = "{pretrain}", task = "{task}" }}
label = "{task}"
classes = "{task}.txt"
preprocessing = {{ mean = {mean}, std = {std}, scale = {scale}, channels = "{channels}" }}
checkpoints = {{ {checkpoints} }}
"""


def write_study(out: Path, classes: dict[str, list[str]], seeds: range) -> None:
    """Write `faces.toml`, the class names and the module of the networks."""
    text = STUDY.format(size=SIZE)
    for task, names in classes.items():
        (out / f"{task}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    for pretrain, how in PREPROCESSING.items():
        for task, names in classes.items():
            paths = ", ".join(
                f'"{seed}" = "{pretrain}_{task}_{seed}.safetensors"' for seed in seeds
            )
            text += MODEL.format(
                pretrain=pretrain, task=task, n_classes=len(names), checkpoints=paths, **how
            )
    (out / "faces.toml").write_text(text, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("mobilenet.py"), out / "mobilenet.py")


def main() -> None:
    """Train all networks and write what the study needs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of london_faces and mobilenet_v1_pair")
    parser.add_argument("out", type=Path, help="folder to write, made if it is not there")
    parser.add_argument(
        "--seeds", type=int, default=5, help="networks of each pretraining and task"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows, seeds = held_out(options.data / "london_faces", options.out), range(options.seeds)
    pixels = np.stack([picture(Path(row["path"])) for row in rows])
    named = {}
    for pretrain in PREPROCESSING:
        for task in EPOCHS:
            for seed, network, classes in finetuned(options.data, pretrain, task, seeds):
                save_file(
                    network.state_dict(), options.out / f"{pretrain}_{task}_{seed}.safetensors"
                )
                named[task] = classes
                right = accuracy(
                    network, pixels, np.array([classes.index(row[task]) for row in rows]), pretrain
                )
                print(
                    f"{pretrain:9} {task:9} seed {seed}: right on {right:.2f} of {len(rows)}"
                    " held-out faces",
                    flush=True,
                )
    write_study(options.out, named, seeds)
    print(f"next: relstats compute {options.out / 'faces.toml'} {options.out / 'faces.zarr'}")


if __name__ == "__main__":
    main()
