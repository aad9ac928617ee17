"""Words of results that relstats 0.1.0 saved, and what they are called now.

A result under an old word is not read: it would be told under the wrong name, or not at all.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import xarray as xr

from relstats.errors import InvalidData
from relstats.results.catalogue import BY_STATISTIC, analysis_of
from relstats.results.text import safe

#: Statistics, labels of `effect`, and attributes (of one statistic only, where it is named).
STATISTICS = {"map": "differences"}
EFFECTS = {"generalization_gap": "specificity", "stability": "own_level_difference"}
ATTRIBUTES = {
    "level": "confidence",
    "n_resamples": "n_swaps or n_draws",
    "shared core_consensus": "consensus",
    "stability reliability_wanted": "reliability",
    "rdm measure": "dissimilarity",
    "rsa measure": "comparison",
    "compare_human agreement": "comparison",
}


def require_new_words(result: xr.Dataset, name: str, study: str = "STUDY") -> None:
    """Refuse a result that relstats 0.1.0 saved under words that have changed.

    Parameters
    ----------
    result : xarray.Dataset
        As it is stored.
    name : str
        Its name in the study.
    study : str
        The store, for the command that makes the result again.

    Raises
    ------
    InvalidData
        It has an old word: the message says the new one, and the command.

    Examples
    --------
    >>> old = xr.Dataset(attrs={"statistic": "map", "axis": "task"})
    >>> require_new_words(old, "map_task", "faces.zarr")
    Traceback (most recent call last):
        ...
    relstats.errors.InvalidData: /results/map_task is of relstats 0.1.0: the statistic 'map' is now
    'differences'. Make it again: relstats differences faces.zarr --axis task
    """
    changed = list(_changed(result))
    if changed:
        raise InvalidData(
            f"/results/{safe(name)} is of relstats 0.1.0: {'; '.join(changed)}. Make it again:"
            f" {_again(result.attrs, study)}"
        )


def _changed(result: xr.Dataset) -> Iterator[str]:
    """Each old word of a result, and the new one."""
    statistic = str(result.attrs.get("statistic", ""))
    if statistic in STATISTICS:
        yield f"the statistic '{statistic}' is now '{STATISTICS[statistic]}'"
    elif analysis_of(result.attrs) is None:  # not ours: its words may mean anything
        return
    for label in result["effect"].values if "effect" in result.coords else ():
        if label in EFFECTS:
            yield f"the effect '{label}' is now '{EFFECTS[label]}'"
    for attribute, new in _attributes(statistic).items():
        if attribute in result.attrs:
            yield f"the attribute '{attribute}' is now '{new}'"


def _attributes(statistic: str) -> dict[str, str]:
    """Old attributes of a statistic, and the new ones."""
    return {
        words[-1]: new
        for words, new in ((old.split(), new) for old, new in ATTRIBUTES.items())
        if len(words) == 1 or words[0] == statistic
    }


def _again(attrs: Mapping[Any, Any], study: str) -> str:
    """The command that makes a result again, with those of its options that its name holds."""
    statistic = str(attrs["statistic"])
    analysis = BY_STATISTIC[STATISTICS.get(statistic, statistic)]
    renamed = {new: attrs[old] for old, new in _attributes(statistic).items() if old in attrs}
    values = {name: attrs.get(name, renamed.get(name)) for name in analysis.named}
    options = [
        f" --{name.replace('_', '-')} {shlex.quote(safe(value))}"
        for name, value in values.items()
        if isinstance(value, (str, int, float)) and value not in ("", "none")
    ]
    return f"relstats {analysis.command} {shlex.quote(study)}{''.join(options)}"
