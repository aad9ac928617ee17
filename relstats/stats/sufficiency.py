"""Is the shared set of pixels enough for the networks, and do they need it: beside other sets of
the same area.

Labels in, labels out. Scores come from `/sufficiency`, every interval and p-value from `networks`
and `inference`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats import levels
from relstats.stats.described import Nan, described
from relstats.stats.inference import jackknife, networks
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import require_axes
from relstats.stats.inference.jackknife import REFERENCE, Jackknife
from relstats.stats.inference.moments import Moments, merge_moments
from relstats.stats.sources.scores import Score
from relstats.study import layout, shards, store
from relstats.study.maps import Tally, gather, image_labels, name_cells, network_table

QUESTIONS = ("sufficiency", "necessity")
AGAINST = layout.CHOICES[1:]
Normalise = Literal["auto", "none", "chance"]
_N_MASKED = len(layout.OPERATIONS) * len(layout.CHOICES)
#: Below this share of what networks reach above chance on whole images, their own best pixels say
#: that the area is too small.
_LITTLE = 0.1


@dataclass(frozen=True)
class _Source:
    """The group, its networks, and the levels at which they are averaged: each model counts the
    same.
    """

    group: xr.Dataset
    table: pd.DataFrame
    levels: list[str]
    functionals: list[networks.Functional]
    chance: np.ndarray | None
    score: str
    labels: list[str]
    warnings: list[str] = field(default_factory=list)


@described
def sufficiency(
    study: xr.DataTree | xr.Dataset,
    *,
    masks: str | None = None,
    score: Score = "probability",
    axis: str | None = None,
    normalise: Normalise = "auto",
    confidence: float = 0.95,
    nan: Nan = "raise",
) -> xr.Dataset:
    """Test whether the pixels that networks share are sufficient and necessary, against other sets
    of the same area.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/sufficiency` group, which `relstats transfer --masks` writes.
    masks : str, optional
        The result whose shared sets were scored. Default: whichever it is.
    score : {"probability", "correct", "margin"}
        What is compared: probability of the true class, correct, or margin.
    axis : str, optional
        Label of the models: everything is estimated at each of its levels. Default: for all
        networks.
    normalise : {"auto", "none", "chance"}
        Scale of the scores: auto, none, or chance taken out. "chance": 0 is 1 / number of classes
        and 1 is 1. "auto": that, where networks with unlike numbers of classes are averaged.
    confidence : float
        Confidence level of the intervals.
    nan : {"raise", "omit"}
        Images on which a network has no score though there is a shared set: raise, or omit
        (counted).

    Returns
    -------
    xarray.Dataset
        On `level` x `question` x `against`: `estimate`, `ci`, `p_value` (two-way jackknife over
        networks and images: "is the difference 0 for networks like these and images like these?"),
        `p_adjusted` (Holm over all of them), `statistic`, `df`, `standard_error`, `variance_*`.
        Positive speaks for the shared set: for "sufficiency" it is the score with only the shared
        set kept less that with only the other set kept; for "necessity" the loss when the shared
        set is removed less that when the other set is. Others are "own" (each network's own most
        relevant pixels), "image_swap" (the shared set of another image) and "random" pixels.

        On `level`: `score_mean` and `score_ci` (on `operation` x `choice`), `loss_mean` and
        `loss_ci` (on `choice`), `whole_mean` and `whole_ci`, `n_networks`, `random`.
        `network_score` and `network_whole` of each network. `area` (mean share of the pixels),
        `n_images`, `n_empty` (images without any shared pixel) and `n_left_out` (those that the
        result left out).

    Raises
    ------
    UsageError
        No such group, result, axis, score or option.
    ImpossibleAnalysis
        No image or network is left; networks with unlike numbers of classes would be averaged on no
        common scale.
    InvalidData
        Scores are missing, damaged, NaN (unless omitted) or outside their range.

    Notes
    -----
    Each model counts the same in a mean, whatever its number of seeds. The sets are those of the
    study's networks and images: intervals are over networks and images like these with sets found
    in the same way.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> scores = 0.5 + 0.2 * rng.random((2, 3, 2, 4, 30))
    >>> scores[:, :, 0, 0] += 0.2
    >>> group = xr.Dataset(
    ...     {
    ...         "probability": ((*layout.NETWORK, "operation", "choice", "image"), scores),
    ...         "area": ("image", np.full(30, 0.1)),
    ...         "unmasked_probability": (
    ...             (*layout.NETWORK, "image"),
    ...             0.5 + 0.4 * rng.random((2, 3, 30)),
    ...         ),
    ...     },
    ...     coords={
    ...         "model": ["a", "b"],
    ...         "seed": ["0", "1", "2"],
    ...         "image": [f"{k}" for k in range(30)],
    ...         "operation": list(layout.OPERATIONS),
    ...         "choice": list(layout.CHOICES),
    ...     },
    ... )
    >>> result = sufficiency(group)
    >>> (result["ci"].isel(level=0, bound=0) > 0).sel(against="own").values
    array([ True, False])
    """
    if normalise == "chance" and score == "margin":
        raise UsageError(
            "normalise is 'chance', and a margin at chance is not 1 / number of classes. Use"
            " --normalise none"
        )
    source = _source(_group(study, masks, score), score, axis, normalise)
    moments, tally = _moments(source, nan)
    tests = [
        jackknife.two_way_jackknife(moments, k, confidence=confidence)
        for k in range(len(source.levels))
    ]
    result = (
        _comparisons(source, tests)
        .merge(_means(source, tests, moments))
        .merge(_coverage(source, tally))
    )
    kinds = " or ".join(sorted(set(map(str, result["random"].values))))
    about = ("fraction", "ranking", "consensus", "across", "fill", "n_control")
    return result.assign_attrs(
        masks=str(source.group.attrs.get("masks", "")),
        normalise="none" if source.chance is None else "chance",
        **{name: source.group.attrs[name] for name in about if name in source.group.attrs},
        method=_method(result, source, axis, confidence),
        warnings=[*source.warnings, *_omissions(result, tally), *_notes(result, source)],
        population=(
            f"intervals and p-values over {kinds} like those measured ({len(source.table)}"
            f" networks, {tally.images} images), with the sets as found"
        ),
        n_images_omitted=tally.omitted_nan + tally.omitted_degenerate,
    )


def _group(study: xr.DataTree | xr.Dataset, masks: str | None, score: str) -> xr.Dataset:
    """The group, complete and of the right layout, with operations and choices in their order."""
    if isinstance(study, xr.DataTree):
        if "sufficiency" not in study.children:
            raise UsageError(
                f"this study has no /sufficiency; it has {', '.join(study.children) or 'nothing'}."
                " Score the shared sets first: relstats transfer STUDY.toml STUDY.zarr --masks"
                f" {masks or 'shared'}"
            )
        store.require_complete(study, "sufficiency")
        study = study["sufficiency"].to_dataset()
    problems = layout.check_group(study, "sufficiency")
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))
    there = str(study.attrs.get("masks", ""))
    if masks and there != masks:
        raise UsageError(
            f"/sufficiency holds scores of the sets of {there or 'no named result'!r}, not"
            f" {masks!r}. Score those: relstats transfer STUDY.toml STUDY.zarr --masks {masks}"
            " --force"
        )
    for name in (score, f"unmasked_{score}"):
        if name not in study:
            raise UsageError(
                f"score {score!r} was not measured: there is no /sufficiency/{name}. It has"
                f" {', '.join(map(str, study.data_vars))}"
            )
    for dim, known in (("operation", layout.OPERATIONS), ("choice", layout.CHOICES)):
        lacking = set(known) - {str(value) for value in study[dim].values}
        if lacking:
            raise InvalidData(
                f"/sufficiency/{dim} lacks {', '.join(sorted(lacking))}: the comparison needs"
                f" {', '.join(known)}"
            )
    return study.sel(operation=list(layout.OPERATIONS), choice=list(layout.CHOICES))


def _source(group: xr.Dataset, score: str, axis: str | None, normalise: str) -> _Source:
    table = network_table(group)
    if table.empty:
        raise ImpossibleAnalysis(
            "no network is scored, so there is nothing to compare. Score networks first"
        )
    if axis is not None:
        require_axes([c for c in table if c not in ("model", "seed", "cell")], [axis], "axis")
    of_level = table[axis] if axis else pd.Series("all networks", table.index)
    names = sorted(of_level.unique())
    models = sorted(table["model"].unique())
    code = np.array([models.index(model) for model in table["model"]])
    functionals = []
    for name in names:
        there = np.bincount(code[of_level == name], minlength=len(models)) > 0
        compact = np.where(of_level == name, np.cumsum(there)[code] - 1, -1)
        functionals.append(
            networks.network_functional(compact, np.full(there.sum(), 1 / there.sum()))
        )
    chance = _chance(group, table, [f.groups >= 0 for f in functionals], score, normalise)
    notes = [
        f"{table['model'].iloc[np.flatnonzero(code == m)[0]]} has one network only: intervals of"
        f" {name} are over images, for these networks"
        for name, f in zip(names, functionals, strict=True)
        for m in range(len(models))
        if ((code == m) & (f.groups >= 0)).sum() == 1
    ]
    return _Source(group, table, names, functionals, chance, score, image_labels(group), notes)


def _chance(
    group: xr.Dataset,
    table: pd.DataFrame,
    members: Sequence[np.ndarray],
    score: str,
    normalise: str,
) -> np.ndarray | None:
    """1 / number of classes of each network, where scores are to be set on that scale."""
    classes = _n_classes(group, table)
    if classes is None:
        if normalise == "chance":
            raise ImpossibleAnalysis(
                "chance correction needs the number of classes: add the coordinate n_classes on"
                " model"
            )
        return None
    unlike = any(len(set(classes[member])) > 1 for member in members)
    if unlike and (normalise == "none" or score == "margin"):
        raise ImpossibleAnalysis(
            f"networks that tell {' and '.join(map(str, sorted(set(classes))))} classes apart would"
            f" be averaged, and their {score} is not on one scale. Use --normalise chance with"
            " probability or correct, or --axis"
        )
    return 1 / classes if unlike or normalise == "chance" else None


def _n_classes(group: xr.Dataset, table: pd.DataFrame) -> np.ndarray | None:
    if "n_classes" not in group.variables:
        return None
    each = group["n_classes"].values.tolist()
    labels = [each[m] for m, _ in table["cell"]]
    wrong = [v for v in labels if not str(v).strip().isdecimal() or int(v) < 2]
    if wrong:
        raise InvalidData(
            f"/sufficiency/n_classes is {wrong[0]!r}: give whole numbers of classes, at least 2"
        )
    return np.array([int(label) for label in labels])


def _moments(source: _Source, nan: str) -> tuple[Moments, Tally]:
    array = source.group[source.score].transpose(*layout.NETWORK, "operation", "choice", "image")
    whole = source.group[f"unmasked_{source.score}"].transpose(*layout.NETWORK, "image")
    cells = list(source.table["cell"])
    blocks = shards.over_images(array, cells, partial(_block, source, whole, cells))
    found, tally = gather(blocks, nan, f"/sufficiency/{source.score}")
    if not found:
        raise ImpossibleAnalysis(
            f"no image has a shared set and a score of every network ({tally.omitted_degenerate}"
            f" without a set, {tally.omitted_nan} left out for NaN). Find larger sets: relstats"
            " shared --fraction 0.2"
        )
    return merge_moments(found), tally


def _block(
    source: _Source,
    whole: xr.DataArray,
    cells: list[tuple[int, ...]],
    block: np.ndarray,
    images: slice,
) -> tuple[Moments | None, Tally]:
    unmasked = shards.read_block(whole, cells, images)[:, np.newaxis]
    scores = np.concatenate([block.reshape(len(cells), _N_MASKED, -1), unmasked], axis=1).astype(
        np.float64
    )
    _require_range(scores, source, images)
    has_set = source.group["area"].values[images] > 0  # NaN is not
    missing = np.isnan(scores).any(axis=1) & has_set
    keep = has_set & ~missing.any(axis=0)
    tally = Tally(
        int(keep.sum()),
        int(missing.any(axis=0).sum()),
        int((~has_set).sum()),
        np.zeros(len(cells), int),
        name_cells(missing, source.table, source.labels[images]),
    )
    if source.chance is not None:
        chance = source.chance[:, np.newaxis, np.newaxis]
        scores = (scores - chance) / (1 - chance)
    if not keep.any():
        return None, tally
    return networks.network_moments(compared(scores[..., keep]), source.functionals), tally


def _require_range(scores: np.ndarray, source: _Source, images: slice) -> None:
    low, high = (-np.inf, np.inf) if source.score == "margin" else (0, 1)
    wrong = np.isinf(scores) | (scores < low) | (scores > high)
    if wrong.any():
        where = name_cells(wrong.any(axis=1), source.table, source.labels[images])
        raise InvalidData(
            f"/sufficiency/{source.score}: {len(where)} cell(s) of this block hold"
            f" {scores[wrong][0]:g} or the like (e.g. {'; '.join(where[:3])}). Scores are finite,"
            " and but for margins between 0 and 1: mend them"
        )


def compared(scores: np.ndarray) -> np.ndarray:
    """All that is estimated of each network and image, from its scores.

    Parameters
    ----------
    scores : ndarray, (network, 9, image)
        Four sets kept (shared, own, image_swap, random), the same four removed, and the whole
        image.

    Returns
    -------
    ndarray, (network, 19, image)
        The same nine; the losses when each set is removed; the score of the shared set kept less
        that of each other one (sufficiency); its loss less that of each other one (necessity).

    Examples
    --------
    >>> compared(np.array([0.5, 0.6, 0.25, 0.0, 0.25, 0.0, 0.75, 1.0, 1.0]).reshape(1, 9, 1))[
    ...     0, 9:, 0
    ... ]
    array([ 0.75,  1.  ,  0.25,  0.  , -0.1 ,  0.25,  0.5 , -0.25,  0.5 ,  0.75])
    """
    kept, removed, whole = scores[:, :4], scores[:, 4:8], scores[:, 8:]
    loss = whole - removed
    return np.concatenate(
        [scores, loss, kept[:, :1] - kept[:, 1:], loss[:, :1] - loss[:, 1:]], axis=1
    )


_SCORE, _WHOLE, _LOSS, _COMPARED = slice(0, 8), 8, slice(9, 13), slice(13, 19)


def _comparisons(source: _Source, tests: list[Jackknife]) -> xr.Dataset:
    dims, shape = (
        ("level", "question", "against"),
        (len(source.levels), len(QUESTIONS), len(AGAINST)),
    )
    fields = (*levels.FIELDS, *levels.VARIANCES)
    result = levels.tabulated(tests, dims, fields, of=_COMPARED, shape=shape)
    coords = {
        "level": source.levels,
        "question": QUESTIONS,
        "against": AGAINST,
        "bound": ("lower", "upper"),
        "operation": layout.OPERATIONS,
        "choice": layout.CHOICES,
    }
    return result.assign(
        p_adjusted=(dims, holm(result["p_value"].values)),
        random=("level", levels.words([test.random for test in tests])),
        n_networks=("level", [int((f.groups >= 0).sum()) for f in source.functionals]),
    ).assign_coords({name: levels.words(values) for name, values in coords.items()})


def _means(source: _Source, tests: list[Jackknife], moments: Moments) -> xr.Dataset:
    n, shape = len(source.levels), (len(layout.OPERATIONS), len(layout.CHOICES))
    dims = ("level", "operation", "choice")
    scores = moments.matrix[:, _SCORE].reshape(-1, *shape)
    return (
        levels.level_means(tests, dims, "score", of=_SCORE, shape=(n, *shape))
        .merge(levels.level_means(tests, ("level", "choice"), "loss", of=_LOSS))
        .merge(levels.level_means(tests, ("level",), "whole", of=_WHOLE))
        .assign(
            network_score=(("network", "operation", "choice"), scores),
            network_whole=("network", moments.matrix[:, _WHOLE]),
        )
        .assign_coords(levels.network_labels(source.table))
    )


def _coverage(source: _Source, tally: Tally) -> xr.Dataset:
    area = source.group["area"].values
    return xr.Dataset(
        {
            "area": ((), area[area > 0].mean()),
            "n_images": ((), tally.images),
            "n_empty": ((), int((area == 0).sum())),
            "n_left_out": ((), int(np.isnan(area).sum())),
        }
    )


def _omissions(result: xr.Dataset, tally: Tally) -> list[str]:
    counted = (
        (int(result["n_empty"]), "image(s) without any shared pixel left out"),
        (int(result["n_left_out"]), "image(s) left out that the shared sets do not have"),
        (tally.omitted_nan, "image(s) left out for NaN"),
    )
    return [f"{count} {what}" for count, what in counted if count]


def _notes(result: xr.Dataset, source: _Source) -> list[str]:
    notes = _little(result, source)
    if source.chance is not None:
        notes.append(
            "scores are (score - chance) / (1 - chance), chance being 1 / number of classes of each"
            " network"
        )
    return notes


def _little(result: xr.Dataset, source: _Source) -> list[str]:
    """Levels at which even the networks' own best pixels of this area are hardly enough for
    anything.
    """
    classes = _n_classes(source.group, source.table)
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


def _method(result: xr.Dataset, source: _Source, axis: str | None, confidence: float) -> str:
    attrs = source.group.attrs
    scale = ", from chance (0) to 1" if source.chance is not None else ""
    where = "" if axis is None else f" at each level of {axis}"
    return (
        f"On each of {int(result['n_images'])} images, {len(source.table)} networks were shown only"
        f" the shared set of pixels ({attrs.get('masks', '')}; on average"
        f" {100 * float(result['area']):.3g} % of the pixels), and the image without it, with the"
        f" other pixels filled ({attrs.get('fill', 'see the study')}); and the same with as many of"
        " each network's own most relevant pixels, of the pixels most shared on another image, and"
        f" of random pixels ({attrs.get('n_control', 'several')} draws each). Differences of the"
        f" {source.score} score{scale} were averaged over seeds, models and images{where};"
        f" p-values and {100 * confidence:g} % intervals: two-way jackknife over networks and"
        f" images, {REFERENCE}; Holm (1979) over the {result['p_value'].size} comparisons."
    )
