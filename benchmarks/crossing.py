"""Two networks against 16 people: is the one better on all 92 images, and the other on the 12 human
faces, for images and people like these?

    python benchmarks/crossing.py --data FOLDER > benchmarks/results/crossing.md

Needs torch, `kriegeskorte92` and `mobilenet_v1_pair` in FOLDER. `--calibrate` adds the error rates
of the test of the interaction. Features are those of the last layer, averaged over pixels, of the
images at 160 x 160; RDMs are 1 - Pearson.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, stats

from relstats.human.rdms import bootstrap
from relstats.human.rdms.ceiling import noise_ceiling
from relstats.human.rdms.comparisons import compare_draws, compare_rdms
from relstats.human.rdms.dissimilarity import dissimilarities
from relstats.stats.inference.crossed import Inference, infer

ROOT = Path(__file__).parents[1]
NETWORKS = ("imagenet", "vggface2")
SIZE, DRAWS, STUDIES = 160, 1000, 400


def features(data: Path) -> dict[str, np.ndarray]:
    """Last-layer features of both networks, and the pixels: (image, feature)."""
    import torch

    sys.path.insert(0, str(ROOT / "examples" / "faces"))
    from finetune import prepared, pretrained

    torch.set_num_threads(1)
    images = np.load(data / "kriegeskorte92" / "stimuli_92.npz")["images"]
    pixels = torch.tensor(images).permute(0, 3, 1, 2).float()
    pixels = torch.nn.functional.interpolate(
        pixels, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False
    )
    pixels = pixels.permute(0, 2, 3, 1).numpy()
    found = {"pixels": pixels.reshape(len(pixels), -1)}
    for name in NETWORKS:
        network = pretrained(data / "mobilenet_v1_pair", name, 2).eval()
        with torch.inference_mode():
            found[name] = network.pool(network.features(prepared(pixels, name))).flatten(1).numpy()
    return found


def part(square: np.ndarray, images: np.ndarray) -> np.ndarray:
    return square[..., images, :][..., images][..., *np.triu_indices(len(images), 1)]


def as_square(rdms: np.ndarray, n: int) -> np.ndarray:
    squares = np.zeros((len(rdms), n, n))
    squares[:, *np.triu_indices(n, 1)] = rdms
    return squares + squares.transpose(0, 2, 1)


def crossed(
    by_person: np.ndarray, draws: dict[tuple[str, ...], np.ndarray], sizes: dict[str, int]
) -> Inference:
    """Test a mean over participants whose images are drawn in strata, each a factor.

    `by_person` is (participant,), `draws` has (draw, participant) for each set of strata that are
    drawn while the others stay.
    """
    n = len(by_person)
    total = {("participants",): float(by_person.var() / n)}
    for names, values in draws.items():
        total[names] = float(values.mean(axis=-1).var(ddof=1))
        total[*names, "participants"] = total[names] + float(values.var(axis=-1).mean() / n)
    parts = {
        names: sum(
            (-1) ** (len(names) - size) * total[tuple(sub)]
            for size in range(1, len(names) + 1)
            for sub in itertools.combinations(names, size)
        )
        for names in total
    }
    return infer(float(by_person.mean()), parts, sizes, 0.95)


@dataclass(frozen=True)
class Study:
    """RDMs as squares, (network, image, image) and (participant, image, image).

    Which images are of the small set.
    """

    models: np.ndarray
    people: np.ndarray
    small: np.ndarray

    def difference(self, images: np.ndarray, counts: np.ndarray, comparison: str) -> np.ndarray:
        """Agreement of the first network less that of the second, (draw, participant), on draws of
        some images.
        """
        found = compare_draws(
            part(self.models, images), part(self.people, images), counts, comparison
        )
        return found[:, 0] - found[:, 1]


def inferences(
    study: Study, comparison: str, n_draws: int, rng: np.random.Generator
) -> dict[str, Inference]:
    """Differences on all images and on the small set, and how they differ: images of both sets, and
    people, are random.
    """
    few = np.flatnonzero(study.small)
    rest = np.flatnonzero(~study.small)
    everything = np.concatenate([few, rest])
    drawn = {
        "few": bootstrap.image_draws(len(few), n_draws, rng)[0],
        "rest": bootstrap.image_draws(len(rest), n_draws, rng)[0],
    }
    once = {"few": np.ones((1, len(few))), "rest": np.ones((1, len(rest)))}
    on_all, on_few, on_rest = {}, {}, {}
    for names in ((), ("few",), ("rest",), ("few", "rest")):
        counts = [
            np.broadcast_to(
                (drawn if k in names else once)[k], (n_draws if names else 1, len(once[k][0]))
            )
            for k in once
        ]
        on_all[names] = study.difference(everything, np.concatenate(counts, axis=1), comparison)
        on_few[names] = study.difference(few, counts[0], comparison)
        on_rest[names] = study.difference(rest, counts[1], comparison)
    sizes = {"few": len(few), "rest": len(rest), "participants": len(study.people)}
    found = {}
    for name, values, of in (("few", on_few, ("few",)), ("rest", on_rest, ("rest",))):
        known = [np.isfinite(values[of]).all(axis=1)]
        found[name] = crossed(values[()][0], {of: values[of][known[0]]}, sizes)
    people = {"participants": len(study.people)}
    found |= {
        "all, fixed": crossed(on_all[()][0], {}, people),
        "few, fixed": crossed(on_few[()][0], {}, people),
    }
    simple = bootstrap.image_draws(len(everything), n_draws, rng)[0]
    values = study.difference(everything, simple, comparison)
    found["all"] = crossed(
        on_all[()][0],
        {("images",): values},
        {"images": len(everything), "participants": len(study.people)},
    )
    for name, other in (("all - few", on_all), ("rest - few", on_rest)):
        both = {names: other[names] - on_few[names] for names in on_few}
        draws = {
            names: both[names][np.isfinite(both[names]).all(axis=1)] for names in both if names
        }
        found[name] = crossed(both[()][0], draws, sizes)
    return found


def power(effect: float, found: Inference) -> float:
    """Of the two-sided t-test at 5 %, for a true difference, with the standard error and df that
    were found.
    """
    critical, shift = stats.t.ppf(0.975, found.df), effect / found.standard_error
    wrong_side = np.nan_to_num(
        stats.nct.cdf(-critical, found.df, shift)
    )  # NaN where it is 0 but for rounding
    return float(stats.nct.sf(critical, found.df, shift) + wrong_side)


def detectable(found: Inference, wanted: float = 0.8) -> float:
    """Smallest true difference that is found with this power."""
    return float(
        optimize.brentq(lambda effect: power(effect, found) - wanted, 0, 10 * found.standard_error)
    )


def images_needed(found: Inference, images: str, n: int, most: int = 2000) -> str:
    """Images of the kind for 80 % power at the difference found, with the same people: its variance
    over images falls as 1 / n.
    """
    for more in range(n, most + 1):
        error = np.sqrt(found.variances[images] * n / more + found.variances["participants"])
        if stats.nct.sf(stats.t.ppf(0.975, more - 1), more - 1, abs(found.estimate) / error) >= 0.8:
            return str(more)
    return f"more than {most}"


def line(what: str, found: Inference) -> str:
    return (
        f"| {what} | {found.estimate:+.3f} | [{found.lower:+.3f}, {found.upper:+.3f}] |"
        f" {found.p_value:.2g} | {found.df:.1f} | {detectable(found):.2f} |"
        f" {100 * power(abs(found.estimate), found):.0f} % |"
    )


def calibration(comparison: str) -> str:
    """How often the tests find a difference where there is none: two sets of images, two networks,
    people.
    """
    from calibration_rsa import Cell, study

    cell, p = Cell(92, 16, comparison=comparison), []
    for k in range(STUDIES):
        rng = np.random.default_rng([7, k])
        networks, people = study(cell, rng)
        small = np.arange(92) < 12
        found = inferences(
            Study(as_square(networks, 92), as_square(people, 92), small), comparison, 200, rng
        )
        p.append([found[name].p_value for name in ("few", "all - few", "rest - few")])
    rates = (np.array(p) <= 0.05).mean(axis=0)
    return (
        f"\nError rates at a nominal 5 %, {STUDIES} simulated studies of 12 + 80 images and 16"
        f" people in which both networks agree equally with people everywhere ({comparison};"
        f" standard error 1.1 points): on the 12, {100 * rates[0]:.1f} %; all less the 12,"
        f" {100 * rates[1]:.1f} %; the 80 less the 12, {100 * rates[2]:.1f} %."
    )


def print_comparison(
    comparison: str,
    rdms: np.ndarray,
    people: np.ndarray,
    groups: dict[str, np.ndarray],
    small: np.ndarray,
) -> None:
    """Agreement, differences and power by one way of comparing RDMs; `small`: human faces."""
    print(
        f"## {comparison}\n\n| images | ImageNet | VGGFace2 | pixels | noise ceiling |\n| --- |"
        " --- | --- | --- | --- |"
    )
    for name, images in groups.items():
        cells = " | ".join(
            f"{v:.3f}"
            for v in compare_rdms(part(rdms, images), part(people, images), comparison).mean(axis=1)
        )
        ceiling = noise_ceiling(part(people, images), comparison)
        print(f"| {name} | {cells} | {' to '.join(f'{v:.3f}' for v in ceiling)} |")
    found = inferences(Study(rdms[:2], people, small), comparison, DRAWS, np.random.default_rng(0))
    print(
        "\n| ImageNet less VGGFace2 | difference | 95 % interval | p | df | detectable with 80"
        " % power | power at the difference found |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, what in (
        ("all", "on all 92 images"),
        ("rest", "on the 80 that are no human faces"),
        ("few", "on the 12 human faces"),
        ("all - few", "on all 92 less on the 12"),
        ("rest - few", "on the 80 less on the 12"),
        ("all, fixed", "on these 92 images alone"),
        ("few, fixed", "on these 12 human faces alone"),
    ):
        print(line(what, found[name]))
    print("\nThe last two rows say something of people like these, and nothing of other images.")
    needed = images_needed(found["few"], "few", int(small.sum()))
    print(
        "\nHuman faces that would give 80 % power at the difference found on 12, with these 16"
        f" people: {needed}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calibrate", action="store_true")
    given = parser.parse_args()
    of = features(given.data)
    folder = given.data / "kriegeskorte92"
    people = np.load(folder / "human_rdms_92.npz")["rdms"].astype(float)
    labels = np.load(folder / "stimuli_92.npz")
    small = (labels["face"] > 0) & (labels["human"] > 0)
    rdms = as_square(
        np.array([dissimilarities(of[name]).rdm for name in (*NETWORKS, "pixels")]), len(small)
    )
    groups = {
        "92 images": np.arange(92),
        "24 faces": np.flatnonzero(labels["face"]),
        "12 human faces": np.flatnonzero(small),
    }
    print(
        "# Two networks and 16 people\n\nMade by `python benchmarks/crossing.py --data FOLDER"
        " --calibrate`.\n"
    )
    for comparison in ("spearman", "rho-a"):
        print_comparison(comparison, rdms, people, groups, small)
    if given.calibrate:
        print(calibration("corr"))


if __name__ == "__main__":
    main()
