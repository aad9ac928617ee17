"""Parametric faces, drawn so that it is known which pixels carry identity and gender.

And textured objects, a world without faces.

Plain arrays; no torch. A face is a stack of soft shapes in a frame of its own: the origin between
the eyes and the nose, the chin at v = 1, the crown at v = -1. What a person is lies in `IDENTITY`,
gender in `GENDER`; all else varies from image to image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: Features of a person, each in [-1, 1], and the region that shows each.
IDENTITY = {
    "eye_spacing": "eyes",
    "nose_length": "nose",
    "nose_width": "nose",
    "mouth_width": "mouth",
    "mouth_place": "mouth",
}
#: Features of a gender, about -1 (f) and 1 (m), and the region that shows each.
GENDER = {"brow_thickness": "brows", "jaw_squareness": "jaw"}
#: Labels 1, 2, ... of the label images; 0 is the background.
REGIONS = ("eyes", "brows", "nose", "mouth", "jaw", "hair", "skin")
GENDERS = ("f", "m")
#: What an object can be: one of the shapes, covered with one of the textures.
SHAPES = ("disc", "square", "triangle", "ring", "cross")
TEXTURES = ("plain", "striped", "barred", "checked", "dotted")

#: Standard deviation of a gender's features within the gender.
_WITHIN_GENDER = 0.3
#: Parts from back to front: colour, the nuisance that changes it, and by how much.
_LAYERS = {
    "hair": ((0.36, 0.27, 0.2), "hair_colour", 0.6),
    "head": ((0.80, 0.62, 0.52), "skin", 0.2),
    "hairline": ((0.36, 0.27, 0.2), "hair_colour", 0.6),
    "eyes": ((0.93, 0.93, 0.92), "", 0.0),
    "irises": ((0.15, 0.17, 0.2), "", 0.0),
    "brows": ((0.22, 0.16, 0.12), "", 0.0),
    "nose": ((0.52, 0.36, 0.3), "", 0.0),
    "mouth": ((0.6, 0.2, 0.22), "", 0.0),
}
#: How far a part reaches beyond its outline in a label image, in units of the face.
_MARGIN = 0.07
#: Faces drawn at once: what fits into a processor's cache takes a third of the time.
_BLOCK = 64


@dataclass(frozen=True)
class Faces:
    """Pictures of faces and all that is true of them.

    Attributes
    ----------
    pixels : ndarray of uint8, (image, y, x, channel)
    regions : ndarray of uint8, (image, y, x)
        Label images: 0 background, 1 the first of `REGIONS`, and so on.
    identity, gender : ndarray of int64, (image,)
        Which person, and which of `GENDERS`.
    features : dict of str to ndarray of float64, (image,)
        The planted features, by name, then the nuisances.
    """

    pixels: np.ndarray
    regions: np.ndarray
    identity: np.ndarray
    gender: np.ndarray
    features: Mapping[str, np.ndarray]


def draw_people(n: int, rng: np.random.Generator) -> np.ndarray:
    """Features of n persons, (person, feature) in the order of `IDENTITY`: each is evenly spread
    over [-1, 1].

    Examples
    --------
    >>> draw_people(3, np.random.default_rng(1)).shape
    (3, 5)
    """
    levels = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    return np.stack([rng.permutation(levels) for _ in IDENTITY], axis=1)


def draw_faces(
    people: np.ndarray,
    identity: np.ndarray,
    gender: np.ndarray,
    *,
    size: int = 64,
    rng: np.random.Generator,
) -> Faces:
    """Draw a face for each image.

    Parameters
    ----------
    people : ndarray, (person, feature)
        From `draw_people`.
    identity, gender : ndarray of int, (image,)
        Whose face, and of which gender: any person may be drawn as either.
    size : int
        Height and width in pixels.
    rng : numpy.random.Generator
        Of the nuisances, and of how strongly an image shows its gender.

    Returns
    -------
    Faces

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> faces = draw_faces(draw_people(4, rng), np.array([0, 3]), np.array([0, 1]), rng=rng)
    >>> faces.pixels.shape, sorted(np.unique(faces.regions).tolist())
    ((2, 64, 64, 3), [0, 1, 2, 3, 4, 5, 6, 7])
    """
    identity, gender = np.asarray(identity, np.int64), np.asarray(gender, np.int64)
    features = dict(zip(IDENTITY, people[identity].T, strict=True))
    sign = 2.0 * gender - 1
    features |= {name: sign + _WITHIN_GENDER * rng.standard_normal(len(sign)) for name in GENDER}
    features |= _nuisances(len(identity), rng)
    pixels = np.empty((len(identity), size, size, 3), np.uint8)
    regions = np.empty((len(identity), size, size), np.uint8)
    for start in range(0, len(identity), _BLOCK):
        block = slice(start, start + _BLOCK)
        some = {name: values[block] for name, values in features.items()}
        shapes = _face_shapes(some, size)
        pixels[block], regions[block] = _painted(shapes, some, size, rng), _label_images(shapes)
    return Faces(pixels, regions, identity, gender, features)


def _nuisances(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What differs between pictures of one person."""
    names = {
        "right": 0.05,
        "down": 0.05,
        "size": 0.05,
        "smile": 1.0,
        "opening": 1.0,
        "light": 1.0,
        "light_angle": np.pi,
        "brightness": 1.0,
        "skin": 1.0,
        "hair_colour": 1.0,
        "hairline": 1.0,
        "background": 1.0,
    }
    return {name: reach * rng.uniform(-1, 1, n) for name, reach in names.items()}


