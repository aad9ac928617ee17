"""Error rates of `regions` and coverage of `stability` over simulated studies, beside images or
pairs as units.

    python benchmarks/calibration_regions.py

writes `benchmarks/results/calibration_regions.csv` and `.md`. Many studies are analysed at once:
those of regions on the axis of features, those of stability on the axis of fractions. About 4
minutes on one core; `--quick` takes half a minute.
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

from relstats.stats import agreement_moments, stability
from relstats.stats.inference import adjust, networks, swaps
from relstats.stats.inference import jackknife as inference
from relstats.stats.inference.moments import Moments, block_moments
from relstats.stats.inference.operators import contrast_operator
from relstats.stats.maps import agreement
from relstats.stats.planning.planted import draw, fields

ALPHA = 0.05
RESULTS = Path(__file__).parent / "results"
REGIONS = 6
RESAMPLES = 999
AT_ONCE = 1.2e7
SIZES = [(n, images) for images in (50, 500) for n in (3, 5, 10)]


@dataclass(frozen=True)
class Regions:
    """Standard deviations of a region's score.

    `effect` is on the first region, and taken from the others.
    """

    what: str
    exchangeable: bool = True
    network: float = 0.02
    network_image: float = 0.06
    level_image: float = 0.0
    image: float = 0.08
    distribution: str = "normal"
    spread: float = 1.0
    effect: float = 0.0


REGION_SCENARIOS = {
    "R0": Regions("labels irrelevant"),
    "R1": Regions("levels differ from image to image, not on average", False, level_image=0.06),
    "R2": Regions("networks vary three times as much", network=0.06),
    "R3": Regions(
        "networks of one level vary 3 times as much as the other's", False, network=0.04, spread=3.0
    ),
    "R4": Regions("network effects heavy-tailed (t, 3 df)", distribution="t3", network=0.06),
    "R5": Regions("network effects skewed (exponential)", distribution="exponential", network=0.06),
    "P1": Regions("planted: .06 in one region; otherwise R1", False, level_image=0.06, effect=0.06),
}


def region_scores(
    s: Regions, n: int, n_images: int, n_studies: int, rng: np.random.Generator
) -> np.ndarray:
    """(network, study, region, image); the regions of each image add up to one."""
    level = np.repeat([0, 1], n)
    scale = np.where(level == 0, s.spread, 1.0) / np.sqrt((s.spread**2 + 1) / 2)
    shape = (2 * n, n_studies, REGIONS, 1)
    scores = (
        s.network * scale[:, np.newaxis, np.newaxis, np.newaxis] * draw(s.distribution, shape, rng)
    )
    scores = scores + s.image * rng.standard_normal((n_studies, REGIONS, n_images), np.float32)
    scores = scores + s.network_image * rng.standard_normal(
        (2 * n, n_studies, REGIONS, n_images), np.float32
    )
    if s.level_image:
        scores += (
            s.level_image
            * rng.standard_normal((2, n_studies, REGIONS, n_images), np.float32)[level]
        )
    scores -= scores.mean(axis=2, keepdims=True) - 1 / REGIONS
    scores[:n, :, 0] += s.effect
    scores[:n, :, 1:] -= s.effect / (REGIONS - 1)
    return scores


def region_tests(scores: np.ndarray, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Smallest p over the regions of each study, adjusted, by test."""
    groups = np.repeat([0, 1], n)
    flat = scores.reshape(2 * n, -1, scores.shape[-1])
    moments = networks.network_moments(
        flat, [networks.network_functional(groups, np.array([1.0, -1.0]))]
    )
    shape = scores.shape[1:3]
    found = {
        "p_adjusted (Holm)": two_way(moments, "satterthwaite").reshape(shape),
        "p_adjusted (df pooled)": two_way(moments, "pooled").reshape(shape),
    }
    labels, _ = swaps.labelings(groups == 0, np.zeros(2 * n, int), n_swaps=RESAMPLES, rng=rng)
    differences = networks.swapped_means(moments.matrix, labels, np.zeros(2 * n, int))
    max_t = np.array(
        [
            swaps.max_t_p(one[:, np.newaxis])[0]
            for one in np.moveaxis(differences.reshape(-1, *shape), 1, 0)
        ]
    )
    first, second = scores[:n].mean(axis=0, dtype=float), scores[n:].mean(axis=0, dtype=float)
    found["paired t over images (Holm)"] = stats.ttest_rel(first, second, axis=-1).pvalue
    everything = (np.moveaxis(part, 0, -1).reshape(*shape, -1) for part in (scores[:n], scores[n:]))
    found["Welch t over networks x images (Holm)"] = stats.ttest_ind(
        *everything, axis=-1, equal_var=False
    ).pvalue
    return {name: adjust.holm(p, axis=1) for name, p in found.items()} | {"p_max_t": max_t}


