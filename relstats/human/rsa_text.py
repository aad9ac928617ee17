"""What `rsa` says beside its numbers: warnings and method."""

from __future__ import annotations

from typing import Any

import numpy as np

from relstats.human.evaluation import Evaluations
from relstats.human.rdms import ceiling
from relstats.human.reading import Data

REFERENCE = (
    "a bootstrap over crossed factors as in Schuett et al. 2023 (doi:10.7554/eLife.82566), with t"
    " and Satterthwaite's degrees of freedom; noise ceiling after Nili et al. 2014"
    " (doi:10.1371/journal.pcbi.1003553)"
)

FEW_IMAGES, FEW_SEEDS = 20, 5


def warnings(found: Evaluations, data: Data, weights: np.ndarray, comparison: str) -> list[str]:
    """What is wrong with the data or the design, a line each; weights are (model, network)."""
    seeds = (weights > 0).sum(axis=1)
    alone = [name for name, n in zip(data.groups, seeds, strict=True) if n == 1]
    checks = (
        (
            data.n_images < FEW_IMAGES,
            f"{data.n_images} images: below {FEW_IMAGES} all tests are conservative",
        ),
        (
            bool(alone),
            (
                f"one network of {', '.join(alone[:3])}: what is said is of these networks, not of"
                " models like these"
            ),
        ),
        (
            1 < seeds.min() < FEW_SEEDS,
            f"{seeds.min()} networks of a model: their variance is poorly known below {FEW_SEEDS}",
        ),
        (
            comparison == "cosine",
            "plain cosine of judgments is near 1 for any model: compare with the noise ceiling",
        ),
        (
            len(data.people) < ceiling.MIN_PARTICIPANTS,
            f"{len(data.people)} participant(s): the noise ceiling needs at least 3",
        ),
        (
            found.left_out > 0,
            f"{found.left_out} draws of images left out: somebody had nothing left to compare",
        ),
        (
            data.control is not None,
            (
                "partial agreement: no permutation of image labels keeps what models share with the"
                " controls"
            ),
        ),
        (
            data.control is not None and bool(np.isnan(data.people).any()),
            "partial noise ceiling: needs all pairs of all participants",
        ),
    )
    return [text for is_so, text in checks if is_so]


def method(data: Data, parameters: dict[str, Any]) -> str:
    """What was done, in sentences for a paper."""
    held = (
        "" if data.control is None else f", with {len(data.control)} control RDM(s) held constant"
    )
    missing = np.isnan(data.people).any()
    pairs = " Each participant was compared on the pairs judged." if missing else ""
    return (
        f"RDMs of {len(data.networks)} networks ({len(data.groups)} {parameters['by']}(s)) were"
        f" compared with those of {len(data.people)} participants over {data.n_images} images by"
        f" {parameters['comparison']}{held}, and averaged.{pairs} Standard errors,"
        f" {100 * float(parameters['confidence']):g} % intervals and p-values come from"
        f" {REFERENCE}, with {parameters['n_draws']} draws; p_mantel from"
        f" {parameters['n_permutations']} permutations of image labels."
    )
