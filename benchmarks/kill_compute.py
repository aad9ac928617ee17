"""Kill `relstats compute` at random moments and compare what the resumed study holds with an
uninterrupted one.

    python benchmarks/kill_compute.py > benchmarks/results/kill_compute.md

Every file of the store is compared. SOURCE_DATE_EPOCH fixes the one thing that differs between any
two runs, the attribute `created` of the root.
"""

import argparse
import hashlib
import os
import platform
import signal
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from relstats import cli
from relstats.study import shards

IMAGES, SIZE, SEEDS = 330, 24, 3
SERVER = get_context("forkserver")
NETWORK = """
from torch import nn


def small(width=16):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2 * width, 2),
    )
"""
STUDY = """
batch = 25
[images]
table = "images.csv"
size = [{size}, {size}]
[models.gender]
factory = "kill_networks:small"
label = "gender"
classes = ["f", "m"]
preprocessing = {{ mean = [0.5], std = [0.25] }}
checkpoints = {{ {checkpoints} }}
[relevance]
composite = "epsilon_plus_flat"
explained_class = "true"
"""


def write_study(folder: Path) -> Path:
    rng, scope = np.random.default_rng(1), {}
    rows = ["image,path,gender"]
    for k in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(
            folder / f"{k}.png"
        )
        rows.append(f"{k:03d},{k}.png,{'fm'[k % 2]}")
    (folder / "images.csv").write_text("\n".join(rows))
    (folder / "kill_networks.py").write_text(NETWORK)
    exec(NETWORK, scope)
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        save_file(scope["small"]().state_dict(), folder / f"{seed}.safetensors")
    checkpoints = ", ".join(f'"{seed}" = "{seed}.safetensors"' for seed in range(SEEDS))
    (folder / "study.toml").write_text(STUDY.format(size=SIZE, checkpoints=checkpoints))
    return folder / "study.toml"


def compute() -> None:
    sys.stdout = sys.stderr  # what it prints is no part of this report
    cli.main()


def start(study: Path, out: Path, *options: str) -> BaseProcess:
    """Start `relstats compute` in a process of its own, forked from one that has imported torch:
    kills hit the work, not imports.
    """
    command = ["relstats", "compute", str(study), str(out), *options]
    with mock.patch.object(sys, "argv", command):
        process = SERVER.Process(target=compute)
        process.start()
    return process


def finish(process: BaseProcess) -> None:
    process.join()
    if process.exitcode:
        raise SystemExit(f"relstats compute ended with {process.exitcode}")


def kill(process: BaseProcess) -> bool:
    """Whether it was still running."""
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def done(out: Path) -> int:
    """Complete shards; -1 where the study is not begun."""
    try:
        return len(shards.expected(out, "relevance")) - len(shards.unfinished(out, "relevance"))
    except Exception:
        return -1


def files(out: Path) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in out.rglob("*")
        if p.is_file()
    }


def kill_one_worker(
    study: Path, folder: Path, whole: dict[str, str], lasting: float, kills: int
) -> None:
    """Kill, start again, kill again, ... until it is through; then with a new study."""
    rng, met, studies = np.random.default_rng(20), [], 0
    print("| study | killed after (s) | shards complete then |\n| --- | --- | --- |")
    while len(met) < kills:
        out = folder / f"killed-{studies}.zarr"
        studies += 1
        for _ in range(6):
            moment = rng.uniform(0.05, 1.0) * lasting
            process = start(study, out)
            time.sleep(moment)
            if not kill(process):
                break
            met.append(done(out))
            print(
                f"| {studies} | {moment:.2f} | {met[-1] if met[-1] >= 0 else 'not begun'} |",
                flush=True,
            )
        finish(start(study, out))
        assert files(out) == whole, f"{out} differs from the uninterrupted study"
    begun = sum(0 <= n < len(shards.expected(folder / "whole.zarr", "relevance")) for n in met)
    print(
        f"\n{len(met)} kills, {begun} of them in a study begun and not complete; {studies} studies,"
        f" resumed, all byte-identical to the uninterrupted one ({len(whole)} files)."
    )


def two_workers(study: Path, folder: Path, whole: dict[str, str]) -> None:
    both = [start(study, folder / "two.zarr", "--worker", f"{k}/2") for k in (1, 2)]
    for process in both:
        finish(process)
    assert files(folder / "two.zarr") == whole
    print("\nTwo workers at once: byte-identical.")


def one_of_two_killed(study: Path, folder: Path, whole: dict[str, str]) -> None:
    out = folder / "one.zarr"
    first, second = (start(study, out, "--worker", f"{k}/2") for k in (1, 2))
    while first.is_alive() and done(out) < 2:
        time.sleep(0.01)
    assert kill(first), "the worker ended before it was killed"
    at = done(out)
    finish(second)
    left = done(out)
    finish(start(study, out, "--worker", "1/2"))
    assert files(out) == whole
    print(
        f"\nA worker killed at {at} complete shards while another ran (which went on to {left}),"
        " then started again: byte-identical."
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    SERVER.set_forkserver_preload(["relstats.cli", "relstats.compute.stream.export"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = write_study(folder)
        finish(
            start(study, folder / "first.zarr")
        )  # which starts the process that the others are forked from
        begin = time.monotonic()
        finish(start(study, folder / "whole.zarr"))
        lasting = time.monotonic() - begin
        whole = files(folder / "whole.zarr")
        print(
            f"# Kills of `relstats compute`\n\n{SEEDS} networks, {IMAGES} images of {SIZE} x"
            f" {SIZE}, torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores."
            f" Uninterrupted: {lasting:.1f} s.\n"
        )
        kill_one_worker(study, folder, whole, lasting, kills)
        two_workers(study, folder, whole)
        one_of_two_killed(study, folder, whole)


if __name__ == "__main__":
    main()
