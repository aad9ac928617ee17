"""Error rates of every p-value of `compare`, and of what people do today, over simulated studies.

    python benchmarks/calibration.py

writes `benchmarks/results/calibration.csv` and `.md`. Scores are drawn by
`relstats.stats.planning.planted` and analysed by `relstats.stats.inference.jackknife`, many studies
at a time on the axis of fractions: no function there mixes fractions, except the mean over them,
which is passed in as one more. About 15 minutes on one core; `--quick` takes a minute.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from relstats.stats import contrast_tests
from relstats.stats.inference import contrasts, jackknife, swaps
from relstats.stats.inference.moments import Moments, block_moments, normalised_scores
from relstats.stats.inference.operators import EFFECTS
from relstats.stats.planning import planted
from relstats.stats.planning.planted import Planted

ALPHA = 0.05
RESULTS = Path(__file__).parent / "results"
FRACTIONS = 3
SHARED = 0.7  # share of the variance between networks that is common to all fractions
RESAMPLES = 999
AT_ONCE = 2.5e7  # scores in memory
SIZES = [(n, images) for images in (50, 500) for n in (3, 5, 10)]
LARGE = (10, 500)  # not in every scenario
#: The gap that equals the default margin: 10 % of the mean within levels above the floor (which the
#: gap moves too).
AT_MARGIN = 0.1 * (Planted.base - Planted.floor) / 0.95


@dataclass(frozen=True)
class Scenario:
    """What is drawn.

    `cells`: factor on all random effects in each cell; `exchangeable`: labels are irrelevant.
    """

    what: str
    planted: Planted
    exchangeable: bool = False
    distribution: str = "normal"
    spread: float = 1.0
    cells: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 1.0), (1.0, 1.0))

    def nulls(self) -> list[str]:
        return [effect for effect, value in self.planted.effects().items() if value == 0]


#: Variances of LRP maps of networks trained on digits, in units of probability; nothing planted.
STRICT = Planted(
    source_effect=0.0,
    target_effect=0.0,
    specificity=0.0,
    sd_image=0.16,
    sd_source=0.022,
    sd_target=0.02,
    sd_pair=0.016,
    sd_source_image=0.128,
    sd_target_image=0.08,
    sd_level_image=0.0,
    sd_cell_image=0.0,
    sd_residual=0.107,
)
REAL = replace(STRICT, sd_level_image=0.096, sd_cell_image=0.08)
UNEQUAL = ((1.0, 2.0), (0.5, 1.5))
SCENARIOS = {
    "S0": Scenario("labels irrelevant", STRICT, True),
    "S1": Scenario("levels differ from image to image, not on average", REAL),
    "S2": Scenario(
        "networks vary three times as much",
        replace(STRICT, sd_source=0.072, sd_target=0.072, sd_pair=0.04),
        True,
    ),
    "S3": Scenario("networks of one level vary 3 times as much as the other's", STRICT, spread=3.0),
    "S4": Scenario("network effects heavy-tailed (t, 3 df)", STRICT, True, "t3"),
    "S5": Scenario("network effects skewed (exponential)", STRICT, True, "exponential"),
    "S6": Scenario("15 % of the networks fail", STRICT, True, "collapse"),
    "S9": Scenario(
        "one level is an easier target; source effect and gap are 0",
        replace(STRICT, target_effect=0.08),
    ),
    "S10a": Scenario(
        "cells vary unequally, levels by image, a gap; all else is 0",
        replace(REAL, specificity=0.08),
        spread=2.0,
        cells=UNEQUAL,
    ),
    "S10b": Scenario(
        "cells vary unequally, levels by image, source effect = target effect; asymmetry and gap"
        " are 0",
        replace(REAL, source_effect=0.06, target_effect=0.06),
        spread=2.0,
        cells=UNEQUAL,
    ),
    "P1": Scenario(
        "planted: source effect .06, target effect .04, gap .08; otherwise S1",
        replace(REAL, source_effect=0.06, target_effect=0.04, specificity=0.08),
    ),
    "P10": Scenario(
        "planted as P1, cells vary unequally as in S10",
        replace(REAL, source_effect=0.06, target_effect=0.04, specificity=0.08),
        spread=2.0,
        cells=UNEQUAL,
    ),
}
IN_LARGE = ("S0", "S1", "S2", "S10a", "S10b", "P1")
THREE_LEVELS = ("S0", "S1", "S3")
NORMALISED = ("S0", "S1")
NO_GAP = [name for name, scenario in SCENARIOS.items() if scenario.planted.specificity == 0]
PARTS = ("all", "normalised", "default margin")
SHOWN = ("S0", "S1", "S2", "S10a")  # in the table of today's practice in docs/statistics.md


def design(n: int, n_levels: int) -> contrasts.Contrasts:
    """What `compare` plans for n networks in each level."""
    level = np.repeat([f"level {k}" for k in range(n_levels)], n)
    networks = pd.DataFrame(
        {"model": level, "seed": np.arange(len(level)).astype(str), "axis": level}
    )
    return contrasts.plan(networks, "axis")


def studies(
    scenario: Scenario,
    level: np.ndarray,
    n_images: int,
    n_studies: int,
    rng: np.random.Generator,
    n_fractions: int,
) -> np.ndarray:
    """Scores (source, target, study, fraction, image).

    Where there are several fractions, the last is their mean.
    """
    p, n = scenario.planted, level.size
    fixed = planted.fixed_effects(level, p) + p.base
    factor = np.array(scenario.cells)[np.minimum(level, 1)[:, np.newaxis], np.minimum(level, 1)]
    out = np.empty((n, n, n_studies, n_fractions + (n_fractions > 1), n_images), np.float32)
    for s in range(n_studies):
        image = planted.image_effects(level, p, n_images, rng)
        random = (
            networks(scenario, level, n_fractions, rng)[..., np.newaxis] + image[:, :, np.newaxis]
        )
        random += p.sd_residual * rng.standard_normal((n, n, n_fractions, n_images), np.float32)
        out[:, :, s, :n_fractions] = (
            factor[..., np.newaxis, np.newaxis] * random + fixed[..., np.newaxis, np.newaxis]
        )
    if n_fractions > 1:
        out[..., -1, :] = out[..., :-1, :].mean(axis=-2)
    return out


def networks(
    scenario: Scenario, level: np.ndarray, n_fractions: int, rng: np.random.Generator
) -> np.ndarray:
    """Random effects of networks and pairs (source, target, fraction): part of them common to all
    fractions.
    """
    p, spread = scenario.planted, scenario.spread
    common = planted.network_effects(
        level, p, rng, distribution=scenario.distribution, spread=spread
    )[..., np.newaxis]
    if n_fractions == 1:
        return common
    own = [planted.network_effects(level, p, rng, spread=spread) for _ in range(n_fractions)]
    return np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * np.stack(own, axis=-1)


def moments_of(
    scores: np.ndarray, plan: contrasts.Contrasts
) -> tuple[Moments, list[tuple[int, str]]]:
    keys = [key for key in plan.operators if key[1] in plan.effects]
    flat = scores.reshape(*scores.shape[:2], -1, scores.shape[-1])
    return block_moments(flat, [plan.operators[key] for key in keys]), keys


def jackknife_p(
    scores: np.ndarray, plan: contrasts.Contrasts, truth: dict[str, float]
) -> dict[tuple[str, str], np.ndarray]:
    """p-values (study,) of each test and effect; of a family, the smallest adjusted one.

    And whether the interval covers.
    """
    moments, keys = moments_of(scores, plan)
    shape = (len(plan.pairs), *scores.shape[2:4])
    found: dict[tuple[str, str], np.ndarray] = {}
    for effect in plan.effects:
        p, pooled, covered = (np.empty(shape) for _ in range(3))
        for k, (c, name) in enumerate(keys):
            if name == effect:
                result = jackknife.two_way_jackknife(moments, k)
                p[c] = result.p_value[:-1].reshape(shape[1:])
                pooled[c] = (
                    jackknife.two_way_jackknife(moments, k, df="pooled")
                    .p_value[:-1]
                    .reshape(shape[1:])
                )
                covered[c] = ((result.lower <= truth[effect]) & (truth[effect] <= result.upper))[
                    :-1
                ].reshape(shape[1:])
        found["p_value", effect], found["p_value (df pooled)", effect] = (
            p[0, :, -1],
            pooled[0, :, -1],
        )
        found["coverage", effect] = covered[0, :, -1]
        if shape[0] > 1:
            found["p_adjusted", effect] = smallest_holm(p[..., -1].T)
        if shape[2] > 1:
            found["p_adjusted_by_fraction", effect] = smallest_holm(p[0, :, :-1])
    return found


def smallest_holm(p: np.ndarray) -> np.ndarray:
    """The smallest of each row of p-values after Holm's adjustment is the smallest times their
    number.
    """
    return np.minimum(p.min(axis=1) * p.shape[1], 1.0)


def equivalence_p(
    scores: np.ndarray, plan: contrasts.Contrasts
) -> dict[tuple[str, str], np.ndarray]:
    """The gap moved to a margin that is given, where a finding of equivalence is an error.

    A constant added to the cells moves the estimate by the gap that it makes and no variance, so
    moments are moved.
    """
    moments, keys = moments_of(scores, plan)
    moved = replace(moments, mean=moments.mean + AT_MARGIN)
    k = keys.index((0, "specificity"))
    p = jackknife.two_way_jackknife(moved, k, margin=AT_MARGIN).p_equivalence[:-1]
    return {("p_equivalence, margin given", "specificity"): p.reshape(scores.shape[2:4])[:, -1]}


def default_margin_p(
    scores: np.ndarray, plan: contrasts.Contrasts
) -> dict[tuple[str, str], np.ndarray]:
    """The same with the default margin, of scores with a gap of just that size."""
    names = ("specificity", contrasts.LESS_SHARE, contrasts.PLUS_SHARE)
    plan = replace(plan, operators={(0, name): plan.operators[0, name] for name in names})
    flat = scores[..., -1, :]
    moments = block_moments(flat, list(plan.operators.values()))
    p, _ = contrast_tests.equivalence(moments, plan, 0, None, Planted.floor, "satterthwaite")
    return {("p_equivalence, default margin", "specificity"): p[:-1]}


def swap_p(
    scores: np.ndarray, plan: contrasts.Contrasts, rng: np.random.Generator
) -> dict[tuple[str, str], np.ndarray]:
    """Label swaps; where they are a sample, studies of one batch share it."""
    n_studies, n_fractions = scores.shape[2:4]
    part = plan.groups[0] >= 0
    matrix = scores.mean(axis=-1, dtype=float).reshape(*scores.shape[:2], -1)
    strata = np.zeros(part.sum(), int)
    labels, exact = swaps.labelings(plan.groups[0][part] == 0, strata, n_swaps=RESAMPLES, rng=rng)
    effects = swaps.swap_effects(matrix[np.ix_(part, part)], labels, strata)
    effects = effects.reshape(len(labels), -1, n_studies, n_fractions)
    found = {
        ("p_swap", e): p
        for e, p in zip(EFFECTS, swaps.swap_p(effects[..., -1], exact), strict=True)
    }
    if n_fractions > 1:
        p_max = swaps.max_t_p(effects[..., :-1].reshape(len(labels), -1, n_fractions - 1))
        p_max = p_max.reshape(-1, n_studies, n_fractions - 1).min(axis=-1)
        found |= {("p_max_t_by_fraction", e): p for e, p in zip(EFFECTS, p_max, strict=True)}
    if len(plan.levels) > 2:
        result = swaps.omnibus(
            matrix, plan.level, np.zeros(len(part), int), n_swaps=RESAMPLES, rng=rng
        )
        tests = zip(
            ("source_effect", "target_effect", "specificity"),
            (result.p_source, result.p_target, result.p_gap),
            strict=True,
        )
        found |= {("p_omnibus", e): p for e, p in tests}
    return found


def normalised(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every study on its targets' own scales, with floors and ceilings that vary over networks and
    images.
    """
    n, _, n_studies, n_fractions, n_images = scores.shape
    out = np.empty(scores.shape)
    for s in range(n_studies):
        easy = 0.1 * rng.standard_normal(n_images)
        floor = Planted.floor + 0.02 * rng.standard_normal((n, n_fractions, 1)) + easy
        floor = floor + 0.1 * rng.standard_normal((n, n_fractions, n_images))
        full = (
            Planted.full
            + 0.02 * rng.standard_normal((n, 1))
            + easy
            + 0.05 * rng.standard_normal((n, n_images))
        )
        span = full.mean(axis=-1, keepdims=True) - floor.mean(axis=-1)
        ratio = (scores[:, :, s].mean(axis=-1, dtype=float) - floor.mean(axis=-1)) / span
        out[:, :, s] = normalised_scores(scores[:, :, s], floor, full, ratio, span)
    return out


