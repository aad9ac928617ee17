"""Peak memory and speed of `compare` on a study larger than memory should ever hold.

    python benchmarks/compare_memory.py --gigabytes 10

Simulates the study on disk, runs each measure in a process of its own, and deletes the study.
Beside it in the same run: reading every shard once through zarr (the limit), and the size of the
cube (what loading it would take).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORKS, SIZE = 20, 224
MEASURES = ("transfer", "spearman", "iou")


def simulate(path: Path, images: int) -> float:
    import numpy as np

    import relstats

    start = time.perf_counter()
    relstats.simulate(
        path, models="2x2", seeds=5, images=images, size=SIZE, rng=np.random.default_rng(1)
    )
    return time.perf_counter() - start


def child(path: str, what: str) -> None:
    """In a process of its own: seconds and peak memory."""
    import numpy as np

    import relstats
    from relstats.study import shards

    study = relstats.open_study(path)
    start = time.perf_counter()
    if what == "read":
        maps = study["relevance"]["relevance"]
        shards.over_images(
            maps,
            shards.networks(study["relevance"].to_dataset()),
            lambda block, _: block[..., 0, 0].sum(),
        )
    else:
        relstats.compare(study, axis="pretrain", measure=what, rng=np.random.default_rng(1))
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, peak_gigabytes()]))


def peak_gigabytes() -> float:
    """Of this process alone: ru_maxrss would also count what the process that started it had
    held.
    """
    (line,) = [
        row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024 / 1e9


def measure(path: Path, what: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(path), what],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def table(path: Path, images: int) -> list[str]:
    cube = NETWORKS * images * SIZE**2 * 4 / 1e9
    rows = []
    for what in ("read", *MEASURES):
        seconds, peak = measure(path, what)
        name = "every map read once (limit)" if what == "read" else f"compare, {what}"
        speed = "" if what == "transfer" else f"{1000 * cube / seconds:.0f}"
        rows.append(f"| {images} | {cube:.1f} | {name} | {seconds:.1f} | {speed} | {peak:.2f} |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        return child(*arguments.child)
    folder = Path(tempfile.mkdtemp())
    try:
        rows = []
        for share in (0.25, 1):
            images = round(share * arguments.gigabytes * 1e9 / (NETWORKS * SIZE**2 * 4))
            seconds = simulate(folder / f"{images}.zarr", images)
            print(f"simulated {images} images in {seconds:.0f} s", flush=True)
            rows += table(folder / f"{images}.zarr", images)
            shutil.rmtree(folder / f"{images}.zarr")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    head = (
        "| images | cube, GB | what | seconds | MB/s | peak memory, GB |\n|---|---|---|---|---|---|"
    )
    if arguments.out:
        arguments.out.write_text("\n".join([head, *rows]) + "\n")


if __name__ == "__main__":
    main()
