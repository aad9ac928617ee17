"""Parts of sentences: a size with its interval and p, what it holds for, and why there is none."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from relstats.results.catalogue import analysis_of
from relstats.results.text import number, safe

#: A p below this is told as such: its digits say more of the reference distribution's tail than of
#: the data.
_TINY_P = 1e-4


def decided(one: xr.Dataset, p: str = "p_value", adjusted: str = "p_adjusted") -> bool:
    """Whether the direction is known at the confidence level, after the adjustment where the result
    has one: not known where that was refused.
    """
    names = [name for name in (adjusted, p) if name in one]
    return bool(names) and float(one[names[0]]) < 1 - level(one)


def level(one: xr.Dataset) -> float:
    """The confidence level of a result."""
    return float(one.attrs.get("confidence", 0.95))


def interval(one: xr.Dataset, ci: str = "ci", scale: float = 1.0, unit: str = "") -> str:
    """An interval in words; with `scale` -1 that of the opposite difference.

    Examples
    --------
    >>> interval(xr.Dataset({"ci": ("bound", [-0.3, -0.1])}, attrs={"confidence": 0.95}), scale=-1)
    '95 % interval 0.100 to 0.300'
    """
    if ci not in one:
        return ""
    bounds = sorted(scale * bound for bound in one[ci].values.tolist())
    name = f"{100 * level(one):g} % interval"
    return (
        f"no {name}"
        if np.isnan(bounds).any()
        else f"{name} {number(bounds[0])} to {number(bounds[1])}{unit}"
    )


def p_text(value: float) -> str:
    """A p in words.

    Examples
    --------
    >>> p_text(0.02), p_text(0.00002), p_text(float("nan"))
    ('p = 0.020', 'p < 0.0001', 'no p')
    """
    if np.isnan(value):
        return "no p"
    return "p < 0.0001" if value < _TINY_P else f"p = {number(value)}"


def untested(one: xr.Dataset, name: str = "untested") -> str:
    """Why an estimate has no p: networks are fixed. Empty where it has one.

    Examples
    --------
    >>> untested(xr.Dataset({"untested": "a level has 2 networks"})), untested(xr.Dataset())
    ('a level has 2 networks', '')
    """
    return str(safe(one[name].item())) if name in one else ""


def open_question(one: xr.Dataset) -> str:
    """How a sentence begins that has no answer."""
    return "Not tested" if untested(one) else "Not decided"


def sure(
    one: xr.Dataset,
    ci: str = "ci",
    p: str = "p_value",
    adjusted: str = "p_adjusted",
    scale: float = 1.0,
    unit: str = "",
) -> str:
    """How sure an estimate is: interval, p, and the adjusted p where it is another."""
    parts = [interval(one, ci, scale, unit)]
    why = untested(one, ci.removesuffix("ci") + "untested")
    if ci and why:
        return f"no interval and no p: {why}"
    if p in one:
        parts.append(p_text(float(one[p])))
        if adjusted in one and p_text(float(one[adjusted])) != parts[-1]:
            parts.append(f"adjusted {p_text(float(one[adjusted]))}")
    return "; ".join(filter(None, parts)) or "no interval and no p in this result"


def counts(one: xr.Dataset) -> str:
    """N of each kind, from `n_*` or the attributes.

    Examples
    --------
    >>> counts(xr.Dataset({"n_networks": 20, "n_images": 1}))
    '20 networks, 1 image'
    """
    found = []
    for what in ("networks", "images", "participants"):
        source = one[f"n_{what}"].values if f"n_{what}" in one else one.attrs.get(f"n_{what}", [])
        values = np.unique(np.asarray(source, float))
        values = values[np.isfinite(values)]
        if values.size:
            sizes = (
                f"{values[0]:.0f}" if values.size == 1 else f"{values[0]:.0f} to {values[-1]:.0f}"
            )
            found.append(f"{sizes} {what[:-1] if sizes == '1' else what}")
    return ", ".join(found)


def holds(one: xr.Dataset, random: str = "random") -> str:
    """What a statement is about beyond what was measured, with n.

    The population of the result where rows do not say.
    """
    n = counts(one)
    if random not in one:
        about = safe(one.attrs.get("population", ""))
        return f"{capital(about)}." if about else f"n: {n}." if n else ""
    kind = safe(one[random].item())
    if untested(one, random.replace("random", "untested")):
        return f"Of these networks and no others{f' ({n})' if n else ''}."
    beyond = (
        "Holds for these networks and images only"
        if kind == "nothing"
        else f"Holds for {kind} like these"
    )
    if "; these networks" in kind:
        beyond = f"Holds for {kind.split(';')[0]} like these, and for these networks only"
    return f"{beyond}{f' ({n})' if n else ''}."


def reason(one: xr.Dataset) -> str:
    """Why there is no estimate, in the words of the analysis."""
    notes = [safe(text) for text in one.attrs.get("warnings", [])]
    if notes:
        return f"The analysis says: {'; '.join(notes)}."
    return "The design does not give it: it has too few networks or images for a variance."


def across(attrs: Mapping[Any, Any]) -> list[str]:
    """The axes in whose levels pixels are shared; some results hold them as the text of a list.

    Examples
    --------
    >>> across({"across": "['pretrain', 'task']"}), across({"across": ["task"]}), across({})
    (['pretrain', 'task'], ['task'], [])
    """
    value = attrs.get("across") or []
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            value = [value]
    return (
        [str(axis) for axis in value]
        if isinstance(value, (list, tuple, np.ndarray))
        else [str(value)]
    )


def levels(contrast: object) -> tuple[str, str]:
    """The two sides of a contrast "a|b", as shown."""
    first, _, second = safe(contrast).partition("|")
    return first, second


def capital(text: str) -> str:
    """Text with a large first letter."""
    return text[:1].upper() + text[1:]


def measured(attrs: Mapping[Any, Any]) -> str:
    """What a comparison compares, in words.

    Examples
    --------
    >>> measured({"measure": "spearman"})
    'agreement of maps (spearman)'
    """
    if attrs.get("measure") != "transfer":
        return f"agreement of maps ({safe(attrs.get('measure', 'of a kind not recorded'))})"
    removed = attrs.get("transfer_operation") == "remove"
    whole = "a fall to chance" if removed else "whole images"
    scale = {
        "target": f"; 0 is what control masks give, 1 {whole}",
        "chance": "; chance taken out",
    }.get(str(attrs.get("normalise")), "")
    score = safe(attrs.get("score", "score not recorded"))
    words = {"probability": "probability of the true class", "correct": "share right"}
    return (
        f"{'loss of score without' if removed else 'the score on'} the relevant pixels"
        f" ({words.get(score, score)}{scale})"
    )


class Fields(dict[str, str]):
    """What a title may name; of an attribute that a result lacks, that it is not recorded."""

    def __missing__(self, key: str) -> str:
        return f"{key} not recorded"


def fields(result: xr.Dataset) -> Fields:
    """Parts of titles: the attributes of a result, and what is made of them.

    `quantity` (transfer or agreement) and `how`, `measured` (both, at length), `percent`, `across`,
    `over` (the axis, or nothing) and `at` (the levels, or all networks).

    Examples
    --------
    >>> result = xr.Dataset(attrs={"measure": "spearman", "axis": "task", "fraction": 0.1})
    >>> "{quantity}{over} ({how}), {percent}, {at}".format_map(fields(result))
    'Agreement of maps over task (spearman), 10 %, each level of task'
    """
    attrs = Fields({str(key): safe(value) for key, value in result.attrs.items()})
    is_transfer = attrs["measure"] == "transfer"
    axis = attrs.get("axis", "")
    axes = " and ".join(safe(name) for name in across(result.attrs))
    attrs["quantity"] = "Transfer" if is_transfer else "Agreement of maps"
    attrs["how"] = _score(attrs) if is_transfer else attrs["measure"]
    attrs["measured"] = capital(measured(result.attrs))
    attrs["percent"] = _percent(attrs.get("fraction", ""))
    attrs["across"] = f" in every level of {axes}" if axes else ""
    attrs["over"] = f" over {axis}" if axis else ""
    attrs["at"] = f"each level of {axis}" if axis else "all networks"
    return attrs


def _score(attrs: Fields) -> str:
    scale = {"target": ", on each target's scale", "chance": ", chance taken out"}
    return f"{attrs['score']}{scale.get(attrs['normalise'], '')}"


def _percent(fraction: str) -> str:
    try:
        return f"{100 * float(fraction):g} %"
    except ValueError:
        return "share not recorded"


def title(name: str, result: xr.Dataset) -> str:
    """What a result is, in words.

    Examples
    --------
    >>> title(
    ...     "clusters",
    ...     xr.Dataset(attrs={"statistic": "strategies", "axis": "pretrain"}),
    ... )
    'Clusters of maps over pretrain'
    """
    analysis = analysis_of(result.attrs)
    if analysis is None:
        return safe(name).replace("_", " ").capitalize()
    return analysis.title.format_map(fields(result))
