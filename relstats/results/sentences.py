"""Results in plain sentences: what was found, how sure it is, what it holds for, and what could not
be said.

A sentence is written from the numbers of a result and computes none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from relstats.results.text import number, safe
from relstats.results.wording import (
    capital,
    counts,
    decided,
    holds,
    interval,
    level,
    levels,
    p_text,
    reason,
    sure,
)


@dataclass(frozen=True)
class Sentence:
    """One answer, and what it holds for.

    `kind` is "found", "open" (the data do not decide), "unsaid" (there is no number, and why) or
    "also" (another analysis of the same question).
    """

    kind: str
    text: str
    holds: str = ""


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


def sentences(result: xr.Dataset, name: str) -> list[Sentence]:
    """What a result says, in sentences.

    Parameters
    ----------
    result : xarray.Dataset
        Of any statistic. One that is not known here is told row by row from `estimate`, `ci` and p.
    name : str
        Of the result in the study.

    Returns
    -------
    list of Sentence
        At least one.

    Examples
    --------
    >>> result = xr.Dataset(
    ...     {"estimate": ((), 0.5), "ci": ("bound", [0.4, 0.6])},
    ...     attrs={"statistic": "mine", "level": 0.95},
    ... )
    >>> sentences(result, "mine")[0].text
    'Mine: 0.500 (95 % interval 0.400 to 0.600).'
    """
    writer = _WRITERS.get(str(result.attrs.get("statistic", "")), _any)
    try:
        found = list(writer(result, name))
    except (
        KeyError,
        ValueError,
        IndexError,
        TypeError,
    ):  # of another version of relstats, or another tool's
        found = list(_any(result, name))
    return found or [
        Sentence(
            "unsaid",
            f"{capital(safe(name))} holds no estimate that a sentence could tell: see its tables.",
        )
    ]


def quantity(result: xr.Dataset) -> str:
    """What a comparison compares, in words.

    Examples
    --------
    >>> quantity(xr.Dataset(attrs={"measure": "spearman"}))
    'agreement of maps (spearman)'
    """
    attrs = result.attrs
    if attrs.get("measure") != "transfer":
        return f"agreement of maps ({safe(attrs.get('measure', 'of a kind not recorded'))})"
    removed = attrs.get("transfer_operation") == "remove"
    one = "a fall to chance" if removed else "whole images"
    scale = {
        "target": f"; 0 is what control masks give, 1 {one}",
        "chance": "; chance taken out",
    }.get(str(attrs.get("normalise")), "")
    score = {"probability": "probability of the true class", "correct": "share right"}.get(
        str(attrs["score"]), safe(attrs["score"])
    )
    return (
        f"{'loss of score without' if removed else 'the score on'} the relevant pixels"
        f" ({score}{scale})"
    )


def _compare(result: xr.Dataset, name: str) -> Iterator[Sentence]:
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
    return Sentence(
        "open", f"Not decided: {question}: {number(estimate)} ({sure(one)}).{why}", holds(one)
    )


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


def _stability(result: xr.Dataset, name: str) -> Iterator[Sentence]:
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


_WHO = {
    "all": "all networks",
    "most": "90 % of the networks",
    "majority": "more than half of the networks",
}


def _shared(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    top = f"{100 * float(result.attrs['fraction']):g} %"
    across = " in each condition" if result.sizes.get("condition", 1) > 1 else ""
    sizes = " and ".join(
        f"{int(n)} of {safe(c)}"
        for c, n in zip(result["condition"].values, result["n_networks"].values, strict=True)
    )
    about = (
        f"{holds(result)} n: {sizes if across else int(result['n_networks'].sum())} networks,"
        f" {int(result['n_images'])} images."
    )
    for consensus in result["consensus"].values:
        one = result.sel(consensus=consensus)
        who = f"{_WHO.get(str(consensus), safe(consensus))}{across}"
        if np.isnan(float(one["estimate"])):
            yield Sentence(
                "unsaid", f"Could not be said: how many pixels {who} share. {reason(one)}"
            )
            continue
        chance = number(100 * float(one["expected"].sel(null="image swap")))
        size = f"{number(100 * float(one['estimate']))} % of pixels are in the top {top} of {who}"
        yield Sentence(
            "found" if decided(one) else "open",
            f"{size} ({sure(one, scale=100, unit=' %')}; {chance} % where maps do not "
            "depend on the image).",
            about,
        )


def _regions(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    measure = safe(result.attrs["measure"])
    unit = "; 1 is its share of the pixels" if measure == "density" else ""
    if "contrast" not in result.dims:
        for group, region in itertools.product(result["level"].values, result["region"].values):
            one = result.sel(level=group, region=region)
            size = f"{number(float(one['level_mean']))} ({interval(one, 'level_ci')}{unit})"
            yield Sentence(
                "found",
                f"Of {safe(group)}, {measure} of relevance in {safe(region)} is {size}.",
                holds(one),
            )
        return
    for contrast, region in itertools.product(result["contrast"].values, result["region"].values):
        means = [
            number(float(result["level_mean"].sel(level=side, region=region)))
            for side in str(contrast).split("|")
        ]
        what = f"{measure} of relevance in {safe(region)} ({' and '.join(means)}{unit})"
        yield _difference(result.sel(contrast=contrast, region=region), what, *levels(contrast))


def _difference(one: xr.Dataset, what: str, a: str, b: str) -> Sentence:
    """The estimate is a less b."""
    estimate = float(one["estimate"])
    if np.isnan(estimate):
        return Sentence(
            "unsaid", f"Could not be said: how {what} differs between {a} and {b}. {reason(one)}"
        )
    if not decided(one):
        return Sentence(
            "open",
            f"Not decided: whether {what} differs between {a} and {b}: {number(estimate)}"
            f" ({sure(one)}).",
            holds(one),
        )
    sign = 1.0 if estimate > 0 else -1.0
    size = f"{number(abs(estimate))} {'higher' if sign > 0 else 'lower'} for {a} than for {b}"
    return Sentence("found", f"{capital(what)} is {size} ({sure(one, scale=sign)}).", holds(one))


def _differences(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """Where maps differ: how many pixels each correction leaves, at the result's level."""
    for contrast in result["contrast"].values:
        one, (a, b) = result.sel(contrast=contrast), levels(contrast)
        smallest = {
            p: float(np.nanmin(one[p].values))
            for p in ("p_max_t", "p_bh")
            if p in one and np.isfinite(one[p].values).any()
        }
        if not smallest:
            yield Sentence(
                "unsaid", f"Could not be said: where maps of {a} and {b} differ. {reason(one)}"
            )
            continue
        parts = []
        for p, least in smallest.items():
            n = int((one[p].values < 1 - level(one)).sum())
            how = "family-wise over pixels" if p == "p_max_t" else "false discovery rate"
            parts.append(f"{n} of {one[p].size} pixels ({how}; smallest {p_text(least)})")
        some = any(least < 1 - level(one) for least in smallest.values())
        start = (
            f"Maps of {a} and {b} differ at"
            if some
            else f"Not decided: where maps of {a} and {b} differ: at"
        )
        yield Sentence("found" if some else "open", f"{start} {', '.join(parts)}.", holds(one))