def two_way(moments: Moments, df: str) -> np.ndarray:
    return inference.two_way_jackknife(moments, 0, df=df).p_value


@dataclass(frozen=True)
class Agreement:
    """Standard deviations of the agreement of two networks around `mean`, on the scale of the
    scores.
    """

    what: str
    mean: float = 0.6
    network: float = 0.04
    pair: float = 0.02
    network_image: float = 0.06
    image: float = 0.1
    residual: float = 0.04
    distribution: str = "normal"


AGREEMENT_SCENARIOS = {
    "A0": Agreement("agreement has effects of networks, pairs and images"),
    "A1": Agreement("networks vary three times as much", network=0.12),
    "A2": Agreement(
        "network effects skewed (exponential)", network=0.12, distribution="exponential"
    ),
    "A3": Agreement("networks vary little, images much", network=0.01, image=0.2),
}


def agreements(
    s: Agreement, n: int, n_images: int, n_studies: int, rng: np.random.Generator
) -> np.ndarray:
    """(network, network, study, image), symmetric."""
    network = s.network * draw(s.distribution, (n, n_studies, 1), rng)
    own = (network + s.network_image * rng.standard_normal((n, n_studies, n_images))).astype(
        np.float32
    )
    pair = s.pair * rng.standard_normal((n, n, n_studies, 1)) + s.residual * rng.standard_normal(
        (n, n, n_studies, n_images), np.float32
    )
    upper = np.triu(np.ones((n, n)), 1)[..., np.newaxis, np.newaxis] * pair
    image = s.image * rng.standard_normal((n_studies, n_images))
    return s.mean + own[:, np.newaxis] + own + upper + upper.swapaxes(0, 1) + image


def covers(scores: np.ndarray, truth: float) -> dict[str, np.ndarray]:
    """Whether intervals hold the truth, (study,): ours, and t over images, over pairs, over pairs x
    images.
    """
    n = len(scores)
    moments = block_moments(scores, [contrast_operator(np.zeros(n, int), np.ones((1, 1)))])
    found = inference.two_way_jackknife(moments, 0)
    pairs = scores[np.triu_indices(n, 1)]
    today = {
        "t over images": pairs.mean(axis=0),
        "t over pairs of networks": pairs.mean(axis=-1).T,
        "t over pairs x images": np.moveaxis(pairs, 0, -1).reshape(pairs.shape[1], -1),
    }
    ours = (found.lower <= truth) & (truth <= found.upper)
    return {"two-way jackknife": ours[:-1]} | {
        name: stats.ttest_1samp(x, truth, axis=-1).pvalue > ALPHA for name, x in today.items()
    }


@dataclass(frozen=True)
class Maps:
    """Maps of 8 x 8 pixels: a layout, an image and noise.

    Networks differ in how much of the first two they show.
    """

    what: str
    image: float = 0.5
    layout: float = 0.3


