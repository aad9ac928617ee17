"""Variance over images, participants and seeds together: the k-factor bootstrap, by algebra.

Plain arrays.

V_A is the variance of an estimate where the factors of the set A are drawn anew. I_A = sum over B
in A of (-1)^(|A| - |B|) V_B, theta_A = I_A times n / (n - 1) of each of its factors, and the
variance is the sum over A of (-1)^(|A| + 1) theta_A, at least the largest theta of one factor (for
two factors: Schuett et al. 2023, doi:10.7554/eLife.82566). Estimates are means over participants
and seeds: their draws need no drawing.
"""

from __future__ import annotations

import numpy as np

from relstats.errors import ImpossibleAnalysis
from relstats.stats.inference.crossed import Parts

#: An RDM of fewer distinct images has too few pairs to be compared.
MIN_DISTINCT = 4
_MOST_REDRAWS = 1000


def image_draws(n_images: int, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Draw images with replacement.

    Draws with fewer than 4 distinct ones are drawn anew, and counted.

    Returns
    -------
    counts : ndarray of int, (draw, image)
    redrawn : int

    Raises
    ------
    ImpossibleAnalysis
        Fewer than 5 images.

    Examples
    --------
    >>> counts, redrawn = image_draws(5, 3, np.random.default_rng(1))
    >>> counts.sum(axis=1)
    array([5, 5, 5])
    """
    if n_images <= MIN_DISTINCT:
        raise ImpossibleAnalysis(
            f"{n_images} images: draws with replacement hardly ever hold {MIN_DISTINCT} distinct"
            " ones, so nothing can be said of other images. Add images, or leave 'images' out of"
            " `random`"
        )
    return _draws(n_images, n_draws, MIN_DISTINCT, rng)


def people_draws(n_people: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw participants with replacement, at least two distinct ones: (draw, participant)."""
    return _draws(n_people, n_draws, 2, rng)[0]


def _draws(n: int, n_draws: int, distinct: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_draws)
    redrawn = 0
    for _ in range(_MOST_REDRAWS):
        few = np.flatnonzero((counts > 0).sum(axis=1) < distinct)
        if not len(few):
            break
        redrawn += len(few)
        counts[few] = rng.multinomial(n, np.full(n, 1 / n), size=len(few))
    return counts, redrawn


def mean_parts(
    observed: np.ndarray, draws: np.ndarray | None, weights: np.ndarray, people: bool, seeds: bool
) -> Parts:
    """Parts I_A of the variance of a contrast of mean evaluations.

    Parameters
    ----------
    observed : ndarray, (network, participant)
        Evaluations on the images as they are.
    draws : ndarray, (draw, network, participant), optional
        On draws of images; None where images are fixed.
    weights : ndarray, (group, network)
        The contrast is `sum(weights @ observed.mean(axis=1))`; within a group, networks that take
        part weigh the same. Groups vary independently, and are called "seeds 0", "seeds 1", ...
    people, seeds : bool
        Whether participants, and networks, are random.

    Returns
    -------
    dict
        Names of factors ("images", "participants", "seeds 0", ...) to I_A.

    Examples
    --------
    >>> mean_parts(np.array([[0.1, 0.3]]), None, np.ones((1, 1)), True, False)
    {('participants',): 0.005}
    """
    groups = range(len(weights)) if seeds else range(0)
    parts = _drawn_means(observed, weights, people, groups)
    total = {names: float(part) for names, part in parts.items()}
    if draws is None:
        return total
    estimates = (weights.sum(axis=0) @ draws).mean(axis=-1)
    total["images",] = float(estimates.var(ddof=1))
    for names, part in _drawn_means(draws, weights, people, groups).items():
        total["images", *names] = float(part.mean()) - total[names]
    return total


def _drawn_means(
    evaluations: np.ndarray, weights: np.ndarray, people: bool, groups: range
) -> dict[tuple[str, ...], np.ndarray]:
    """Exact I_A over infinitely many draws of participants and seeds, of (..., network,
    participant).
    """
    n = evaluations.shape[-1]
    parts: dict[tuple[str, ...], np.ndarray] = {}
    if people:
        by_person = weights.sum(axis=0) @ evaluations
        parts["participants",] = by_person.var(axis=-1) / n
    for g in groups:
        used = np.flatnonzero(weights[g])
        mine = evaluations[..., used, :]
        by_network = mine.mean(axis=-1)
        share = weights[g, used[0]] ** 2
        parts[f"seeds {g}",] = share * len(used) * by_network.var(axis=-1)
        if people:
            apart = mine - by_network[..., np.newaxis]
            apart = apart - apart.mean(axis=-2, keepdims=True)
            parts["participants", f"seeds {g}"] = share * (apart**2).sum(axis=(-2, -1)) / n**2
    return parts


def ceiling_parts(
    by_images: np.ndarray | None, by_people: np.ndarray | None, by_both: np.ndarray | None
) -> Parts:
    """Parts of the variance of a bound of the noise ceiling.

    Parameters
    ----------
    by_images, by_people, by_both : ndarray, (draw,), optional
        The bound where images, participants, or both are drawn; None where they are fixed.

    Examples
    --------
    >>> ceiling_parts(None, np.array([0.1, 0.3]), None)
    {('participants',): 0.02}
    """
    drawn = {
        ("images",): by_images,
        ("participants",): by_people,
        ("images", "participants"): by_both,
    }
    parts = {names: float(np.nanvar(v, ddof=1)) for names, v in drawn.items() if v is not None}
    if by_both is not None:
        parts["images", "participants"] -= parts["images",] + parts["participants",]
    return parts