def _face_shapes(f: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Signed distance of each pixel to the outline of each part, (image, y, x) in units of the
    face; below 0 is inside.
    """
    u, v = _frame(f, size)
    one = {name: values[:, np.newaxis, np.newaxis].astype(np.float32) for name, values in f.items()}
    eye_x = 0.34 + 0.11 * one["eye_spacing"]
    side = np.abs(u)
    brow = 0.045 + 0.03 * one["brow_thickness"]
    nose_end = 0.26 + 0.09 * one["nose_length"]
    nose_width = 0.13 + 0.05 * one["nose_width"]
    mouth_y, mouth_x = 0.58 + 0.06 * one["mouth_place"], 0.24 + 0.09 * one["mouth_width"]
    bent = v - mouth_y + 0.05 * one["smile"] * ((u / 0.24) ** 2 - 0.5)
    return {
        "hair": _ellipse(u, v + 0.1, 0.84, 1.02 + 0.06 * one["hairline"]),
        "head": _head(u, v, 2.4 + 0.75 * one["jaw_squareness"]),
        "hairline": np.maximum(
            _ellipse(u, v + 0.1, 0.84, 1.02), v + 0.55 + 0.08 * one["hairline"] - 0.25 * u**2
        ),
        "eyes": _ellipse(side - eye_x, v + 0.12, 0.125, 0.075),
        "irises": _ellipse(side - eye_x, v + 0.12, 0.062, 0.062),
        "brows": _bar(side - 0.33, v + 0.35 - 0.12 * (side - 0.33), 0.14, np.maximum(brow, 0.012)),
        "nose": np.minimum(
            _bar(u, v - nose_end / 2, 0.012, nose_end / 2 + 0.01),
            _ellipse(u, v - nose_end, nose_width, 0.05),
        ),
        "mouth": _bar(u, bent, mouth_x, 0.035 + 0.015 * one["opening"]),
        "lower half": -v,
    }


def _frame(f: Mapping[str, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel lies in the frame of its face: u to the right, v down, (image, y, x)."""
    places = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    scale = (0.82 * (1 + f["size"]))[:, np.newaxis].astype(np.float32)
    u = (places - f["right"][:, np.newaxis].astype(np.float32)) / scale
    v = (places - f["down"][:, np.newaxis].astype(np.float32)) / scale
    shape = len(scale), size, size
    return np.broadcast_to(u[:, np.newaxis, :], shape), np.broadcast_to(v[:, :, np.newaxis], shape)


def _ellipse(
    u: np.ndarray, v: np.ndarray, a: float | np.ndarray, b: float | np.ndarray
) -> np.ndarray:
    """Distance to an ellipse, exact in sign and near the outline of one that is nearly round."""
    return (np.hypot(u / a, v / b) - 1) * np.minimum(a, b)


def _bar(
    u: np.ndarray, v: np.ndarray, half_width: float | np.ndarray, half_height: float | np.ndarray
) -> np.ndarray:
    """Distance to an upright rectangle."""
    right, down = np.abs(u) - half_width, np.abs(v) - half_height
    return np.maximum(right, down)


def _head(u: np.ndarray, v: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Round above; below v = 0 a superellipse, whose power makes the jaw square."""
    side, below = np.abs(u) / 0.7, np.maximum(v, 0)
    with np.errstate(under="ignore"):
        lower = (side**power + below**power) ** (1 / power)
    return np.where(v > 0, lower - 1, np.hypot(side, v) - 1) * np.float32(0.7)


def _cover(distance: np.ndarray, size: int) -> np.ndarray:
    """Share of each pixel that lies inside, with edges of one pixel."""
    return np.clip(0.5 - distance * np.float32(0.41 * size), 0, 1)


def _painted(
    shapes: Mapping[str, np.ndarray],
    f: Mapping[str, np.ndarray],
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Pictures, uint8 (image, y, x, channel): parts over one another, then the light on them, then
    noise.
    """
    picture = np.broadcast_to(
        _colour(f, (0.45, 0.5, 0.55), "background", 0.4), (*shapes["head"].shape, 3)
    ).copy()
    for name, (base, by, reach) in _LAYERS.items():
        cover = _cover(shapes[name], size)[..., np.newaxis]
        picture += cover * (_colour(f, base, by, reach) - picture)
    picture *= _light(f, size)[..., np.newaxis]
    picture += 0.02 * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * np.clip(picture, 0, 1)).round().astype(np.uint8)


def _colour(
    f: Mapping[str, np.ndarray], base: tuple[float, ...], by: str, reach: float
) -> np.ndarray:
    """Colour of a part in each image, (image, 1, 1, channel): lighter or darker by a feature."""
    light = 1 + reach * f[by] if by else np.ones(len(f["skin"]))
    return (np.array(base) * light[:, np.newaxis]).astype(np.float32)[:, np.newaxis, np.newaxis]


def _light(f: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    """Brightness of each pixel: a plane of any direction."""
    places = (np.arange(size) + 0.5) / size * 2 - 1
    angle, slope = (f[name][:, np.newaxis, np.newaxis] for name in ("light_angle", "light"))
    plane = np.cos(angle) * places + np.sin(angle) * places[:, np.newaxis]
    return (1 + 0.1 * f["brightness"][:, np.newaxis, np.newaxis] + 0.2 * slope * plane).astype(
        np.float32
    )


def _label_images(shapes: Mapping[str, np.ndarray]) -> np.ndarray:
    """The region of each pixel: parts reach a little beyond their outline, and the first of
    `REGIONS` takes a pixel.
    """
    head = shapes["head"]
    inside = {name: shapes[name] < _MARGIN for name in ("eyes", "brows", "nose", "mouth")}
    inside["jaw"] = (np.abs(head) < 2 * _MARGIN) & (shapes["lower half"] < 0)
    inside["hair"] = (shapes["hairline"] < 0) | ((shapes["hair"] < 0) & (head > 0))
    inside["skin"] = head < 0
    labels = np.zeros(head.shape, np.uint8)
    for label, name in reversed(list(enumerate(REGIONS, 1))):
        labels[inside[name]] = label
    return labels


def draw_objects(
    n: int, *, size: int = 64, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw textured objects: a world to learn from that has no face in it.

    Parameters
    ----------
    n : int
        How many.
    size : int
        Height and width in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    pixels : ndarray of uint8, (image, y, x, channel)
    kinds : ndarray of int64, (image,)
        Which: number of the shape x 5 + number of the texture.

    Examples
    --------
    >>> pixels, kinds = draw_objects(20, rng=np.random.default_rng(1))
    >>> pixels.shape, int(kinds.max()) < len(SHAPES) * len(TEXTURES)
    ((20, 64, 64, 3), True)
    """
    kinds = rng.integers(0, len(SHAPES) * len(TEXTURES), n)
    shape, texture = np.divmod(kinds, len(TEXTURES))
    angle = rng.uniform(-0.35, 0.35, n)
    places = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    right, down = (places - rng.uniform(-0.25, 0.25, (n, 1)).astype(np.float32) for _ in range(2))
    u = (
        _column(np.cos(angle)) * right[:, np.newaxis, :]
        + _column(np.sin(angle)) * down[:, :, np.newaxis]
    )
    v = (
        _column(np.cos(angle)) * down[:, :, np.newaxis]
        - _column(np.sin(angle)) * right[:, np.newaxis, :]
    )
    reach = _column(rng.uniform(0.4, 0.65, n))
    cover = _cover(_chosen(_outlines(u, v, reach), shape), size)[..., np.newaxis]
    pattern = _chosen(_patterns(u, v, _column(rng.uniform(8, 14, n))), texture)[..., np.newaxis]
    one, other, behind = (
        rng.uniform(0.05, 0.95, (n, 1, 1, 3)).astype(np.float32) for _ in range(3)
    )
    picture = behind + cover * (one + pattern * (other - one) - behind)
    picture += 0.02 * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * np.clip(picture, 0, 1)).round().astype(np.uint8), kinds


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, np.newaxis, np.newaxis]


def _chosen(kinds: list[np.ndarray], which: np.ndarray) -> np.ndarray:
    """Of each image, the array that `which` names."""
    return np.stack([kinds[k][i] for i, k in enumerate(which)])


def _outlines(u: np.ndarray, v: np.ndarray, reach: np.ndarray) -> list[np.ndarray]:
    """Distances to the outlines of `SHAPES`."""
    disc, square = np.hypot(u, v) - reach, _bar(u, v, 0.9 * reach, 0.9 * reach)
    triangle = np.maximum(0.87 * np.abs(u) - 0.5 * v - 0.5 * reach, v - 0.8 * reach)
    cross = np.minimum(_bar(u, v, reach, 0.35 * reach), _bar(u, v, 0.35 * reach, reach))
    return [disc, square, triangle, np.maximum(disc, 0.5 * reach - np.hypot(u, v)), cross]


def _patterns(u: np.ndarray, v: np.ndarray, waves: np.ndarray) -> list[np.ndarray]:
    """`TEXTURES`, 0 to 1."""

    def steep(values: np.ndarray) -> np.ndarray:
        return np.clip(0.5 + 2 * values, 0, 1)

    down, right = np.sin(waves * v), np.sin(waves * u)
    dots = steep(np.cos(waves * u) * np.cos(waves * v) - 0.45)
    return [np.zeros_like(u), steep(down), steep(right), steep(down * right), dots]
