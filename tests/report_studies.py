"""Small studies with results, for the tests of reports."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

import relstats
from relstats.study import save, store, writing

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "\x1b[31mred",
    "{{7*7}}",
    "$x^2$",
    "[bold]",
    "=1+1",
    "@sum",
    "|a|*b*_c_`d`",
    "'; DROP",
    "</script><!--",
)


def analysed(path, *, models="2x2", seeds=3, images=8, size=16, regions=True):
    """A simulated study at `path` with a result of each kind that needs no people."""
    rng = np.random.default_rng(1)
    relstats.simulate(path, models=models, seeds=seeds, images=images, size=size, rng=rng)
    study = store.open_study(path)
    pixels = rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    writing.add_small_group(
        path,
        "images",
        xr.Dataset(
            {"pixels": (("image", "y", "x", "channel"), pixels)},
            {"image": study["relevance"]["image"].values},
        ),
        "pixels",
        force=True,
    )
    if regions:
        mask = np.zeros((2, size, size), bool)
        mask[0, : size // 2], mask[1, size // 2 :] = True, True
        writing.add_small_group(
            path,
            "regions",
            xr.Dataset(
                {"mask": (("region", "y", "x"), mask)},
                {"region": np.array(["top", "bottom"], object)},
            ),
            "r",
        )
    analyse(path)
    return path


def analyse(path):
    """Every analysis that the study supports, saved in it."""
    study = store.open_study(path)
    rng = np.random.default_rng(2)
    results = {
        "compare_pretrain_probability": lambda: relstats.compare(
            study, axis="pretrain", score="probability", n_swaps=99, rng=rng
        ),
        "compare_pretrain": lambda: relstats.compare(study, axis="pretrain", n_swaps=99, rng=rng),
        "compare_pretrain_spearman": lambda: relstats.compare(
            study, axis="pretrain", measure="spearman", n_swaps=99, rng=rng
        ),
        "stability": lambda: relstats.stability(study),
        "shared": lambda: relstats.shared(study, n_swaps=19, rng=rng),
        "regions_pretrain": lambda: relstats.regions(study, axis="pretrain", n_swaps=99, rng=rng),
    }
    for name, compute in results.items():
        try:
            result = compute()
        except relstats.errors.RelstatsError:
            continue
        writing.save_result(path, name, result.assign_attrs(seed=2, command=f"test of {name}"))


def labelled(path, labels, *, seeds=("s0", "s1"), size=6, maps=None, results=True):
    """A study whose models, levels, images and name are the given labels."""
    rng = np.random.default_rng(3)
    n = len(labels)
    maps = rng.standard_normal((n, len(seeds), n, size, size)) if maps is None else maps
    models = pd.DataFrame(
        {"model": list(labels), "pretrain": [labels[0]] * (n // 2) + [labels[-1]] * (n - n // 2)}
    )
    group = relstats.relevance_dataset(
        maps, models=models, images=list(labels)[: maps.shape[2]], seeds=list(seeds)
    )
    save.save_study(relstats.study(relevance=group, name=labels[0]), path)
    if results:
        analyse(path)
    return path
