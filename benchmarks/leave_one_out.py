"""Sets of pixels that networks share, shown to the networks that found them or to those that did
not: what is printed, and what new networks of the same population have.

    python benchmarks/leave_one_out.py > benchmarks/results/leave_one_out.md

Maps are a layout, what networks share on an image (a share rho of the variance), and what each has
alone; the score of a network is a base and what share of its own relevance is in the set that it is
shown. `--networks` adds small networks that are trained, which needs torch; a few minutes in all.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from relstats.compute.perturb.others import Marks, by_preference, donors
from relstats.stats.inference import jackknife, networks
from relstats.stats.maps import bits, consensus
from relstats.study.top_pixels import tie_order, top_count

ALPHA, SIZE, IMAGES, NEW, NEW_IMAGES, LEAST = 0.05, 12, 50, 20, 100, 5
SWAPS = 99
PIXELS = SIZE * SIZE
AGAINST = ("own", "image_swap", "random")
IN_SAMPLE, LEFT_OUT = "of all networks", "of the other networks"


@dataclass(frozen=True)
class Scenario:
    """What maps and scores have in common."""

    rho: float = 0.0  # share of a map's variance that all networks have on an image
    noise: float = 0.0  # sd of the score of a network, an image and a set
    layout: float = 0.5  # weight of what all maps have on every image
    own_layout: float = 0.5  # weight of what each network has on every image
    fraction: float = 0.3
    consensus: str = "majority"


SCENARIOS = {
    "nothing shared": Scenario(),
    "nothing shared, noise": Scenario(noise=0.1),
    "nothing shared, no layout": Scenario(layout=0.0, own_layout=0.0),
    "nothing shared, few pixels": Scenario(layout=1.0, consensus="most"),
    "rho .3": Scenario(rho=0.3),
}
DESIGNS = ((3,), (5,), (10,), (3, 3))


def maps(
    scenario: Scenario, number: int, common: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Maps of some networks (network, image, pixel), of images whose common part is given."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    centre = np.exp(-(y**2 + x**2) / (2 * 3.0**2)).ravel()
    values = rng.standard_normal((number, len(common), PIXELS)) * np.sqrt(1 - scenario.rho)
    values += np.sqrt(scenario.rho) * common
    values += scenario.layout * (centre - centre.mean()) / centre.std()
    values += scenario.own_layout * rng.standard_normal((number, 1, PIXELS))
    return values


def top(order: np.ndarray, area: np.ndarray) -> np.ndarray:
    """The first pixels of an order (..., pixel), larger first, as many as the area says; ties as in
    the package.
    """
    pixels = order.shape[-1]
    _, ranked = np.unique(order, return_inverse=True)
    key = ranked.reshape(order.shape) * pixels + pixels - 1 - tie_order(pixels)
    area = np.broadcast_to(area, order.shape[:-1])[..., np.newaxis]
    last = np.take_along_axis(np.sort(key, axis=-1), np.minimum(pixels - area, pixels - 1), -1)
    return (key >= last) & (area > 0)


def shares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's share of the positive relevance of a map (..., pixel), and the sum of the
    largest of them.
    """
    positive = np.maximum(values, 0)
    positive /= positive.sum(axis=-1, keepdims=True)
    return positive, np.cumsum(-np.sort(-positive, axis=-1), axis=-1)


@dataclass(frozen=True)
class Sets:
    """The shared set that each network is shown, and those of the same area that depend on no
    network's own map: (network, image, pixel).
    """

    shared: np.ndarray
    image_swap: np.ndarray
    random: np.ndarray


def sets_of(
    marks: Marks, images: np.ndarray, swaps: np.ndarray, rng: np.random.Generator, kind: str
) -> Sets:
    """Sets of all networks, the same for each, or of the others, as the package makes them."""
    scrambled, parts = rng.random((len(swaps), marks.counts.shape[-1])).argsort(axis=-1), []
    for network in range(len(marks.conditions)):
        at = marks.of_all if kind == IN_SAMPLE else partial(marks.of_others, network)
        shared, (elsewhere, counts) = at(images)[0], at(swaps)
        area = shared.sum(axis=-1)
        order = by_preference(elsewhere, counts, len(marks.conditions))
        parts.append((shared, top(order, area), scrambled < area[:, np.newaxis]))
    return Sets(*(np.array(part) for part in zip(*parts, strict=True)))


