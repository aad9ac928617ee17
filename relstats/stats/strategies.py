"""Clusters of relevance maps, as strategies of networks (SpRAy), and whether they go with the
levels of an axis.

Spectral relevance analysis: Lapuschkin et al. 2019 (doi:10.1038/s41467-019-08987-4). Labels in,
labels out; below the wrapper plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse
from scipy.sparse.linalg import eigsh

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.stats.described import Nan, described
from relstats.stats.inference import contrasts, swaps
from relstats.stats.inference.contrasts import Contrasts
from relstats.study.maps import Block, read_maps
from relstats.study.omissions import Tally

#: Maps are averaged to this height and width before they are compared.
GRID = 16


@described
def strategies(
    study: xr.DataTree,
    *,
    axis: str,
    max_maps: int = 4000,
    max_clusters: int = 10,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    n_swaps: int = 9999,
    nan: Nan = "raise",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Cluster the maps of all networks, and test whether networks of one level have their maps in
    the same clusters.

    Parameters
    ----------
    study : DataTree
        A study with `/relevance`.
    axis : str
        Label of the models whose levels are compared, e.g. "pretrain".
    max_maps : int
        Clusters are sought among so many maps at most; where there are more, on a random sample of
        the images.
    max_clusters : int
        The largest number of clusters considered, at least 2.
    within : sequence of str, optional
        Axes that networks of different levels share when they are compared. Default: every other
        axis that varies.
    pool : sequence of str
        Axes to leave out of `within`.
    n_swaps : int
        Permutations of the networks' labels where they cannot be enumerated.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    rng : numpy.random.Generator
        For the sample of images, the clusters' first centres and the permutations.

    Returns
    -------
    xarray.Dataset
        `n_clusters`, by the eigengap; `eigenvalue` of the graph's Laplacian; on `level` x
        `cluster`: `share` of the maps (mean over networks) and `n_maps`; `network_share` of each
        network; `typical_map` of each cluster, on a coarse grid; `p_value`: of label permutation of
        whole networks, "do networks of one level have more alike shares than networks of different
        levels?", with `min_p`. Clusters are numbered from the largest. With one cluster p is NaN:
        there is nothing that could differ.

        Maps without relevance are in no cluster, and counted.

    Raises
    ------
    UsageError
        No maps, or an option out of range.
    ImpossibleAnalysis
        One level only, too few maps, or the axis is confounded with another.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps.

    Notes
    -----
    The test has networks as its units: maps of one network are no independent cases. It is a sharp
    null on these images.

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=20, size=16, rng=np.random.default_rng(1)
    ... )
    >>> result = strategies(study, axis="pretrain", rng=np.random.default_rng(1))
    >>> result["share"].sum("cluster").values
    array([1., 1.])
    """
    if max_maps < 1 or max_clusters < 2:
        raise UsageError(
            f"max_maps is {max_maps} and max_clusters {max_clusters}; give at least 1 and 2"
        )
    maps = read_maps(study, "clusters of maps need", nan=nan)
    table = maps.networks
    plan = contrasts.plan(table, axis, within=within, pool=pool)
    images = _sample(len(maps.images), max(1, max_maps // len(table)), rng)
    blocks, tally = maps.select(images=images).blocks(_coarse_maps)
    features = np.concatenate(blocks, axis=1)
    network, image = np.nonzero(~np.isnan(features).any(axis=-1))
    if len(network) <= max_clusters + 1:
        raise ImpossibleAnalysis(
            f"{len(network)} maps with relevance are too few to find up to {max_clusters} clusters"
            " among. Add images"
        )
    vectors = features[network, image]
    cluster, eigenvalues = spectral_clusters(vectors, image, max_clusters, rng)
    counts = np.zeros((len(table), cluster.max() + 1), int)
    np.add.at(counts, (network, cluster), 1)
    p, floor = _association(counts, plan, n_swaps, rng)
    result = _tables(counts, plan, table, vectors, cluster, maps.shape).assign(
        eigenvalue=("eigen", eigenvalues), p_value=((), p)
    )
    n_images = len(maps.images)
    n_zero = features.shape[0] * features.shape[1] - len(network)
    unsampled = n_images - tally.images - tally.omitted_nan
    notes = [
        f"of {n_images} images are not in the sample (max_maps is {max_maps})",
        "image(s) left out for NaN",
        "map(s) without relevance are in no cluster",
    ]
    left_out = [unsampled, tally.omitted_nan, n_zero - tally.omitted_nan * len(table)]
    return result.assign(n_images=((), tally.images)).assign_attrs(
        within=list(plan.within),
        method=_method(result, tally, axis),
        min_p=floor,
        warnings=[
            *(f"{n} {note}" for n, note in zip(left_out, notes, strict=True) if n),
            *_untested(result, axis, floor),
        ],
        population=f"these {tally.images} images; networks are exchanged between levels",
    )


def coarse(maps: np.ndarray, grid: int = GRID) -> np.ndarray:
    """Maps averaged over blocks of pixels, each of length 1: (..., y, x) to (..., cell).

    NaN where there is no relevance.

    Examples
    --------
    >>> coarse(np.arange(16.0).reshape(4, 4), 2).round(2)
    array([0.15, 0.26, 0.61, 0.73])
    """
    for axis in (-2, -1):
        size = maps.shape[axis]
        edges = np.unique(np.arange(min(grid, size)) * size // min(grid, size))
        maps = np.add.reduceat(maps.astype(np.float64), edges, axis=axis)
        width = np.diff(np.append(edges, size))
        maps = maps / np.expand_dims(width, tuple(range(axis + 1, 0)))
    flat = maps.reshape(*maps.shape[:-2], -1)
    peak = np.abs(flat).max(axis=-1, keepdims=True)
    shape = flat / np.where(peak > 0, peak, np.nan)
    return shape / np.sqrt((shape**2).sum(axis=-1, keepdims=True))


def neighbour_graph(vectors: np.ndarray, image: np.ndarray, n_neighbours: int) -> sparse.csr_array:
    """Graph of maps with the most similar maps of other images, symmetric, with weights 1/2 and 1.

    Maps of the same image are no neighbours: otherwise there would be one cluster for each image.

    Parameters
    ----------
    vectors : ndarray, (map, cell)
        Of length 1.
    image : ndarray of int, (map,)
        Which image each map is of.

    Examples
    --------
    >>> neighbour_graph(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), np.arange(3), 1).toarray()
    array([[0. , 0.5, 0. ],
           [0.5, 0. , 1. ],
           [0. , 1. , 0. ]])
    """
    n = len(vectors)
    rows, columns = [], []
    for start in range(0, n, 512):
        likeness = vectors[start : start + 512] @ vectors.T
        likeness[image[start : start + 512, np.newaxis] == image] = -np.inf
        count = min(n_neighbours, n - 1)
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        row = np.repeat(np.arange(len(likeness)), count)
        apart = np.isfinite(likeness[row, nearest.ravel()])
        rows.append(row[apart] + start)
        columns.append(nearest.ravel()[apart])
    r, c = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.coo_array((np.full(len(r), 0.5), (r, c)), shape=(n, n)).tocsr()
    return sparse.csr_array(graph + graph.T)


def spectral_clusters(
    vectors: np.ndarray, image: np.ndarray, max_clusters: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of each map, from the largest (0), and the smallest eigenvalues of the graph's
    Laplacian.

    The number of clusters is where the gap between two eigenvalues in turn is widest; clusters are
    those of k-means among the first eigenvectors, each map's scaled to length 1 (Ng, Jordan & Weiss
    2001).

    Parameters
    ----------
    vectors, image
        See `neighbour_graph`.
    max_clusters : int
        At least 2, below the number of maps less one.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> maps = np.repeat(rng.standard_normal((2, 8, 8)), 30, axis=0) + 0.5 * rng.standard_normal(
    ...     (60, 8, 8)
    ... )
    >>> cluster, _ = spectral_clusters(coarse(maps), np.arange(60), 5, rng)
    >>> len(set(cluster[:30])), len(set(cluster[30:])), len(set(cluster))
    (1, 1, 2)
    """
    from sklearn.cluster import KMeans  # takes two seconds to import

    n = len(vectors)
    graph = neighbour_graph(vectors, image, max(5, round(np.log(n))))
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = sparse.diags_array(1 / np.sqrt(np.where(degree > 0, degree, 1)))
    start = rng.standard_normal(n)
    largest, found = eigsh(scale @ graph @ scale, k=max_clusters + 1, which="LA", v0=start)
    order = np.argsort(-largest)
    eigenvalues = np.maximum(1 - largest[order], 0)
    k = 1 + int(np.argmax(np.diff(eigenvalues)))
    seed = int(rng.integers(2**31))
    if k == 1:
        return np.zeros(n, int), eigenvalues
    place = found[:, order[:k]]
    length = np.sqrt((place**2).sum(axis=1, keepdims=True))
    label = KMeans(k, n_init=10, random_state=seed).fit_predict(
        place / np.where(length > 0, length, 1)
    )
    by_size = np.argsort(-np.bincount(label, minlength=k), kind="stable")
    return np.argsort(by_size)[label], eigenvalues


def _sample(n_images: int, most: int, rng: np.random.Generator) -> np.ndarray:
    return (
        np.arange(n_images)
        if n_images <= most
        else np.sort(rng.choice(n_images, most, replace=False))
    )


def _coarse_maps(block: Block) -> tuple[np.ndarray, Tally]:
    """Coarse maps (network, image, cell); NaN on images where a map is missing."""
    present = block.present
    features = coarse(np.where(present[:, np.newaxis, np.newaxis], block.maps, 0.0))
    return features, block.tally(present, block.empty())


def _association(
    counts: np.ndarray, plan: Contrasts, n_swaps: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Are the clusters' shares of networks of one level more alike? Distances are Hellinger's.

    Labels of networks permuted.
    """
    total = counts.sum(axis=1)
    sizes = [
        np.bincount(plan.level[(plan.stratum == s) & (total > 0)], minlength=len(plan.levels)).min()
        for s in range(plan.stratum.max() + 1)
    ]
    strata = np.where((np.array(sizes)[plan.stratum] >= 2) & (total > 0), plan.stratum, -1)
    if counts.shape[1] < 2 or not (strata >= 0).any():
        return float("nan"), float("nan")
    root = np.sqrt(counts / np.maximum(total, 1)[:, np.newaxis])
    distance = np.sqrt(((root[:, np.newaxis] - root) ** 2).sum(axis=-1) / 2)
    found = swaps.omnibus(-distance[..., np.newaxis], plan.level, strata, n_swaps=n_swaps, rng=rng)
    return float(found.p_gap[0]), found.min_p_gap


def _tables(
    counts: np.ndarray,
    plan: Contrasts,
    table: pd.DataFrame,
    vectors: np.ndarray,
    cluster: np.ndarray,
    shape: tuple[int, int],
) -> xr.Dataset:
    total = counts.sum(axis=1, keepdims=True)
    share = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    members = np.arange(len(plan.levels))[:, np.newaxis] == np.where(
        total[:, 0] > 0, plan.level, -1
    )
    n_members = members.sum(axis=1, keepdims=True)
    mean = np.where(
        n_members > 0, members @ np.nan_to_num(share) / np.maximum(n_members, 1), np.nan
    )
    typical = np.stack([vectors[cluster == c].mean(axis=0) for c in range(counts.shape[1])])
    size = tuple(min(GRID, n) for n in shape)
    labels = {f"network_{c}": ("network", table[c].to_numpy(dtype=object)) for c in table}
    return xr.Dataset(
        {
            "share": (("level", "cluster"), mean),
            "n_maps": (("level", "cluster"), members @ counts),
            "network_share": (("network", "cluster"), share),
            "n_clusters": ((), counts.shape[1]),
            "typical_map": (("cluster", "grid_y", "grid_x"), typical.reshape(-1, *size)),
        },
        {
            "level": np.array(plan.levels, dtype=object),
            **labels,
            "cluster": np.array([str(c + 1) for c in range(counts.shape[1])], dtype=object),
        },
    )


def _untested(result: xr.Dataset, axis: str, floor: float) -> list[str]:
    """Why there is no test, or none that could be significant."""
    if int(result["n_clusters"]) == 1:
        return [
            "the maps are one cluster (the widest eigengap is after the first), so there are no"
            " strategies to compare"
        ]
    if np.isnan(floor):
        return [
            f"no stratum has two networks of each level of {axis}: association cannot be tested"
        ]
    if floor > 0.05:
        n_networks = result.sizes["network"]
        return [f"with {n_networks} networks the permutation test cannot give p below {floor:.3g}"]
    return []


def _method(result: xr.Dataset, tally: Tally, axis: str) -> str:
    return (
        f"Maps of {result.sizes['network']} networks on {tally.images} images, averaged to {GRID} x"
        f" {GRID} cells at most and scaled to one length, were clustered by spectral relevance"
        " analysis (Lapuschkin et al. 2019, doi:10.1038/s41467-019-08987-4; neighbours among maps"
        f" of other images; {int(result['n_clusters'])} cluster(s) by the eigengap). Whether"
        f" networks of one level of {axis} are more alike in their shares of clusters was tested by"
        " permuting the labels of whole networks."
    )