def _strategies(result: xr.Dataset, name: str) -> Iterator[Sentence]:
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


def _rsa(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    dim = "model" if "model" in result["estimate"].dims else "level"
    comparison, ceiling = safe(result.attrs["comparison"]), _ceiling(result)
    for label in result[dim].values:
        one = result.sel({dim: label})
        if np.isnan(float(one["estimate"])):
            yield Sentence(
                "unsaid", f"Could not be said: how well {safe(label)} matches people. {reason(one)}"
            )
            continue
        size = f"{number(float(one['estimate']))} ({comparison}; {sure(one)}{ceiling})"
        found = decided(one)
        text = (
            f"What is alike to {safe(label)} is alike to people: agreement {size}."
            if found
            else (
                f"Not decided: whether what is alike to {safe(label)} is alike to people: agreement"
                f" {size}."
            )
        )
        yield Sentence("found" if found else "open", text, holds(one))
    for contrast in result["contrast"].values if "contrast" in result.dims else ():
        ends = {"": "estimate", "_ci": "ci", "_p_value": "p_value", "_random": "random"}
        one = result.sel(contrast=contrast).drop_vars(ends.values(), errors="ignore")
        one = one.rename(
            {f"difference{end}": new for end, new in ends.items() if f"difference{end}" in one}
        )
        yield _difference(
            one.drop_vars("n_networks", errors="ignore"), "agreement with people", *levels(contrast)
        )


def _ceiling(result: xr.Dataset) -> str:
    low, high = (
        result["noise_ceiling"].values.tolist() if "noise_ceiling" in result else (np.nan, np.nan)
    )
    return (
        ""
        if np.isnan(low)
        else f"; people with each other, the noise ceiling: {number(low)} to {number(high)}"
    )


def _compare_human(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    for contrast, effect in itertools.product(result["contrast"].values, result["effect"].values):
        one = result.sel(contrast=contrast, effect=effect)
        yield _difference(
            one,
            f"agreement with people ({safe(result.attrs['comparison'])}{_ceiling(result)})",
            *levels(contrast),
        )


def _of_people(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """People's maps, or their choices: each level's agreement with them, then how levels differ."""
    effects = {
        "agreement": "agreement with people's maps",
        "kappa": "kappa with people's answers",
        "above_swapped": (
            "agreement with people's maps of the same image, less that with their maps of other"
            " images,"
        ),
    }
    for effect, group in itertools.product(result["effect"].values, result["level"].values):
        one, what = result.sel(effect=effect, level=group), effects.get(str(effect), safe(effect))
        if np.isnan(float(one["level_mean"])):
            yield Sentence("unsaid", f"Could not be said: {what} of {safe(group)}. {reason(one)}")
            continue
        size = f"{number(float(one['level_mean']))} ({sure(one, 'level_ci', 'level_p_value', '')})"
        tested = "level_p_value" in one and not np.isnan(float(one["level_p_value"]))
        kind = "found" if not tested or decided(one, "level_p_value", "") else "open"
        yield Sentence(
            kind, f"{capital(what)} of {safe(group)} is {size}.", holds(one, "level_random")
        )
    if "contrast" in result.dims:
        for contrast, effect in itertools.product(
            result["contrast"].values, result["effect"].values
        ):
            what = effects.get(str(effect), safe(effect)).rstrip(",")
            yield _difference(result.sel(contrast=contrast, effect=effect), what, *levels(contrast))


#: What shared pixels are compared with, in words.
AGAINST = {
    "own": "each network's own most relevant pixels",
    "image_swap": "the shared pixels of another image",
    "random": "random pixels",
}


def _sufficiency(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    cells = itertools.product(
        result["level"].values, result["question"].values, result["against"].values
    )
    for group, question, against in cells:
        one = result.sel(level=group, question=question, against=against)
        estimate, other = float(one["estimate"]), AGAINST.get(str(against), safe(against))
        kept = str(question) == "sufficiency"
        what = "the shared pixels alone give" if kept else "removing the shared pixels costs"
        if np.isnan(estimate):
            yield Sentence(
                "unsaid",
                f"Could not be said: whether {what} {safe(group)} more than {other}. {reason(one)}",
            )
        elif decided(one):
            sign = 1.0 if estimate > 0 else -1.0
            size = f"{number(abs(estimate))} {'more' if sign > 0 else 'less'} than {other}"
            yield Sentence(
                "found",
                f"{capital(what)} {safe(group)} {size} ({sure(one, scale=sign)}).",
                holds(one),
            )
        else:
            yield Sentence(
                "open",
                f"Not decided: whether {what} {safe(group)} more than {other}: {number(estimate)}"
                f" ({sure(one)}).",
                holds(one),
            )


def _rdm(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    text = (
        f"Dissimilarities of images ({safe(result.attrs['dissimilarity'])}, on"
        f" {safe(result.attrs.get('on', 'maps'))}) are in the study: they describe, and test"
        " nothing."
    )
    yield Sentence("found", text, f"n: {counts(result)}.")


def _any(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """One sentence for each estimate of a statistic that has no writer, up to a dozen."""
    if "estimate" not in result:
        return
    estimate, title = result["estimate"], capital(safe(result.attrs.get("statistic", name)))
    if estimate.size > 12:
        yield Sentence(
            "open", f"{title}: {estimate.size} estimates; see figures and tables.", holds(result)
        )
        return
    for cell in itertools.product(*(range(n) for n in estimate.shape)):
        where = dict(zip(map(str, estimate.dims), cell, strict=True))
        one = result.isel(where)
        labels = ", ".join(
            safe(result[d].values[k]) if d in result.coords else f"{d} {k}"
            for d, k in where.items()
        )
        of = f"{title}{f' of {labels}' if labels else ''}"
        if np.isnan(float(one["estimate"])):
            yield Sentence("unsaid", f"Could not be said: {of}. {reason(one)}")
        else:
            kind = "found" if decided(one) or "p_value" not in one else "open"
            yield Sentence(
                kind, f"{of}: {number(float(one['estimate']))} ({sure(one)}).", holds(one)
            )


_WRITERS: dict[str, Callable[[xr.Dataset, str], Iterator[Sentence]]] = {
    "compare": _compare,
    "stability": _stability,
    "shared": _shared,
    "regions": _regions,
    "strategies": _strategies,
    "differences": _differences,
    "rsa": _rsa,
    "rdm": _rdm,
    "compare_human": _compare_human,
    "human_maps": _of_people,
    "behaviour": _of_people,
    "sufficiency": _sufficiency,
}
