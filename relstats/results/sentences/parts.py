"""A sentence, and the one that most analyses need: how much two sides differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.results.text import number, safe
from relstats.results.wording import capital, decided, holds, open_question, reason, sure


@dataclass(frozen=True)
class Sentence:
    """One answer, and what it holds for.

    `kind` is "found", "open" (the data do not decide), "unsaid" (there is no number, and why) or
    "also" (another analysis of the same question).
    """

    kind: str
    text: str
    holds: str = ""


def difference(one: xr.Dataset, what: str, a: str, b: str) -> Sentence:
    """The estimate is a less b."""
    estimate = float(one["estimate"])
    if np.isnan(estimate):
        return Sentence(
            "unsaid", f"Could not be said: how {what} differs between {a} and {b}. {reason(one)}"
        )
    if not decided(one):
        return Sentence(
            "open",
            f"{open_question(one)}: whether {what} differs between {a} and {b}: {number(estimate)}"
            f" ({sure(one)}).",
            holds(one),
        )
    sign = 1.0 if estimate > 0 else -1.0
    size = f"{number(abs(estimate))} {'higher' if sign > 0 else 'lower'} for {a} than for {b}"
    return Sentence("found", f"{capital(what)} is {size} ({sure(one, scale=sign)}).", holds(one))


def also(result: xr.Dataset, name: str) -> list[Sentence]:
    """The estimates of another analysis of the same question, in one line: none is kept silent."""
    parts = []
    for contrast in result["contrast"].values:
        for effect in result["effect"].values:
            one = result.sel(contrast=contrast, effect=effect)
            lower, upper = one["ci"].values.tolist()
            parts.append(
                f"{safe(effect).replace('_', ' ')} {number(float(one['estimate']))}"
                f" [{number(lower)}, {number(upper)}]"
            )
    how = (
        f"score {safe(result.attrs.get('score'))}, normalised:"
        f" {safe(result.attrs.get('normalise'))}"
    )
    return [Sentence("also", f"The same question with other scores ({how}): {'; '.join(parts)}.")]
