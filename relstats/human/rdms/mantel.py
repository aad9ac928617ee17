"""Does an RDM of a network say anything of people's? Permutation of image labels (Mantel 1967).

Plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relstats.human.rdms.comparisons import compare_draws, prepared, weigh
from relstats.human.rdms.vectors import Graph, n_images


@dataclass(frozen=True)
class Mantel:
    """One-sided tests that mean agreement is above chance.

    Attributes
    ----------
    p_value : ndarray, (family,)
        (b + 1) / (n + 1), b the permutations that agree as well.
    p_max : ndarray, (family,)
        The same against the largest agreement in the family: adjusted for all of it.
    """

    p_value: np.ndarray
    p_max: np.ndarray


def mantel(
    models: np.ndarray,
    people: np.ndarray,
    comparison: str,
    weights: np.ndarray,
    *,
    n_permutations: int = 9999,
    progress: Callable[[int, int], None] | None = None,
    rng: np.random.Generator,
) -> Mantel:
    """Test mean agreement with participants against permuted labels of the images.

    Parameters
    ----------
    models : ndarray, (network, pair)
        Without NaN, none constant.
    people : ndarray, (participant, pair)
        NaN where missing; each agrees or disagrees with something: none constant.
    comparison : str
        As in `relstats.human.compare_rdms`. "tau-a", and missing pairs, take a full comparison for
        each permutation.
    weights : ndarray, (family, network)
        Rows are means over networks, such as the seeds of one model.
    n_permutations : int
        Labels of all networks are permuted alike, so that p of the largest holds whatever the
        dependence between them.
    progress : callable, optional
        Called with the number of permutations done, and of all.
    rng : numpy.random.Generator

    Returns
    -------
    Mantel
        The null is that image labels are irrelevant to agreement, for these participants and
        networks.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> people = rng.random((4, 45)) + np.arange(45) / 20
    >>> mantel(people[:1], people[1:], "corr", np.ones((1, 1)), n_permutations=199, rng=rng).p_value
    array([0.005])
    """
    n = n_images(models)
    complete = not np.isnan(people).any() and comparison != "tau-a"
    mean_agreement = (
        _of_products(models, people, comparison, n)
        if complete
        else _of_comparisons(models, people, comparison, n)
    )
    observed = weights @ mean_agreement(np.arange(n))
    tolerance = 1e-12 * np.abs(observed)  # the same permutation may be rounded otherwise
    exceed, exceed_max = np.zeros(len(weights), int), np.zeros(len(weights), int)
    for done in range(n_permutations):
        if progress:
            progress(done + 1, n_permutations)
        drawn = weights @ mean_agreement(rng.permutation(n))
        exceed += drawn >= observed - tolerance
        exceed_max += drawn.max() >= observed - tolerance
    return Mantel((exceed + 1) / (n_permutations + 1), (exceed_max + 1) / (n_permutations + 1))


def _of_products(
    models: np.ndarray, people: np.ndarray, comparison: str, n: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Where every pair is known, the mean over participants is one vector, and a permutation one
    product with it.
    """
    first, second = np.triu_indices(n, 1)
    graph = Graph(first, second, np.ones(n))
    ours, theirs = (
        weigh(prepared(vectors, comparison), graph, comparison) for vectors in (models, people)
    )
    pooled = (theirs.right / theirs.norm[:, np.newaxis]).mean(axis=0)
    place = _places(first, second, n)
    left = ours.left / ours.norm[:, np.newaxis]

    def mean_agreement(order: np.ndarray) -> np.ndarray:
        # to move the labels of people one way is to move those of networks the other way
        return left @ pooled[place[order[first], order[second]]]

    return mean_agreement


def _of_comparisons(
    models: np.ndarray, people: np.ndarray, comparison: str, n: int
) -> Callable[[np.ndarray], np.ndarray]:
    first, second = np.triu_indices(n, 1)
    place = _places(first, second, n)

    def mean_agreement(order: np.ndarray) -> np.ndarray:
        moved = models[:, place[order[first], order[second]]]
        return compare_draws(moved, people, np.ones((1, n)), comparison)[0].mean(axis=-1)

    return mean_agreement


def _places(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    """Where the pair of two images is in an RDM."""
    place = np.zeros((n, n), int)
    place[first, second] = place[second, first] = np.arange(len(first))
    return place
