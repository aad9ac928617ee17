"""From 68 facial landmarks to masks of facial parts: hulls of points, dilated by a share of the
inter-ocular distance.

Plain arrays. Points are in the order of iBUG's 300-W annotations (Sagonas et al. 2013,
doi:10.1109/ICCVW.2013.59), counted from 0, as dlib and most detectors give them. A coordinate is
the place of a pixel's centre: the first pixel is at 0.
"""

from __future__ import annotations

import numpy as np

from relstats.errors import InvalidData, UsageError

#: Points of each part, in the order in which parts take a pixel that is inside several; a part may
#: have several hulls.
PARTS: dict[str, tuple[range, ...]] = {
    "eyes": (range(36, 42), range(42, 48)),
    "brows": (range(17, 22), range(22, 27)),
    "mouth": (range(48, 68),),
    "nose": (range(27, 36),),
}
#: Parts, and what else the hull of all points holds.
REGIONS = (*PARTS, "skin")
N_POINTS = 68
OUTER_EYE_CORNERS = 36, 45
OVERLAPS = ("nearest", "keep")


def inter_ocular(points: np.ndarray) -> np.ndarray:
    """Distance between the outer corners of the eyes: (..., 68, 2) to (...), in pixels of the
    landmarks.

    Examples
    --------
    >>> points = np.zeros((68, 2))
    >>> points[45] = 3, 4
    >>> inter_ocular(points).item()
    5.0
    """
    right, left = OUTER_EYE_CORNERS
    return np.hypot(*np.moveaxis(points[..., left, :] - points[..., right, :], -1, 0))


def landmark_masks(
    points: np.ndarray,
    size: tuple[int, int],
    *,
    landmark_size: tuple[int, int] | None = None,
    dilation: float = 0.1,
    overlap: str = "nearest",
) -> np.ndarray:
    """Masks of the eyes, brows, mouth, nose and skin of each image.

    Parameters
    ----------
    points : ndarray, (image, 68, 2)
        x (to the right) and y (down) of each landmark, in pixels; they may lie outside the image.
    size : (int, int)
        Height and width of the masks.
    landmark_size : (int, int), optional
        Height and width, in pixels, of the images on which the landmarks were found, which show
        what the masks shall show. Default: `size`. Distances are measured on that grid.
    dilation : float
        How far a region reaches beyond the hull of its points, as a share of the inter-ocular
        distance; at least 0.
    overlap : {"nearest", "keep"}
        A pixel within several parts belongs to the one whose hull is nearest (to the first of
        `REGIONS` where it is inside several), or to all of them.

    Returns
    -------
    ndarray of bool, (region, image, y, x)
        In the order of `REGIONS`. "skin" is the hull of all points less the parts; it is not
        dilated, as points of the jaw lie on the outline. No landmark lies above the brows, so the
        forehead is not in it. A region outside the image is empty.

    Raises
    ------
    UsageError
        An option is out of range.
    InvalidData
        Points of another number, not finite, or with an inter-ocular distance of 0.

    Examples
    --------
    >>> points = np.random.default_rng(1).uniform(10, 50, (2, 68, 2))
    >>> landmark_masks(points, (32, 32), landmark_size=(64, 64)).shape
    (5, 2, 32, 32)
    """
    landmark_size = size if landmark_size is None else landmark_size
    _check(points, landmark_size, dilation, overlap)
    # centres of the masks' pixels, as places on the landmarks' grid
    y, x = (
        (np.arange(n) + 0.5) * (own / n) - 0.5 for n, own in zip(size, landmark_size, strict=True)
    )
    masks = np.zeros((len(REGIONS), len(points), *size), bool)
    for i, own in enumerate(points.astype(np.float64)):
        reach = dilation * float(inter_ocular(own))
        distance = np.stack(
            [
                np.min([hull_distance(own[list(hull)], y, x, reach) for hull in hulls], axis=0)
                for hulls in PARTS.values()
            ]
        )
        parts = distance <= reach
        if overlap == "nearest":
            parts &= np.arange(len(parts))[:, np.newaxis, np.newaxis] == distance.argmin(axis=0)
        masks[:-1, i] = parts
        masks[-1, i] = (hull_distance(own, y, x, 0.0) == 0) & ~parts.any(axis=0)
    return masks


