"""Which networks a contrast over an axis compares: levels, strata, and the linear functionals of
the score matrix.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference.operators import (
    EFFECTS,
    Operator,
    contrast_operator,
    effect_weights,
    n_pairs,
)

SYMMETRIC_EFFECTS = ("specificity", "own_level_difference")
#: The default margin of equivalence, as a share of the mean within the two levels. The margin
#: varies with the data, so the gap less it, and the gap plus it, are contrasts of their own.
EQUIVALENCE_SHARE = 0.1
LESS_SHARE, PLUS_SHARE = "gap_less_share", "gap_plus_share"
#: Below this many networks in a level, an unbalanced design rejects too often.
MIN_UNBALANCED = 4


def unbalanced(sizes: np.ndarray) -> bool:
    """Whether groups of these sizes are unequal, and the smallest too small for that.

    Examples
    --------
    >>> unbalanced(np.array([3, 8])), unbalanced(np.array([4, 8])), unbalanced(np.array([3, 3]))
    (True, False, False)
    """
    return bool(sizes.min() != sizes.max() and sizes.min() < MIN_UNBALANCED)


@dataclass(frozen=True)
class Contrasts:
    """All pairs of levels of an axis, within strata.

    Attributes
    ----------
    pairs : list of (str, str)
        First and second level of each contrast, in alphabetical order.
    groups : ndarray of int, (contrast, network)
        2 x stratum for the first level, 2 x stratum + 1 for the second, -1 for a network that takes
        no part.
    level, stratum : ndarray of int, (network,)
        Of each network, whether it takes part or not.
    effects : tuple of str
        Effects that the measure can have.
    operators : dict
        (contrast, effect) and (source level, target level) to the functional, where the design has
        one; for equivalence also (contrast, `LESS_SHARE`) and (contrast, `PLUS_SHARE`).
    strata : list of str
        The strata that hold both levels of some contrast.
    warnings : tuple of str
    """

    axis: str
    levels: list[str]
    pairs: list[tuple[str, str]]
    groups: np.ndarray
    level: np.ndarray
    stratum: np.ndarray
    effects: tuple[str, ...]
    operators: dict[tuple[int, str] | tuple[str, str], Operator]
    strata: list[str]
    within: tuple[str, ...]
    pooled: tuple[str, ...]
    warnings: tuple[str, ...]


def plan(
    networks: pd.DataFrame,
    axis: str,
    *,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    symmetric: bool = False,
) -> Contrasts:
    """All contrasts over an axis.

    Parameters
    ----------
    networks : DataFrame
        One row a network: `model`, `seed`, and a column for each axis.
    axis : str
        Column whose levels are compared.
    within : sequence of str, optional
        Columns that define strata. Default: every other axis that varies, less `pool`.
    pool : sequence of str
        Axes that may differ within a stratum.
    symmetric : bool
        The measure has no direction.

    Raises
    ------
    UsageError
        No such axis.
    ImpossibleAnalysis
        One level only, or no stratum holds two.
    InvalidData
        Two contrasts would have the same name.

    Examples
    --------
    >>> networks = pd.DataFrame(
    ...     {"model": list("aabb"), "seed": list("0101"), "pretrain": ["i", "i", "v", "v"]}
    ... )
    >>> plan(networks, "pretrain").pairs
    [('i', 'v')]
    """
    if networks.empty:
        raise ImpossibleAnalysis(
            "there is no network, so there is nothing to compare. Add networks to the study"
        )
    axes = [c for c in networks.columns if c not in ("model", "seed")]
    require_axes(axes, [axis], "axis")
    require_axes(axes, list(within or ()), "within")
    require_axes(axes, list(pool), "pool")
    _require_apart(axis, within or (), pool)
    varying = [a for a in axes if a != axis and networks[a].nunique() > 1]
    chosen = tuple(a for a in (varying if within is None else within) if a not in pool)
    mixed = tuple(a for a in varying if a not in chosen)
    levels = sorted(networks[axis].unique())
    if len(levels) < 2:
        raise ImpossibleAnalysis(
            f"axis {axis!r} has one level, {levels[0]!r}: comparing needs two. Axes with more: "
            f"{', '.join(a for a in axes if networks[a].nunique() > 1) or 'none'}"
        )
    keys = [
        tuple(map(str, row)) for row in networks[list(chosen)].to_numpy()
    ]  # joined, two strata could read alike
    strata = sorted(set(keys))
    stratum = np.array([strata.index(key) for key in keys])
    level = np.array([levels.index(value) for value in networks[axis]])
    pairs, groups = _pair_groups(stratum, level, levels)
    if not pairs:
        raise ImpossibleAnalysis(
            f"axis {axis!r} is confounded with {', '.join(map(repr, chosen))}: at no level of it"
            f" are there two levels of {axis!r}, so their effects cannot be told apart. Mix them on"
            f" purpose with --pool {','.join(chosen)}"
        )
    _require_distinct_names(pairs)
    effects = SYMMETRIC_EFFECTS if symmetric else EFFECTS
    operators, missing = _operators(pairs, groups, effects)
    operators |= _cell_operators(np.where((groups >= 0).any(axis=0), stratum, -1), level, levels)
    notes = [*missing, *_design_warnings(pairs, groups, axis)]
    notes += [f"networks that differ on {a} are mixed: an effect may be one of {a}" for a in mixed]
    used = [" ".join(strata[s]) for s in sorted({int(g) // 2 for g in groups.ravel() if g >= 0})]
    return Contrasts(
        axis,
        levels,
        pairs,
        groups,
        level,
        stratum,
        effects,
        operators,
        used,
        chosen,
        mixed,
        tuple(notes),
    )


def require_one_scale(plan: Contrasts, n_classes: np.ndarray | None) -> None:
    """Refuse to average scores of networks that tell unlike numbers of classes apart.

    Parameters
    ----------
    plan : Contrasts
    n_classes : ndarray, (network,), optional
        Number of classes of each network.

    Raises
    ------
    ImpossibleAnalysis
        A contrast mixes them.
    """
    if n_classes is None:
        return
    for pair, groups in zip(plan.pairs, plan.groups, strict=True):
        kinds = sorted({int(n) for n in n_classes[groups >= 0]})
        if len(kinds) > 1:
            raise ImpossibleAnalysis(
                f"{'|'.join(pair)}: the networks tell {' and '.join(map(str, kinds))} classes"
                " apart, so their scores are not on one scale and their mean means nothing. Use"
                " --normalise target or chance, or choose one stratum"
            )


def require_axes(axes: list[str], wanted: list[str], option: str) -> None:
    """Refuse labels that models do not have, with the nearest of those that they have."""
    for name in wanted:
        if name not in axes:
            near = difflib.get_close_matches(name, axes)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"--{option} {name!r}: models have no such label; they have"
                f" {', '.join(axes) or 'none'}.{hint}"
            )


def _require_apart(axis: str, within: Sequence[str], pool: Sequence[str]) -> None:
    """An axis is compared, held fixed or mixed: two of these at once would leave one of them
    undone, unsaid.
    """
    for option, wanted, what in (("within", within, "held fixed"), ("pool", pool, "mixed")):
        if axis in wanted:
            raise UsageError(
                f"--{option} {axis!r}: its levels are compared, so they cannot be {what}. Name"
                " another axis"
            )
    both = [a for a in within if a in pool]
    if both:
        raise UsageError(
            f"{both[0]!r} is both in --within and in --pool: it is either held fixed or mixed."
            " Choose one"
        )


def _require_distinct_names(pairs: list[tuple[str, str]]) -> None:
    """A result is read by the name of its contrast: 'a' against 'b|c' would read as 'a|b' against
    'c'.
    """
    names = ["|".join(pair) for pair in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidData(
            f"{len(twice)} contrasts would have one name, {twice[0]!r}: which levels it compares"
            " could not be told. Rename the levels without '|'"
        )


def _pair_groups(
    stratum: np.ndarray, level: np.ndarray, levels: list[str]
) -> tuple[list[tuple[str, str]], np.ndarray]:
    pairs, rows = [], []
    for a, b in itertools.combinations(range(len(levels)), 2):
        both = set(stratum[level == a]) & set(stratum[level == b])
        if both:
            part = np.isin(stratum, list(both)) & np.isin(level, (a, b))
            pairs.append((levels[a], levels[b]))
            rows.append(np.where(part, 2 * stratum + (level == b), -1))
    return pairs, np.array(rows)


def _operators(
    pairs: list[tuple[str, str]], groups: np.ndarray, effects: tuple[str, ...]
) -> tuple[dict[tuple[int, str] | tuple[str, str], Operator], list[str]]:
    operators: dict[tuple[int, str] | tuple[str, str], Operator] = {}
    lacking: dict[str, list[str]] = {}
    for c, pair in enumerate(pairs):
        cells, compact = np.unique(groups[c], return_inverse=True)
        compact = compact - (cells[0] < 0)
        for effect in effects:
            weights = _in_each_stratum(effect_weights(effect), compact)
            if (_pairs_of(compact)[weights != 0] == 0).any():
                lacking.setdefault(effect, []).append("|".join(pair))
            else:
                operators[c, effect] = contrast_operator(compact, weights)
        if (c, "specificity") in operators:
            gap, share = (
                effect_weights("specificity"),
                EQUIVALENCE_SHARE * np.eye(2) / 2,
            )
            operators[c, LESS_SHARE] = contrast_operator(
                compact, _in_each_stratum(gap - share, compact)
            )
            operators[c, PLUS_SHARE] = contrast_operator(
                compact, _in_each_stratum(gap + share, compact)
            )
    notes = [
        f"{effect} cannot be estimated for {', '.join(names)}: it needs two networks in each level"
        " and stratum"
        for effect, names in lacking.items()
    ]
    return operators, notes


def _in_each_stratum(weights: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weights of two levels, the same in each stratum, averaged over strata."""
    n_strata = int(groups.max() + 1) // 2
    return np.kron(np.eye(n_strata), weights) / n_strata


