"""Whether a test can speak of other networks like those measured, and why not. Plain arrays."""

from __future__ import annotations

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference.contrasts import Contrasts

#: Networks that the smaller group of an unequal design needs. With two against ten, the degrees of
#: freedom rest on one difference, and p is below .05 in a tenth of studies without an effect.
MIN_OF_UNEQUAL = 3


def why_fixed(sizes: np.ndarray, missing: np.ndarray | None = None) -> str:
    """Why networks cannot count as random in a test.

    Parameters
    ----------
    sizes : ndarray of int, (group,)
        Networks of each group (level, or level in a stratum) that takes part.
    missing : ndarray of bool, (group,), optional
        Groups whose variance the design cannot estimate; by default those of one network.

    Returns
    -------
    str
        Empty where they can.

    Examples
    --------
    >>> why_fixed(np.array([3, 8])), why_fixed(np.array([2, 2]))
    ('', '')
    >>> why_fixed(np.array([2, 8]))
    'groups of 2 to 8 networks: unequal groups need 3 in the smallest'
    """
    if not len(sizes):
        return "no network takes part"
    missing = sizes < 2 if missing is None else missing
    if missing.any():
        n = int(sizes[missing].min())
        return f"a level has {n} network{'s' * (n != 1)}, and this needs {n + 1}"
    if sizes.min() != sizes.max() and sizes.min() < MIN_OF_UNEQUAL:
        return (
            f"groups of {sizes.min()} to {sizes.max()} networks: unequal groups need"
            f" {MIN_OF_UNEQUAL} in the smallest"
        )
    return ""


def require_seeds(plan: Contrasts) -> None:
    """One network of a level says nothing of others like it, however many images and people there
    are.
    """
    for pair, groups in zip(plan.pairs, plan.groups, strict=True):
        sizes = np.bincount(groups[groups >= 0])
        if 1 in sizes:
            name = pair[int(np.argmax(sizes == 1)) % 2]
            raise ImpossibleAnalysis(
                f"{'|'.join(pair)}: {name!r} has one network{' in a stratum' * bool(plan.within)},"
                f" so what is closer to people may be this network, not {name!r}. Train it from"
                " more seeds, or claim less: these networks, with --random images,participants"
            )
