"""Error rates and power of the comparisons with people's maps and choices, at 5 %: what is random
is drawn anew each time.

    python benchmarks/calibration_humanmaps.py benchmarks/results/calibration_humanmaps.md      #
    about six minutes on one core

Maps: people's maps of an image hold a centre that all images share, the image's content, a person's
bias and noise; networks' maps hold the centre, a share of the content that varies over networks
and, for each level, over images, a network's bias and noise. Choices: an image is hard for people,
and for the networks of a level, with shares that vary over networks. Null of a contrast: both
levels have the same mean share; null of a level: the mean share is 0. Beside: t-tests over images
alone, and over networks alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from relstats.human import kappa, map_agreement
from relstats.stats.inference.crossed import crossed_test

SIZE, ALPHA = 10, 0.05
CENTRE = np.exp(-((np.indices((SIZE, SIZE)) - (SIZE - 1) / 2) ** 2).sum(axis=0) / 8).ravel() * 2


def level_shares(
    share: float, spread: float, n: int, seeds: int, rng: np.random.Generator
) -> np.ndarray:
    """Share of the content in each network and image of one level: networks vary, and the level's
    images.
    """
    return (
        share
        + spread * (rng.normal(size=(seeds, 1)) + rng.normal(size=(1, n)))
        + 0.1 * rng.normal(size=(seeds, n))
    )


def maps(
    shares: tuple[float, float], n: int, people: int, seeds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Maps of networks (image, network, pixel) and of people (image, participant, pixel)."""
    content = rng.normal(size=(n, SIZE**2))
    share = np.concatenate([level_shares(s, 0.2, n, seeds, rng) for s in shares]).T[..., np.newaxis]
    bias = [0.3 * rng.normal(size=(k, SIZE**2)) for k in (2 * seeds, people)]
    networks = (
        CENTRE + share * content[:, np.newaxis] + bias[0] + rng.normal(size=(n, 2 * seeds, SIZE**2))
    )
    judged = (
        8 + CENTRE + content[:, np.newaxis] * (0.5 + 0.2 * rng.normal(size=(people, 1))) + bias[1]
    )
    return networks, judged + rng.normal(size=(n, people, SIZE**2))


def map_values(
    measure: str,
    shares: tuple[float, float],
    n: int,
    people: int,
    seeds: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    networks, judged = maps(shares, n, people, seeds, rng)
    found = map_agreement.agree(
        lambda: ((a, map_agreement.mean_maps(b)) for a, b in zip(networks, judged, strict=True)),
        n,
        measure,
        0.1,
    )
    return found.above[..., 0], map_agreement.people_pseudo_values(found.above)


def choice_values(
    shares: tuple[float, float], n: int, people: int, seeds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong answers: a network errs where people do with some probability, elsewhere on
    images of its level's own.
    """
    hard, own = rng.random(n) < 0.4, rng.random((2, n)) < 0.4
    share = np.clip([s + 0.1 * rng.normal(size=(seeds, 1)) for s in shares], 0, 1)
    wrong = np.where(rng.random((2, seeds, n)) < share, hard, own[:, np.newaxis]).reshape(
        2 * seeds, n
    )
    skill = np.clip(0.6 + 0.1 * rng.normal(size=(people, 1)), 0, 1)
    answers = [
        (rng.random(w.shape) > np.where(w, p, 0.1)).astype(int)
        for w, p in ((wrong, 0.6), (np.broadcast_to(hard, (people, n)), skill))
    ]
    found = kappa.kappas(*answers, 2)
    return found.kappa[:, np.newaxis], found.kappa[:, np.newaxis] + found.influence


def p_values(scores: np.ndarray, values: np.ndarray, seeds: int) -> list[float]:
    """Contrast and level, each crossed, over images alone, over networks alone."""
    half = np.full(seeds, 1 / seeds)
    contrast, level = (
        np.array([[*half, *(0 * half)], [*(0 * half), *-half]]),
        np.array([[*half, *(0 * half)]]),
    )
    out = []
    for rows in (contrast, level):
        weights = rows.sum(axis=0)
        out.append(
            crossed_test(
                float((weights @ scores.reshape(len(scores), -1)).mean()), values, rows
            ).p_value
        )
        out.append(stats.ttest_1samp(weights @ values.mean(axis=2), 0).pvalue)
        by_network = values.mean(axis=(1, 2))
        pair = (
            stats.ttest_ind(by_network[:seeds], by_network[seeds:], equal_var=False)
            if len(rows) == 2
            else stats.ttest_1samp(by_network[:seeds], 0)
        )
        out.append(pair.pvalue)
    return out


def rates(
    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]],
    seeds: int,
    runs: int,
    seed: int,
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = np.array([p_values(*draw(rng), seeds) for _ in range(runs)])
    return 100 * (p <= ALPHA).mean(axis=0)


DESIGNS = ((20, 5, 3), (30, 8, 5), (60, 8, 5), (30, 20, 10))
KINDS: dict[
    str, tuple[Callable[..., tuple[np.ndarray, np.ndarray]], tuple[float, float, float], int]
] = {
    "spearman above swapped": (lambda *a: map_values("spearman", *a), (0.0, 0.5, 0.8), 1),
    "overlap above swapped": (lambda *a: map_values("overlap", *a), (0.0, 0.5, 0.8), 1),
    "kappa of errors": (choice_values, (0.0, 0.3, 0.6), 3),
}


def main() -> None:
    start, runs = time.perf_counter(), int(sys.argv[2]) if len(sys.argv) > 2 else 250
    lines = [
        "# Comparisons with people's maps and choices: error rates and power",
        "",
        (
            f"Per cent of {runs} simulated studies with p <= 0.05 (standard error"
            f" {100 * (0.05 * 0.95 / runs) ** 0.5:.1f} at 5). `python"
            " benchmarks/calibration_humanmaps.py`."
        ),
        (
            "crossed: the test that relstats makes; images, networks: t-tests that take the rest as"
            " fixed."
        ),
        "",
        (
            "| what | images | people | networks a level | question | crossed | images | networks |"
            " power (crossed) |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for k, (name, (values, (none, some, more), factor)) in enumerate(KINDS.items()):
        for n, people, seeds in DESIGNS:
            sizes = (n * factor, people, seeds)
            null = rates(lambda rng: values((some, some), *sizes, rng), seeds, runs, 10 * k)  # noqa: B023 - called at once
            zero = rates(lambda rng: values((none, some), *sizes, rng), seeds, runs, 10 * k + 1)  # noqa: B023
            planted = rates(
                lambda rng: values((more, some), *sizes, rng),  # noqa: B023
                seeds,
                runs // 2,
                10 * k + 2,
            )
            for question, at, found in (("a = b", 0, null), ("a = 0", 3, zero)):
                shown = " | ".join(f"{v:.1f}" for v in found[at : at + 3])
                lines.append(
                    f"| {name} | {' | '.join(map(str, sizes))} | {question} | {shown} |"
                    f" {planted[at]:.0f} |"
                )
                print(lines[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
