"""All pairs of networks: Spearman, and overlap of top pixels at five fractions, against a loop of
scipy.

    python benchmarks/similarity.py > benchmarks/results/similarity.md

Maps are made image by image, and making them is not timed. Blocks of images run on threads with one
BLAS thread each, the way a scheduler of threads runs them.
"""

import argparse
import itertools
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import scipy
from scipy import ndimage, stats
from threadpoolctl import threadpool_limits

from relstats.stats.maps import agreement, single
from relstats.stats.maps.ranks import midranks

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2)
MEASURES = ("spearman", "iou")
THREADS = 2
BATCH = 10  # images of each thread that are in memory at a time


def relevance(image: int, networks: int, size: int) -> np.ndarray:
    """Smooth maps that share a part, half of their pixels exactly 0, a tenth negative: (network,
    pixel).
    """
    rng = np.random.default_rng([7, image])
    fields = ndimage.gaussian_filter(rng.standard_normal((networks + 1, size, size)), (0, 3, 3))
    fields /= fields.std()
    shared = 0.6 * fields[0] + 0.8 * fields[1:]
    negative = np.minimum(0.1 * (shared + 1.2), 0)
    values = np.where(shared > 0.2, np.expm1(shared - 0.2), negative)
    return values.reshape(networks, -1).astype(np.float32)


def timed[R](task: Callable[..., R], *given: object) -> tuple[float, R]:
    """Seconds, the best of three because other programs run on the machine too, and the result."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        result = task(*given)
        times.append(time.perf_counter() - start)
    return min(times), result


def ours(blocks: list[np.ndarray], pool: ThreadPoolExecutor) -> list[dict[str, np.ndarray]]:
    return list(
        pool.map(lambda block: agreement.several(block, MEASURES, fractions=FRACTIONS), blocks)
    )


def time_ours(
    networks: int, images: int, size: int, threads: int
) -> tuple[float, dict[str, np.ndarray]]:
    """Seconds for all images, making them not counted, and the agreement of the first block of
    images.
    """
    total, first = 0.0, None
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, images, threads * BATCH):
            stop = min(start + threads * BATCH, images)
            batch = np.stack(
                [relevance(image, networks, size) for image in range(start, stop)], axis=1
            )
            blocks = np.array_split(batch, threads, axis=1)
            took, results = timed(ours, blocks, pool)
            total += took
            first = first or results[0]
    return total, first


def pair_loop(
    block: np.ndarray, masks: np.ndarray, pairs: list[tuple[int, int]]
) -> dict[str, np.ndarray]:
    """The baseline: scipy pair by pair, on maps (network, pixel) whose masks are given."""
    spearman = [stats.spearmanr(block[i], block[j]).statistic for i, j in pairs]
    overlap = [[(m[i] & m[j]).sum() / (m[i] | m[j]).sum() for m in masks] for i, j in pairs]
    return {"spearman": np.array(spearman)[:, np.newaxis], "iou": np.array(overlap)}


def time_loop(
    found: dict[str, np.ndarray], networks: int, size: int, sample: int, images: int
) -> tuple[float, float]:
    """Seconds of the baseline for one pair of one image, and its largest difference from
    `found`.
    """
    every = list(itertools.combinations(range(networks), 2))
    total = difference = 0.0
    for image in range(images):
        block = relevance(image, networks, size)
        masks = single.top_fractions(block, FRACTIONS)
        pairs = [
            every[k] for k in np.random.default_rng(image).choice(len(every), sample, replace=False)
        ]
        took, expected = timed(pair_loop, block, masks, pairs)
        total += took
        for measure in MEASURES:
            values = np.stack([found[measure][i, j, :, image] for i, j in pairs])
            difference = max(difference, np.abs(values - expected[measure]).max())
    return total / (sample * images), difference


def matrix_scipy(block: np.ndarray, masks: np.ndarray) -> None:
    """What can be had from scipy and numpy without a loop over pairs."""
    np.corrcoef(stats.rankdata(block, axis=-1))
    for mask in masks.astype(np.float32):
        mask @ mask.T


def on_threads(task: Callable[[], object], times: int) -> float:
    """Seconds for a task done `times` times on each thread at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return timed(
            lambda: list(pool.map(lambda _: [task() for _ in range(times)], range(THREADS)))
        )[0]