def todays_p(
    scores: np.ndarray, n: int, rng: np.random.Generator
) -> dict[tuple[str, str], np.ndarray]:
    """Tests of the asymmetry that treat images, pairs of networks or all scores as independent."""
    mean = scores[..., -1, :].astype(float)
    ab, ba = mean[:n, n:], mean[n:, :n]
    images = (ab - ba.swapaxes(0, 1)).mean(axis=(0, 1))
    pairs = (ab - ba.swapaxes(0, 1)).mean(axis=-1)
    every = [np.moveaxis(cell, 2, 0).reshape(cell.shape[2], -1) for cell in (ab, ba)]
    n_images = images.shape[1]
    drawn = rng.multinomial(n_images, np.full(n_images, 1 / n_images), RESAMPLES) / n_images
    a, b = rng.multinomial(n, np.full(n, 1 / n), (2, RESAMPLES)) / n
    found = {
        "t over images (= repeated-measures ANOVA)": stats.ttest_1samp(images, 0, axis=1).pvalue,
        "t over pairs of networks": stats.ttest_1samp(pairs.reshape(n * n, -1), 0).pvalue,
        "Welch t over all scores": stats.ttest_ind(*every, equal_var=False, axis=1).pvalue,
        "bootstrap over images": percentile_p(images @ drawn.T),
        "bootstrap over networks": percentile_p(
            np.einsum("ra,abs,rb->sr", a, pairs, b, optimize=True)
        ),
    }
    return {(name, "asymmetry"): p for name, p in found.items()}


