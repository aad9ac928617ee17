"""What `sufficiency` says beside its numbers: warnings and method."""

from __future__ import annotations

import xarray as xr

from relstats.stats.inference.jackknife import REFERENCE
from relstats.stats.sources.masked_scores import MaskedScores, n_classes
from relstats.study import layout
from relstats.study.omissions import Tally

#: Below this share of what networks reach above chance on whole images, their own best pixels say
#: that the area is too small.
_LITTLE = 0.1


def omissions(result: xr.Dataset, tally: Tally) -> list[str]:
    """Images left out, counted."""
    counted = (
        (
            int(result["n_empty"]),
            "image(s) left out on which the others of some network share no pixel",
        ),
        (int(result["n_left_out"]), "image(s) left out that the shared sets do not have"),
        (tally.omitted_nan, "image(s) left out for NaN"),
    )
    return [f"{count} {what}" for count, what in counted if count]


def notes(result: xr.Dataset, source: MaskedScores) -> list[str]:
    """Sets too small for anything, or of nobody knows whom, and the scale of the scores."""
    notes = _little(result, source)
    if source.group.attrs.get("sets_of") != layout.OTHER_NETWORKS:
        notes.append(
            "the scores do not say whose sets networks were shown (attribute sets_of): if a network"
            " helped to find its set, p and interval hold for no other network"
        )
    if source.chance is not None:
        notes.append(
            "scores are (score - chance) / (1 - chance), chance being 1 / number of classes of each"
            " network"
        )
    return notes


def _little(result: xr.Dataset, source: MaskedScores) -> list[str]:
    """Levels at which even the networks' own best pixels of this area are hardly enough for
    anything.
    """
    classes = n_classes(source.group, source.table)
    if source.score == "margin" or classes is None:
        return []
    notes = []
    for name, functional in zip(source.levels, source.functionals, strict=True):
        floor = 0.0 if source.chance is not None else float(functional.estimate @ (1 / classes))
        one = result.sel(level=name)
        own, whole = (
            one["score_mean"].sel(operation="keep", choice="own").item() - floor,
            one["whole_mean"].item() - floor,
        )
        if own < _LITTLE * whole:
            notes.append(
                f"{name}: with as many of their own most relevant pixels alone, networks keep"
                f" {100 * max(own, 0) / whole:.2g} % of what they reach above chance on whole"
                " images: so small an area is enough for nothing. Find larger sets (relstats"
                " shared --fraction)"
            )
    return notes


def method(result: xr.Dataset, source: MaskedScores, axis: str | None, confidence: float) -> str:
    """The sentences for a methods section."""
    attrs = source.group.attrs
    scale = ", from chance (0) to 1" if source.chance is not None else ""
    where = "" if axis is None else f" at each level of {axis}"
    return (
        f"On each of {int(result['n_images'])} images, each of {len(source.table)} networks was"
        f" shown only the set of pixels that {_whose(source)} ({attrs.get('masks', '')}; on"
        f" average {100 * float(result['area']):.3g} % of the pixels), and the image without it,"
        f" with the other pixels filled ({attrs.get('fill', 'see the study')}); and the same with"
        " as many of each network's own most relevant pixels, of the pixels that they share on"
        f" another image, and of random pixels ({attrs.get('n_control', 'several')} draws each)."
        f" Differences of the {source.score} score{scale} were averaged over seeds, models and"
        f" images{where}; p-values and {100 * confidence:g} % intervals: two-way jackknife over"
        f" networks and images, {REFERENCE}; Holm (1979) over the {result['p_value'].size}"
        " comparisons."
    )


def _whose(source: MaskedScores) -> str:
    """Which networks share the set that one is shown, in words."""
    of_others = source.group.attrs.get("sets_of") == layout.OTHER_NETWORKS
    return "all others share, found without it" if of_others else "networks share"