def _check(
    points: np.ndarray, landmark_size: tuple[int, int], dilation: float, overlap: str
) -> None:
    if not (np.isfinite(dilation) and dilation >= 0):
        raise UsageError(
            f"dilation is {dilation}; it is a share of the inter-ocular distance, at least 0, such"
            " as 0.1"
        )
    if overlap not in OVERLAPS:
        raise UsageError(f"overlap is {overlap!r}; it is one of {', '.join(OVERLAPS)}")
    if min(landmark_size) < 1:
        raise UsageError(
            f"landmark_size is {landmark_size}; give height and width in pixels, at least 1"
        )
    if points.ndim != 3 or points.shape[1:] != (N_POINTS, 2):
        raise InvalidData(
            f"landmarks have shape {points.shape}, not (image, {N_POINTS}, 2): parts are named by"
            f" iBUG's {N_POINTS} points"
        )
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(wrong):
        raise InvalidData(
            f"landmarks of {len(wrong)} image(s) are NaN or infinite (first: image {wrong[0]})."
            " Leave them out"
        )
    flat = np.flatnonzero(inter_ocular(points) == 0)
    if len(flat):
        raise InvalidData(
            f"landmarks of {len(flat)} image(s) have both eyes in one place (first: image"
            f" {flat[0]}), so that nothing can be scaled by their distance. Leave them out"
        )


def hull_distance(points: np.ndarray, y: np.ndarray, x: np.ndarray, reach: float) -> np.ndarray:
    """Distance of each place of a grid to the convex hull of some points; 0 inside.

    Parameters
    ----------
    points : ndarray, (point, 2)
        x and y. They may all lie on a line, or in one place.
    y, x : ndarray, (y,) and (x,)
        Places of the grid.
    reach : float
        Places farther away than this may come out as infinitely far.

    Returns
    -------
    ndarray, (y, x)

    Examples
    --------
    >>> hull_distance(
    ...     np.array([[0, 0], [2, 0], [0, 2], [2, 2]]),
    ...     np.array([1.0]),
    ...     np.array([1.0, 3.0, 5.0]),
    ...     np.inf,
    ... )
    array([[0., 1., 3.]])
    """
    hull = convex_hull(points)
    near_x, near_y = (
        (grid >= low - reach) & (grid <= high + reach)
        for grid, low, high in zip((x, y), hull.min(axis=0), hull.max(axis=0), strict=True)
    )
    distance = np.full((len(y), len(x)), np.inf)
    beside, inside = np.inf, len(hull) > 2
    for corner, following in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        right, down = following - corner
        dx, dy = x[near_x] - corner[0], y[near_y, np.newaxis] - corner[1]
        length = right**2 + down**2
        along = np.clip((dx * right + dy * down) / length, 0, 1) if length else 0.0
        beside = np.minimum(beside, (dx - along * right) ** 2 + (dy - along * down) ** 2)
        inside = inside & (right * dy - down * dx >= 0)
    distance[np.ix_(near_y, near_x)] = np.where(inside, 0.0, np.sqrt(beside))
    return distance


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of points in the plane, one way round: (point, 2) to (corner, 2).

    Two corners where all points lie on a line, one where they are in one place (Andrew's monotone
    chain).

    Examples
    --------
    >>> convex_hull(np.array([[0, 0], [1, 1], [2, 2], [2, 0]])).tolist()
    [[0, 0], [2, 0], [2, 2]]
    """
    ordered = np.unique(points, axis=0)
    if len(ordered) < 3:
        return ordered
    below, above = _chain(ordered), _chain(ordered[::-1])
    return np.array(below[:-1] + above[:-1])


def _chain(ordered: np.ndarray) -> list[np.ndarray]:
    chain: list[np.ndarray] = []
    for point in ordered:
        while len(chain) > 1 and not _turns_left(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    return chain


def _turns_left(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    return bool((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0)