def gains(values: np.ndarray, sets: Sets) -> np.ndarray:
    """Score with the shared set less that with each other: (network, against, image)."""
    share, largest = shares(values)
    with_set, swapped, random = (
        np.einsum("nip,nip->ni", share, each)
        for each in (sets.shared, sets.image_swap, sets.random)
    )
    last = sets.shared.sum(axis=-1, keepdims=True) - 1
    own = np.take_along_axis(largest, last, -1)[..., 0]
    return with_set[:, np.newaxis] - np.stack([own, swapped, random], axis=1)


def new_gains(values: np.ndarray, sets: Sets) -> np.ndarray:
    """What networks that found no set gain by each of them, mean over all: (against,)."""
    means = [each.mean(axis=0) for each in shares(values)]
    alike = [np.broadcast_to(each, sets.shared.shape) for each in means]
    with_set, swapped, random = (
        np.einsum("nip,nip->ni", alike[0], each).mean()
        for each in (sets.shared, sets.image_swap, sets.random)
    )
    last = sets.shared.sum(axis=-1, keepdims=True) - 1
    own = np.take_along_axis(alike[1], last, -1).mean()
    return with_set - np.array([own, swapped, random])


def tested(gain: np.ndarray, conditions: np.ndarray) -> jackknife.Jackknife:
    """The inference of `sufficiency`: each condition counts the same."""
    n = int(conditions.max()) + 1
    functional = networks.network_functional(conditions, np.full(n, 1 / n))
    return jackknife.two_way_jackknife(networks.network_moments(gain, [functional]), 0)


def study(scenario: Scenario, sizes: Sequence[int], rng: np.random.Generator) -> list[dict]:
    """One simulated study: a row for each kind of sets and each comparison.

    The same networks find sets on other images, which new networks are shown.
    """
    conditions = np.repeat(np.arange(len(sizes)), sizes)
    common = rng.standard_normal((IMAGES + NEW_IMAGES, PIXELS))
    values = maps(scenario, len(conditions), common, rng)
    fresh = maps(scenario, NEW, common, rng)
    marks = Marks.empty(conditions, len(common), PIXELS, scenario.consensus)
    masks = top(values, np.array(top_count(scenario.fraction, PIXELS)))
    marks.fill(np.arange(len(common)), masks)
    rows = []
    for kind in (IN_SAMPLE, LEFT_OUT):
        of_study = swapped(marks, np.arange(IMAGES), rng, kind)
        elsewhere = swapped(marks, np.arange(IMAGES, len(common)), rng, kind)
        if min(len(of_study[0]), len(elsewhere[0])) < LEAST:
            continue
        shown = values[:, of_study[0]]
        gain = gains(shown, of_study[1])
        gain += scenario.noise * np.sqrt(2) * rng.standard_normal(gain.shape)
        new = new_gains(fresh[:, elsewhere[0]], elsewhere[1])
        rows += rows_of(kind, tested(gain, conditions), new)
    return rows


def swapped(
    marks: Marks, images: np.ndarray, rng: np.random.Generator, kind: str
) -> tuple[np.ndarray, Sets]:
    """Those of some images on which every network is shown a set, and the sets of each network."""
    number = range(len(marks.conditions))
    areas = (
        [marks.of_all(images)[0].sum(axis=-1)]
        if kind == IN_SAMPLE
        else [marks.of_others(m, images)[0].sum(axis=-1) for m in number]
    )
    kept = images[np.all(areas, axis=0)]
    if len(kept) < LEAST:
        return kept, Sets(*np.zeros((3, 0), bool))
    near = kept[donors(np.array(areas)[:, np.isin(images, kept)])]
    return kept, sets_of(marks, kept, rng.permuted(near, axis=1)[:, 0], rng, kind)


def rows_of(kind: str, result: jackknife.Jackknife, new: np.ndarray) -> list[dict]:
    """What is printed, and what new networks have, by comparison."""
    names = ("estimate", "p_value", "lower", "upper")
    return [
        {"sets": kind, "against": against, "new": new[k]}
        | {name: getattr(result, name)[k] for name in names}
        for k, against in enumerate(AGAINST)
    ]


def cell(name: str, sizes: Sequence[int], studies: int, seed: int) -> list[dict]:
    """Means over the studies of a scenario and a design."""
    rng = np.random.default_rng([seed, list(SCENARIOS).index(name), *sizes])
    rows = pd.DataFrame([row for _ in range(studies) for row in study(SCENARIOS[name], sizes, rng)])
    design = {"scenario": name, "networks": " + ".join(map(str, sizes))}
    return summary(rows, design) if len(rows) else []


