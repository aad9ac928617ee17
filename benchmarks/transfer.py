"""Masked images scored per second, against the plain forward pass of the same network on the same
machine in one run.

    python benchmarks/transfer.py [--device cuda] [--network vgg16] [--images 64] [--batch 16] >
    benchmarks/results/transfer.md

Maps are noise, smoothed; the study is made in a temporary folder. Everything that a transfer does
is timed but building the networks: reading maps, ranking pixels, masking, preprocessing, scoring,
writing. The plain forward pass gets preprocessed batches of the same size that lie on the device
already. The two take turns, and the best of each counts, because other programs run on the machine
too.
"""

import argparse
import platform
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from relstats.compute import models
from relstats.compute.lrp.precision import exact_float32
from relstats.compute.perturb import viewing
from relstats.compute.perturb.transfer import transfer
from relstats.compute.study_file.study import read_study
from relstats.study import arrays, shards

STUDY = """
batch = {batch}
device = "{device}"
images = {{ table = "images.csv", size = [{size}, {size}] }}
[models.a]
factory = "{network}"
arguments = {{ num_classes = 10 }}
label = "kind"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
preprocessing = {{ mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }}
checkpoints = {{ "0" = "a.safetensors" }}
[relevance]
composite = "epsilon_plus_flat"
explained_class = "true"
[transfer]
fractions = {fractions}
fill = "{fill}"
n_control = 2
"""


def write_study(folder: Path, options: argparse.Namespace, fill: str) -> Path:
    """Images of noise, one network with drawn weights, and the study file."""
    rng = np.random.default_rng(1)
    rows = ["image,path,kind"]
    for k in range(options.images):
        smooth = ndimage.gaussian_filter(
            rng.standard_normal((options.size, options.size, 3)), (4, 4, 0)
        )
        Image.fromarray((128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)).save(
            folder / f"{k}.png"
        )
        rows.append(f"{k},{k}.png,{k % 10}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    import torchvision

    torch.manual_seed(1)
    network = torchvision.models.get_model(options.network, weights=None, num_classes=10)
    save_file(network.state_dict(), folder / "a.safetensors")
    fractions = [round((k + 1) / (options.fractions + 1), 3) for k in range(options.fractions)]
    given = {**vars(options), "fill": fill, "fractions": fractions}
    (folder / "study.toml").write_text(STUDY.format(**given))
    return folder / "study.toml"


def write_maps(folder: Path, options: argparse.Namespace) -> Path:
    """A study with the maps of a few sources, as another tool would save it."""
    from relstats.study import save
    from relstats.study.arrays import study

    rng = np.random.default_rng(2)
    shape = (1, options.sources, options.images, options.size, options.size)
    values = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), (0, 0, 0, 3, 3))
    maps = arrays.relevance_dataset(
        values, models=["a"], images=[str(k) for k in range(options.images)]
    )
    save.save_study(study(relevance=maps), folder / "maps.zarr")
    return folder / "maps.zarr"


@contextmanager
def timed_scoring(device: torch.device):
    """Time from the first batch to the last shard: building networks is left out."""
    marks, real = {}, viewing.viewer

    def viewer(*given):
        found = real(*given)
        synchronize(device)
        marks["start"] = time.perf_counter()
        return found

    viewing.viewer = viewer
    try:
        yield marks
    finally:
        viewing.viewer = real
    marks["seconds"] = time.perf_counter() - marks["start"]


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def transfer_rate(file: Path, maps: Path, device: torch.device) -> float:
    """Masked and whole images scored per second by `relstats transfer`, from maps on disk to scores
    on disk.
    """
    from relstats.study.store import open_study

    study, counted = read_study(file), [0]
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, timed_scoring(device) as marks:
        out = Path(folder) / "out.zarr"
        transfer(
            study,
            out,
            maps=open_study(maps)["relevance"].to_dataset(),
            progress=lambda done, total: counted.append(done),
        )
        assert not shards.unfinished(out, "transfer")
    return (counted[-1] + len(study.images.table)) / marks["seconds"]


def forward_rate(file: Path, device: torch.device, count: int) -> float:
    """Images per second of the network alone."""
    study = read_study(file)
    y, x = study.images.size
    with models.modules_of(file.parent), exact_float32(), torch.inference_mode():
        module = models.build(study.models[0], "0", device, torch.float32)
        inputs = torch.randn(study.batch, 3, y, x, device=device)
        module(inputs)
        synchronize(device)
        start = time.perf_counter()
        for _ in range(-(-count // study.batch)):
            module(inputs)
        synchronize(device)
        return -(-count // study.batch) * study.batch / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--fill", nargs="+", default=["mean", "blur", "linear"])
    for name, default in {
        "size": 224,
        "images": 24,
        "sources": 2,
        "fractions": 5,
        "batch": 16,
        "rounds": 3,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    device = torch.device(options.device)
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()}, {torch.get_num_threads()} thread(s)"
    )
    print(
        f"`relstats transfer` on {name}, torch {torch.__version__}, float32: {options.network},"
        f" {options.size} px, batch {options.batch}, {options.sources} sources x"
        f" {options.fractions} fractions x {options.images} images and controls; best of"
        f" {options.rounds}.\n"
    )
    print(
        "| fill | plain forward, images/s | masked evaluations/s, from disk to disk | share"
        " |\n|---|---|---|---|"
    )
    for fill in options.fill:
        with tempfile.TemporaryDirectory() as folder:
            file = write_study(Path(folder), options, fill)
            maps = write_maps(Path(folder), options)
            count = options.images * options.fractions * 2
            rounds = [
                (forward_rate(file, device, count), transfer_rate(file, maps, device))
                for _ in range(options.rounds)
            ]
            plain, masked = (max(rate) for rate in zip(*rounds, strict=True))
            print(
                f"| {fill} | {plain:.1f} | {masked:.1f} | {100 * masked / plain:.0f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
