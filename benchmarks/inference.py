"""Label swaps and the two-way jackknife, against loops and against the machine's limit in the same
run.

    python benchmarks/inference.py > benchmarks/results/inference.md

Scores are made block by block, and making them is not timed.
"""

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy import stats
from threadpoolctl import threadpool_limits

from relstats.stats.inference import jackknife as inference
from relstats.stats.inference import swaps
from relstats.stats.inference.moments import Moments, block_moments, merge_moments
from relstats.stats.inference.operators import EFFECTS, Operator, contrast_operator, effect_weights

THREADS = 1  # of BLAS: blocks of images are spread over workers, with one thread each
BLOCK = 1000  # images in memory at a time


def timed[R](task: Callable[..., R], *given: object, times: int = 5) -> tuple[float, R]:
    """Seconds, the best of several because other programs run on the machine too, and the
    result.
    """
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        result = task(*given)
        best = min(best, time.perf_counter() - start)
    return best, result


def swap(matrix: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return swaps.swap_p(swaps.swap_effects(matrix, labels, np.zeros(len(matrix), int)), exact=False)


def swap_loop(matrix: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The baseline: numpy's mean of each cell, one labeling after the other."""
    apart = ~np.eye(len(matrix), dtype=bool)
    effects = np.empty((len(labels), len(EFFECTS)))
    for p, row in enumerate(labels == 1):
        cells = [[matrix[np.outer(a, b) & apart].mean() for b in (row, ~row)] for a in (row, ~row)]
        effects[p] = [(effect_weights(e) * cells).sum() for e in EFFECTS]
    return effects


def swap_scipy(matrix: np.ndarray, first: np.ndarray, n: int) -> float:
    """The asymmetry alone, which is linear in the labels: scipy's permutation test of net flow."""
    flow = (matrix.sum(axis=1) - matrix.sum(axis=0))[..., 0]

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(a.mean(axis=axis) - b.mean(axis=axis))

    test = stats.permutation_test(
        (flow[first], flow[~first]),
        difference,
        n_swaps=n,
        vectorized=True,
        alternative="greater",
        rng=1,
    )
    return test.pvalue


def scores_of(block: int, networks: int, dtype: type) -> np.ndarray:
    rng = np.random.default_rng([3, block])
    scores = rng.random((networks, networks, 1, BLOCK), dtype=np.float32)
    return scores.astype(dtype)


def jackknife(networks: int, images: int, dtype: type, operators: list[Operator]) -> float:
    """Seconds for all blocks and the tests, making the scores not counted."""
    total, moments = 0.0, []
    for block in range(images // BLOCK):
        scores = scores_of(block, networks, dtype)
        took, found = timed(block_moments, scores, operators, times=3)
        total += took
        moments.append(found)
    took, _ = timed(finish, moments, len(operators))
    return total + took


def finish(moments: list[Moments], n_operators: int) -> list[inference.Jackknife]:
    merged = merge_moments(moments)
    return [inference.two_way_jackknife(merged, k) for k in range(n_operators)]


def jackknife_loop(scores: np.ndarray, groups: np.ndarray) -> float:
    """The baseline, on one block: cell means of each image, recomputed without each network."""

    def contrast(keep: np.ndarray) -> np.ndarray:
        a, b = np.flatnonzero((groups == 0) & keep), np.flatnonzero((groups == 1) & keep)
        return scores[np.ix_(a, b)].mean(axis=(0, 1)) - scores[np.ix_(b, a)].mean(axis=(0, 1))

    every = np.arange(len(groups))
    start = time.perf_counter()
    estimate = contrast(every >= 0)[0]
    deleted = np.array([contrast(every != m)[0] for m in every])
    for g in (0, 1):
        own = deleted[groups == g]
        (
            own.mean(axis=1).var(),
            (own - own.mean(axis=0)).var(axis=1, ddof=1).sum(),
            estimate.var(ddof=1),
        )
    return time.perf_counter() - start


def product(rows: int, inner: int, columns: int) -> float:
    """Seconds for one float64 matrix product of this size: best of five."""
    rng = np.random.default_rng(0)
    a, b, out = rng.random((rows, inner)), rng.random((inner, columns)), np.empty((rows, columns))
    return timed(np.matmul, a, b, out)[0]


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    versions = ", ".join(f"{package.__name__} {package.__version__}" for package in (np, scipy))
    return f"{os.cpu_count()} cores {model}; Python {platform.python_version()}, {versions}"


def peak_gigabytes() -> float:
    """Largest resident memory of this process; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def swap_rows(networks: int, n: int, few: int) -> list[tuple[str, str, str, str]]:
    rng = np.random.default_rng(1)
    matrix, first = rng.random((networks, networks, 1)), np.arange(networks) < networks // 2
    labels, _ = swaps.labelings(first, np.zeros(networks, int), n_swaps=n - 1, rng=rng, max_exact=1)
    ours, p = timed(swap, matrix, labels)
    loop, expected = timed(swap_loop, matrix[..., 0], labels[:few], times=2)
    loop *= n / few
    effects = swaps.swap_effects(matrix, labels[:few], np.zeros(networks, int))
    if not np.allclose(effects[..., 0], expected, rtol=1e-9, atol=1e-12):
        raise SystemExit("the loop and relstats disagree")
    library, p_library = timed(swap_scipy, matrix, first, n - 1)
    if abs(p_library - p[0, 0]) > 0.03:
        raise SystemExit(f"scipy's p {p_library} and relstats' {p[0, 0]} disagree")
    limit = product(n, networks, networks)
    draw, _ = timed(
        lambda: swaps.labelings(first, np.zeros(networks, int), n_swaps=n, rng=rng, max_exact=1)
    )
    what = f"{n:,} swaps, {networks} networks"
    return [
        row(f"{what}: loop over labelings, five effects (a)", loop, loop, limit),
        row(f"{what}: scipy.stats.permutation_test, asymmetry alone", library, loop, limit),
        row(f"{what}: relstats, five effects and their p", ours, loop, limit),
        row(f"{what}: drawing the labelings", draw, loop, limit),
    ]


def jackknife_rows(networks: int, images: int) -> list[tuple[str, str, str, str]]:
    groups = np.repeat([0, 1], networks // 2)
    operators = [contrast_operator(groups, effect_weights(e)) for e in EFFECTS]
    blocks = images // BLOCK
    loop = (
        min(jackknife_loop(scores_of(0, networks, np.float64), groups) for _ in range(2)) * blocks
    )
    what = f"jackknife, {networks} networks x {images:,} images"
    rows = [row(f"{what}: loop over deletions, one effect (b)", loop, loop, np.nan)]
    for count, dtype in ((1, np.float16), (1, np.float32), (len(operators), np.float16)):
        limit = product(count * (networks + 1), networks**2, BLOCK) * blocks
        took = jackknife(networks, images, dtype, operators[:count])
        rows.append(
            row(
                f"{what}: relstats, {count} effect(s), {np.dtype(dtype)}", took, count * loop, limit
            )
        )
    return rows


def row(name: str, seconds: float, loop: float, limit: float) -> tuple[str, str, str, str]:
    share = "" if np.isnan(limit) else f"{limit / seconds:.0%}"
    return name, f"{1e3 * seconds:,.1f}", f"{loop / seconds:,.0f}", share


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--images", type=int, default=10_000, help=f"a multiple of {BLOCK}")
    parser.add_argument("--swaps", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=500, help="labelings in the loop")
    return parser.parse_args()


def report(given: argparse.Namespace) -> str:
    before = peak_gigabytes()
    rows = swap_rows(given.networks, given.swaps, given.sample)
    rows += jackknife_rows(given.networks, given.images)
    head = ("", "ms", "times faster than the loop", "matrix product, share of the time")
    rate = 2 * 2000**3 / product(2000, 2000, 2000) / 1e9
    whole = given.networks**2 * given.images * 8 / 1e9
    return f"""# Label swaps and jackknife

{machine()}; {THREADS} thread, {rate:.0f} GFLOP/s in float64.

{table(head, rows)}

The matrix product is the one that the method needs, timed alone on data that lie in memory.
(a) {given.sample} labelings, extrapolated. (b) One block of {BLOCK} images, extrapolated.
Peak memory {peak_gigabytes():.2f} GB, {before:.2f} GB before the first number; {BLOCK} images are
in memory at a time, however many there are (all scores in float64 would take {whole:.2f} GB).
"""


if __name__ == "__main__":
    with threadpool_limits(THREADS):
        print(report(parse()), end="")