def percentile_p(resampled: np.ndarray) -> np.ndarray:
    """p-value of the percentile interval, of (study, resample)."""
    below = (resampled <= 0).mean(axis=1)
    return 2 * np.minimum(below, 1 - below)


def cell(
    name: str,
    n: int,
    n_images: int,
    n_studies: int,
    seed: int,
    *,
    n_levels: int = 2,
    part: str = "all",
) -> list[dict[str, object]]:
    """Rejection rates in one design: a row for each test and effect."""
    scenario, plan = SCENARIOS[name], design(n, n_levels)
    if part == "default margin":
        scenario = replace(scenario, planted=replace(scenario.planted, specificity=AT_MARGIN))
    rng = np.random.default_rng(
        [seed, list(SCENARIOS).index(name), n, n_images, n_levels, PARTS.index(part)]
    )
    n_fractions = 1 if n_levels > 2 or part == "normalised" else FRACTIONS
    per_study = (n * n_levels) ** 2 * n_images * (n_fractions + 1)
    batch = int(min(n_studies, 250, max(10, AT_ONCE // per_study)))
    hits: Counter[tuple[str, str]] = Counter()
    done = 0
    while done < n_studies:
        scores = studies(
            scenario, plan.level, n_images, min(batch, n_studies - done), rng, n_fractions
        )
        for key, p in analysed(scores, scenario, plan, n, rng, part).items():
            hits[key] += int(p.sum() if key[0] == "coverage" else (p <= ALPHA + 1e-12).sum())
        done += scores.shape[2]
    where = {"scenario": name, "levels": n_levels, "networks": n, "images": n_images}
    return [
        {
            **where,
            "test": test,
            "effect": effect,
            "kind": kind(test, effect, SCENARIOS[name]),
            "studies": done,
            "rate": hit / done,
        }
        for (test, effect), hit in hits.items()
    ]


def analysed(
    scores: np.ndarray,
    scenario: Scenario,
    plan: contrasts.Contrasts,
    n: int,
    rng: np.random.Generator,
    part: str,
) -> dict[tuple[str, str], np.ndarray]:
    truth = scenario.planted.effects()
    if part == "default margin":
        return default_margin_p(scores, plan)
    if part == "normalised":
        found = jackknife_p(normalised(scores, rng), plan, truth)
        return {
            ("p_value_normalised", effect): p
            for (test, effect), p in found.items()
            if test == "p_value"
        }
    found = jackknife_p(scores, plan, truth) | swap_p(scores, plan, rng)
    if len(plan.levels) == 2:
        found |= todays_p(scores, n, rng)
        if scenario.planted.specificity == 0:
            found |= equivalence_p(scores, plan)
    return found


def kind(test: str, effect: str, scenario: Scenario) -> str:
    """What a rate means: an error that has to be 5 %, one outside the claim of the test, coverage,
    or power.
    """
    if test == "coverage":
        return "coverage"
    if effect not in scenario.nulls():
        return "power"
    if test.startswith(("t over", "Welch", "bootstrap")):
        return "today"
    if test in ("p_swap", "p_max_t_by_fraction", "p_omnibus") and not scenario.exchangeable:
        return "outside its null"
    return "error"


def plan_of_cells(n_studies: int) -> Iterable[tuple[str, int, int, int, int, str]]:
    """Scenario, networks, images, studies, levels, part.

    The small designs first, and twice as often.
    """
    for n, n_images in SIZES:
        size = n, n_images, 2 * n_studies if n * n_images <= 250 else n_studies
        for name in SCENARIOS:
            if (n, n_images) != LARGE or name in IN_LARGE:
                yield name, *size, 2, "all"
        if (n, n_images) != LARGE:
            yield from ((name, n, n_images, n_studies, 3, "all") for name in THREE_LEVELS)
            yield from ((name, n, n_images, n_studies, 2, "normalised") for name in NORMALISED)
            yield from ((name, n, n_images, n_studies, 2, "default margin") for name in NO_GAP)


def rm_anova_is_t(n_studies: int, seed: int) -> float:
    """The largest relative difference of F of pingouin's repeated-measures ANOVA over images and
    the squared t.
    """
    import pingouin

    scores = studies(
        SCENARIOS["S1"], design(3, 2).level, 50, n_studies, np.random.default_rng(seed), 1
    )[..., 0, :]
    worst = 0.0
    for s in range(n_studies):
        ab, ba = (
            part[:, :, s].mean(axis=(0, 1), dtype=float)
            for part in (scores[:3, 3:], scores[3:, :3])
        )
        table = pd.DataFrame(
            {
                "y": np.r_[ab, ba],
                "direction": np.repeat(["ab", "ba"], 50),
                "image": np.tile(np.arange(50), 2),
            }
        )
        f = pingouin.rm_anova(table, dv="y", within="direction", subject="image")["F"].iloc[0]
        worst = max(worst, abs(f / stats.ttest_rel(ab, ba).statistic ** 2 - 1))
    return worst


def standard_error(studies: pd.Series) -> pd.Series:
    """Monte-Carlo standard error of a rate that is 5 %."""
    return np.sqrt(ALPHA * (1 - ALPHA) / studies)


def flagged(rows: pd.DataFrame) -> pd.DataFrame:
    """Error rates above 5 % by more than two Monte-Carlo standard errors, and by how many."""
    errors = rows[rows["kind"] == "error"]
    excess = (errors["rate"] - ALPHA) / standard_error(errors["studies"])
    return errors.assign(excess=excess)[excess > 2].sort_values("excess", ascending=False)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each test: its cells, the range of its rates, and how many cells are flagged."""
    table = rows.groupby("test", sort=False)["rate"].agg(
        cells="size", lowest="min", median="median", highest="max"
    )
    table = table.assign(
        flagged=flagged(rows).groupby("test").size().reindex(table.index, fill_value=0)
    )
    return table.assign(
        **{c: table[c].map(percent) for c in ("lowest", "median", "highest")}
    ).reset_index()


def percent(rate: float) -> str:
    return "" if np.isnan(rate) else f"{100 * rate:.1f}"


def by_design(rows: pd.DataFrame, *index: str) -> pd.DataFrame:
    """Rates in percent: a column for each number of networks and images.

    Errors above 5 % + 2 SE are bold.
    """
    bold = set(flagged(rows).index)
    text = [
        f"**{percent(rate)}**" if i in bold else percent(rate) for i, rate in rows["rate"].items()
    ]
    design = [f"{n} x {images}" for n, images in zip(rows["networks"], rows["images"], strict=True)]
    keys, columns = list(index), list(dict.fromkeys(design))
    table = rows.assign(text=text, design=design)
    for key in keys:  # in the order of the run, not of the alphabet
        table[key] = pd.Categorical(table[key], table[key].unique(), ordered=True)
    table = table.set_index([*keys, "design"])["text"].unstack("design")
    return table.reindex(columns=columns).fillna("").reset_index().astype(str)


def markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def report(rows: pd.DataFrame) -> str:
    """All tables, as Markdown."""
    two, errors = rows[rows["levels"] == 2], rows[rows["kind"] == "error"]
    above, sizes = flagged(rows), sorted(rows["studies"].unique())
    chance = int(np.ceil(len(errors) * stats.norm.sf(2)))
    parts = [
        INTRODUCTION.format(
            sizes=" or ".join(map(str, sizes)),
            se=" or ".join(f"{100 * e:.2f}" for e in standard_error(pd.Series(sizes))),
            resamples=RESAMPLES,
        ),
        markdown(
            pd.DataFrame(
                [(k, v.what, "yes" if v.exchangeable else "no") for k, v in SCENARIOS.items()],
                columns=["scenario", "what is drawn", "labels exchangeable"],
            )
        ),
        "\n## Errors, all tests\n\nOver scenarios, designs and effects whose truth is 0.\n\n"
        + markdown(summary(errors)),
        f"\n## Flagged: above 5 % + 2 SE\n\n{len(above)} of {len(errors)} cells; about {chance} are"
        " expected by chance if every error were exactly 5 %.\n\n"
        + markdown(
            above.drop(columns=["kind"]).assign(
                rate=above["rate"].map(percent), excess=above["excess"].map("{:.1f} SE".format)
            )
        ),
    ]
    for test in errors[errors["levels"] == 2]["test"].unique():
        part = errors[(errors["test"] == test) & (errors["levels"] == 2)]
        parts.append(f"\n## {test}\n\n" + markdown(by_design(part, "effect", "scenario")))
    parts.append(
        "\n## Three levels\n\n"
        + markdown(by_design(errors[errors["levels"] == 3], "test", "effect", "scenario"))
    )
    for title, which in (
        ("Label swaps outside their null: not errors, a warning", "outside its null"),
        ("Today's practice: errors for the asymmetry", "today"),
        ("Coverage of 95 % intervals", "coverage"),
        ("Power", "power"),
    ):
        part = two[two["kind"] == which]
        if which == "power":
            part = part[
                part["scenario"].isin(["P1", "P10"])
                & part["test"].isin(["p_value", "p_value (df pooled)", "p_swap"])
            ]
        if len(part):
            parts.append(
                f"\n## {title}\n\n" + markdown(by_design(part, "test", "effect", "scenario"))
            )
    return "".join(parts)


INTRODUCTION = """# Error rates of `compare`, and of today's practice

Made by `python benchmarks/calibration.py`. Rates in percent at a nominal 5 %, of {sizes} simulated
studies a cell: Monte-Carlo standard error {se} points at 5 %. Columns are networks per level x
images. Bold: above 5 % by more than two standard errors. Families: three fractions (`by_fraction`,
correlated as one study's are), three levels (`p_adjusted`); their rate is that of any error in the
family. Label swaps are enumerated up to 20 000 labelings, otherwise {resamples} are sampled. 10
networks x 500 images is run in some scenarios only, and never with three levels, normalised, or
with the default margin of equivalence.

"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--reps", type=int, default=2000, help="studies a cell, and twice as many in small designs"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tenth of the studies, at most 5 networks; writes nothing",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tables", action="store_true", help="only write the tables anew from the .csv"
    )
    options = parser.parse_args()
    rows = pd.read_csv(RESULTS / "calibration.csv") if options.tables else simulated(options)
    text = report(rows)
    print(text)
    if not options.quick:
        rows.to_csv(RESULTS / "calibration.csv", index=False)
        (RESULTS / "calibration.md").write_text(text)
    print(
        "pingouin.rm_anova over images: F is the squared paired t, to"
        f" {rm_anova_is_t(5, options.seed):.0e} of it"
    )


def simulated(options: argparse.Namespace) -> pd.DataFrame:
    start, rows = time.monotonic(), []
    for name, n, n_images, n_studies, n_levels, part in plan_of_cells(options.reps):
        if options.quick and n > 5:
            continue
        n_studies = n_studies // 10 if options.quick else n_studies
        rows += cell(name, n, n_images, n_studies, options.seed, n_levels=n_levels, part=part)
        seconds = time.monotonic() - start
        print(
            f"{seconds:5.0f} s  {name} {n_levels} x {n}, {n_images} images",
            file=sys.stderr,
            flush=True,
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
