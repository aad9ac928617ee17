"""Results in plain sentences: what was found, how sure it is, what it holds for, and what could not
be said.

A sentence is written from the numbers of a result and computes none. Which function writes them
stands in the catalogue.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.results.catalogue import analysis_of, load
from relstats.results.sentences.parts import Sentence
from relstats.results.text import number, safe
from relstats.results.wording import capital, decided, holds, reason, sure

__all__ = ["Sentence", "leads", "sentences", "variant"]


def sentences(result: xr.Dataset, name: str) -> list[Sentence]:
    """What a result says, in sentences.

    Parameters
    ----------
    result : xarray.Dataset
        Of any statistic. One that is not in the catalogue is told row by row from `estimate`, `ci`
        and p.
    name : str
        Of the result in the study.

    Returns
    -------
    list of Sentence
        At least one.

    Raises
    ------
    InvalidData
        The result lacks what is told of its statistic: it is of another version of relstats, or
        another tool's.

    Examples
    --------
    >>> result = xr.Dataset(
    ...     {"estimate": ((), 0.5), "ci": ("bound", [0.4, 0.6])},
    ...     attrs={"statistic": "mine", "confidence": 0.95},
    ... )
    >>> sentences(result, "mine")[0].text
    'Mine: 0.500 (95 % interval 0.400 to 0.600).'
    """
    analysis = analysis_of(result.attrs)
    written = _written(analysis.sentences, result, name) if analysis else list(_rows(result, name))
    return written or [
        Sentence(
            "unsaid",
            f"{capital(safe(name))} holds no estimate that a sentence could tell: see its tables.",
        )
    ]


def leads(result: xr.Dataset, name: str) -> list[Sentence]:
    """What is told first of a result: its main contrasts, those of one kind in one sentence.

    Which they are depends on the statistic and not on what was found: the catalogue names the
    function; without one they are all sentences.

    Parameters
    ----------
    result : xarray.Dataset
        Of any statistic.
    name : str
        Of the result in the study.

    Raises
    ------
    InvalidData
        As `sentences`.
    """
    analysis = analysis_of(result.attrs)
    written = _written(analysis.lead, result, name) if analysis and analysis.lead else []
    return written or sentences(result, name)


def variant(result: xr.Dataset, name: str) -> list[Sentence]:
    """What is told of a result that asks with other scores what another has answered: one line.

    Parameters
    ----------
    result : xarray.Dataset
        Of contrasts and effects.
    name : str
        Of the result in the study.

    Raises
    ------
    InvalidData
        As `sentences`.
    """
    return _written("relstats.results.sentences.parts:also", result, name)


def _written(writer: str, result: xr.Dataset, name: str) -> list[Sentence]:
    write = load(writer)
    try:
        return list(write(result, name))
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise InvalidData(
            f"/results/{safe(name)} could not be told: {_lacking(error)}. It is of another version"
            " of relstats, or of another tool: make it again"
        ) from error


def _lacking(error: Exception) -> str:
    """What a result lacks, from the error that its absence gave."""
    if not isinstance(error, KeyError):
        return f"its numbers are not as they are read here ({safe(error)})"
    missing = str(error.args[0]).removeprefix("No variable named ").split(". ")[0].strip("'")
    return f"it has no '{safe(missing)}'"


def _rows(result: xr.Dataset, name: str) -> Iterator[Sentence]:
    """One sentence for each estimate of an unknown statistic, up to a dozen."""
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
