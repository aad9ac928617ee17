"""How often tests err where a level has few networks: what is printed, and what 0.1.0 printed.

    python benchmarks/calibration_fixed.py

writes `benchmarks/results/calibration_fixed.csv` and `.md`: about a minute on one core; `--studies`
says how many of each design. No effect is planted: networks of both levels are draws of one
population.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from relstats.stats.inference import jackknife, networks, population
from relstats.stats.inference.moments import Moments, block_moments
from relstats.stats.inference.operators import contrast_operator, effect_weights

ALPHA = 0.05
RESULTS = Path(__file__).parent / "results"
IMAGES = 30
#: Networks of each level; of each level and stratum where there are four.
DESIGNS = [(1, 1), (2, 2), (2, 3), (2, 10), (3, 3), (3, 10), (5, 5), (2, 2, 5, 5), (3, 3, 3, 3)]
EFFECTS = ("asymmetry", "target_effect", "specificity")


def pair_scores(sizes: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Scores (source, target, 1, image) of networks without an effect of their level.

    A source, a target and each of them on an image have normal parts of their own.
    """
    n = sum(sizes)
    source, target = 0.08 * rng.normal(size=(2, n))
    on_image = 0.06 * rng.normal(size=(2, n, IMAGES))
    scores = 0.5 + source[:, np.newaxis, np.newaxis] + target[:, np.newaxis]
    scores = scores + on_image[0][:, np.newaxis] + on_image[1] + 0.1 * rng.normal(size=IMAGES)
    scores = scores + 0.05 * rng.normal(size=(n, n, 1)) + 0.1 * rng.normal(size=(n, n, IMAGES))
    return np.asarray(scores[:, :, np.newaxis])


def network_scores(sizes: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Scores (network, 1, image) without an effect of the level."""
    n = sum(sizes)
    scores = 0.08 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, IMAGES))
    return np.asarray((scores + 0.1 * rng.normal(size=IMAGES))[:, np.newaxis])


def moments(sizes: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[str, Moments]]:
    """Of one study: each effect of pairs that the design has, and the difference of means."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    signs = np.where(np.arange(len(sizes)) % 2 == 0, 2.0, -2.0) / len(sizes)
    functional = networks.network_functional(groups, signs)
    yield "difference of means", networks.network_moments(network_scores(sizes, rng), [functional])
    if len(sizes) > 2:
        return
    scores = pair_scores(sizes, rng)
    for effect in EFFECTS:
        if min(sizes) > 1 or effect == "asymmetry":
            operator = contrast_operator(groups, effect_weights(effect))
            yield effect, block_moments(scores, [operator])


def rejected(each: Moments) -> tuple[float, float]:
    """Whether the printed p is below ALPHA (NaN without p), and whether that of 0.1.0 was.

    0.1.0 took two of unequal groups as they came, and printed the p over images, for these
    networks, in the same column.
    """
    p = jackknife.two_way_jackknife(each, 0).p_value[-1]
    with mock.patch.object(population, "MIN_OF_UNEQUAL", 2):
        before = jackknife.two_way_jackknife(each, 0, confidence=1 - ALPHA)
    fixed = before.lower_these_networks[-1], before.upper_these_networks[-1]
    outside = before.p_value[-1] < ALPHA or fixed[0] > 0 or fixed[1] < 0
    return float(p < ALPHA) if np.isfinite(p) else np.nan, float(outside)


def calibrate(studies: int, seed: int = 0) -> pd.DataFrame:
    """Percent of studies with p below ALPHA, by design and effect."""
    rows = []
    for sizes in DESIGNS:
        rng = np.random.default_rng([seed, *sizes])
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(studies):
            for effect, each in moments(sizes, rng):
                found.setdefault(effect, []).append(rejected(each))
        for effect, pairs in found.items():
            now, before = 100 * np.array(pairs).mean(axis=0)
            row = {"networks": " + ".join(map(str, sizes)), "effect": effect, "studies": studies}
            rows.append(row | {"p_value": now, "p_value of 0.1.0": before})
    return pd.DataFrame(rows).round(1)


def markdown(table: pd.DataFrame) -> str:
    """As a page, with the Monte-Carlo error."""
    error = 100 * np.sqrt(ALPHA * (1 - ALPHA) / int(table["studies"].iloc[0]))
    lines = ["| " + " | ".join(table) + " |", "|" + " --- |" * table.shape[1]]
    for row in table.itertuples(index=False):
        cells = ["no p" if value != value else str(value) for value in row]
        lines.append("| " + " | ".join(cells) + " |")
    about = (
        "# Few networks a level: how often p is below .05 where levels do not differ\n\nPercent of"
        f" studies with {IMAGES} images; standard error {error:.1f} at 5 %. Four numbers of"
        " networks are two levels in two strata. Made by `benchmarks/calibration_fixed.py`.\n\n"
    )
    return about + "\n".join(lines) + "\n"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--studies", type=int, default=2000, help="simulated studies of each design"
    )
    options = parser.parse_args()
    table = calibrate(options.studies)
    table.to_csv(RESULTS / "calibration_fixed.csv", index=False)
    text = markdown(table)
    (RESULTS / "calibration_fixed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
