"""Speed of `shared` against a plain loop of numpy, and its peak memory on few and many images.

    python benchmarks/shared.py --out benchmarks/results/shared.md

Simulates a study on disk, runs each size in a process of its own, and deletes the study. The loop
does the same swaps for a few images: it adds the masks, takes the largest z and counts the three
sets; its time is extrapolated.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask
import numpy as np

import relstats
from relstats.stats.maps import bits, consensus
from relstats.stats.sources import top_pixels
from relstats.study import shards

SWAPPED_SIZE, SEEDS = 224, 3
NETWORKS = 4 * SEEDS


def child(path: str, images: int, n_swaps: int) -> None:
    """In a process of its own: seconds, seconds of reading every map once, and peak memory."""
    maps = relstats.open_study(path)["relevance"].to_dataset().isel(image=slice(0, images))
    warm = maps.isel(image=slice(0, 2), y=slice(0, 64), x=slice(0, 64))
    relstats.shared(
        warm, n_swaps=19, confidence=0.5, rng=np.random.default_rng(1)
    )  # compiled, or loaded from numba's cache
    start = time.perf_counter()
    shards.over_images(
        maps["relevance"], shards.networks(maps), lambda block, _: block[..., 0, 0].sum()
    )
    reading = time.perf_counter() - start
    start = time.perf_counter()
    relstats.shared(maps, n_swaps=n_swaps, rng=np.random.default_rng(1))
    seconds = time.perf_counter() - start
    (line,) = [
        row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM")
    ]
    print(json.dumps([seconds, reading, int(line.split()[1]) * 1024 / 1e9]))


def loop(
    masks: np.ndarray, donors: np.ndarray, expected: consensus.Layout
) -> tuple[np.ndarray, np.ndarray]:
    """The plain loop, on masks (network, image, pixel)."""
    shape = (len(donors), donors.shape[2])
    z, sets = np.empty(shape), np.empty((*shape, 3), int)
    wanted = consensus.needed(np.array([len(masks)]))[:, 0]
    for swap, image in np.ndindex(shape):
        count = np.zeros(masks.shape[2], int)
        for network, mask in enumerate(masks):
            count += mask[donors[swap, network, image]]
        z[swap, image] = ((count - expected.mean) / expected.spread).max()
        sets[swap, image] = [(count >= k).sum() for k in wanted]
    return z, sets


def kernels(images: int = 40, n_swaps: int = 7) -> tuple[float, float]:
    """Seconds a swap of one image: relstats on one thread, and the loop, on the same masks with the
    same results.
    """
    rng = np.random.default_rng(1)
    masks = rng.random((NETWORKS, images, SWAPPED_SIZE**2)) < 0.1
    expected, packed = consensus.layout(masks.mean(axis=1)), bits.pack(masks)
    donors, sizes = consensus.swaps(n_swaps, NETWORKS, images, rng), np.array([NETWORKS])
    consensus.swap_statistics(packed, donors[:1], sizes, expected)
    start = time.perf_counter()
    with dask.config.set(scheduler="synchronous"):
        ours = consensus.swap_statistics(packed, donors, sizes, expected)
    between = time.perf_counter()
    plain = loop(masks, donors, expected)
    end = time.perf_counter()
    for one, two in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    each = donors[:, 0].size
    return (between - start) / each, (end - between) / each


def report(path: Path, images: list[int], size: int, n_swaps: int) -> str:
    rows = []
    ours, plain = kernels()
    for n in images:
        command = [sys.executable, __file__, "--child", str(path), str(n), str(n_swaps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, reading, peak = json.loads(done.stdout)
        rows.append(
            f"| {n} | {n * NETWORKS * size**2 * 4 / 1e9:.2f} | {seconds:.1f} | {reading:.1f} |"
            f" {plain * n * (n_swaps + 1) * (size / SWAPPED_SIZE) ** 2:.0f} | {peak:.2f} |"
        )
        print(rows[-1], flush=True)
    return "\n".join(
        [
            "# Shared pixels: speed and memory",
            "",
            f"{NETWORKS} networks, maps of {size} x {size} pixels, {n_swaps} image swaps.",
            "",
            (
                "| images | maps, GB | relstats, all of it, s | reading every map once, s | swaps"
                " by a plain loop, s (extrapolated) | peak memory, GB |"
            ),
            "|---|---|---|---|---|---|",
            *rows,
            "",
            (
                f"One swap of one image of {SWAPPED_SIZE} x {SWAPPED_SIZE} pixels: {1e6 * ours:.0f}"
                f" µs by relstats, {1e6 * plain:.0f} µs by the loop ({plain / ours:.0f} times), the"
                f" same results. Groups of {top_pixels.GROUP} images are in memory at a time, as"
                " bits, however many there are."
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[100, 300, 900])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--n-swaps", type=int, default=999)
    parser.add_argument("--study", type=Path, help="a study of this size that is there already")
    parser.add_argument("--child", nargs=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.child:
        return child(given.child[0], int(given.child[1]), int(given.child[2]))
    folder = Path(tempfile.mkdtemp())
    path = given.study or folder / "study.zarr"
    try:
        if not given.study:
            relstats.simulate(
                path,
                models="2x2",
                seeds=SEEDS,
                images=max(given.images),
                size=given.size,
                rng=np.random.default_rng(1),
            )
        text = report(path, given.images, given.size, given.n_swaps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
