"""Look-ups in the list of analyses: which one made a result, what a dotted name stands for, under
which name a result is saved.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from relstats.results.analysis import Analysis, Setting
from relstats.results.entries import ANALYSES

BY_STATISTIC = {analysis.statistic: analysis for analysis in ANALYSES}
BY_COMMAND = {analysis.command: analysis for analysis in ANALYSES}


def analysis_of(attrs: Mapping[Any, Any]) -> Analysis | None:
    """The analysis that made a result; None for one that is not in the list.

    Examples
    --------
    >>> analysis_of({"statistic": "rdm"}).command, analysis_of({"statistic": "mine"})
    ('rdm', None)
    """
    return BY_STATISTIC.get(str(attrs.get("statistic", "")))


def setting_of(attrs: Mapping[Any, Any]) -> Setting | None:
    """The setting whose gap a result fills; None for one of no analysis in the list.

    Examples
    --------
    >>> setting_of({"statistic": "compare", "measure": "transfer"}).variants
    ('score', 'normalise')
    """
    analysis = analysis_of(attrs)
    for setting in analysis.planned if analysis else ():
        if not setting.measures or attrs.get("measure") in setting.measures:
            return setting
    return None


def load(name: str) -> Any:
    """What a dotted name "module:function" stands for.

    Examples
    --------
    >>> load("relstats.results.catalogue:load").__name__
    'load'
    """
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def result_name(attrs: Mapping[Any, Any], defaults: Mapping[str, Any]) -> str:
    """Under which name a result is saved: its statistic and axis, and each named parameter that is
    not the default.

    Parameters
    ----------
    attrs : mapping
        Attributes of the result: `statistic` and the parameters.
    defaults : mapping
        Of the parameters, as `relstats.results.signature.signature` reads them.

    Examples
    --------
    >>> attrs = {
    ...     "statistic": "compare",
    ...     "axis": "pretrain",
    ...     "measure": "transfer",
    ...     "score": "margin",
    ... }
    >>> result_name(attrs, {"measure": "transfer", "score": "correct"})
    'compare_pretrain_margin'
    """
    analysis = analysis_of(attrs)
    parts = [str(attrs["statistic"])]
    for parameter in analysis.named if analysis else ():
        value = attrs.get(parameter)
        if value in (None, "none") or _plain(value) == _plain(defaults.get(parameter)):
            continue
        parts += [_text(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    return "_".join(parts)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _text(value: object) -> str:
    """A value as part of a name: shares of pixels in percent."""
    return f"{100 * value:g}" if isinstance(value, float) else str(value)
