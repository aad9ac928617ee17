"""Figures of sufficiency and necessity: scores with the shared pixels alone and without them,
beside other sets of one area.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import xarray as xr

from relstats.plots import parts
from relstats.plots.canvas import GREY, new_figure, styled
from relstats.plots.drawing import Drawing
from relstats.plots.parts import Row
from relstats.plots.words import interval, literal, p_text, percent, sentence
from relstats.results.text import number, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HOW = {"keep": "only these pixels kept", "remove": "these pixels removed"}


def figures(result: xr.Dataset, images: xr.Dataset | None = None) -> list[Drawing]:
    """Scores with each set of pixels, and the shared set against the others."""
    return [
        Drawing("masked_scores", scores_alt(result), functools.partial(scores, result)),
        Drawing(
            "shared_against_others", comparisons_alt(result), functools.partial(comparisons, result)
        ),
    ]


@styled
def scores(result: xr.Dataset) -> Figure:
    """Mean score with each set of pixels kept, and removed, of each level.

    The line is the score on whole images.

    Parameters
    ----------
    result : Dataset
        From `sufficiency`.
    """
    levels, operations = result["level"].values[:12], result["operation"].values
    figure = new_figure(len(levels) * (parts.rows_height(result.sizes["choice"]) - 0.1) + 0.3)
    panels = figure.subplots(len(levels), len(operations), sharex=True, squeeze=False)
    for row, level in zip(panels, levels, strict=True):
        for axes, operation in zip(row, operations, strict=True):
            parts.forest(axes, list(_score_rows(result, level, operation)), line=None)
            axes.axvline(
                result["whole_mean"].sel(level=level).item(), color=GREY, linewidth=0.8, gid="whole"
            )
            axes.set_title(f"{literal(level, 24)}: {_HOW.get(str(operation), operation)}")
        _bare(row[1:])
    for axes in panels[-1]:
        axes.set_xlabel(
            f"{literal(result.attrs['score'])}, {percent(result.attrs['confidence'])} interval;"
            " line: whole images"
        )
    return figure


def _bare(row: list[Axes]) -> None:
    for axes in row:
        axes.tick_params(labelleft=False)


def _score_rows(result: xr.Dataset, level: object, operation: object) -> Iterator[Row]:
    for k, choice in enumerate(result["choice"].values):
        one = result.sel(level=level, operation=operation, choice=choice)
        low, high = one["score_ci"].values
        yield Row(_set(choice), one["score_mean"].item(), low, high, kind=k)


def _set(choice: object) -> str:
    names = {
        "shared": "shared",
        "own": "each network's own",
        "image_swap": "shared of another image",
        "random": "random",
    }
    return names.get(str(choice), str(choice))


def scores_alt(result: xr.Dataset) -> str:
    """Each score in words."""
    told = [
        f"{safe(level)} {_HOW.get(str(operation), operation)}, {safe(row.label)}"
        f" {interval(row.estimate, (row.low, row.high))}"
        for level in result["level"].values
        for operation in result["operation"].values
        for row in _score_rows(result, level, operation)
    ]
    whole = ", ".join(
        f"{safe(v)} {number(result['whole_mean'].sel(level=v).item())}"
        for v in result["level"].values
    )
    return sentence(
        f"Mean {result.attrs['score']} with sets of pixels of one area, with"
        f" {percent(result.attrs['confidence'])} intervals",
        told,
        f"On whole images: {whole}.",
    )


@styled
def comparisons(result: xr.Dataset) -> Figure:
    """The shared set less each other set: is it sufficient, is it necessary.

    Parameters
    ----------
    result : Dataset
        From `sufficiency`. Right of 0 speaks for the shared set.
    """
    questions = result["question"].values
    figure = new_figure(
        len(questions) * parts.rows_height(result.sizes["level"] * result.sizes["against"])
    )
    panels = figure.subplots(len(questions), 1, sharex=True, squeeze=False)[:, 0]
    for axes, question in zip(panels, questions, strict=True):
        parts.forest(
            axes, [row for _, row in _comparison_rows(result, question)][: parts.MOST_ROWS]
        )
        axes.set_title(literal(question))
    panels[-1].set_xlabel(
        f"shared pixels less others, in {literal(result.attrs['score'])},"
        f" {percent(result.attrs['confidence'])} interval"
    )
    return figure


def _comparison_rows(result: xr.Dataset, question: object) -> Iterator[tuple[str, Row]]:
    for level in result["level"].values:
        for against in result["against"].values:
            one = result.sel(level=level, question=question, against=against)
            low, high = one["ci"].values
            label = f"against {_set(against)}" + (f", {level}" if result.sizes["level"] > 1 else "")
            yield (
                label,
                Row(
                    label,
                    one["estimate"].item(),
                    low,
                    high,
                    p_text(one["p_adjusted"].item(), "p Holm"),
                ),
            )


def comparisons_alt(result: xr.Dataset) -> str:
    """Each comparison in words."""
    told = [
        f"{safe(question)} of {safe(label)}"
        f" {interval(row.estimate, (row.low, row.high))}{', ' * bool(row.note)}{row.note}"
        for question in result["question"].values
        for label, row in _comparison_rows(result, question)
    ]
    begin = (
        "The shared pixels less other pixels of one area, with"
        f" {percent(result.attrs['confidence'])} intervals; above 0 speaks for the shared ones"
    )
    return sentence(begin, told, safe(result.attrs.get("population", "")))
