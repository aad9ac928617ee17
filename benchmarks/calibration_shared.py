"""Error rates and power of every p-value of `shared`, and of what people do today, over simulated
maps.

    python benchmarks/calibration_shared.py

writes `benchmarks/results/calibration_shared.csv` and `.md`. Maps of 24 x 24 pixels; masks of the
top 10 %; 99 swaps. About five minutes on one core; `--studies 50` takes one. `--part K/N` runs
every N-th cell and adds it to the table.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from relstats.stats import shared_swaps, shared_tables
from relstats.stats.inference import adjust
from relstats.stats.maps import bits, consensus
from relstats.stats.maps.single import top_fraction
from relstats.stats.planning import planted

ALPHA, SIZE, FRACTION, RESAMPLES = 0.05, 24, 0.1, 99
PIXELS = SIZE * SIZE
RESULTS = Path(__file__).parent / "results"
ERROR, TODAY, POWER = "error", "today", "power"


@dataclass(frozen=True)
class Scenario:
    """Weights of unit-variance fields.

    Each network's map on an image is their sum with noise of weight 1.
    """

    about: str
    centre: float = 0.0  # the same on every image and in every network
    own: float = 0.0  # of a network, the same on every image
    smooth: float = 1 / 12
    image: float = 0.0  # of an image, in all networks that share
    sharing: tuple[
        int, ...
    ] = ()  # which field of the image each condition has; a negative one has none
    odd: bool = False  # the last network shares nothing


SCENARIOS = {
    "nothing": Scenario("maps have nothing in common"),
    "centre": Scenario("all maps prefer the centre", centre=1.2),
    "centre, strong": Scenario("all maps prefer the centre, strongly", centre=3.0),
    "own layouts": Scenario(
        "each network prefers the centre and pixels of its own", centre=1.2, own=1.5
    ),
    "smooth": Scenario("very smooth maps that prefer the centre", centre=1.2, smooth=1 / 5),
    "all but one": Scenario("all networks but one share", centre=1.2, image=1.5, odd=True),
    "within conditions": Scenario(
        "networks of a condition share, conditions do not", centre=1.2, image=1.5, sharing=(0, 1)
    ),
    "two of three": Scenario(
        "two conditions share, the third does not", centre=1.2, image=1.5, sharing=(0, 0, -1)
    ),
    "shared": Scenario("all networks share", centre=1.2, image=1.0),
    "shared, weak": Scenario("all networks share a little", centre=1.2, image=0.5),
}
NULLS = ("nothing", "centre", "centre, strong", "own layouts", "smooth")


def fields(
    scenario: Scenario, sizes: np.ndarray, images: int, rng: np.random.Generator
) -> np.ndarray:
    """Maps (network, image, pixel)."""
    n = int(sizes.sum())
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    centre = np.exp(-(y**2 + x**2) / (2 * 5.0**2))
    maps = planted.fields(n * images, SIZE, rng, smooth=scenario.smooth).reshape(
        n, images, SIZE, SIZE
    )
    maps = maps + scenario.centre * (centre - centre.mean()) / centre.std()
    if scenario.own:
        maps += scenario.own * planted.fields(n, SIZE, rng, smooth=scenario.smooth)[:, np.newaxis]
    kinds = np.repeat(scenario.sharing or np.zeros(len(sizes), int), sizes)
    if scenario.odd:
        kinds[-1] = -1
    common = planted.fields(images * len(sizes), SIZE, rng, smooth=scenario.smooth).reshape(
        -1, images, SIZE, SIZE
    )
    for network, kind in enumerate(kinds):
        maps[network] += (kind >= 0) * scenario.image * common[kind]
    return maps.reshape(n, images, PIXELS)


def p_values(
    masks: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Every p-value of `shared`, of masks (network, image, pixel): as there, without labels."""
    packed, images = bits.pack(masks), masks.shape[1]
    donors = consensus.swaps(RESAMPLES, len(masks), images, rng)
    z, core = consensus.swap_statistics(packed, donors, sizes, consensus.layout(masks.mean(axis=1)))
    agreement = shared_swaps._along(consensus.agreement_with_others(packed, sizes, PIXELS), donors)
    p_z, p_core, p_size = (
        shared_swaps.share_as_large(z),
        shared_swaps.share_as_large(core),
        shared_swaps.share_as_large(core.sum(axis=1)),
    )
    found = {
        "p_max_z": p_z[:1],
        "p_max_z_family": shared_tables._family_p(z.max(axis=1), z[0]),
        "p_max_z_bh": stats.false_discovery_control(p_z),
        "p_core (all)": p_core[:1, 0],
        "p_core (majority)": p_core[:1, 2],
        "p_core_family (majority)": shared_tables._family_p(
            core[:, :, 2].max(axis=1), core[0, :, 2]
        ),
        "p_value (all)": p_size[:1],
        "p_value (majority)": p_size[2:],
        "p_adjusted": adjust.holm(p_size),
        "p_network": shared_swaps.share_as_large(agreement)[-1:],
    }
    if len(sizes) > 1:
        conditions = shared_swaps.share_as_large(
            shared_swaps._swapped_conditions(packed, sizes, donors)
        )[2]
        found["p_every_condition (majority)"] = conditions.max(keepdims=True)
        found["p_condition of one (majority)"] = conditions[-1:]
    return found


