"""Speed of `map`'s label swaps against a plain loop, nilearn and mne in one run.

Peak memory on few and many images.

    python benchmarks/map.py --out benchmarks/results/map.md

nilearn and mne are used where they are installed (`pip install nilearn mne`), and named as absent
where they are not. The loop, nilearn's TFCE and mne do fewer permutations, and their time is
extrapolated to as many. A study of noise is written to disk for memory, and deleted.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dask
import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

import relstats
from relstats.stats.inference import fields, swaps
from relstats.stats.planning.planted import fields as smooth_fields

SIDE, NETWORKS, RESAMPLES = 224, 20, 9999
MEMORY_SIDE, MEMORY_SEEDS = 224, 5
THRESHOLD = float(stats.t.isf(0.005, NETWORKS - 2))


def mean_maps() -> np.ndarray:
    """(network, pixel); the first half has more in a corner."""
    maps = smooth_fields(NETWORKS, SIDE, np.random.default_rng(1)).astype(float)
    maps[: NETWORKS // 2, :40, :40] += 2
    return maps.reshape(NETWORKS, -1)


def ours(maps: np.ndarray, corrections: tuple[str, ...]) -> tuple[float, np.ndarray]:
    """Seconds, and the largest values."""
    first, strata = np.arange(NETWORKS) < NETWORKS // 2, np.zeros(NETWORKS, int)
    labels, _ = swaps.labelings(first, strata, n_swaps=RESAMPLES, rng=np.random.default_rng(1))
    fields.swap_maxima(maps, labels[:2], strata, (SIDE, SIDE), THRESHOLD, corrections)  # compiled
    start = time.perf_counter()
    found = fields.swap_maxima(maps, labels, strata, (SIDE, SIDE), THRESHOLD, corrections)
    return time.perf_counter() - start, found


def loop(maps: np.ndarray, n: int = 40) -> tuple[float, np.ndarray]:
    """One labeling at a time by numpy: seconds of all, and the largest |t| of those done."""
    first, strata = np.arange(NETWORKS) < NETWORKS // 2, np.zeros(NETWORKS, int)
    labels, _ = swaps.labelings(first, strata, n_swaps=RESAMPLES, rng=np.random.default_rng(1))
    start, largest = time.perf_counter(), []
    for row in labels[:n] == 1:
        a, b = maps[row], maps[~row]
        t = (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(
            a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
        )
        largest.append(np.abs(t).max())
    return (time.perf_counter() - start) * len(labels) / n, np.array(largest)


def of_nilearn(maps: np.ndarray) -> tuple[float, np.ndarray]:
    """permuted_ols, max-T, all permutations: seconds, and family-wise p."""
    from nilearn.mass_univariate import permuted_ols

    level = np.where(np.arange(NETWORKS) < NETWORKS // 2, 1.0, -1.0)[:, np.newaxis]
    start = time.perf_counter()
    found = permuted_ols(
        level,
        maps,
        n_perm=RESAMPLES,
        two_sided_test=True,
        random_state=1,
        n_jobs=1,
        verbose=0,
        output_type="dict",
    )
    return time.perf_counter() - start, 10.0 ** -found["logp_max_t"].ravel()


def of_nilearn_tfce(maps: np.ndarray, n: int = 20) -> float:
    from nibabel import Nifti1Image
    from nilearn.maskers import NiftiMasker
    from nilearn.mass_univariate import permuted_ols

    image = Nifti1Image(np.ones((SIDE, SIDE, 1), np.int8), np.eye(4))
    masker = NiftiMasker(image, standardize=None).fit()
    level = np.where(np.arange(NETWORKS) < NETWORKS // 2, 1.0, -1.0)[:, np.newaxis]
    start = time.perf_counter()
    permuted_ols(
        level,
        maps,
        n_perm=n,
        two_sided_test=True,
        random_state=1,
        n_jobs=1,
        verbose=0,
        masker=masker,
        tfce=True,
        threshold=0.001,
        output_type="dict",
    )
    return (time.perf_counter() - start) * (RESAMPLES + 1) / (n + 1)


def of_mne(maps: np.ndarray, threshold: object, n: int) -> float:
    """permutation_cluster_test with a fast t of numpy."""
    import mne

    def t(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        variance = a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
        return (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(variance)

    both = [part.reshape(-1, SIDE, SIDE) for part in (maps[: NETWORKS // 2], maps[NETWORKS // 2 :])]
    start = time.perf_counter()
    mne.stats.permutation_cluster_test(
        both,
        threshold=threshold,
        stat_fun=t,
        tail=0,
        n_permutations=n,
        adjacency=None,
        out_type="mask",
        seed=1,
        n_jobs=1,
        verbose="error",
    )
    return (time.perf_counter() - start) * (RESAMPLES + 1) / n


def speed() -> list[tuple[str, str, str]]:
    maps, rows = mean_maps(), []
    with dask.config.set(scheduler="synchronous"), threadpool_limits(1):
        seconds, ours_max = ours(maps, ("max-t",))
        rows.append(("max-T", "relstats", f"{seconds:.1f}"))
        rows += [
            (f"max-T and {what}", "relstats", f"{ours(maps, ('max-t', what))[0]:.1f}")
            for what in ("cluster", "tfce")
        ]
        slow, largest = loop(maps)
        np.testing.assert_allclose(ours_max[: len(largest), 0], largest, rtol=1e-5)
        rows.append(("max-T", "loop of numpy (40 labelings)", f"{slow:.0f}"))
        if importlib.util.find_spec("nilearn"):
            seconds, p = of_nilearn(maps)
            rows.append(("max-T", "nilearn permuted_ols (all)", f"{seconds:.1f}"))
            difference, error, _ = fields.welch(
                maps, np.arange(NETWORKS) < NETWORKS // 2, np.zeros(NETWORKS, int)
            )
            apart = np.abs(fields.family_p(np.abs(difference / error), ours_max[:, 0]) - p).max()
            rows.append(
                (
                    "largest difference of p max-T",
                    "nilearn - relstats",
                    f"{apart:.3f} (not seconds)",
                )
            )
            rows.append(
                ("TFCE", "nilearn permuted_ols (20 permutations)", f"{of_nilearn_tfce(maps):.0f}")
            )
        if importlib.util.find_spec("mne"):
            rows.append(
                (
                    "cluster mass",
                    "mne permutation_cluster_test (40)",
                    f"{of_mne(maps, THRESHOLD, 40):.0f}",
                )
            )
            rows.append(
                ("TFCE", "mne, 50 steps (4)", f"{of_mne(maps, {'start': 0, 'step': 0.2}, 4):.0f}")
            )
    absent = [name for name in ("nilearn", "mne") if not importlib.util.find_spec(name)]
    return rows + [("-", f"{name} is not installed", "-") for name in absent]


def child(path: str, images: int) -> None:
    """In a process of its own: seconds and peak memory."""
    maps = relstats.open_study(path)["relevance"].to_dataset().isel(image=slice(0, images))
    start = time.perf_counter()
    relstats.differences(maps, axis="pretrain", n_swaps=99, rng=np.random.default_rng(1))
    (line,) = [
        row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM")
    ]
    print(json.dumps([time.perf_counter() - start, int(line.split()[1]) * 1024 / 1e9]))


def write(path: str, images: int) -> None:
    """A study of noise: what is in its maps does not matter for memory.

    Ten images, again and again.
    """
    rng, shape = np.random.default_rng(1), (4, MEMORY_SEEDS, 10, MEMORY_SIDE, MEMORY_SIDE)
    maps = rng.integers(-99, 100, shape).astype(np.float32)
    models = pd.DataFrame({"model": list("abcd"), "pretrain": list("iivv"), "task": list("gdgd")})
    few = relstats.relevance_dataset(maps, models=models, images=[str(k) for k in range(10)])
    lazy = few.assign(relevance=few["relevance"].chunk(model=1, seed=1, image=10))
    many = lazy.isel(image=np.arange(images) % 10)
    relstats.save_study(
        relstats.study(relevance=many.assign_coords(image=[f"{k:04}" for k in range(images)])), path
    )


def memory(images: tuple[int, ...]) -> list[tuple[int, float, float]]:
    folder = tempfile.mkdtemp()
    path = f"{folder}/study.zarr"
    try:
        write(path, max(images))
        rows = []
        for n in images:
            command = [sys.executable, __file__, "--child", path, str(n)]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.append((n, *json.loads(found)))
        return rows
    finally:
        shutil.rmtree(folder)


TEXT = """# Speed and memory of `map`

Made by `python benchmarks/map.py`. {networks} networks, {side} x {side} pixels, {resamples}
labelings, one core, all in one run. Of those that did fewer (in brackets), the time is
extrapolated. Times are without the import and the first compilation.

{speed}
Peak memory of the whole command, in a process of its own: {networks} networks, maps of
{memory_side} x {memory_side}, 100 labelings.

{memory}"""


def table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out")
    parser.add_argument("--images", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        return child(options.child[0], int(options.child[1]))
    rows = [(n, f"{s:.1f}", f"{gb:.2f}") for n, s, gb in memory(tuple(options.images))]
    text = TEXT.format(
        networks=NETWORKS,
        side=SIDE,
        resamples=RESAMPLES + 1,
        memory_side=MEMORY_SIDE,
        speed=table(("test", "by", "seconds"), speed()),
        memory=table(("images", "seconds", "GB"), rows),
    )
    print(text)
    if options.out:
        Path(options.out).write_text(text)


if __name__ == "__main__":
    main()
