"""Are the pixels that the other networks share enough for a network, and does it need them: beside
other sets of the same area.

Labels in, labels out. Scores come from `/sufficiency`, every interval and p-value from `networks`
and `inference`.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats import levels, sufficiency_text
from relstats.stats.described import Nan, described
from relstats.stats.inference import jackknife, networks
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.jackknife import Jackknife
from relstats.stats.inference.moments import Moments, merge_moments
from relstats.stats.sources.masked_scores import MaskedScores, masked_scores, sufficiency_group
from relstats.stats.sources.scores import Score
from relstats.study import layout, shards
from relstats.study.networks import name_cells
from relstats.study.omissions import Tally, gather

QUESTIONS = ("sufficiency", "necessity")
AGAINST = layout.CHOICES[1:]
Normalise = Literal["auto", "none", "chance"]
_N_MASKED = len(layout.OPERATIONS) * len(layout.CHOICES)


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
    """Test whether the pixels that networks share are sufficient and necessary for networks that
    did not help to find them, against other sets of the same area.

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
        Each network is shown the set of the *other* networks, the shared set of a study without it.
        Positive speaks for that set: for "sufficiency" it is the score with only it kept less that
        with only another set kept; for "necessity" the loss when it is removed less that when
        another set is. These are "own" (each network's own most relevant pixels), "image_swap"
        (what the others share on another image) and "random" pixels.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` says why, and `ci_these_networks` (of means `score_ci_these_networks`,
        `loss_ci_these_networks`, `whole_ci_these_networks`) is for these networks, over images.

        On `level`: `score_mean` and `score_ci` (on `operation` x `choice`), `loss_mean` and
        `loss_ci` (on `choice`), `whole_mean` and `whole_ci`, `n_networks`, `random`.
        `network_score` and `network_whole` of each network. `area` (mean share of the pixels, over
        networks and images), `n_images`, `n_empty` (images on which the others of a network share
        no pixel) and `n_left_out` (those that the result left out).

    Raises
    ------
    UsageError
        No such group, result, axis, score or option.
    ImpossibleAnalysis
        No image or network is left; networks with unlike numbers of classes would be averaged on no
        common scale.
    InvalidData
        Scores are missing, damaged, NaN (unless omitted) or outside their range; or relstats 0.1.0
        computed them, with sets that the scored networks helped to find.

    Notes
    -----
    Each model counts the same in a mean, whatever its number of seeds. Intervals are over networks
    and images like these, with the sets as these networks found them: see `docs/statistics.md`,
    "Numbers that use the networks twice". Of a group that was made by hand and does not say whose
    its sets are (attribute `sets_of`, "other networks"), a warning says so.

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
    ...     attrs={"sets_of": layout.OTHER_NETWORKS},
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
    source = masked_scores(sufficiency_group(study, masks, score), score, axis, normalise)
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
    about = ("sets_of", "fraction", "ranking", "consensus", "across", "fill", "n_control")
    return result.assign_attrs(
        masks=str(source.group.attrs.get("masks", "")),
        normalise="none" if source.chance is None else "chance",
        **{name: source.group.attrs[name] for name in about if name in source.group.attrs},
        method=sufficiency_text.method(result, source, axis, confidence),
        warnings=[
            *source.warnings,
            *sufficiency_text.omissions(result, tally),
            *sufficiency_text.notes(result, source),
        ],
        population=(
            f"{levels.inference_over(result, 'intervals and p-values')} ({len(source.table)}"
            f" networks, {tally.images} images), each shown what these share without it"
        ),
        n_images_omitted=tally.omitted_nan + tally.omitted_degenerate,
    )


def _moments(source: MaskedScores, nan: str) -> tuple[Moments, Tally]:
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
    source: MaskedScores,
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
    has_set = (areas(source)[:, images] > 0).all(axis=0)  # NaN is not
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


def _require_range(scores: np.ndarray, source: MaskedScores, images: slice) -> None:
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


def _comparisons(source: MaskedScores, tests: list[Jackknife]) -> xr.Dataset:
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
        **levels.untested(tests, ("level",)),
    ).assign_coords({name: levels.words(values) for name, values in coords.items()})


def _means(source: MaskedScores, tests: list[Jackknife], moments: Moments) -> xr.Dataset:
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


def areas(source: MaskedScores) -> np.ndarray:
    """Share of the pixels in the set that each network is shown: (network, image)."""
    area = source.group["area"]
    if "model" not in area.dims:  # of a group whose networks are all shown sets of one area
        return np.broadcast_to(area.values, (len(source.table), area.size))
    values = area.transpose(*layout.NETWORK, "image").values
    return np.stack([values[cell] for cell in source.table["cell"]])


def _coverage(source: MaskedScores, tally: Tally) -> xr.Dataset:
    area = areas(source)
    with_set, left_out = (area > 0).all(axis=0), np.isnan(area).any(axis=0)
    return xr.Dataset(
        {
            "area": ((), area[:, with_set].mean()),
            "n_images": ((), tally.images),
            "n_empty": ((), int((~with_set & ~left_out).sum())),
            "n_left_out": ((), int(left_out.sum())),
        }
    )
