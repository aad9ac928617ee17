"""What is left out of an analysis, counted and in words: images with NaN, maps that say nothing,
networks without relevance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relstats.errors import InvalidData


@dataclass(frozen=True)
class Tally:
    """What was left out of blocks of images, and why.

    `zero_maps` counts all-zero maps of each network, without NaN images.
    """

    images: int
    omitted_nan: int
    omitted_degenerate: int
    zero_maps: np.ndarray
    nan_cells: tuple[str, ...] = ()


def refuse_nan(cells: Sequence[str], where: str) -> None:
    """Raise InvalidData where there are cells with NaN, and name the first three."""
    if cells:
        raise InvalidData(
            f"{where}: NaN in {len(cells)} cell(s) (e.g. {'; '.join(cells[:3])}). Mend them, or"
            " leave these images out on purpose with --nan omit"
        )


def gather[Reduced](
    results: Sequence[tuple[Reduced | None, Tally]], nan: str, where: str
) -> tuple[list[Reduced], Tally]:
    """Results of all blocks that have one, and the total of what was left out.

    NaN is refused unless it may be omitted.
    """
    tallies = [tally for _, tally in results]
    if nan == "raise":
        refuse_nan([cell for tally in tallies for cell in tally.nan_cells], where)
    total = Tally(
        sum(tally.images for tally in tallies),
        sum(tally.omitted_nan for tally in tallies),
        sum(tally.omitted_degenerate for tally in tallies),
        np.sum([tally.zero_maps for tally in tallies], axis=0) if tallies else np.zeros(0, int),
    )
    return [value for value, _ in results if value is not None], total


def dead_networks(table: pd.DataFrame, tally: Tally, n_images: int) -> list[tuple[str, str]]:
    """(model, seed) of networks whose maps are all zero, on every image that has no NaN."""
    with_maps = n_images - tally.omitted_nan
    dead = (tally.zero_maps == with_maps) & (with_maps > 0)
    return [(model, seed) for model, seed in table.loc[dead, ["model", "seed"]].to_numpy()]


def omissions(tally: Tally, dead: Sequence[tuple[str, str]]) -> list[str]:
    """What was left out, in words."""
    named = ", ".join(" seed ".join(network) for network in dead[:3])
    counted = (
        (len(dead), f"network(s) left out: all their maps are zero ({named})"),
        (tally.omitted_nan, "image(s) left out for NaN"),
        (
            tally.omitted_degenerate,
            "image(s) left out: a map is all zero or constant, or has no pixel to rank",
        ),
    )
    return [f"{count} {what}" for count, what in counted if count]
