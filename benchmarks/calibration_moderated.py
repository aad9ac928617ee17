"""Error rates and power of moderated variances in maps of differences, beside Welch's.

    python benchmarks/calibration_moderated.py

writes `benchmarks/results/calibration_moderated.csv` and `.md`. About 10 minutes on one core;
`--quick` takes half a minute.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from relstats.stats.inference import adjust, fields
from relstats.stats.inference.moderated import moderated

ALPHA = 0.05
RESULTS = Path(__file__).parent / "results"
SIDE, EFFECT = 24, 3.0
#: Networks of the levels in each stratum, and strata.
DESIGNS = {
    "2": (2, 2, 1),
    "3": (3, 3, 1),
    "3 in 2 strata": (3, 3, 2),
    "4": (4, 4, 1),
    "5": (5, 5, 1),
    "8": (8, 8, 1),
    "3 v 8": (3, 8, 1),
    "2 v 10": (2, 10, 1),
    "3 in 4 strata": (3, 3, 4),
}
TESTS = {"moderated, BH": moderated, "Welch, BH": fields.unpooled}


@dataclass(frozen=True)
class Scenario:
    """Mean maps of networks: a Gaussian field times the standard deviation of each pixel.

    `smooth` and `unequal_smooth` are standard deviations of a Gaussian kernel in pixels, of the
    field and of the log standard deviations; `unequal` is the standard deviation of these over
    pixels; `spread` is the first level's over the second's.
    """

    what: str
    smooth: float
    unequal: float = 0.0
    unequal_smooth: float = 1.0
    spread: float = 1.0
    zeros: float = 0.0
    holds: bool = True
    skewed: bool = False


SCENARIOS = {
    "M0": Scenario("smooth fields, pixels vary alike", 3),
    "M1": Scenario("very smooth fields (few effective pixels), pixels vary unequally", 5, 0.3, 2),
    "M2": Scenario("smooth fields, pixels vary very unequally", 3, 0.6, 1.5),
    "M3": Scenario("rough fields, pixels vary very unequally", 0.7, 0.6, 1.5),
    "M4": Scenario("networks of the first (smaller) level vary 3 times as much", 2, spread=3),
    "M5": Scenario("networks of the second (larger) level vary 3 times as much", 2, spread=1 / 3),
    "M6": Scenario("60 % of values are 0", 2, zeros=0.6),
    "M7": Scenario(
        "skewed (exponentials of fields), the first level varies 3 times as much",
        2,
        spread=3,
        holds=False,
        skewed=True,
    ),
}


def disc() -> np.ndarray:
    """Where the effect is, 8 % of the pixels: (pixel,)."""
    y, x = np.mgrid[:SIDE, :SIDE] - 9
    return (np.hypot(y, x) < SIDE * np.sqrt(0.08 / np.pi)).ravel()


def smoothed(n: int, kernel: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian fields of standard deviation 1: (field, pixel)."""
    noise = rng.standard_normal((n, SIDE, SIDE))
    field = ndimage.gaussian_filter(noise, (0, kernel, kernel), mode="wrap").reshape(n, -1)
    return field / _deviation(kernel)


@cache
def _deviation(kernel: float) -> float:
    impulse = np.zeros((SIDE, SIDE))
    impulse[0, 0] = 1
    return float(np.sqrt((ndimage.gaussian_filter(impulse, kernel, mode="wrap") ** 2).sum()))


