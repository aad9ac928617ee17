"""How numbers, labels and results are written as text and as JSON: labels never act as markup or
control codes.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import numpy as np
import xarray as xr


def safe(text: object) -> str:
    r"""Text as it stands, with control characters, escape codes and direction marks spelled out.

    Examples
    --------
    >>> safe(chr(27) + "[31mred")
    '\\x1b[31mred'
    """
    return "".join(
        c if unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def number(value: float) -> str:
    """A number with three digits that matter, as tables show it; `-` where there is none.

    Examples
    --------
    >>> number(0.12345), number(float("nan")), number(1e-7)
    ('0.123', '-', '1e-07')
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"


def plain(value: Any) -> Any:
    """A value as what JSON knows: lists, text, numbers; null where a number is not finite.

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan])})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def result_dict(result: xr.Dataset) -> dict[str, Any]:
    """A result as plain lists: `attrs`, `coords`, `variables` with their dims."""
    describe = {
        name: {"dims": list(v.dims), "data": v.values} for name, v in result.variables.items()
    }
    coords = {str(k): v for k, v in describe.items() if k in result.coords}
    return {
        "attrs": dict(result.attrs),
        "coords": coords,
        "variables": {str(k): v for k, v in describe.items() if k not in result.coords},
    }
