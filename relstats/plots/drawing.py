"""What a figure is before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawing(NamedTuple):
    """A figure that can be drawn.

    Attributes
    ----------
    name : str
        Letters, digits and _, fit for a file; unique among those of a result.
    alt : str
        An alternative text that holds the numbers.
    draw : callable
        Without arguments; returns the Figure.
    """

    name: str
    alt: str
    draw: Callable[[], Figure]