def study(
    s: Scenario, first: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Maps (network, pixel) of levels that do not differ, and the standard deviation of each
    pixel.
    """
    maps = smoothed(len(first), s.smooth, rng)
    deviation = np.exp(s.unequal * smoothed(1, s.unequal_smooth, rng)[0])
    if s.skewed:
        maps = (np.exp(maps) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    if s.zeros:
        maps = np.where(maps > stats.norm.ppf(s.zeros), maps, 0.0)
    return maps * deviation * np.where(first, s.spread, 1.0)[:, np.newaxis], deviation


def significant(maps: np.ndarray, first: np.ndarray, strata: np.ndarray, test: str) -> np.ndarray:
    """Pixels of a small adjusted p, (pixel,), as `differences` finds them."""
    p = np.full(maps.shape[1], np.nan)
    known = ~fields.undefined(maps, first, strata)
    difference, error, df = fields.welch(maps[:, known], first, strata, TESTS[test])
    p[known] = 2 * stats.t.sf(np.abs(difference / error), df)
    return adjust.false_discovery(p) <= ALPHA


def cell(name: str, design: str, n_studies: int, seed: int) -> list[dict[str, object]]:
    s, (n_first, n_second, n_strata) = SCENARIOS[name], DESIGNS[design]
    rng = np.random.default_rng([seed, list(SCENARIOS).index(name), list(DESIGNS).index(design)])
    n, planted = n_first + n_second, disc()
    first, strata = np.tile(np.arange(n) < n_first, n_strata), np.repeat(np.arange(n_strata), n)
    outcomes: dict[str, list[tuple[float, float, float]]] = {test: [] for test in TESTS}
    for _ in range(n_studies):
        maps, deviation = study(s, first, rng)
        differing = maps + EFFECT * deviation * (first[:, np.newaxis] & planted)
        for test, rates in outcomes.items():
            null = significant(maps, first, strata, test)
            marked = significant(differing, first, strata, test)
            wrong = marked[~planted].sum() / max(1, marked.sum())
            rates.append((null.any(), marked[planted].mean(), wrong))
    rows = []
    for test, rates in outcomes.items():
        row = {"scenario": name, "design": design, "test": test, "studies": n_studies}
        kinds = ("error" if s.holds else "nobody holds", "found", "false")
        means = np.mean(rates, axis=0)
        rows += [
            {**row, "kind": kind, "rate": rate} for kind, rate in zip(kinds, means, strict=True)
        ]
    return rows


def by_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Rates in percent, a column for each design; errors above 5 % + 2 SE are bold."""
    limit = ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / rows["studies"])
    bold = (rows["kind"] == "error") & (rows["rate"] > limit)
    table = rows.assign(
        text=[
            f"**{100 * rate:.1f}**" if flagged else f"{100 * rate:.1f}"
            for rate, flagged in zip(rows["rate"], bold, strict=True)
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


INTRODUCTION = """# Moderated variances in maps of differences

Made by `python benchmarks/calibration_moderated.py`. Rates in percent, of {studies} simulated
studies a cell: mean maps of networks of {side} x {side} pixels. Columns are networks per level. An
error is any significant pixel where levels do not differ. Bold: an error above 5 % by more than two
Monte-Carlo standard errors. `differences` gives no p in the columns "2" and "2 v 10", and none by
Welch's test in "3 v 8".

"""

TITLES = {
    "error": "Any wrong pixel",
    "nobody holds": "Any wrong pixel where levels are skewed and vary unequally",
    "found": "A disc of 8 % at 3 standard deviations: share of its pixels that is significant",
    "false": "The same: share of the significant pixels that lies outside the disc",
}


def report(rows: pd.DataFrame) -> str:
    scenarios = pd.DataFrame(
        [(k, v.what) for k, v in SCENARIOS.items()], columns=["scenario", "what is drawn"]
    )
    studies = " or ".join(map(str, sorted(rows["studies"].unique())))
    text = INTRODUCTION.format(studies=studies, side=SIDE) + markdown(scenarios)
    for kind, table in shown(rows).items():
        text += f"\n## {TITLES[kind]}\n\n{table}"
    return text


def shown(rows: pd.DataFrame) -> dict[str, str]:
    """The tables of docs/statistics.md, by what they stand for."""
    return {kind: markdown(by_design(rows[rows["kind"] == kind])) for kind in TITLES}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="30 studies a cell, nothing written")
    parser.add_argument(
        "--tables", action="store_true", help="only write the tables of the .csv anew"
    )
    options = parser.parse_args()
    if options.tables:
        rows = pd.read_csv(RESULTS / "calibration_moderated.csv", dtype={"design": str})
    else:
        made = []
        for name in SCENARIOS:
            for design in DESIGNS:
                studies = 30 if options.quick else options.studies
                made += cell(name, design, studies, options.seed)
            print(name, file=sys.stderr, flush=True)
        rows = pd.DataFrame(made)
    text = report(rows)
    print(text)
    if not options.quick:
        rows.to_csv(RESULTS / "calibration_moderated.csv", index=False)
        (RESULTS / "calibration_moderated.md").write_text(text)


if __name__ == "__main__":
    main()
