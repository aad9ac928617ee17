"""Small results of every statistic, for tests of figures."""

from __future__ import annotations

import functools

import numpy as np
import xarray as xr

import relstats
from relstats.human import rdm, rsa
from relstats.human.behaviour import behaviour
from relstats.human.compare_human import compare_human
from relstats.human.human_maps import human_maps
from relstats.stats.sufficiency import sufficiency
from relstats.study import layout
from relstats.study.pairs import pair_labels


def rng():
    return np.random.default_rng(1)


def simulated(**options):
    chosen = {"models": "2x1", "seeds": 3, "images": 12, "size": 16} | options
    return relstats.simulate(**chosen, rng=rng())


@functools.cache
def study():
    """Two models of three networks, with masks of two regions, pixels and judgments of five
    people.
    """
    made = simulated()
    labels = made["relevance"]["image"].values
    masks = relstats.regions_dataset(np.arange(16) < np.full((1, 16, 1), 4), ["left"])
    pixels = rng().integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    images = xr.Dataset({"pixels": (("image", "y", "x", "channel"), pixels)}, {"image": labels})
    people = xr.Dataset(
        {"dissimilarity": (("participant", "pair"), rng().random((5, 66)).astype(np.float32))},
        {"participant": list("abcde"), **pair_labels(labels)},
    )
    return made.assign(
        regions=xr.DataTree(masks), images=xr.DataTree(images), human=xr.DataTree(people)
    )


def compared(**options):
    return relstats.compare(
        options.pop("study", study()),
        axis="pretrain",
        score="probability",
        n_swaps=99,
        rng=rng(),
        **options,
    )


def against_people():
    return rsa(study(), comparison="corr", n_draws=50, n_permutations=99, rng=rng())


def chosen():
    made, draws = simulated(images=30, size=8), rng()
    ids = made["relevance"]["image"].values
    maps = (
        made["relevance"]
        .to_dataset()
        .assign(correct=(("model", "seed", "image"), draws.integers(0, 2, (2, 3, 30))))
    )
    choices = xr.Dataset(
        {"choice": (("participant", "image"), draws.choice(["f", "m"], (4, 30)).astype(object))},
        {"participant": list("abcd"), "image": ids},
    )
    truth = xr.Dataset(
        coords={"image": ids, "sex": ("image", draws.choice(["f", "m"], 30).astype(object))}
    )
    made = made.assign(
        relevance=xr.DataTree(maps), behaviour=xr.DataTree(choices), images=xr.DataTree(truth)
    )
    return behaviour(made, label="sex", axis="pretrain", rng=draws)


def looked_at():
    made, draws = simulated(), rng()
    maps = np.abs(made["relevance"]["relevance"].values[0]) + draws.random((3, 12, 16, 16))
    people = xr.Dataset(
        {"map": (("participant", "image", "y", "x"), maps)},
        {"participant": list("abc"), "image": made["relevance"]["image"].values},
    )
    return human_maps(
        made.assign(human_maps=xr.DataTree(people)), axis="pretrain", ranking="absolute", rng=draws
    )


def masked():
    scores = 0.5 + 0.2 * rng().random((2, 3, 2, 4, 10))
    group = xr.Dataset(
        {
            "probability": ((*layout.NETWORK, "operation", "choice", "image"), scores),
            "area": ("image", np.full(10, 0.1)),
            "unmasked_probability": (
                (*layout.NETWORK, "image"),
                0.9 + 0.1 * rng().random((2, 3, 10)),
            ),
        },
        coords={
            "model": ["a", "b"],
            "seed": ["0", "1", "2"],
            "image": [f"{k}" for k in range(10)],
            "operation": list(layout.OPERATIONS),
            "choice": list(layout.CHOICES),
        },
        attrs={"sets_of": layout.OTHER_NETWORKS},
    )
    return sufficiency(group)


MAKERS = {
    "compare": compared,
    "agreement": lambda: compared(measure="spearman"),
    "three": lambda: compared(study=simulated(models="3x2", seeds=2)),
    "similarity": lambda: relstats.similarity(study()),
    "stability": lambda: relstats.stability(study()),
    "shared": lambda: relstats.shared(study(), n_swaps=19, rng=rng()),
    "regions": lambda: relstats.regions(study(), axis="pretrain", n_swaps=99, rng=rng()),
    "masses": lambda: relstats.regions(study(), measure="mass", rng=rng()),
    "strategies": lambda: relstats.strategies(
        simulated(images=30), axis="pretrain", n_swaps=99, rng=rng()
    ),
    "differences": lambda: relstats.differences(
        simulated(seeds=5), axis="pretrain", n_swaps=99, rng=rng()
    ),
    "sufficiency": masked,
    "behaviour": chosen,
    "human_maps": looked_at,
    "power": lambda: relstats.power_table([3, 5], [50, 100], effect=0.1),
    "rsa": against_people,
    "rdm": lambda: rdm(study()),
    "compare_human": lambda: compare_human(study(), axis="pretrain", n_draws=50, rng=rng()),
}


@functools.cache
def result(name):
    return MAKERS[name]()
