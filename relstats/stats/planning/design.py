"""What a simulated study consists of: its models, networks and images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relstats.errors import UsageError

AXES = {
    "pretrain": ("imagenet", "vggface2", "places", "random"),
    "task": ("gender", "identity", "age", "expression"),
    "architecture": ("vgg16", "resnet18", "mobilenet", "squeezenet"),
}


@dataclass(frozen=True)
class Design:
    """Labels and sizes of a simulated study."""

    models: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    images: int
    size: int
    fractions: tuple[float, ...]

    @property
    def networks(self) -> list[tuple[int, ...]]:
        """(model, seed) positions of the networks that exist."""
        return [(m, s) for m, n in enumerate(self.seeds) for s in range(n)]

    @property
    def levels(self) -> np.ndarray:
        """Index of each network's level on the first axis."""
        labels = next(iter(self.axes.values()))
        return np.array([list(dict.fromkeys(labels)).index(labels[m]) for m, _ in self.networks])


def design_of(
    models: str, seeds: int | Sequence[int], images: int, size: int, fractions: Sequence[float]
) -> Design:
    """Labels and sizes, from what `simulate` is asked for.

    Raises
    ------
    UsageError
        They cannot be simulated.

    Examples
    --------
    >>> design_of("2x1", 3, images=10, size=16, fractions=[0.1]).models
    ('imagenet-gender', 'vggface2-gender')
    """
    try:
        counts = [int(n) for n in models.lower().split("x")]
    except ValueError:
        raise UsageError(f"models is {models!r}, not levels by levels such as '2x2'") from None
    if not 1 <= len(counts) <= len(AXES) or not all(1 <= n <= 4 for n in counts):
        raise UsageError(
            f"models is {models!r}: give 1 to {len(AXES)} axes of 1 to 4 levels each, such as '2x2'"
        )
    names = list(AXES)[: len(counts)]
    combos = list(
        itertools.product(*(AXES[name][:n] for name, n in zip(names, counts, strict=True)))
    )
    per_model = (seeds,) * len(combos) if isinstance(seeds, int) else tuple(seeds)
    if len(per_model) != len(combos) or min(per_model) < 1 or images < 1 or size < 4:
        raise UsageError(
            f"{len(combos)} models need 1 or {len(combos)} numbers of seeds >= 1, images >= 1 and"
            f" size >= 4; got seeds {per_model}, images {images}, size {size}"
        )
    shares = tuple(map(float, fractions))
    if not shares or len(set(shares)) < len(shares) or not all(0 < f <= 1 for f in shares):
        raise UsageError(f"fractions is {shares}: give different shares of the pixels, in (0, 1]")
    axes = {name: tuple(combo[k] for combo in combos) for k, name in enumerate(names)}
    return Design(
        tuple("-".join(combo) for combo in combos),
        axes,
        per_model,
        images,
        size,
        shares,
    )
