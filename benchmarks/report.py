"""Time, peak memory and size of `relstats report` on a study of 12 networks.

python benchmarks/report.py > benchmarks/results/report.md
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORKS, IMAGES, SIZE = 12, 200, 128


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.zarr"
        # in a process of its own: a child's peak memory is never told as less than its parent's was
        made = subprocess.run(
            [sys.executable, __file__, str(path)], check=True, capture_output=True, text=True
        )
        images, n_results = json.loads(made.stdout)
        kinds = (
            ("html", []),
            ("md", []),
            ("json", []),
            ("html", ["--images", ",".join(images[:24])]),
        )
        rows = [measured(path, Path(folder), *kind) for kind in kinds]
    print(
        f"# `relstats report`\n\n{NETWORKS} networks (2 x 2 models of 3 seeds), {IMAGES} images of"
        f" {SIZE} x {SIZE} pixels, simulated; {n_results} results: `compare` of transfer and of"
        " maps over both axes, `stability`, `shared`. Each row is one command in a process of its"
        f" own, starting Python included. {platform.machine()}, {os.cpu_count()} core(s), Python"
        f" {platform.python_version()}.\n\n    python benchmarks/report.py >"
        " benchmarks/results/report.md\n"
    )
    print(
        "| report | images shown | wall, s | CPU, s | peak memory, MB | file, MB"
        " |\n|---|---|---|---|---|---|"
    )
    print("\n".join(rows))
    print(
        "\nMost of the time is matplotlib's: figures are drawn one after another. Other work ran on"
        " the machine: compare CPU, not wall."
    )


def prepare(path: Path) -> None:
    """A simulated study with pictures of its images and results.

    Ids of its images and the number of results on stdout.
    """
    import numpy as np
    import xarray as xr

    import relstats
    from relstats.study import store, writing

    rng = np.random.default_rng(1)
    relstats.simulate(path, models="2x2", seeds=NETWORKS // 4, images=IMAGES, size=SIZE, rng=rng)
    study = store.open_study(path)
    pixels = rng.integers(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    labels = study["relevance"]["image"].values
    writing.add_small_group(
        path,
        "images",
        xr.Dataset({"pixels": (("image", "y", "x", "channel"), pixels)}, {"image": labels}),
        "p",
        force=True,
    )
    for axis in ("pretrain", "task"):
        for measure in ("transfer", "spearman"):
            result = relstats.compare(
                study, axis=axis, measure=measure, score="probability", rng=rng
            )
            writing.save_result(path, f"compare_{axis}_{measure}", result)
    writing.save_result(path, "stability", relstats.stability(study))
    writing.save_result(path, "shared", relstats.shared(study, n_swaps=99, rng=rng))
    print(
        json.dumps(
            [
                [str(label) for label in labels.tolist()],
                len(store.open_study(path)["results"].children),
            ]
        )
    )


def measured(path: Path, folder: Path, format: str, options: list[str]) -> str:
    """One command: a row of the table."""
    out = folder / f"report.{format}"
    command = [
        sys.executable,
        "-m",
        "relstats.cli",
        "report",
        str(path),
        "-o",
        str(out),
        "--force",
        *options,
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # of this child alone
    wall = time.perf_counter() - start
    assert status == 0
    shown = 0 if format != "html" else len(options) - 1 if options else 6
    return (
        f"| {format} | {shown} | {wall:.1f} | {usage.ru_utime + usage.ru_stime:.1f} |"
        f" {usage.ru_maxrss / 1024:.0f} | {out.stat().st_size / 1e6:.2f} |"
    )


if __name__ == "__main__":
    prepare(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