def limits(networks: int, images: int, pixels: int) -> dict[str, float]:
    """Seconds for what cannot be avoided: the matrix product of the ranks, and reading every map
    once.
    """
    ranks = np.random.default_rng(0).standard_normal((networks, pixels))
    ones = (ranks > 1).astype(np.float32)
    big = np.ones(2**26, np.float32)
    gigabytes = networks * images * pixels * 4 / 1e9
    products, reading = images / (THREADS * 10), gigabytes / (THREADS * big.nbytes / 1e9)
    dgemm = on_threads(lambda: ranks @ ranks.T, 10) * products
    return {
        "one float64 matrix product per image (ranks)": dgemm,
        "that and five float32 products (masks)": (
            dgemm + 5 * on_threads(lambda: ones @ ones.T, 10) * products
        ),
        f"reading {gigabytes:.2f} GB of maps once": on_threads(lambda: big.max(), 1) * reading,
    }


def profile(block: np.ndarray) -> dict[str, float]:
    """Seconds of each step for one image on one thread."""
    ranks = agreement._centred_ranks(block)
    masks = single.top_fractions(block, FRACTIONS)
    words = agreement._packed(masks)
    steps = {
        "midranks (radix sort)": lambda: midranks(block),
        "midranks and centring in float64": lambda: agreement._centred_ranks(block),
        "product of ranks": lambda: agreement._cosines(ranks),
        "masks of five fractions": lambda: single.top_fractions(block, FRACTIONS),
        "packing masks into words": lambda: agreement._packed(masks),
        "counting common bits": lambda: agreement._shared_pixels(words),
        "all": lambda: agreement.several(block[:, np.newaxis], MEASURES, fractions=FRACTIONS),
    }
    return {name: timed(step)[0] for name, step in steps.items()}


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    versions = ", ".join(
        f"{package.__name__} {package.__version__}" for package in (np, scipy, numba)
    )
    return f"{os.cpu_count()} cores {model}; Python {platform.python_version()}, {versions}"


def peak_gigabytes() -> float:
    """Largest resident memory of this process; Linux counts in KiB, macOS in bytes."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e9
    )


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return (
        "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))
        + "\n"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument(
        "--sample", type=int, default=40, help="pairs per image in the loop of scipy"
    )
    parser.add_argument(
        "--sample-images", type=int, default=5, help="images in the loop of scipy (at most 10)"
    )
    return parser.parse_args()


def report(given: argparse.Namespace) -> str:
    networks, images, size = given.networks, given.images, given.size
    pairs, few = networks * (networks - 1) // 2, min(images, 20)
    block = relevance(0, networks, size)
    masks = single.top_fractions(block, FRACTIONS)
    agreement.several(block[:, np.newaxis], MEASURES)  # compiled, or loaded from numba's cache
    before = peak_gigabytes()
    both, found = time_ours(networks, images, size, THREADS)
    memory = peak_gigabytes()
    loop, difference = time_loop(found, networks, size, given.sample, given.sample_images)
    times = {
        "loop over pairs: scipy.stats.spearmanr, boolean overlaps; 1 core (a)": (
            loop * pairs * images
        ),
        "scipy.stats.rankdata of all maps, matrix products; 1 core (b)": (
            timed(matrix_scipy, block, masks)[0] * images
        ),
        "relstats, 1 thread (c)": time_ours(networks, few, size, 1)[0] * images / few,
        f"relstats, {THREADS} threads": both,
    }
    rows = [
        (name, f"{s:.3g}", f"{pairs * images / s:,.0f}", f"{loop * pairs * images / s:.0f}")
        for name, s in times.items()
    ]
    floors = [
        (name, f"{s:.3g}", f"{s / both:.0%}")
        for name, s in limits(networks, images, size * size).items()
    ]
    steps = [(name, f"{1e3 * s:.2f}") for name, s in profile(block).items()]
    return f"""# Spearman and five overlaps of all pairs of networks

{networks} networks x {images} images x {size} x {size} float32 pixels, {(block == 0).mean():.0%}
exact zeros; {machine()}.

{table(("", "seconds", "pairs / s", "times faster than the loop"), rows)}
(a) {given.sample} of {pairs} pairs, {given.sample_images} of {images} images, masks given,
extrapolated. (b) 1 image, masks given, extrapolated. (c) {few} images, extrapolated. Times are the
best of three. Largest difference between relstats and the loop: {difference:.1e}.

{
        table(
            (f"what cannot be avoided, {THREADS} threads", "seconds", "share of relstats' time"),
            floors,
        )
    } {table(("where the time of one image goes, 1 thread", "ms"), steps)} Peak memory
{memory:.2f} GB, of which {before:.2f} GB before the first block of images; {THREADS * BATCH} images
are in memory at a time, however many there are.
"""


if __name__ == "__main__":
    with threadpool_limits(1):
        print(report(parse()), end="")