def summary(rows: pd.DataFrame, design: dict[str, str]) -> list[dict]:
    """Estimate, what new networks have, how often p < .05, and how often the interval has the mean
    of new networks.
    """
    table = []
    for (kind, against), part in rows.groupby(["sets", "against"], sort=False):
        mean = part["new"].mean()
        table.append(
            {
                **design,
                "against": against,
                "sets": kind,
                "studies": len(part),
                "printed": f"{part['estimate'].mean():+.3f}",
                "new networks": f"{mean:+.3f}",
                "p < .05, %": rate(part["p_value"] < ALPHA),
                "coverage, %": rate(_holds(part, part["new"])),
                "of their mean, %": rate(_holds(part, mean)),
            }
        )
    return table


def _holds(part: pd.DataFrame, truth: pd.Series | float) -> pd.Series:
    return (part["lower"] <= truth) & (part["upper"] >= truth)


def rate(hits: pd.Series) -> str:
    """In percent, with its Monte-Carlo standard error."""
    p, n = float(hits.mean()), len(hits)
    return f"{100 * p:.1f} ± {100 * np.sqrt(p * (1 - p) / n):.1f}"


# --------------------------------------------------------------------------------------------------
# Prevalence: networks that are tested against each other


def prevalence(sizes: Sequence[int], sharing: int, studies: int, seed: int) -> dict:
    """How many networks agree with the consensus of the others, where only the first `sharing` of
    them share.
    """
    rng, n = np.random.default_rng([seed, *sizes, sharing]), int(sum(sizes))
    p = np.array([_agreement_p(sizes, sharing, rng) for _ in range(studies)])
    significant = p <= ALPHA
    bounds = [consensus.prevalence(int(row.sum()), n)[1] for row in significant]
    above = rate(pd.Series(np.array(bounds) > sharing / n)) if sharing else ""
    return {
        "networks": n,
        "of them share": sharing,
        "found, of those that share, %": _share(significant[:, :sharing]),
        "found, of those that do not, %": _share(significant[:, sharing:]),
        "two or more of those that do not, %": rate(
            pd.Series(significant[:, sharing:].sum(axis=1) >= 2)
        ),
        "as many if they were independent, %": f"{100 * stats.binom.sf(1, n - sharing, ALPHA):.1f}",
        "bound above the true share, %": above,
    }


def _agreement_p(sizes: Sequence[int], sharing: int, rng: np.random.Generator) -> np.ndarray:
    """`p_network` of each network of a study."""
    n, common = int(sum(sizes)), rng.standard_normal((IMAGES, PIXELS))
    alone = maps(Scenario(), n, common, rng)
    together = maps(Scenario(rho=0.5), n, common, rng)
    values = np.where((np.arange(n) < sharing)[:, np.newaxis, np.newaxis], together, alone)
    masks = bits.pack(top(values, np.array(top_count(0.1, PIXELS))))
    donors = consensus.swaps(SWAPS, n, IMAGES, rng)
    matrix, at = consensus.agreement_with_others(masks, np.array(sizes), PIXELS), np.arange(IMAGES)
    sums = np.array([matrix[m][donors[:, m], at].sum(axis=1) for m in range(n)])
    p: np.ndarray = (sums >= sums[:, :1]).mean(axis=1)
    return p


def _share(significant: np.ndarray) -> str:
    return f"{100 * significant.mean():.1f}" if significant.size else ""


# --------------------------------------------------------------------------------------------------
# Networks that are trained


