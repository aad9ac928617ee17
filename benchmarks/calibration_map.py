"""Error rates and power of `map` over simulated studies, beside images as units.

    python benchmarks/calibration_map.py

writes `benchmarks/results/calibration_map.csv` and `.md`. About 5 minutes on one core; `--quick`
takes half a minute.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import pandas as pd
from scipy import stats

from relstats.stats.inference import adjust, clusters, fields, swaps
from relstats.stats.planning.planted import draw
from relstats.stats.planning.planted import fields as smooth_fields

ALPHA = 0.05
RESULTS = Path(__file__).parent / "results"
SIDE, IMAGES, RESAMPLES, FLIPS = 24, 50, 499, 199
#: Networks of each level in each stratum.
DESIGNS = {"3": (3, 1), "3 in 2 strata": (3, 2), "4": (4, 1), "5": (5, 1), "8": (8, 1)}


@dataclass(frozen=True)
class Scenario:
    """Standard deviation of a network's own field, and of its field on each image.

    `effect` is in standard deviations of the
    mean maps of networks, on a disc."""

    what: str
    exchangeable: bool = True
    network: float = 0.15
    network_image: float = 1.0
    distribution: str = "normal"
    spread: float = 1.0
    smooth: float = 1 / 12
    effect: float = 0.0


SCENARIOS = {
    "F0": Scenario("labels irrelevant; smooth fields"),
    "F1": Scenario("labels irrelevant; rough fields", smooth=1 / 40),
    "F2": Scenario(
        "labels irrelevant; sizes of networks' fields heavy-tailed (t, 3 df)",
        distribution="t3",
        network=0.3,
    ),
    "F3": Scenario(
        "means equal, networks of one level vary 3 times as much", False, spread=3.0, network=0.3
    ),
    "P1": Scenario(
        "planted: 3 standard deviations on a disc of 8 % of the pixels", False, effect=3.0
    ),
}


def disc() -> np.ndarray:
    """Where the effect is: (pixel,)."""
    y, x = np.mgrid[:SIDE, :SIDE] - 9
    return (np.hypot(y, x) < SIDE * np.sqrt(0.08 / np.pi)).ravel()


def study(s: Scenario, first: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Maps (network, image, pixel): what all share on an image, the network's own field, and that
    of both.
    """
    n = len(first)
    scale = (
        np.where(first, s.spread, 1.0) * draw(s.distribution, (n,), rng)
        if s.distribution != "normal"
        else np.where(first, s.spread, 1.0)
    )
    own = (
        s.network
        * scale[:, np.newaxis]
        * smooth_fields(n, SIDE, rng, smooth=s.smooth).reshape(n, -1)
    )
    common = smooth_fields(IMAGES, SIDE, rng, smooth=s.smooth).reshape(IMAGES, -1)
    noise = smooth_fields(n * IMAGES, SIDE, rng, smooth=s.smooth).reshape(n, IMAGES, -1)
    sd = np.sqrt(s.network**2 + s.network_image**2 / IMAGES)
    return (
        own[:, np.newaxis]
        + common
        + s.network_image * noise
        + s.effect * sd * (first[:, np.newaxis] & disc())[:, np.newaxis]
    )