def _pairs_of(groups: np.ndarray) -> np.ndarray:
    """Number of (source, target) pairs in each cell, self pairs left out."""
    return n_pairs(np.bincount(groups[groups >= 0]))


def _cell_operators(
    stratum: np.ndarray, level: np.ndarray, levels: list[str]
) -> dict[tuple[int, str] | tuple[str, str], Operator]:
    """Mean of each cell over the strata that have it.

    Networks that no contrast uses (stratum -1) are in no cell.
    """
    operators: dict[tuple[int, str] | tuple[str, str], Operator] = {}
    used = stratum >= 0
    groups = np.full(len(stratum), -1)
    cells, groups[used] = np.unique((stratum * len(levels) + level)[used], return_inverse=True)
    n_pairs = _pairs_of(groups)
    for a, b in itertools.product(range(len(levels)), repeat=2):
        same = cells[:, np.newaxis] // len(levels) == cells // len(levels)
        chosen = (
            same
            & (cells[:, np.newaxis] % len(levels) == a)
            & (cells % len(levels) == b)
            & (n_pairs > 0)
        )
        if chosen.any():
            operators[levels[a], levels[b]] = contrast_operator(groups, chosen / chosen.sum())
    return operators


def _design_warnings(pairs: list[tuple[str, str]], groups: np.ndarray, axis: str) -> list[str]:
    notes = []
    for pair, row in zip(pairs, groups, strict=True):
        sizes = np.unique(row[row >= 0], return_counts=True)[1]
        name = "|".join(pair)
        if sizes.min() < 2:
            notes.append(
                f"{name}: a level of {axis} has one network only, so nothing is known of other"
                " networks like it: no p, and an interval for these networks only"
            )
        elif sizes.min() < 3:
            notes.append(
                f"{name}: a level of {axis} has two networks, too few to estimate the variance of"
                " agreement within it: effects other than asymmetry have no p, and an interval for"
                " these networks only"
            )
        if unbalanced(sizes):
            notes.append(
                f"{name}: unbalanced ({sizes.min()} to {sizes.max()} networks a level) with fewer"
                f" than {MIN_UNBALANCED}: p-values are too small where networks vary unequally"
            )
    return notes
