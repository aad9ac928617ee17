"""Error rates of RSA's tests, and of what people do today, over simulated studies.

    python benchmarks/calibration_rsa.py [--only CELL ...]

writes `benchmarks/results/calibration_rsa.csv` and `.md`. Images, participants and seeds are drawn
anew for each study, and in the population nothing is there to be found: models A and B agree
equally with people, or (r > 0) not at all. Analysed by `relstats.human.evaluation` and
`relstats.human.rdms.mantel`. Ten minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from relstats.human import evaluation
from relstats.human.evaluation import Ceiling, Evaluations
from relstats.human.rdms import bootstrap
from relstats.human.rdms.comparisons import compare_draws
from relstats.human.rdms.mantel import mantel

ALPHA, DIMENSIONS, DRAWS, PERMUTATIONS = 0.05, 4, 200, 199
RESULTS = Path(__file__).parent / "results"
UNKNOWN = Ceiling(np.nan, np.nan, None, None, None, None)


@dataclass(frozen=True)
class Cell:
    """One design.

    `seeds` 1 is a comparison of two networks; `missing` is the share of pairs that a participant
    did not judge.
    """

    images: int
    people: int
    seeds: int = 1
    comparison: str = "corr"
    missing: float = 0.0
    levels: int = 0
    taste: float = 0.6
    seed_spread: float = 0.0
    related: bool = True
    studies: int = 2000


CELLS = {
    "A vs B, 20 images": Cell(20, 10),
    "A vs B, 40 images": Cell(40, 20),
    "A vs B, 92 images": Cell(92, 16, studies=400),
    "A vs B, ratings of 7 levels, rho-a": Cell(40, 20, comparison="rho-a", levels=7, studies=600),
    "A vs B, ratings of 7 levels, spearman": Cell(
        20, 10, comparison="spearman", levels=7, studies=600
    ),
    "A vs B, whitened cosine": Cell(40, 20, comparison="cosine_cov", studies=600),
    "A vs B, unbiased CKA": Cell(40, 20, comparison="unbiased_cka", studies=600),
    "A vs B, 40 % of pairs missing": Cell(30, 10, missing=0.4, studies=400),
    "A vs B, 40 % missing, rho-a": Cell(
        30, 10, comparison="rho-a", missing=0.4, levels=7, studies=400
    ),
    "A vs B, 5 seeds each": Cell(40, 20, seeds=5, seed_spread=0.5),
    "A vs B, 5 seeds each, rho-a": Cell(
        40, 20, seeds=5, comparison="rho-a", levels=7, seed_spread=0.5, studies=400
    ),
    "A vs B, 10 seeds each": Cell(40, 20, seeds=10, seed_spread=0.5),
    "r > 0, 20 images": Cell(20, 10, related=False, studies=600),
    "r > 0, 40 images, rho-a": Cell(
        40, 20, comparison="rho-a", levels=7, related=False, studies=600
    ),
    "r > 0, 40 % missing": Cell(20, 8, missing=0.4, related=False, studies=200),
}


def distances(rng: np.random.Generator, images: int, *shape: int) -> np.ndarray:
    """Squared distances of images in spaces of independent features: (*shape, pair)."""
    points = rng.normal(size=(*shape, images, DIMENSIONS))
    squares = ((points[..., :, np.newaxis, :] - points[..., np.newaxis, :, :]) ** 2).mean(axis=-1)
    return squares[..., *np.triu_indices(images, 1)]


def study(cell: Cell, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """RDMs of networks (2 * seeds, pair), the first half of model A, and of people (participant,
    pair).
    """
    n, shared, own = cell.images, *distances(rng, cell.images, 2)
    of_models = distances(rng, n, 2)
    strength = (1 + cell.seed_spread * rng.uniform(-1, 1, (2, cell.seeds, 1))) * cell.related
    networks = strength * shared + of_models[:, np.newaxis] + 0.5 * distances(rng, n, 2, cell.seeds)
    # each participant shares more with one model or the other: taste varies over people, and is 0
    # on average
    taste = rng.uniform(0, cell.taste, (cell.people, 2)) * cell.related
    people = (
        (shared if cell.related else own) + taste @ of_models + 0.7 * distances(rng, n, cell.people)
    )
    people += 0.5 * rng.normal(size=people.shape)
    if cell.levels:
        edges = np.quantile(people, np.linspace(0, 1, cell.levels + 1)[1:-1], axis=1)
        people = (people[np.newaxis] > edges[:, :, np.newaxis]).sum(axis=0).astype(float)
    people[rng.random(people.shape) < cell.missing] = np.nan
    return networks.reshape(2 * cell.seeds, -1), people


def p_values(cell: Cell, rng: np.random.Generator) -> dict[str, float]:
    networks, people = study(cell, rng)
    counts, _ = bootstrap.image_draws(cell.images, DRAWS, rng)
    observed = compare_draws(networks, people, np.ones((1, cell.images)), cell.comparison)[0]
    draws = compare_draws(networks, people, counts, cell.comparison)
    draws = draws[np.isfinite(draws).all(axis=(1, 2))]
    half = np.repeat([[1.0, 0.0], [0.0, -1.0]], cell.seeds, axis=1) / cell.seeds
    weights = half if cell.related else half[:1]
    by_person = weights.sum(axis=0) @ observed
    images = (weights.sum(axis=0) @ draws).mean(axis=-1)
    found = {
        "t over participants (today)": float(stats.ttest_1samp(by_person, 0).pvalue),
        "bootstrap of images alone (today)": float(
            2 * stats.norm.sf(abs(by_person.mean()) / images.std(ddof=1))
        ),
        "bootstrap of both, no correction (today)": naive(observed, draws, weights, cell, rng),
    }
    for name, random in {
        "images, participants": ("images", "participants"),
        "images, participants, seeds": evaluation.FACTORS,
    }.items():
        if "seeds" not in random or cell.seeds > 1:
            data = Evaluations(observed, draws, UNKNOWN, frozenset(random), cell.images, 0, 0)
            found[f"p_value ({name})"] = evaluation.contrast(data, weights).p_value
    if not cell.related:
        found["p_mantel"] = float(
            mantel(
                networks[:1],
                people,
                cell.comparison,
                np.ones((1, 1)),
                n_permutations=PERMUTATIONS,
                rng=rng,
            ).p_value[0]
        )
    return found


def naive(
    observed: np.ndarray,
    draws: np.ndarray,
    weights: np.ndarray,
    cell: Cell,
    rng: np.random.Generator,
) -> float:
    """Variance of draws of images and people together, which counts their interaction too often.

    Df of the smaller sample.
    """
    people = bootstrap.people_draws(cell.people, len(draws), rng)
    both = ((weights.sum(axis=0) @ draws) * people).mean(axis=-1)
    t = (weights.sum(axis=0) @ observed).mean() / both.std(ddof=1)
    return float(2 * stats.t.sf(abs(t), min(cell.images, cell.people) - 1))


def rates(name: str, seed: int) -> list[dict[str, object]]:
    cell, rng = CELLS[name], np.random.default_rng([seed, *name.encode()])
    found = pd.DataFrame([p_values(cell, rng) for _ in range(cell.studies)])
    size = {
        "cell": name,
        "images": cell.images,
        "people": cell.people,
        "seeds": cell.seeds,
        "comparison": cell.comparison,
    }
    return [
        {**size, "test": test, "studies": cell.studies, "rate": float((p <= ALPHA + 1e-12).mean())}
        for test, p in found.items()
    ]


def report(rows: pd.DataFrame) -> str:
    rows = rows.assign(error=np.sqrt(ALPHA * (1 - ALPHA) / rows["studies"]))
    lines = [
        "| cell | design | test | studies | rate (%) | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.itertuples():
        excess = (row.rate - ALPHA) / row.error
        flag = "**above 5 % + 2 SE**" if excess > 2 else ""
        design = f"{row.images} images, {row.people} people, {row.seeds} seed(s), {row.comparison}"
        lines.append(
            f"| {row.cell} | {design} | {row.test} | {row.studies} | {100 * row.rate:.1f} |"
            f" {flag} |"
        )
    return INTRODUCTION.format(draws=DRAWS, permutations=PERMUTATIONS) + "\n".join(lines) + "\n"


INTRODUCTION = """# Error rates of RSA, and of today's practice