def todays(masks: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What is done: the first image's counts against a binomial distribution, or against shifted
    masks.
    """
    n, count = len(masks), masks[:, 0].sum(axis=0)
    p = stats.binom.sf(count - 1, n, FRACTION)
    plane = masks[:, 0].reshape(n, SIZE, SIZE)
    place = (np.arange(SIZE) - rng.integers(0, SIZE, (n, 2, RESAMPLES, 1))) % SIZE
    moved = sum(
        mask[y[:, :, np.newaxis], x[:, np.newaxis]].astype(int)
        for mask, (y, x) in zip(plane, place, strict=True)
    )
    most = moved.max(axis=(1, 2))
    shifted = (1 + (most >= count.max()).sum()) / (RESAMPLES + 1)
    return {
        "binomial, pixel by pixel, BH": stats.false_discovery_control(p),
        "binomial, Bonferroni": np.minimum(p * PIXELS, 1),
        "shifted masks, largest count": np.array([shifted]),
    }


def kind_of(name: str, test: str) -> str | None:
    """Is rejecting an error here, power, or neither (the null is false, and not the question)?"""
    if name in NULLS:
        return ERROR
    if name == "all but one":
        return ERROR if test == "p_network" else None
    if name in ("within conditions", "two of three"):
        return ERROR if test.startswith(("p_every", "p_condition")) else None
    return POWER


def cell(
    name: str, sizes: tuple[int, ...], images: int, studies: int, seed: int
) -> list[dict[str, object]]:
    """Rates of one scenario and design."""
    rng = np.random.default_rng([seed, list(SCENARIOS).index(name), *sizes, images])
    rejected: dict[tuple[str, str], list[bool]] = {}
    for _ in range(studies):
        masks = top_fraction(
            fields(SCENARIOS[name], np.array(sizes), images, rng), FRACTION, "signed"
        )
        for test, p in p_values(masks, np.array(sizes), rng).items():
            kind = kind_of(name, test)
            if kind:
                rejected.setdefault((kind, test), []).append(bool((p <= ALPHA).any()))
        if name in NULLS:
            for test, p in todays(masks, rng).items():
                rejected.setdefault((TODAY, test), []).append(bool((p <= ALPHA).any()))
    return [
        {
            "kind": kind,
            "test": test,
            "scenario": name,
            "networks": "+".join(map(str, sizes)),
            "images": images,
            "studies": studies,
            "rate": np.mean(hits),
        }
        for (kind, test), hits in rejected.items()
    ]


def designs() -> list[tuple[str, tuple[int, ...], int]]:
    plain = list(itertools.product(NULLS, ((5,), (10,)), (30,)))
    others = [
        ("centre", (3,), 30),
        ("centre", (5,), 10),
        ("centre", (5,), 100),
        ("own layouts", (3, 7), 30),
    ]
    partial = [
        ("all but one", (5,), 30),
        ("within conditions", (5, 5), 30),
        ("within conditions", (2, 6), 30),
        ("two of three", (3, 3, 3), 30),
    ]
    power = [
        ("shared", (3,), 30),
        ("shared", (5,), 30),
        ("shared", (10,), 30),
        ("shared, weak", (5,), 30),
        ("shared, weak", (10,), 30),
    ]
    return plain + others + partial + power


def flagged(rows: pd.DataFrame) -> pd.Series:
    """Above the level by more than two Monte-Carlo standard errors."""
    return (rows["kind"] == ERROR) & (
        rows["rate"] > ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / rows["studies"])
    )


def markdown(table: pd.DataFrame) -> str:
    rows = [[str(v) for v in row] for row in table.itertuples(index=False)]
    return "\n".join(
        f"| {' | '.join(r)} |"
        for r in ([str(c) for c in table], ["---"] * len(table.columns), *rows)
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Lowest, mean and highest rate of each test over its cells, in percent.

    The mean is the rate over all their studies.
    """
    rows = rows.assign(flagged=flagged(rows), rate=100 * rows["rate"])
    grouped = rows.groupby("test", sort=False)
    out = grouped["rate"].agg(cells="size", lowest="min", mean="mean", highest="max").round(1)
    errors = {"flagged": grouped["flagged"].sum()} if (rows["kind"] == ERROR).all() else {}
    return out.assign(**errors).reset_index()


def report(rows: pd.DataFrame) -> str:
    parts = [
        "# Shared pixels: how often each p-value is at most 0.05\n",
        (
            f"In percent. Maps of {SIZE} x {SIZE} pixels, top {100 * FRACTION:g} %, {RESAMPLES}"
            " swaps. Flagged: an error rate above 5 % by more than two Monte-Carlo standard"
            " errors.\n"
        ),
    ]
    parts += [f"- {name}: {scenario.about}" for name, scenario in SCENARIOS.items()]
    for kind, title in ((ERROR, "Errors"), (TODAY, "Today's practice: errors"), (POWER, "Power")):
        part = rows[rows["kind"] == kind]
        wide = part.assign(
            rate=(100 * part["rate"]).round(1).astype(str)
            + np.where(flagged(part), " (flagged)", "")
        )
        wide["design"] = wide["networks"].astype(str) + " x " + wide["images"].astype(str)
        table = wide.pivot(index=["test", "scenario"], columns="design", values="rate").fillna("")
        columns = sorted(
            table.columns,
            key=lambda d: (
                d.count("+"),
                [int(p) for p in d.replace("+", " ").replace("x", " ").split()],
            ),
        )
        order = {test: k for k, test in enumerate(dict.fromkeys(part["test"]))}
        table = (
            table[columns]
            .reset_index()
            .sort_values("test", key=lambda t: t.map(order), kind="stable")
        )
        parts += [
            "",
            f"## {title}",
            "",
            markdown(summary(part)),
            "",
            "By design (networks x images; a plus between conditions):",
            "",
            markdown(table),
        ]
    studies = ", ".join(f"{n}" for n in sorted(set(rows["studies"])))
    return "\n".join(
        [*parts, "", f"{studies} studies a cell: `python benchmarks/calibration_shared.py`.", ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    path = RESULTS / "calibration_shared.csv"
    rows = pd.read_csv(path).to_dict("records") if part > 1 else []
    consensus.in_parallel = lambda task, parts: [
        task(each) for each in parts
    ]  # maps are small: threads would cost more
    for name, sizes, images in designs()[part - 1 :: parts]:
        start = time.perf_counter()
        rows += cell(name, sizes, images, given.studies, given.seed)
        pd.DataFrame(rows).to_csv(path, index=False)
        print(f"{name}, {sizes} x {images}: {time.perf_counter() - start:.0f} s", flush=True)
    path.with_suffix(".md").write_text(report(pd.read_csv(path)))


if __name__ == "__main__":
    main()
