"""Clusters of pixels in fields of t, and threshold-free cluster enhancement.

Plain arrays in and out.

Two pixels are neighbours if they share an edge. Pixels of opposite signs are never in one cluster,
and a pixel that is NaN is in none.
"""

from __future__ import annotations

import numpy as np

from relstats.stats.maps.single import compiled

_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)
_DIGIT = np.uint64(2**11 - 1)
_DIGITS = (np.uint64(32), np.uint64(43), np.uint64(54))


def label_clusters(field: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of pixels above a threshold, and their mass.

    Parameters
    ----------
    field : ndarray, (y, x)
        t of each pixel; NaN is in no cluster.
    threshold : float
        A pixel is in a cluster if |t| is above it; greater than 0.

    Returns
    -------
    labels : ndarray of int32, (y, x)
        0 in no cluster; 1 is the cluster of the largest mass. Of equal masses the one that is met
        first, row by row.
    mass : ndarray, (cluster,)
        Sum of |t| over the pixels of each cluster (Bullmore et al. 1999), largest first.

    Examples
    --------
    >>> label_clusters(np.array([[3.0, -3.0, 0.0, 4.0], [0.0, -3.0, 0.0, 0.0]]), 2)
    (array([[3, 1, 0, 2], [0, 1, 0, 0]], dtype=int32), array([6., 4., 3.]))
    """
    labels, mass = np.zeros(field.size, np.int32), np.zeros(field.size)
    values = np.ascontiguousarray(field, np.float32).ravel()
    found = _fill(
        values, field.shape[1], np.float32(threshold), labels, mass, np.empty(field.size, np.int32)
    )
    order = np.argsort(-mass[:found], kind="stable")
    names = np.append(0, 1 + np.argsort(order)).astype(np.int32)
    return names[labels].reshape(field.shape), mass[order]


def enhance(field: np.ndarray) -> np.ndarray:
    """Threshold-free cluster enhancement: at each pixel, the extent of its cluster over all
    thresholds below its own |t|.

    Parameters
    ----------
    field : ndarray, (y, x)
        t of each pixel.

    Returns
    -------
    ndarray, (y, x), float64
        Integral of extent^0.5 height^2 over height, from 0 to |t|, computed exactly: extents change
        at the pixels' own values only. 0 where t is 0 or NaN.

    Notes
    -----
    Smith & Nichols (2009), doi:10.1016/j.neuroimage.2008.03.061, with their exponents. Most
    programs sum over steps of height; this merges clusters from the highest pixel down.

    Examples
    --------
    >>> enhance(np.array([[3.0, 3.0, 0.0, -3.0]]))
    array([[12.73, 12.73,  0.  ,  9.  ]])
    """
    out = np.empty(field.size)
    _enhance(
        np.ascontiguousarray(field, np.float32).ravel(),
        field.shape[1],
        True,
        out,
        *_rooms(field.size),
    )
    return out.reshape(field.shape)


def largest(
    fields: np.ndarray, width: int, threshold: float, *, tfce: bool, mass: bool
) -> np.ndarray:
    """Largest |t|, enhanced value and cluster mass of many fields.

    Parameters
    ----------
    fields : ndarray of float32, (field, pixel)
        NaN is passed over.
    width : int
        Pixels of a row.
    threshold : float
        As for `label_clusters`.
    tfce, mass : bool
        What is computed; 0 otherwise.

    Returns
    -------
    ndarray, (field, 3), float64

    Examples
    --------
    >>> largest(np.array([[3.0, 3.0, 0.0, -3.5]], np.float32), 4, 2, tfce=True, mass=True).round(2)
    array([[ 3.5 , 14.29,  6.  ]])
    """
    found, pixels = np.zeros((len(fields), 3)), fields.shape[1]
    rooms, out = _rooms(pixels), np.empty(pixels)
    labels, masses, stack = np.empty(pixels, np.int32), np.empty(pixels), np.empty(pixels, np.int32)
    for field, row in zip(fields, found, strict=True):
        row[0] = _largest(field)
        if tfce:
            row[1] = _enhance(field, width, False, out, *rooms)
        if mass:
            labels[:], masses[:] = 0, 0
            row[2] = masses[
                : _fill(field, width, np.float32(threshold), labels, masses, stack)
            ].max(initial=0)
    return found


def _rooms(pixels: int) -> tuple[np.ndarray, ...]:
    """Working memory of `_enhance`: two of words, parent, extent, height."""
    words = np.empty((2, pixels), np.uint64)
    return (
        words[0],
        words[1],
        np.empty(pixels, np.int32),
        np.empty(pixels, np.int32),
        np.empty(pixels),
    )


@compiled
def _largest(field: np.ndarray) -> float:
    most = 0.0
    for value in field:
        if abs(value) > most:  # never true of NaN
            most = abs(value)
    return most


@compiled
def _neighbours(pixel: int, width: int, pixels: int) -> tuple[int, int, int, int]:
    """Of a pixel, itself where there is none."""
    column = pixel % width
    return (
        pixel - 1 if column > 0 else pixel,
        pixel + 1 if column < width - 1 else pixel,
        pixel - width if pixel >= width else pixel,
        pixel + width if pixel + width < pixels else pixel,
    )


@compiled
def _fill(
    field: np.ndarray,
    width: int,
    threshold: float,
    labels: np.ndarray,
    mass: np.ndarray,
    stack: np.ndarray,
) -> int:
    """Number clusters from 1 in `labels`, which is 0; their masses, from 0 on, in `mass`."""
    found = 0
    for start in range(field.size):
        if labels[start] or not abs(field[start]) > threshold:
            continue
        labels[start], stack[0], waiting = found + 1, start, 1
        while waiting:
            waiting -= 1
            pixel = stack[waiting]
            mass[found] += abs(field[pixel])
            for other in _neighbours(pixel, width, field.size):
                same = (field[other] > 0) == (field[start] > 0)
                if labels[other] == 0 and same and abs(field[other]) > threshold:
                    labels[other] = found + 1
                    stack[waiting] = other
                    waiting += 1
        found += 1
    return found


@compiled
def _enhance(
    field: np.ndarray,
    width: int,
    everywhere: bool,
    out: np.ndarray,
    words: np.ndarray,
    spare: np.ndarray,
    parent: np.ndarray,
    extent: np.ndarray,
    height: np.ndarray,
) -> float:
    """The largest enhanced value; or, with `everywhere`, that of each pixel in `out`.

    Clusters are trees. What a cluster gathers is kept at its root: a pixel has the sum of `out`
    along its way there. Where only the largest is wanted, a root keeps that of its pixels.
    """
    used = _ascending(field, words, spare)
    parent[:], out[:] = -1, 0
    for place in range(used - 1, -1, -1):
        pixel = np.int64(words[place] & _LOW)
        here, root = np.float64(abs(field[pixel])), pixel
        parent[pixel], extent[pixel], height[pixel] = pixel, 1, here
        for other in _neighbours(pixel, width, field.size):
            if parent[other] >= 0 and (field[other] > 0) == (field[pixel] > 0):
                found = _root(parent, out, other)
                if found != root:
                    _gather(out, extent, height, found, here)
                    root = _merge(out, extent, parent, root, found, everywhere)
                    height[root] = here
    most = 0.0
    for place in range(used):
        pixel = np.int64(words[place] & _LOW)
        if parent[pixel] == pixel:
            _gather(out, extent, height, pixel, 0.0)
            most = max(most, out[pixel])
    if everywhere:
        for place in range(used):
            pixel = np.int64(words[place] & _LOW)
            _root(parent, out, pixel)
        for place in range(used):
            pixel = np.int64(words[place] & _LOW)
            if parent[pixel] != pixel:
                out[pixel] += out[parent[pixel]]
    return most


@compiled
def _gather(
    out: np.ndarray, extent: np.ndarray, height: np.ndarray, root: int, down_to: float
) -> None:
    """Add what a cluster has between the height up to which it has gathered and a lower one."""
    out[root] += np.sqrt(extent[root]) * (height[root] ** 3 - down_to**3) / 3
    height[root] = down_to


@compiled
def _merge(
    out: np.ndarray, extent: np.ndarray, parent: np.ndarray, a: int, b: int, everywhere: bool
) -> int:
    """The root of two clusters that have gathered to one height."""
    if extent[a] < extent[b]:
        a, b = b, a
    parent[b] = a
    extent[a] += extent[b]
    if everywhere:
        out[b] -= out[a]
    else:
        out[a] = max(out[a], out[b])
    return a


@compiled
def _root(parent: np.ndarray, out: np.ndarray, pixel: int) -> int:
    """Root of a pixel's cluster.

    The pixel is its child afterwards, with the same sum on its way.
    """
    root, total = pixel, 0.0
    while parent[root] != root:
        total += out[root]
        root = parent[root]
    while parent[pixel] != root:
        above, own = parent[pixel], out[pixel]
        parent[pixel], out[pixel] = root, total
        total -= own
        pixel = above
    return root


@compiled
def _ascending(field: np.ndarray, words: np.ndarray, spare: np.ndarray) -> int:
    """Pixels other than 0 and NaN by |t|, smallest first: the low halves of `words`.

    Radix sort, three digits.
    """
    used = 0
    for pixel in range(field.size):
        if abs(field[pixel]) > 0:
            spare[used] = np.uint64(pixel)
            used += 1
    bits = np.abs(field).view(np.uint32)
    for k in range(used):
        words[k] = (np.uint64(bits[spare[k]]) << _HALF) | spare[k]
    places = np.empty(2**11, np.int64)
    for digit in _DIGITS:
        places[:] = 0
        for k in range(used):
            places[(words[k] >> digit) & _DIGIT] += 1
        first = 0
        for value in range(places.size):
            places[value], first = first, first + places[value]
        for k in range(used):
            value = (words[k] >> digit) & _DIGIT
            spare[places[value]] = words[k]
            places[value] += 1
        words[:used] = spare[:used]
    return used