Made by `python benchmarks/calibration_rsa.py`. Rates in percent at a nominal 5 %; the Monte-Carlo
standard error is 0.5 points with 2000 studies, .9 with 600, 1.1 with 400, 1.5 with 200. {draws}
draws of images, {permutations} permutations. In every study images, people and seeds are new; A and
B agree equally with people on average ("A vs B"), or the model has nothing to do with them ("r >
0"). "(today)": a paired t-test over participants takes the images as fixed; a bootstrap over images
takes the people as fixed; a bootstrap over both without correction counts their interaction too
often. "images, participants" takes the seeds as fixed.

"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", default=list(CELLS), help="cells to run; the others are kept"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = RESULTS / "calibration_rsa.csv"
    for name in options.only:
        start = time.monotonic()
        new = pd.DataFrame(rates(name, options.seed))
        kept = pd.read_csv(path) if path.exists() else new.iloc[:0]
        rows = pd.concat([kept[kept["cell"] != name], new]) if len(kept) else new
        order = {cell: k for k, cell in enumerate(CELLS)}
        rows = rows.sort_values("cell", key=lambda c: c.map(order), kind="stable")
        rows.to_csv(path, index=False)
        (RESULTS / "calibration_rsa.md").write_text(report(rows))
        print(f"{time.monotonic() - start:5.0f} s  {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
