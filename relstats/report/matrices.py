"""Generalization matrices as a page shows them: rows are where maps come from, columns where they
are tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.report.facts import Network
from relstats.results.text import number, safe

#: Shades of a cell, besides none.
SHADES = 9


@dataclass(frozen=True)
class Cell:
    """One cell: its number in words, its shade from 0 to `SHADES - 1` (-1: no number), and the two
    networks it is of.
    """

    text: str
    shade: int
    source: int
    target: int
    more: str = ""


@dataclass(frozen=True)
class Matrix:
    """A square table of a result. `networks` where rows are networks, and not levels of an axis."""

    result: str
    title: str
    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    by_network: bool


def matrices(result: xr.Dataset, name: str, networks: tuple[Network, ...]) -> list[Matrix]:
    """The matrices of a comparison: of the levels of its axis, and of single networks where the
    result has them.

    Parameters
    ----------
    result : Dataset
        Of `compare`; of others there are none.
    name : str
        Of the result.
    networks : tuple of Network
        Of the study; cells name them by position.
    """
    if "cell_mean" not in result:
        return []
    found = [_of_levels(result, name, networks)]
    if "pair_mean" in result and "network_model" in result.coords:
        found.append(_of_networks(result, name, networks))
    return found


def _of_levels(result: xr.Dataset, name: str, networks: tuple[Network, ...]) -> Matrix:
    levels = [str(v) for v in result["source_level"].values]
    axis = str(result.attrs.get("axis"))
    first, second = [], []
    for level in levels:
        members = [k for k, n in enumerate(networks) if n.axes.get(axis) == level] or [-1]
        first.append(members[0])
        # two networks of one level, where it has them, or a cell on the diagonal would show one
        # map twice
        second.append(members[1] if len(members) > 1 else members[0])
    labels = [safe(v) for v in levels]
    means = result["cell_mean"].values
    title = f"levels of {safe(axis)}"
    return _matrix(name, title, labels, means, first, second, _notes(result), False)


def _notes(result: xr.Dataset) -> list[list[str]]:
    """The interval and the flag of each cell."""
    flags = result["cell_flag"].values if "cell_flag" in result else None
    n = result.sizes["source_level"]
    notes: list[list[list[str]]] = [[[] for _ in range(n)] for _ in range(n)]
    for i, j in np.ndindex(n, n):
        if "cell_ci" in result:
            notes[i][j].append(f"[{', '.join(number(b) for b in result['cell_ci'].values[i, j])}]")
        if flags is not None and flags[i, j]:
            notes[i][j].append(safe(flags[i, j]))
    return [[" ".join(parts) for parts in row] for row in notes]


def _of_networks(result: xr.Dataset, name: str, networks: tuple[Network, ...]) -> Matrix:
    models, seeds = (result[f"network_{dim}"].values.tolist() for dim in ("model", "seed"))
    pairs = list(zip(models, seeds, strict=True))
    place = {(n.model, n.seed): k for k, n in enumerate(networks)}
    where = [place.get(pair, -1) for pair in pairs]
    labels = [safe(f"{model}, seed {seed}") for model, seed in pairs]
    values = result["pair_mean"].values
    return _matrix(name, "single networks", labels, values, where, where, None, True)


def _matrix(
    name: str,
    title: str,
    labels: list[str],
    values: np.ndarray,
    sources: list[int],
    targets: list[int],
    more: list[list[str]] | None,
    by_network: bool,
) -> Matrix:
    low, high = (
        float(f(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0
        for f in (np.min, np.max)
    )
    rows = []
    for i, row in enumerate(values.tolist()):
        cells = []
        for j, value in enumerate(row):
            target = targets[j] if i == j else sources[j]
            text = _short(value, low, high) if by_network else number(value)
            cells.append(
                Cell(text, _shade(value, low, high), sources[i], target, more[i][j] if more else "")
            )
        rows.append(tuple(cells))
    return Matrix(name, title, tuple(labels), tuple(rows), by_network)


def _short(value: float, low: float, high: float) -> str:
    """Two digits where cells are many."""
    if not np.isfinite(value):
        return "–"
    if max(abs(low), abs(high)) >= 10:
        return number(value)
    return f"{value:z.2f}".replace("0.", ".")


def _shade(value: float, low: float, high: float) -> int:
    if not np.isfinite(value):
        return -1
    return 0 if high == low else round((value - low) / (high - low) * (SHADES - 1))