MAP_SCENARIOS = {
    "M0": Maps("maps of a layout, an image and noise; spearman"),
    "M1": Maps("no image: all that maps share is the layout", image=0.0, layout=0.6),
}
SIDE = 8


def quality(n: int, rng: np.random.Generator) -> np.ndarray:
    return 0.5 + 0.4 * rng.random(n)


def maps_of(
    s: Maps, quality_: np.ndarray, n_images: int, layout: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(network, image, pixel)."""
    common = np.sqrt(s.layout) * layout + np.sqrt(s.image) * fields(n_images, SIDE, rng).reshape(
        n_images, -1
    )
    own = fields(len(quality_) * n_images, SIDE, rng).reshape(len(quality_), n_images, -1)
    return (
        quality_[:, np.newaxis, np.newaxis] * common
        + np.sqrt(1 - quality_[:, np.newaxis, np.newaxis] ** 2) * own
    )


def map_truth(
    s: Maps, layout: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean agreement of two new networks on a new image, and on two new images."""
    same, other = [], []
    for _ in range(draws // 50):
        vectors = np.stack(
            [
                agreement.unit_vectors(v, "spearman")
                for v in np.moveaxis(
                    np.concatenate(
                        [maps_of(s, quality(2, rng), 2, layout, rng) for _ in range(50)]
                    ),
                    1,
                    0,
                )
            ]
        )
        a, b = vectors[:, 0::2], vectors[:, 1::2]
        same.append((a * b).sum(axis=-1).mean())
        other.append((a * b[::-1]).sum(axis=-1).mean())
    return float(np.mean(same)), float(np.mean(other))


def map_study(
    s: Maps, n: int, n_images: int, layout: np.ndarray, rng: np.random.Generator
) -> tuple[inference.Jackknife, ...]:
    """Agreement, and what it has beyond that of different images, as `stability` computes them."""
    maps = maps_of(s, quality(n, rng), n_images, layout, rng)
    operator = [contrast_operator(np.zeros(n, int), np.ones((1, 1)))]
    total, same = agreement_moments.vector_sums("spearman", maps)
    swapped = stability.swapped_agreement(total, same, n_images)
    return tuple(
        inference.two_way_jackknife(m, 0)
        for m in agreement_moments.both_moments(
            "spearman", operator, total, swapped, n_images, maps
        )
    )


def region_rows(
    n_studies: int, seed: int, sizes: list[tuple[int, int]], only: list[str]
) -> list[dict[str, object]]:
    rows = []
    for name, s in REGION_SCENARIOS.items():
        for n, n_images in sizes if name in only else ():
            rng, start = (
                np.random.default_rng([seed, n, n_images, list(REGION_SCENARIOS).index(name)]),
                time.monotonic(),
            )
            batch, done, hits = int(max(10, AT_ONCE // (2 * n * REGIONS * n_images))), 0, {}
            while done < (wanted := n_studies if n_images < 500 else n_studies // 2):
                scores = region_scores(s, n, n_images, min(batch, wanted - done), rng)
                for test, p in region_tests(scores, n, rng).items():
                    wrong = p[:, 0] if s.effect else p.min(axis=1)
                    hits[test] = hits.get(test, 0) + int((wrong <= ALPHA + 1e-12).sum())
                done += scores.shape[1]
            rows += [
                {
                    "part": "regions",
                    "scenario": name,
                    "networks": n,
                    "images": n_images,
                    "test": test,
                    "kind": region_kind(s, test),
                    "studies": done,
                    "rate": hit / done,
                }
                for test, hit in hits.items()
            ]
            print(
                f"{time.monotonic() - start:5.1f} s  {name} {n} x {n_images}",
                file=sys.stderr,
                flush=True,
            )
    return rows


def region_kind(s: Regions, test: str) -> str:
    if " over " in test:
        return "today"
    if s.effect:
        return "power"
    return "error" if test != "p_max_t" or s.exchangeable else "outside its null"


def agreement_rows(
    n_studies: int, seed: int, sizes: list[tuple[int, int]]
) -> list[dict[str, object]]:
    rows = []
    for name, s in AGREEMENT_SCENARIOS.items():
        for n, n_images in sizes:
            rng, hits, done = np.random.default_rng([seed, n, n_images]), {}, 0
            batch = int(max(10, AT_ONCE // (n * n * n_images)))
            while done < n_studies:
                scores = agreements(s, n, n_images, min(batch, n_studies - done), rng)
                for test, inside in covers(scores, s.mean).items():
                    hits[test] = hits.get(test, 0) + int(inside.sum())
                done += scores.shape[2]
            rows += [
                {
                    "part": "stability",
                    "scenario": name,
                    "networks": n,
                    "images": n_images,
                    "test": test,
                    "kind": "coverage",
                    "studies": done,
                    "rate": hit / done,
                }
                for test, hit in hits.items()
            ]
        print(f"stability {name}", file=sys.stderr, flush=True)
    return rows


def map_rows(n_studies: int, seed: int, draws: int = 40_000) -> list[dict[str, object]]:
    rows = []
    for name, s in MAP_SCENARIOS.items():
        rng = np.random.default_rng([seed, 99])
        layout = fields(1, SIDE, rng).reshape(-1)
        truth, swapped = map_truth(s, layout, draws, rng)
        for n in (3, 5, 10):
            hits = {"agreement": 0, "above swapped": 0, "p_swapped": 0}
            for _ in range(n_studies):
                plain, above = map_study(s, n, 40, layout, rng)
                hits["agreement"] += bool(plain.lower[-1] <= truth <= plain.upper[-1])
                hits["above swapped"] += bool(above.lower[-1] <= truth - swapped <= above.upper[-1])
                hits["p_swapped"] += bool(above.p_value[-1] <= ALPHA)
            for test, hit in hits.items():
                kind = "coverage" if test != "p_swapped" else "error" if s.image == 0 else "power"
                rows.append(
                    {
                        "part": "maps",
                        "scenario": name,
                        "networks": n,
                        "images": 40,
                        "test": test,
                        "kind": kind,
                        "studies": n_studies,
                        "rate": hit / n_studies,
                    }
                )
        print(
            f"maps {name}: agreement {truth:.4f}, of different images {swapped:.4f}",
            file=sys.stderr,
            flush=True,
        )
    return rows


def by_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Rates in percent, a column for each number of networks x images.

    Errors above 5 % + 2 SE are bold.
    """
    limit = ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / rows["studies"])
    bold = ((rows["kind"] == "error") & (rows["rate"] > limit)) | (
        (rows["kind"] == "coverage") & (1 - rows["rate"] > limit)
    )
    text = [
        f"**{100 * r:.1f}**" if b else f"{100 * r:.1f}"
        for r, b in zip(rows["rate"], bold, strict=True)
    ]
    design = [f"{n} x {i}" for n, i in zip(rows["networks"], rows["images"], strict=True)]
    table = rows.assign(text=text, design=design)
    for key in ("test", "scenario"):
        table[key] = pd.Categorical(table[key], table[key].unique(), ordered=True)
    wide = table.set_index(["test", "scenario", "design"])["text"].unstack("design")
    return wide.reindex(columns=list(dict.fromkeys(design))).fillna("").reset_index().astype(str)


def markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


INTRODUCTION = """# Error rates of `regions` and `stability`

Made by `python benchmarks/calibration_regions.py`. Rates in percent, of {sizes} simulated studies a
cell. Columns are networks per level (of the model) x images. Bold: an error above 5 %, or a
coverage below 95 %, by more than two Monte-Carlo standard errors. Regions: a family of {regions}
regions that part the image; an error is any wrong region in the family. Label swaps are enumerated
up to 20 000 labelings, otherwise {resamples} are sampled.

"""


def report(rows: pd.DataFrame) -> str:
    sizes = " or ".join(map(str, sorted(rows["studies"].unique())))
    scenarios = REGION_SCENARIOS | AGREEMENT_SCENARIOS | MAP_SCENARIOS
    text = [
        INTRODUCTION.format(sizes=sizes, regions=REGIONS, resamples=RESAMPLES),
        markdown(
            pd.DataFrame(
                [(k, v.what) for k, v in scenarios.items()], columns=["scenario", "what is drawn"]
            )
        ),
    ]
    for title, part, kind in (
        ("Regions: any wrong region", "regions", "error"),
        (
            "Regions: label swaps outside their null, not errors but a warning",
            "regions",
            "outside its null",
        ),
        ("Regions: today's practice (P1: power)", "regions", "today"),
        ("Regions: power", "regions", "power"),
        ("Stability: coverage of 95 % intervals", "stability", "coverage"),
        ("Stability of maps: coverage of 95 % intervals", "maps", "coverage"),
        (
            "Stability of maps: p of agreement beyond other images, where there is none (M1)",
            "maps",
            "error",
        ),
        ("Stability of maps: power (M0)", "maps", "power"),
    ):
        some = rows[(rows["part"] == part) & (rows["kind"] == kind)]
        text.append(f"\n## {title}\n\n{markdown(by_design(some))}" if len(some) else "")
    return "".join(text)


def shown(rows: pd.DataFrame) -> dict[str, str]:
    """The tables of docs/statistics.md, by what they stand for."""
    few = rows["scenario"].isin(["R0", "R1", "A0", "A1"])
    jackknife = rows["test"] == "two-way jackknife"
    which = {
        "regions": (rows["part"] == "regions") & (rows["kind"] == "error"),
        "regions today": (rows["part"] == "regions") & (rows["kind"] == "today") & few,
        "stability": (rows["part"] == "stability") & (jackknife | few),
        "maps": (rows["part"] == "maps") & (rows["kind"] == "coverage"),
    }
    return {name: markdown(by_design(rows[some])) for name, some in which.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reps", type=int, default=2000)
    parser.add_argument(
        "--quick", action="store_true", help="few studies of small designs; writes nothing"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tables", action="store_true", help="only write the tables anew from the .csv"
    )
    parser.add_argument(
        "--only", nargs="+", default=list(REGION_SCENARIOS), help="scenarios of regions to run"
    )
    parser.add_argument(
        "--part", choices=("regions", "stability", "maps"), help="run only this part again"
    )
    options = parser.parse_args()
    reps, sizes = (100, SIZES[:2]) if options.quick else (options.reps, SIZES)
    parts = {
        "regions": lambda: region_rows(reps, options.seed, sizes, options.only),
        "stability": lambda: agreement_rows(reps, options.seed, sizes),
        "maps": lambda: map_rows(reps // 2, options.seed),
    }
    there = (RESULTS / "calibration_regions.csv").exists() and (options.tables or options.part)
    old = pd.read_csv(RESULTS / "calibration_regions.csv") if there else pd.DataFrame()
    run = [] if options.tables else [options.part] if options.part else list(parts)
    kept = (
        old[
            ~(
                old["part"].isin(run)
                & ((old["part"] != "regions") | old["scenario"].isin(options.only))
            )
        ]
        if len(old)
        else old
    )
    new = pd.DataFrame([row for part in run for row in parts[part]()])
    rows = pd.concat([kept, new], ignore_index=True) if len(new) else kept
    order = [*REGION_SCENARIOS, *AGREEMENT_SCENARIOS, *MAP_SCENARIOS]
    rows = rows.sort_values(
        "scenario", key=lambda name: name.map(order.index), kind="stable", ignore_index=True
    )
    text = report(rows)
    print(text)
    if not options.quick:
        rows.to_csv(RESULTS / "calibration_regions.csv", index=False)
        (RESULTS / "calibration_regions.md").write_text(text)


if __name__ == "__main__":
    main()
