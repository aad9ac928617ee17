"""Labels and numbers as figures show them and as alternative texts say them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from relstats.results.text import number, safe

#: So many numbers are read out; the rest is in the tables.
LONGEST = 60


def literal(text: object, width: int = 28) -> str:
    r"""A label as it stands, control characters spelled out, its middle left out where it is long.

    Examples
    --------
    >>> literal("$x_1$ " + chr(0x202E)), literal("abcdefghijklmnop", 9)
    ('$x_1$ \\u202e', 'abcd…mnop')
    """
    shown = safe(text)
    if len(shown) <= width:
        return shown
    head = width // 2
    return f"{shown[:head]}…{shown[len(shown) - (width - head - 1) :]}"


def interval(estimate: float, bounds: Iterable[float]) -> str:
    """An estimate with its interval, or what is missing of it.

    Examples
    --------
    >>> interval(0.25, [0.1, 0.4]), interval(0.25, [np.nan, np.nan]), interval(np.nan, [0, 1])
    ('0.250 [0.100, 0.400]', '0.250 (no interval)', 'no value')
    """
    low, high = (float(b) for b in bounds)
    if not np.isfinite(estimate):
        return "no value"
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{number(float(estimate))} (no interval)"
    return f"{number(float(estimate))} [{number(low)}, {number(high)}]"


def p_text(p: float, what: str = "p") -> str:
    """A p-value with its name; nothing where there is none.

    Examples
    --------
    >>> p_text(0.00004), p_text(float("nan"))
    ('p = 4e-05', '')
    """
    return f"{what} = {number(float(p))}" if np.isfinite(p) else ""


def sentence(begin: str, items: Iterable[str], end: str = "") -> str:
    """An alternative text: what it is, each number, and what to know of them.

    Examples
    --------
    >>> sentence("Power", ["3 networks: 0.5", "5 networks: 0.8"])
    'Power: 3 networks: 0.5; 5 networks: 0.8.'
    """
    told = list(items)
    more = f"; and {len(told) - LONGEST} more, in the tables" if len(told) > LONGEST else ""
    end = end.strip()
    closing = f" {end[0].upper()}{end[1:]}{'' if end.endswith('.') else '.'}" if end else ""
    return f"{begin}: {'; '.join(told[:LONGEST])}{more}.{closing}"


def count(n: int, what: str) -> str:
    """A number of things.

    Examples
    --------
    >>> count(1, "image"), count(3, "image")
    ('1 image', '3 images')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"


def wrapped(text: str, width: int) -> str:
    """A text on several lines."""
    return "\n".join(textwrap.wrap(text, width))


def percent(confidence: float) -> str:
    """0.95 as `95 %`."""
    return f"{100 * float(confidence):g} %"


def quantity(attrs: Mapping[Any, Any]) -> str:
    """What a comparison measured, for the label of an axis.

    Examples
    --------
    >>> (
    ...     quantity({"measure": "spearman"}),
    ...     quantity({"measure": "transfer", "score": "correct", "normalise": "none"}),
    ... )
    ('agreement of maps (spearman)', 'correct')
    """
    if attrs["measure"] != "transfer":
        return f"agreement of maps ({literal(attrs['measure'])})"
    lost = attrs.get("transfer_operation") == "remove"
    what = f"{'loss of ' if lost else ''}{literal(attrs['score'])}"
    if attrs.get("normalise") == "target":
        return f"{what} (0: control masks, 1: {'fall to chance' if lost else 'whole images'})"
    return f"{what} (0: chance)" if attrs.get("normalise") == "chance" else what


def texts(labels: xr.DataArray) -> list[str]:
    """Labels as text."""
    return [str(v) for v in labels.values]