def by_networks(
    maps: np.ndarray, first: np.ndarray, strata: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Significant pixels by each correction, (pixel,), as `differences` finds them."""
    means = maps.mean(axis=1, dtype=float)
    labels, _ = swaps.labelings(first, strata, n_swaps=RESAMPLES, max_exact=2000, rng=rng)
    estimate, error, df = fields.welch(means, first, strata)
    t = estimate / error
    threshold = float(stats.t.isf(0.005, len(first) - 2 * len(np.unique(strata))))
    largest = fields.swap_maxima(means, labels, strata, (SIDE, SIDE), threshold)
    image = t.astype(np.float32).reshape(SIDE, SIDE)
    names, mass = clusters.label_clusters(image, threshold)
    small = 1 + np.flatnonzero(fields.family_p(mass, largest[:, 2]) <= ALPHA)
    return {
        "max-T": fields.family_p(np.abs(image).ravel(), largest[:, 0]) <= ALPHA,
        "TFCE": fields.family_p(clusters.enhance(image).ravel(), largest[:, 1]) <= ALPHA,
        "cluster mass": np.isin(names.ravel(), small),
        "BH, Welch t": adjust.false_discovery(2 * stats.t.sf(np.abs(t), df)) <= ALPHA,
    }


def by_images(
    maps: np.ndarray, first: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The same where each image's difference of means counts as a case: t and BH.

    Sign flips with the largest |t|.
    """
    differences = (maps[first].mean(axis=0) - maps[~first].mean(axis=0)).astype(float)
    n = len(differences)
    squares = (differences**2).sum(axis=0)
    signs = np.concatenate([np.ones((1, n)), rng.choice([-1.0, 1.0], (FLIPS, n))])
    sums = signs @ differences
    t = np.abs(sums) / np.sqrt((squares - sums**2 / n) * n / (n - 1))
    p = 2 * stats.t.sf(t[0], n - 1)
    return {
        "images as units: sign-flip max-T": fields.family_p(t[0], t.max(axis=1)) <= ALPHA,
        "images as units: t, BH": adjust.false_discovery(p) <= ALPHA,
    }


def cell(name: str, design: str, n_studies: int, seed: int) -> list[dict[str, object]]:
    s, (n, n_strata) = SCENARIOS[name], DESIGNS[design]
    rng = np.random.default_rng([seed, list(SCENARIOS).index(name), list(DESIGNS).index(design)])
    first, strata = np.tile(np.arange(2 * n) < n, n_strata), np.repeat(np.arange(n_strata), 2 * n)
    found: dict[str, list[np.ndarray]] = {}
    for _ in range(n_studies):
        maps = study(s, first, rng)
        for test, mask in (
            by_networks(maps, first, strata, rng) | by_images(maps, first, rng)
        ).items():
            found.setdefault(test, []).append(mask)
    rows = []
    for test, masks in found.items():
        stack, planted = np.array(masks), disc()
        row = {"scenario": name, "design": design, "test": test, "studies": n_studies}
        if s.effect:
            rows.append({**row, "kind": "found", "rate": stack[:, planted].mean()})
            rows.append({**row, "kind": "outside", "rate": stack[:, ~planted].any(axis=1).mean()})
        else:
            today, sharp = test.startswith("images"), s.exchangeable or test.startswith("BH")
            kind = "today" if today else "error" if sharp else "outside its null"
            rows.append({**row, "kind": kind, "rate": stack.any(axis=1).mean()})
    return rows


def by_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Rates in percent, a column for each design; errors above 5 % + 2 SE are bold."""
    limit = ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / rows["studies"])
    bold = (rows["kind"] == "error") & (rows["rate"] > limit)
    table = rows.assign(
        text=[
            f"**{100 * r:.1f}**" if b else f"{100 * r:.1f}"
            for r, b in zip(rows["rate"], bold, strict=True)
        ]
    )
    for key in ("test", "scenario"):
        table[key] = pd.Categorical(table[key], table[key].unique(), ordered=True)
    wide = table.set_index(["test", "scenario", "design"])["text"].unstack("design")
    return (
        wide.reindex(columns=[d for d in DESIGNS if d in wide]).fillna("").reset_index().astype(str)
    )


def markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


INTRODUCTION = """# Error rates of `map`

Made by `python benchmarks/calibration_map.py`. Rates in percent, of {studies} simulated studies a
cell: fields of {side} x {side} pixels, {images} images. Columns are networks per level. An error is
any significant pixel, or pixel of a significant cluster, where levels do not differ. Bold: an error
above 5 % by more than two Monte-Carlo standard errors. Label swaps are enumerated up to 2000
labelings, otherwise {resamples} are sampled. Clusters are formed at p < .01.

"""

TITLES = {
    "error": "Any wrong pixel",
    "outside its null": "Label swaps outside their null, not errors but a warning",
    "today": "Images as units: any wrong pixel",
    "found": "Planted: share of the planted pixels that are significant",
    "outside": "Planted: studies with a significant pixel outside the planted disc",
}


def report(rows: pd.DataFrame) -> str:
    scenarios = pd.DataFrame(
        [(k, v.what) for k, v in SCENARIOS.items()], columns=["scenario", "what is drawn"]
    )
    studies = " or ".join(map(str, sorted(rows["studies"].unique())))
    text = INTRODUCTION.format(
        studies=studies, side=SIDE, images=IMAGES, resamples=RESAMPLES
    ) + markdown(scenarios)
    for kind, title in TITLES.items():
        some = rows[rows["kind"] == kind]
        text += f"\n## {title}\n\n{markdown(by_design(some))}" if len(some) else ""
    return text


def shown(rows: pd.DataFrame) -> dict[str, str]:
    """The tables of docs/statistics.md, by what they stand for."""
    return {kind: markdown(by_design(rows[rows["kind"] == kind])) for kind in TITLES}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="30 studies a cell, nothing written")
    parser.add_argument(
        "--tables", action="store_true", help="only write the tables of the .csv anew"
    )
    options = parser.parse_args()
    if options.tables:
        rows = pd.read_csv(RESULTS / "calibration_map.csv", dtype={"design": str})
    else:
        made = []
        for name in SCENARIOS:
            for design in DESIGNS:
                with dask.config.set(scheduler="synchronous"):
                    made += cell(
                        name, design, 30 if options.quick else options.studies, options.seed
                    )
            print(name, file=sys.stderr, flush=True)
        rows = pd.DataFrame(made)
    text = report(rows)
    print(text)
    if not options.quick:
        rows.to_csv(RESULTS / "calibration_map.csv", index=False)
        (RESULTS / "calibration_map.md").write_text(text)


if __name__ == "__main__":
    main()