def trained(pool: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, object]:
    """Small networks of one architecture and training set, all trained at once from seeds of their
    own: relevance (network, image, pixel), test images, classes, and the function that scores them.

    Images are noise with a faint pattern of their class, elsewhere in each image; the score is the
    probability of the true class, relevance is the gradient times the input.
    """
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    patterns = torch.randn(4, 4, 4)

    def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        classes = torch.arange(n) % 4
        pictures = torch.randn(n, SIZE, SIZE)
        for k, (y, x) in enumerate(torch.randint(0, SIZE - 3, (n, 2)).tolist()):
            pictures[k, y : y + 4, x : x + 4] += 0.9 * patterns[classes[k]]
        return pictures, classes

    hidden, (pictures, classes) = 8, drawn(1000)
    first = torch.randn(pool * hidden, 1, 4, 4).mul_(0.2).requires_grad_()
    offset = torch.zeros(pool * hidden, requires_grad=True)
    last = torch.randn(pool, hidden, 4).mul_(0.2).requires_grad_()

    def logits(shown: torch.Tensor) -> torch.Tensor:
        """Of pictures (network, picture, y, x): (network, picture, class)."""
        seen = torch.nn.functional.conv2d(shown.transpose(0, 1), first, offset, groups=pool).relu()
        pooled = seen.amax(dim=(2, 3)).view(len(seen), pool, hidden).transpose(0, 1)
        return pooled @ last

    optimiser = torch.optim.Adam([first, offset, last], lr=5e-3)
    for _ in range(250):
        batch = torch.randint(0, len(pictures), (pool, 32))  # each network its own
        out = logits(pictures[batch])
        loss = torch.nn.functional.cross_entropy(out.flatten(0, 1), classes[batch].flatten())
        optimiser.zero_grad()
        (pool * loss).backward()
        optimiser.step()
    test, truth = drawn(32)
    shown = test.expand(pool, -1, -1, -1).clone().requires_grad_()
    out = logits(shown)
    (gradient,) = torch.autograd.grad(out.gather(2, truth.expand(pool, -1)[..., None]).sum(), shown)
    relevance = (gradient * shown).detach().flatten(2).numpy()

    def scored(sets: np.ndarray) -> np.ndarray:
        """Probability of the true class of (network, picture) with only a set kept."""
        shown = np.broadcast_to(sets, relevance.shape).astype(np.float32)
        kept = test.flatten(1) * torch.from_numpy(shown)
        with torch.inference_mode():
            p = logits(kept.view(pool, -1, SIZE, SIZE)).softmax(2)
        return p.gather(2, truth.expand(pool, -1)[..., None])[..., 0].numpy()

    return relevance, test.numpy(), truth.numpy(), scored


def real_studies(n: int, studies: int, pool: int, seed: int) -> list[dict]:
    """Studies of n trained networks out of a pool; the others are new ones."""
    relevance, _, _, scored = trained(pool, seed)
    rng, images, rows = np.random.default_rng(seed), np.arange(relevance.shape[1]), []
    masks = top(relevance, np.array(top_count(0.2, PIXELS)))
    for _ in range(studies):
        chosen = rng.permutation(pool)[:n]
        marks = Marks.empty(np.zeros(n, int), len(images), PIXELS, "majority")
        marks.fill(images, masks[chosen])
        swaps = np.array([rng.choice(np.delete(images, k)) for k in images])
        new = np.setdiff1d(np.arange(pool), chosen)
        for kind in (IN_SAMPLE, LEFT_OUT):
            sets = sets_of(marks, images, swaps, rng, kind)
            gain = np.empty((n, len(AGAINST), len(images)))
            fresh = np.zeros(len(AGAINST))
            for m in range(n):
                area = np.broadcast_to(sets.shared[m].sum(axis=-1), masks.shape[:2])
                controls = (top(relevance, area), sets.image_swap[m], sets.random[m])
                kept = scored(sets.shared[m])
                differences = np.array([kept - scored(control) for control in controls])
                gain[m] = differences[:, chosen[m]]
                fresh += differences[:, new].mean(axis=(1, 2)) / n
            result = tested(gain, marks.conditions)
            rows += rows_of(kind, result, fresh)
    return summary(pd.DataFrame(rows), {"scenario": "trained", "networks": str(n)})


def markdown(rows: Sequence[dict]) -> str:
    """A table of rows that have the same columns."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*map(str, row.values())] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", action="store_true", help="train networks, too")
    given = parser.parse_args()
    print("# Sets that are shown to the networks that found them, or to others\n")
    print(
        "Made by `python benchmarks/leave_one_out.py --networks`. Printed: mean estimate of"
        " sufficiency (score with the shared set less that with another set of its area). New"
        " networks: the same of networks of the same population that found no set, shown what these"
        " networks share on other images (mean over studies); coverage is of that, study by study,"
        " and in the last column of its mean over studies. ± Monte-Carlo standard error.\n"
    )
    lines: list[str] = []
    for name, sizes in itertools.product(SCENARIOS, DESIGNS):
        made = markdown(cell(name, sizes, given.studies, given.seed)).splitlines()
        print("\n".join(made[2 * bool(lines) :]), flush=True)
        lines += made
    print(
        "\n## Prevalence\n\nEach network is tested against the others, which are tested against it."
        " Found: p_network at most .05. The lower bound of the prevalence should be above the true"
        " share of networks that share in 5 % of studies at most.\n"
    )
    designs = [((3,), 0), ((5,), 0), ((10,), 0), ((5,), 3), ((10,), 5), ((10,), 9)]
    print(markdown([prevalence(s, k, given.studies, given.seed) for s, k in designs]))
    if given.networks:
        print("\n## Networks that are trained\n")
        rows = [row for n in (3, 5) for row in real_studies(n, 30, 24, given.seed)]
        print(markdown(rows))


if __name__ == "__main__":
    main()
