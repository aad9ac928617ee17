"""What is said of networks: whether their maps carry over, agree and fall into clusters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from relstats.results.sentences.parts import Sentence
from relstats.results.text import number, safe
from relstats.results.wording import (
    capital,
    decided,
    holds,
    interval,
    level,
    levels,
    open_question,
    p_text,
    reason,
    sure,
)

#: Effects of levels a|b in the order in which they are told: where the estimate is positive,
#: negative, and not known to be either.
_EFFECTS = {
    "specificity": (
        "maps carry over less between {a} and {b} than within them: {what} is {size} lower",
        "maps carry over more between {a} and {b} than within them: {what} is {size} higher",
        "whether maps carry over less between {a} and {b} than within them",
    ),
    "asymmetry": (
        "maps from {a} tested on {b} give {size} more than maps from {b} tested on {a}",
        "maps from {a} tested on {b} give {size} less than maps from {b} tested on {a}",
        "whether maps from {a} tested on {b} give more than the reverse",
    ),
    "source_effect": (
        "{a} gives the better maps: as sources they give {size} more than those of {b}",
        "{b} gives the better maps: as sources they give {size} more than those of {a}",
        "whether {a} or {b} gives the better maps (sources)",
    ),
    "target_effect": (
        (
            "networks of {a} {verb} {size} more than those of {b}, whichever map chose the pixels"
            " (as targets)"
        ),
        (
            "networks of {b} {verb} {size} more than those of {a}, whichever map chose the pixels"
            " (as targets)"
        ),
        (
            "whether networks of {a} or of {b} {verb} more, whichever map chose the pixels (as"
            " targets)"
        ),
    ),
    "own_level_difference": (
        "{what} is {size} higher within {a} than within {b}",
        "{what} is {size} higher within {b} than within {a}",
        "whether {what} is higher within {a} or within {b}",
    ),
}


def compare(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """Each effect of each contrast: whether maps carry over, and which direction is better."""
    others = [str(effect) for effect in result["effect"].values if effect not in _EFFECTS]
    return comparison(result, [*_EFFECTS, *others])


def comparison(result: xr.Dataset, effects: Sequence[str]) -> Iterator[Sentence]:
    """Those of some effects that a comparison has, contrast by contrast, in their order."""
    what = "the loss" if result.attrs.get("transfer_operation") == "remove" else "the score"
    what = what if result.attrs["measure"] == "transfer" else "agreement"
    known = [effect for effect in effects if effect in result["effect"].values]
    for contrast in result["contrast"].values:
        one = result.sel(contrast=contrast)
        for effect in known:
            yield _effect(one, effect, *levels(contrast), what)


def _effect(contrast: xr.Dataset, effect: str, a: str, b: str, what: str) -> Sentence:
    one = contrast.sel(effect=effect)
    estimate = float(one["estimate"])
    more, less, question = (
        text.format(
            a=a,
            b=b,
            what=what,
            size=number(abs(estimate)),
            verb="lose" if what == "the loss" else "score",
        )
        for text in _EFFECTS.get(effect, (safe(effect),) * 3)
    )
    if np.isnan(estimate):
        return Sentence("unsaid", f"Could not be said: {question}. {reason(one)}")
    why = (
        _parts(contrast)
        if effect == "asymmetry"
        else _equivalent(one)
        if effect == "specificity"
        else ""
    )
    if decided(one):
        sign = 1.0 if estimate > 0 else -1.0
        return Sentence(
            "found",
            f"{capital(more if sign > 0 else less)} ({sure(one, scale=sign)}).{why}",
            holds(one),
        )
    limits = _compressed(contrast, effect)
    if limits:
        text = f"No power here: {question} cannot be told, as {limits}: differences there are"
        text += f" compressed. Measured: {number(estimate)} ({sure(one)})."
        return Sentence("open", text, holds(one))
    return Sentence(
        "open",
        f"{open_question(one)}: {question}: {number(estimate)} ({sure(one)}).{why}",
        holds(one),
    )


#: Whether an effect is of cells within a level, and of cells between levels; of both otherwise.
_CELLS = {"asymmetry": (False, True), "own_level_difference": (True, False)}


def _compressed(contrast: xr.Dataset, effect: str) -> str:
    """Which cells of an effect are near the floor or the ceiling, in words; nothing where none."""
    if "cell_flag" not in contrast:
        return ""
    within, between = _CELLS.get(effect, (True, True))
    names = str(contrast["contrast"].item()).split("|")
    cells = []
    for source, target in itertools.product(names, names):
        flag = contrast["cell_flag"].sel(source_level=source, target_level=target).item()
        if flag and (within if source == target else between):
            cells.append(f"maps of {safe(source)} on {safe(target)} are at the {safe(flag)}")
    return " and ".join(cells)


def _parts(contrast: xr.Dataset) -> str:
    """Asymmetry is the source effect less the target effect: the reader sees which of them it
    is.
    """
    effects = contrast["effect"].values.tolist()
    if not {"source_effect", "target_effect"} <= set(effects):
        return ""
    source, target = (contrast.sel(effect=effect) for effect in ("source_effect", "target_effect"))
    return (
        f" It is the source effect (whose maps are better), {_known(source)}, less the target"
        f" effect (who is tested), {_known(target)}."
    )


def _known(one: xr.Dataset) -> str:
    p = float(one["p_adjusted" if "p_adjusted" in one else "p_value"])
    return (
        f"{number(float(one['estimate']))} ({'' if decided(one) else 'not decided, '}{p_text(p)})"
    )


def _equivalent(one: xr.Dataset) -> str:
    if (
        "p_equivalence" not in one
        or "margin" not in one
        or not float(one["p_equivalence"]) < 1 - level(one)
    ):
        return ""
    return (
        f" The gap is smaller than {number(float(one['margin']))}"
        f" ({p_text(float(one['p_equivalence']))}): equivalent by this margin."
    )


def similarity(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """The least and the most alike of all networks, in one sentence: nothing was tested."""
    first, second = np.nonzero(~np.eye(result.sizes["source"], dtype=bool))
    values = result["estimate"].transpose("source", "target", "fraction").values[first, second]
    measure = safe(result.attrs["measure"])
    if not np.isfinite(values).any():
        yield Sentence("unsaid", f"Could not be said: how alike maps are. {reason(result)}")
        return
    yield Sentence(
        "found",
        f"Maps of any two of {result.sizes['source']} networks agree at"
        f" {number(float(np.nanmin(values)))} to {number(float(np.nanmax(values)))} ({measure}):"
        " this describes, and tests nothing.",
        holds(result),
    )


def stability(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """How well maps of each model agree across its seeds, beside those of different images."""
    for model in result["model"].values:
        one = result.sel(model=model)
        estimate = float(one["estimate"])
        if np.isnan(estimate):
            yield Sentence(
                "unsaid",
                f"Could not be said: how well maps of {safe(model)} agree across seeds."
                f" {reason(one)}",
            )
            continue
        chance = (
            f"; maps of different images: {number(float(one['swapped']))},"
            f" {p_text(float(one['p_swapped_adjusted']))}"
        )
        text = (
            f"Maps of {safe(model)} agree across seeds at {number(estimate)}"
            f" ({safe(result.attrs['measure'])}; {interval(one)}{chance})."
        )
        yield Sentence(
            "found" if decided(one, "p_swapped", "p_swapped_adjusted") else "open", text, holds(one)
        )


def strategies(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """Whether clusters of maps go with the levels of an axis."""
    p, axis, n = float(result["p_value"]), safe(result.attrs["axis"]), int(result["n_clusters"])
    if np.isnan(p):
        yield Sentence(
            "unsaid",
            f"Maps fall into {n} cluster(s); whether clusters go with {axis} could not be said."
            f" {reason(result)}",
        )
        return
    found = p < 1 - level(result)
    start = "Clusters of maps go with" if found else "Not decided: whether clusters of maps go with"
    yield Sentence(
        "found" if found else "open",
        f"{start} {axis}: {n} clusters ({p_text(p)}, labels of whole networks permuted).",
        holds(result),
    )
