"""How well networks' RDMs agree with people's, which model's better, and how far that is from the
noise ceiling.

Labels in, labels out. Every number comes from `evaluation`, `mantel` and `ceiling`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.human import evaluation, model_tests, rsa_text
from relstats.human.controls import controls
from relstats.human.corrections import Correction, corrected
from relstats.human.evaluation import FACTORS, Evaluations
from relstats.human.points import points
from relstats.human.rdm import On, network_rdms
from relstats.human.rdm import describe as describe_rdms
from relstats.human.rdms.comparisons import WITHOUT_PARTIAL, Comparison
from relstats.human.rdms.dissimilarity import Dissimilarity
from relstats.human.rdms.mantel import Mantel, mantel
from relstats.human.reading import Data, judgments, read
from relstats.stats.described import Align, Nan, check_options, described
from relstats.study.top_pixels import Ranking

#: What describes RDMs, and is taken from them where they are given.
_MADE = ("on", "dissimilarity", "ranking", "layer", "nan")


@described
def rsa(
    study: xr.DataTree | xr.Dataset | xr.DataArray,
    people: xr.DataTree | xr.Dataset | xr.DataArray | None = None,
    *,
    on: On = "relevance",
    dissimilarity: Dissimilarity = "correlation",
    comparison: Comparison = "rho-a",
    by: str = "model",
    random: Collection[Literal["images", "participants", "seeds", "nothing"]] | None = None,
    control: Sequence[str] | xr.Dataset | xr.DataArray = (),
    ranking: Ranking = "positive",
    layer: str | None = None,
    correction: Correction = "holm",
    confidence: float = 0.95,
    n_draws: int = 1000,
    n_permutations: int = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    progress: Callable[[int, int], None] | None = None,
    rng: np.random.Generator,
) -> xr.Dataset:
    """How well RDMs of networks agree with people's judgments, and which model's better, with the
    noise ceiling.

    Parameters
    ----------
    study : DataTree, Dataset or DataArray
        A study, whose RDMs are made as by `relstats.human.rdm`. Or RDMs, ([model, [seed,]] pair),
        from there, or any dissimilarities with text coordinates `image_i`, `image_j` on `pair`;
        text labels on `model` are axes; `available` (model, seed) says which networks exist.
    people : DataTree, Dataset or DataArray, optional
        Study with the judgments. Default: the same. Or its `/human` group, or dissimilarities
        (participant, pair) with the same coordinates and text ids of participants. NaN, or no
        entry, where a pair was not judged. RDMs need it.
    on : {"relevance", "weighted_images", "images", "features"}
        What RDMs are made of: maps, images weighted by them, pixels, or features. As in
        `relstats.human.rdm`; RDMs are taken as they are, as by `dissimilarity`, `ranking`, `layer`
        and `nan`.
    dissimilarity : {"correlation", "spearman", "cosine", "euclidean"}
        Of two images: 1 - Pearson, 1 - Spearman, 1 - cosine, or squared Euclidean distance.
    comparison : {"rho-a", "spearman", "tau-a", "corr", "cosine", "corr_cov", ...}
        How RDMs are compared. See `relstats.human.compare_rdms`.
    by : str
        Networks of what are averaged: model, or an axis.
    random : collection of {"images", "participants", "seeds"}, optional
        What the claim is to hold for beyond what was measured. Default: all that can be. Seeds only
        where a model has two or more; with one seed nothing is known of models like it: no p, and
        `ci_these_networks` in place of an interval. Asked for by name, random seeds of a model
        that has one are refused. "nothing", or none: a description of these images, people and
        networks.
    control : sequence of str, Dataset or DataArray
        RDMs held constant: images (their pixels), or files of dissimilarities. Or the RDMs,
        ([...,] pair). The agreement is then a partial one; not with "rho-a" and "tau-a".
    ranking : {"positive", "absolute", "signed"}
        Of weighted images: weigh by relevance above 0, by its absolute value, or with its sign.
    layer : str, optional
        Variable of `/features`. Default: the only one.
    correction : {"holm", "bh", "none"}
        Of p-values; raw ones are kept. Each family of tests on its own, as by
        `relstats.human.correct`; the best of all models by its own draws (max-T) with "holm".
    confidence : float
        Confidence level of intervals.
    n_draws : int
        Draws of images and participants.
    n_permutations : int
        Permutations of image labels. With "tau-a", and with missing pairs, each permutation is a
        comparison of its own: seconds with 92 images and 16 people become minutes.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    align : {"exact", "inner"}
        Images of networks and people: exact, or inner (those of both; what is dropped is recorded).
    progress : callable, optional
        Called with the number of networks done, and of all; then with that of permutations.
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        On `model` (`level` where `by` is an axis): mean agreement `estimate`, `ci`,
        `standard_error`, `statistic`, `df`, `p_value` (two-sided: is it 0, for images, people and
        seeds like these?), `p_mantel` (one-sided: are image labels irrelevant, for these people and
        networks?), `p_mantel_max` (the same for the best of all models), `variance_images`,
        `variance_participants`, `variance_seeds`, `n_networks`, `random`. On `contrast` "a|b":
        `difference` (a less b) and the same of it. `agreement` of each model with each participant,
        `network_estimate` of each network; `n_pairs` of each participant, `n_images`,
        `n_participants`. `noise_ceiling`, with `noise_ceiling_lower_ci` and
        `noise_ceiling_upper_ci` over images and people: the best model lies between the bounds, so
        that no model is tested against either. Nothing is squared, or divided by the ceiling.
        Adjusted p stand beside the raw ones, as `p_value_adjusted`. `human_points`, `human_stress`,
        `human_unknown`: people's mean judgments on a plane, see `relstats.human.points`.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` (and `difference_untested`) says why, and `ci_these_networks` is
        for these networks, over images and people.

        NaN: pairs that a participant did not judge are left out for this participant, for all
        models alike. Participants who judged all alike, or fewer than 3 pairs, and networks whose
        RDM says nothing are left out and counted. A ceiling of fewer than 3 participants, and what
        cannot be tested, is NaN, and `warnings` says why.

    Raises
    ------
    UsageError
        Unknown comparison, axis, factor; a comparison without a partial form; RDMs without
        judgments.
    InvalidData
        Images differ between the two sides (with both lists), labels are not text, a pair is there
        twice, a network lacks pairs.
    ImpossibleAnalysis
        No participant or no network is left, fewer than 3 images, or too few to draw; random seeds
        of a model with one network.

    Notes
    -----
    Pairs are matched by their labels, never by position. `benchmarks/results/calibration_rsa.md`
    has the error rates.

    Examples
    --------
    >>> from relstats.study.pairs import pair_labels
    >>> rng = np.random.default_rng(1)
    >>> labels = pair_labels([f"i{k:02d}" for k in range(20)])
    >>> truth = rng.random(190)
    >>> people = xr.DataArray(
    ...     truth + rng.random((6, 190)),
    ...     dims=("participant", "pair"),
    ...     coords={**labels, "participant": list("abcdef")},
    ... )
    >>> models = xr.DataArray(
    ...     [truth, rng.random(190)],
    ...     dims=("model", "pair"),
    ...     coords={**labels, "model": ["good", "bad"]},
    ... )
    >>> result = rsa(models, people, n_draws=100, n_permutations=99, rng=rng)
    >>> low, high = result["difference_ci_these_networks"].sel(contrast="bad|good").values
    >>> bool(high < 0), result["difference_untested"].values[0][:25]  # a network a model
    (True, 'a level has 1 network, an')
    """
    factors = FACTORS if random is None else [factor for factor in random if factor != "nothing"]
    _require_partial(comparison, control)
    judged = judgments(_people(study, people))
    making = {"on": on, "dissimilarity": dissimilarity, "ranking": ranking, "layer": layer}
    rdms = _rdms(study, **making, nan=nan, progress=progress)
    held = _held_constant(control, study if isinstance(study, xr.DataTree) else people)
    data = read(rdms, judged, held, by, align, comparison)
    if random is not None and "seeds" in factors:
        _require_seeds(data)
    found = evaluation.evaluate(
        data.models,
        data.people,
        comparison,
        random=factors,
        control=data.control,
        n_draws=n_draws,
        rng=rng,
    )
    weights = (data.group == np.arange(len(data.groups))[:, np.newaxis]).astype(float)
    weights /= weights.sum(axis=1, keepdims=True)
    chance = _permuted(data, weights, comparison, n_permutations, progress, rng)
    dim = "model" if by == "model" else "level"
    result = model_tests.models(found, weights, chance, data, dim, confidence)
    result = result.merge(model_tests.contrasts(found, weights, data, confidence))
    result = corrected(result, correction).merge(_on_a_plane(judged))
    parameters = {
        "by": by,
        "comparison": comparison,
        "confidence": confidence,
        "n_draws": n_draws,
        "n_permutations": n_permutations,
    }
    result = _described(result, found, data, weights, parameters)
    return result.assign_attrs(
        {name: rdms.attrs.get(name) for name in _MADE},
        random=sorted(factors),
        control=_names(control),
        warnings=[*rdms.attrs.get("warnings", ()), *result.attrs["warnings"]],
    )


def describe(
    study: xr.DataTree,
    *,
    on: On,
    dissimilarity: Dissimilarity,
    comparison: Comparison,
    ranking: Ranking = "positive",
    layer: str | None = None,
    nan: Nan = "raise",
    n_draws: int = 1000,
    n_permutations: int = 9999,
) -> str:
    """What `rsa` would do, without doing it."""
    check_options(rsa, comparison=comparison, n_draws=n_draws, n_permutations=n_permutations)
    rdms = describe_rdms(
        study, on=on, dissimilarity=dissimilarity, ranking=ranking, layer=layer, nan=nan
    )
    return (
        f"{rdms}; compared with people by {comparison}, {n_draws} draws, {n_permutations}"
        " permutations"
    )


def _people(
    study: xr.DataTree | xr.Dataset | xr.DataArray,
    people: xr.DataTree | xr.Dataset | xr.DataArray | None,
) -> xr.DataTree | xr.Dataset | xr.DataArray:
    if people is None and not isinstance(study, xr.DataTree):
        raise UsageError(
            "RDMs alone have no judgments to be compared with: pass people's, or a study with"
            " /human, as the second argument"
        )
    return study if people is None else people


def _rdms(
    study: xr.DataTree | xr.Dataset | xr.DataArray, **options: Any
) -> xr.Dataset | xr.DataArray:
    """Those that were given, or those of a study."""
    return network_rdms(study, **options) if isinstance(study, xr.DataTree) else study


def _require_partial(
    comparison: str, control: Sequence[str] | xr.Dataset | xr.DataArray | None
) -> None:
    if _is_given(control) and comparison in WITHOUT_PARTIAL:
        raise UsageError(
            f"comparison {comparison!r} has no partial form, so nothing can be held constant; use"
            " 'spearman' with controls"
        )


def _is_given(control: Sequence[str] | xr.Dataset | xr.DataArray | None) -> bool:
    return isinstance(control, (xr.Dataset, xr.DataArray)) or bool(control)


def _names(control: Sequence[str] | xr.Dataset | xr.DataArray | None) -> list[str] | None:
    """Controls by name, files without their folders; None for RDMs."""
    if isinstance(control, (xr.Dataset, xr.DataArray)):
        return None
    return [Path(name).name for name in control or ()]


def _held_constant(
    control: Sequence[str] | xr.Dataset | xr.DataArray | None, study: Any
) -> xr.Dataset | xr.DataArray | None:
    if isinstance(control, (xr.Dataset, xr.DataArray)):
        return control
    return controls(study, control or ())


def _require_seeds(data: Data) -> None:
    alone = [name for name, n in zip(data.groups, np.bincount(data.group), strict=True) if n == 1]
    if alone:
        raise ImpossibleAnalysis(
            f"one network of {', '.join(alone[:3])}: nothing is known of how networks like it vary,"
            " so nothing can be said of models like these. Say 'these networks' (random: images,"
            " participants), or add seeds"
        )


def _permuted(
    data: Data,
    weights: np.ndarray,
    comparison: str,
    n_permutations: int,
    progress: Callable[[int, int], None] | None,
    rng: np.random.Generator,
) -> Mantel | None:
    """Permutations of image labels: of models alone they would undo what these share with
    controls.
    """
    if data.control is not None:
        return None
    return mantel(
        data.models,
        data.people,
        comparison,
        weights,
        n_permutations=n_permutations,
        progress=progress,
        rng=rng,
    )


def _on_a_plane(judged: xr.DataArray) -> xr.Dataset:
    """People's mean judgments as points, whatever the order of people (sums round)."""
    return points(judged.sortby("participant")).rename(
        points="human_points", stress="human_stress", unknown="human_unknown"
    )


def _described(
    result: xr.Dataset,
    found: Evaluations,
    data: Data,
    weights: np.ndarray,
    parameters: dict[str, Any],
) -> xr.Dataset:
    """What was done, what it holds for, and what is wrong with it, in words."""
    kinds = sorted(set(result["random"].values))
    sizes = (
        f"{data.n_images} images, {len(data.people)} participants, {len(data.networks)} networks"
    )
    return result.assign_attrs(
        controls=0 if data.control is None else len(data.control),
        method=rsa_text.method(data, parameters),
        population=f"inference over {' or '.join(kinds)} ({sizes})",
        min_p=1 / (parameters["n_permutations"] + 1),
        redrawn=found.redrawn,
        draws_left_out=found.left_out,
        warnings=[*data.notes, *rsa_text.warnings(found, data, weights, parameters["comparison"])],
    )
