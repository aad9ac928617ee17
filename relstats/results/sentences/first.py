"""The few sentences of a result that a report tells first; its others are folded under them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from relstats.results.sentences import pixels
from relstats.results.sentences.networks import comparison
from relstats.results.sentences.parts import Sentence
from relstats.results.sentences.pixels import AGAINST, IN_SAMPLE, MEASURED, of_others
from relstats.results.text import number, safe
from relstats.results.wording import capital, decided, holds, level, levels, p_text, untested

#: Names that one sentence lists; the others are counted, and in the fold.
_MOST_LISTED = 8
_MORE, _LESS, _OPEN, _UNKNOWN = range(4)


def compare(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """The gap between levels and the asymmetry, of each contrast."""
    return comparison(result, ("specificity", "asymmetry"))


def shared(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """The core set of shared pixels."""
    return pixels.shared(result.sel(consensus=[result.attrs["consensus"]]), name)


def regions(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """All regions of a contrast together."""
    if "contrast" not in result.dims:
        return
    measure = safe(result.attrs["measure"])
    what = (
        f"{capital(measure)} of"
        f" relevance{' (1 is the share of the pixels)' if measure == 'density' else ''}"
    )
    for contrast in result["contrast"].values:
        a, b = levels(contrast)
        cells = [
            (safe(region), result.sel(contrast=contrast, region=region))
            for region in result["region"].values
        ]
        starts = (
            f"is higher for {a} than for {b} in",
            f"is lower for {a} than for {b} in",
            f"is not known to differ between {a} and {b} in",
            "could not be compared in",
        )
        yield _together(f"{what} ", cells, starts)


def sufficiency(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """All sets that the pixels of the other networks are compared with, together."""
    if not of_others(result):
        yield Sentence("unsaid", IN_SAMPLE)
        return
    for group, question in itertools.product(result["level"].values, result["question"].values):
        one = result.sel(level=group, question=question)
        cells = [
            (AGAINST.get(str(v), safe(v)), one.sel(against=v)) for v in result["against"].values
        ]
        begin = capital(MEASURED[str(question)])
        starts = (
            "more than",
            "less than",
            "not decidedly more or less than",
            "could not be compared with",
        )
        yield _together(f"{begin} {safe(group)} ", cells, starts)


def _together(
    begin: str, cells: Sequence[tuple[str, xr.Dataset]], starts: tuple[str, str, str, str]
) -> Sentence:
    """Differences in one sentence: those above none, those below, those not decided.

    Each with size, interval and p.
    """
    told: list[list[str]] = [[] for _ in starts]
    for label, one in cells[:_MOST_LISTED]:
        told[_side(one)].append(f"{label}{_bracket(one)}")
    parts = [
        f"{start} {_listed(labels)}" for start, labels in zip(starts, told, strict=True) if labels
    ]
    left, one = len(cells) - _MOST_LISTED, cells[0][1]
    more = f"; {left} others are below" if left > 0 else ""
    kind = "found" if told[_MORE] or told[_LESS] else "open" if told[_OPEN] else "unsaid"
    adjusted = "adjusted p" if "p_adjusted" in one else "p"
    key = (
        ""
        if kind == "unsaid"
        else f" In brackets: difference, {100 * level(one):g} % interval, {adjusted}."
    )
    return Sentence(kind, f"{begin}{'; '.join(parts)}{more}.{key}", holds(one))


def _side(one: xr.Dataset) -> int:
    estimate = float(one["estimate"])
    if np.isnan(estimate):
        return _UNKNOWN
    return _OPEN if not decided(one) else _MORE if estimate > 0 else _LESS


def _bracket(one: xr.Dataset) -> str:
    """Size, interval and p.

    Of a known direction the size without its sign, which the words around it say.
    """
    estimate = float(one["estimate"])
    if np.isnan(estimate):
        return ""
    if untested(one):
        return f" ({number(estimate)}, no p)"
    sign = -1.0 if _side(one) == _LESS else 1.0
    low, high = sorted(sign * bound for bound in one["ci"].values.tolist())
    p = float(one["p_adjusted" if "p_adjusted" in one else "p_value"])
    return f" ({number(sign * estimate)}, {number(low)} to {number(high)}, {p_text(p)})"


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))
