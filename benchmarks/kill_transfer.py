"""Kill `relstats transfer` at random moments and compare what the resumed study holds with an
uninterrupted one.

    python benchmarks/kill_transfer.py > benchmarks/results/kill_transfer.md

As benchmarks/kill_compute.py, whose small study it takes: every file of the store is compared.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import kill_compute
import numpy as np
import torch
from kill_compute import SERVER, files, finish, kill

from relstats.study import shards

TRANSFER = """
[transfer]
fractions = [0.1, 0.3, 0.6]
n_control = 2
"""
FAMILIES = ("transfer", "controls")


def start(study: Path, out: Path, *options: str) -> BaseProcess:
    with mock.patch.object(sys, "argv", ["relstats", "transfer", str(study), str(out), *options]):
        process = SERVER.Process(target=kill_compute.compute)
        process.start()
    return process


def begun(out: Path) -> bool:
    return (out / "transfer").exists()


def done(out: Path) -> int:
    """Complete shards."""
    return sum(
        len(shards.expected(out, family)) - len(shards.unfinished(out, family))
        for family in FAMILIES
    )


def kill_and_resume(
    study: Path, maps: Path, whole: dict[str, str], lasting: float, kills: int
) -> None:
    rng, met, studies = np.random.default_rng(20), [], 0
    print("| study | killed after (s) | shards complete then |\n| --- | --- | --- |")
    while len(met) < kills:
        out = Path(shutil.copytree(maps, maps.parent / f"killed-{studies}.zarr"))
        studies += 1
        for _ in range(6):
            moment = rng.uniform(0.05, 1.0) * lasting
            process = start(study, out)
            time.sleep(moment)
            if not kill(process):
                break
            met.append(done(out) if begun(out) else -1)
            print(
                f"| {studies} | {moment:.2f} | {met[-1] if begun(out) else 'not begun'} |",
                flush=True,
            )
            if len(met) == kills:
                break
        finish(start(study, out))
        assert files(out) == whole, f"{out} differs from the uninterrupted study"
        shutil.rmtree(out)
    print(
        f"\n{len(met)} kills, {sum(n >= 0 for n in met)} of them in scores that were begun;"
        f" {studies} studies, resumed, all byte-identical to the uninterrupted one ({len(whole)}"
        " files)."
    )


def workers(study: Path, maps: Path, whole: dict[str, str]) -> None:
    out = Path(shutil.copytree(maps, maps.parent / "two.zarr"))
    for process in [start(study, out, "--worker", f"{k}/2") for k in (1, 2)]:
        finish(process)
    assert files(out) == whole
    print("\nTwo workers at once: byte-identical.", flush=True)
    out = Path(shutil.copytree(maps, maps.parent / "one.zarr"))
    first, second = (start(study, out, "--worker", f"{k}/2") for k in (1, 2))
    while first.is_alive() and not (begun(out) and done(out)):
        time.sleep(0.01)
    assert kill(first), "the worker ended before it was killed"
    finish(second)
    left = done(out)
    finish(start(study, out, "--worker", "1/2"))
    assert files(out) == whole
    print(
        f"\nA worker killed while another ran (which went on to {left} shards), then started again:"
        " byte-identical."
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    SERVER.set_forkserver_preload(
        ["relstats.cli", "relstats.compute.perturb.transfer", "relstats.compute.stream.export"]
    )
    with tempfile.TemporaryDirectory() as name:
        maps = Path(name) / "maps.zarr"
        study = kill_compute.write_study(Path(name))
        study.write_text(study.read_text() + TRANSFER)
        finish(kill_compute.start(study, maps))
        out = Path(shutil.copytree(maps, maps.parent / "whole.zarr"))
        begin = time.monotonic()
        finish(start(study, out))
        lasting, whole = time.monotonic() - begin, files(out)
        print(
            "# Kills of `relstats transfer`\n\n3 sources, 3 targets, 3 fractions,"
            f" {kill_compute.IMAGES} images, torch {torch.__version__}, {platform.machine()},"
            f" {os.cpu_count()} cores. Uninterrupted: {lasting:.1f} s.\n",
            flush=True,
        )
        kill_and_resume(study, maps, whole, lasting, kills)
        workers(study, maps, whole)


if __name__ == "__main__":
    main()
