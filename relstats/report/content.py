"""All that a report says, before it is written as HTML, Markdown or JSON."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from relstats.report import figures, matrices, methods, pictures, questions
from relstats.report.facts import Facts, Quality, facts, quality, results
from relstats.report.methods import Source
from relstats.results import tables
from relstats.results.text import result_dict, safe
from relstats.results.wording import title

#: Of the result told first, the figure that follows the verdict.
_KEY = ("networks_1", "effects")


@dataclass(frozen=True)
class Section:
    """One result in a report."""

    name: str
    title: str
    slug: str
    tables: list[tables.Table]
    figures: list[figures.Figure]
    matrices: list[matrices.Matrix]
    parameters: list[tuple[str, str]]
    warnings: list[str]
    left_out: list[str]
    numbers: dict[str, Any]
    population: str
    min_p: str
    variant: bool = False


@dataclass(frozen=True)
class Content:
    """A report."""

    facts: Facts
    quality: Quality
    questions: list[questions.Question]
    sections: list[Section]
    gallery: pictures.Gallery | None
    methods: list[str]
    references: list[tuple[str, str]]
    sources: list[Source]
    provenance: tuple[list[tuple[str, str]], list[tuple[str, str]]]
    checkpoints: list[tuple[str, str]]
    data_figures: list[figures.Figure]
    key: tuple[Section, figures.Figure] | None = None
    warnings: list[tuple[str, str]] = field(default_factory=list)


def gather(
    study: xr.DataTree,
    file: str,
    *,
    images: Sequence[str] | None,
    n_images: int,
    pictured: bool,
    advance: Callable[[int, int], None],
) -> Content:
    """Read all that a report says from a study; nothing is computed again.

    Parameters
    ----------
    study : DataTree
        From `relstats.open_study`.
    file : str
        Name of the store, for the commands that are told.
    images : sequence of str, optional
        Ids of the images whose maps are shown.
    n_images : int
        How many are shown where none are named.
    pictured : bool
        Draw figures and maps: Markdown and JSON have none.
    advance : callable
        Progress of drawing.
    """
    found = facts(study, file)
    shown = pictures.choose(found, images, n_images)
    data = quality(study, found)
    known, old = results(study, file)
    ordered = {name: known[name] for family in questions.families(known) for name in family}
    pixels = study["images"].to_dataset() if "images" in study.children else None
    drawn = figures.draw(ordered, pixels, advance) if pictured else {}
    of_data = figures.of_data(study) if pictured and data.n_maps else []
    asked = questions.questions(found, data, ordered)
    told = {answer.result for question in asked for answer in question.answers if answer.told}
    titles = _titles(ordered)
    sections = [
        _section(
            name, result, found, drawn.get(name, []), title=titles[name], variant=name not in told
        )
        for name, result in ordered.items()
    ]
    texts = methods.methods(found, study, ordered)
    warned = [(name, f"left out: {text}") for name, text in old.items()]
    warned += [(section.name, text) for section in sections for text in section.warnings]
    return Content(
        facts=found,
        quality=data,
        questions=asked,
        sections=sections,
        gallery=pictures.gallery(study, shown) if pictured else None,
        methods=texts,
        references=methods.references(texts),
        sources=methods.sources(ordered),
        provenance=methods.provenance(found),
        checkpoints=_checkpoints(study, found),
        data_figures=of_data,
        warnings=[("data", note) for note in data.notes] + warned,
        key=_key_figure(sections),
    )


def _key_figure(sections: list[Section]) -> tuple[Section, figures.Figure] | None:
    """The figure that follows the verdict: that of the result told first, each network's values
    with the estimates where there is one.
    """
    for section in sections:
        pictured = {figure.name: figure for figure in section.figures if figure.uri}
        if pictured and not section.variant:
            name = next((name for name in _KEY if name in pictured), next(iter(pictured)))
            return section, pictured[name]
    return None


def _titles(results: dict[str, xr.Dataset]) -> dict[str, str]:
    """A title for each result; those that two would share say their names."""
    titles = {name: title(name, result) for name, result in results.items()}
    often = Counter(titles.values())
    return {
        name: text if often[text] == 1 else f"{text} [{safe(name)}]"
        for name, text in titles.items()
    }


def _section(
    name: str,
    result: xr.Dataset,
    found: Facts,
    drawn: list[figures.Figure],
    *,
    title: str,
    variant: bool,
) -> Section:
    small = result.drop_vars([v for v in result.variables if not tables.is_small(result[v])])
    return Section(
        name=name,
        title=title,
        slug=f"r-{hashlib.sha256(name.encode()).hexdigest()[:8]}",
        tables=tables.tables(result, name),
        figures=drawn,
        matrices=matrices.matrices(result, name, found.networks),
        parameters=methods.parameters(result),
        warnings=_warnings(name, result),
        left_out=tables.left_out(result),
        numbers={part: dict(sorted(values.items())) for part, values in result_dict(small).items()},
        population=safe(result.attrs.get("population", "")),
        min_p=_smallest(result),
        variant=variant,
    )


def _warnings(name: str, result: xr.Dataset) -> list[str]:
    """What the analysis says of itself, and what could not be told of it."""
    untold = questions.untold(result, name)
    own = [safe(text) for text in result.attrs.get("warnings", [])]
    return [*own, untold] if untold else own


def _smallest(result: xr.Dataset) -> str:
    """The smallest p that resampling can reach, and which p that bounds: p of intervals come from
    t, and are not bounded.
    """
    value = result.attrs.get("min_p")
    if not isinstance(value, float) or math.isnan(value):
        return ""
    shown = np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return (
        "smallest p that the"
        f" {'label swap' if 'p_swap' in result or 'p_max_t' in result else 'resampling'} can reach:"
        f" {shown}"
    )


def _checkpoints(study: xr.DataTree, found: Facts) -> list[tuple[str, str]]:
    """Sha256 of each network's weights."""
    if (
        "relevance" not in study.children
        or "checkpoint_sha256" not in study["relevance"].to_dataset()
    ):
        return []
    hashes = study["relevance"].to_dataset()["checkpoint_sha256"]
    return [
        (safe(n.name), safe(hashes.sel(model=n.model, seed=n.seed).item())) for n in found.networks
    ]
