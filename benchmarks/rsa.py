"""RDMs of full-size maps, and the dual bootstrap, against rsatoolbox in one run.

    pip install rsatoolbox
    OMP_NUM_THREADS=1 python benchmarks/rsa.py > benchmarks/results/rsa.md

Processor time of one thread, so that a busy machine says the same. rsatoolbox's draws are
extrapolated from `--their-draws`.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
from rsatoolbox.data import Dataset
from rsatoolbox.inference import eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs, calc_rdm, compare
from threadpoolctl import threadpool_limits

from relstats.human import evaluation
from relstats.human.rdms import bootstrap
from relstats.human.rdms.comparisons import compare_draws, compare_rdms
from relstats.human.rdms.dissimilarity import dissimilarities

COMPARISONS = ("corr", "cosine", "rho-a", "spearman", "cosine_cov", "corr_cov")
IMAGES, PEOPLE, MODELS = 92, 20, 10


def timed(task: Callable[[], object], times: int = 1) -> float:
    """Processor seconds, the best of some runs."""
    best = np.inf
    for _ in range(times):
        start = time.process_time()
        task()
        best = min(best, time.process_time() - start)
    return best


def peak_gigabytes() -> float:
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e9
    )


def rdms(images: int, pixels: int) -> str:
    maps = np.random.default_rng(0).standard_normal((images, pixels), dtype=np.float32)
    small = maps[: min(images, 500)].astype(float)
    limit = timed(lambda: small @ small.T, 3) * (images / len(small)) ** 2
    before = peak_gigabytes()
    found: list[np.ndarray] = []
    tasks = {
        "relstats": lambda: found.append(dissimilarities(maps).rdm),
        "rsatoolbox": lambda: found.append(
            calc_rdm(Dataset(maps), method="correlation").dissimilarities[0]
        ),
    }
    ours = timed(tasks["relstats"])
    memory = peak_gigabytes() - before
    theirs = timed(tasks["rsatoolbox"])
    difference = np.abs(found[0] - found[1]).max()
    with threadpool_limits(os.cpu_count()):
        clock = on_the_clock(tasks["relstats"])
    return f"""## Correlation RDM, {images} x {pixels:,} float32

| | s | times faster | share of the limit |
| --- | --- | --- | --- |
| rsatoolbox `calc_rdm` | {theirs:.1f} | | |
| relstats, 1 thread | {ours:.1f} | {theirs / ours:.1f} | {limit / ours:.0%} |
| relstats, {os.cpu_count()} threads, on the clock | {clock:.1f} | {theirs / clock:.1f} | |
| limit: one float64 product of the size (SYRK), 1 thread | {limit:.1f} | {theirs / limit:.1f} | |

Largest difference {difference:.0e}: rsatoolbox multiplies in float32, relstats in float64, so that
tiles, threads and the order of images change nothing before the tenth digit. On one thread the
float64 product alone is {theirs / limit:.1f} times faster than rsatoolbox: that is the limit.
rsatoolbox's product is an einsum, which takes one thread however many there are: with all threads
for both, relstats is {theirs / clock:.1f} times faster. Memory beyond the maps
({maps.nbytes / 1e9:.2f} GB): {memory:.2f} GB; the RDM as a square is {images**2 * 8 / 1e9:.2f} GB.
Nothing is claimed for Euclidean RDMs.
"""


def on_the_clock(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def dual_bootstrap(comparison: str, draws: int, their_draws: int) -> str:
    rng = np.random.default_rng(1)
    pairs = IMAGES * (IMAGES - 1) // 2
    truth = rng.random(pairs)
    people, models = truth + rng.random((PEOPLE, pairs)), truth + 2 * rng.random((MODELS, pairs))
    evaluation.evaluate(
        models, people, comparison, n_draws=2, rng=rng
    )  # compiled, or loaded from numba's cache
    ours = timed(lambda: evaluation.evaluate(models, people, comparison, n_draws=draws, rng=rng))
    counts, _ = bootstrap.image_draws(IMAGES, draws, rng)
    agreement = timed(lambda: compare_draws(models, people, counts, comparison))
    weights, products = rng.random((draws, pairs)), rng.random((pairs, MODELS * PEOPLE))
    limit = timed(lambda: weights @ products, 3)
    np.random.seed(0)  # noqa: NPY002 (rsatoolbox draws from the global state)
    fixed = [ModelFixed(str(k), model) for k, model in enumerate(models)]
    with redirect_stderr(io.StringIO()):
        theirs = (
            timed(
                lambda: eval_dual_bootstrap(fixed, RDMs(people), method=comparison, N=their_draws)
            )
            * draws
            / their_draws
        )
    return (
        f"| {comparison} | {theirs:.0f} | {ours:.2f} | {theirs / ours:.0f} | {agreement:.2f} |"
        f" {theirs / agreement:.0f} | {limit / agreement:.0%} |"
        f" {same_draws(models, people, comparison):.0e} |"
    )


def same_draws(models: np.ndarray, people: np.ndarray, comparison: str) -> float:
    """The largest difference from rsatoolbox on the same draws."""
    rng, worst = np.random.default_rng(2), 0.0
    for _ in range(3):
        drawn = rng.integers(0, IMAGES, IMAGES)
        theirs = compare(
            *(RDMs(v).subsample_pattern("index", drawn) for v in (models, people)), comparison
        )
        ours = compare_draws(
            models, people, np.bincount(drawn, minlength=IMAGES)[np.newaxis], comparison
        )[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst


def equality() -> str:
    """Largest difference of every comparison on complete data, with ties, of 6 to 101 images."""
    rng, rows = np.random.default_rng(3), []
    for comparison in (*COMPARISONS, "tau-a"):
        worst = 0.0
        for images in (6, 30, 101):
            a, b = np.round(rng.random((2, 3, images * (images - 1) // 2)), 2)
            worst = max(
                worst,
                float(
                    np.abs(
                        compare_rdms(a, b, comparison) - compare(RDMs(a), RDMs(b), comparison)
                    ).max()
                ),
            )
        rows.append(f"| {comparison} | {worst:.0e} |")
    return "\n".join(rows)


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return (
        f"1 of {os.cpu_count()} cores {model}; Python {platform.python_version()}, numpy"
        f" {np.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--pixels", type=int, default=224 * 224)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--their-draws", type=int, default=3)
    given = parser.parse_args()
    print(
        f"# RSA, against rsatoolbox 0.3.2\n\nMade by `python benchmarks/rsa.py` on {machine()}."
        " Processor seconds.\n"
    )
    print(rdms(given.images, given.pixels))
    print(
        f"## Dual bootstrap, {IMAGES} images x {PEOPLE} people x {MODELS} models, {given.draws}"
        " draws\n"
    )
    print(
        "| comparison | rsatoolbox (s) | relstats (s) | times faster | agreement alone (s) | times"
        " faster | share of the limit | difference |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for comparison in COMPARISONS:
        print(dual_bootstrap(comparison, given.draws, given.their_draws), flush=True)
    print(
        f"\nrsatoolbox: `eval_dual_bootstrap`, extrapolated from {given.their_draws} draws; both"
        ' compute noise ceilings in draws of images, of people and of both. "Agreement alone"'
        " leaves the ceilings out of ours only. Limit: one matrix product, of the draws' weights"
        " of pairs with the products of models and people. Difference: of agreement on the same"
        " draws.\n"
    )
    print(
        "## Comparisons on complete data\n\n| comparison | largest difference |\n| --- | ---"
        f" |\n{equality()}\n"
    )
    print(f"Peak memory of all of this {peak_gigabytes():.2f} GB.")


if __name__ == "__main__":
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
