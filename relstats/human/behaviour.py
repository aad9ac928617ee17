"""Do networks err on the images on which people err: agreement of choices beyond what shares of
right answers give.

Labels in, labels out. Every number comes from `kappa`, `crossed` and `inference`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis
from relstats.human import answers, kappa
from relstats.human.answers import Answers
from relstats.human.level_tests import Cells, contrast_results, level_results
from relstats.stats.described import Align, described
from relstats.stats.inference import jackknife
from relstats.stats.inference.crossed import FACTORS, Factor
from relstats.stats.inference.moments import block_moments
from relstats.stats.inference.operators import contrast_operator
from relstats.stats.levels import Plan, plan_levels


@described
def behaviour(
    study: xr.DataTree,
    *,
    of: Literal["errors", "choices"] = "errors",
    label: str | None = None,
    classes: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    axis: str | None = None,
    random: Collection[Factor] = FACTORS,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    confidence: float = 0.95,
    n_swaps: int = 9999,
    align: Align = "exact",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Cohen's kappa of networks with people, among people, and among networks.

    Parameters
    ----------
    study : DataTree
        A study with `/behaviour`, and with `correct` or `prediction` in `/relevance`.
    of : {"errors", "choices"}
        Errors (right or wrong), or choices (which class). Of errors: error consistency.
    label : str, optional
        Label of the images that is the right choice. Default: the networks', of the study file,
        where all share it.
    classes : sequence of str, optional
        Names of the networks' outputs, in order. Default: the study file's.
    models : sequence of str, optional
        Which models. Default: those trained for the label; all, where that is not recorded.
    axis : str, optional
        Label of the models whose levels are compared. Default: none, means of each model only.
        Every pair of its levels is a contrast, "a|b": a less b.
    random : collection of {"images", "participants", "seeds"}
        What to generalize to: what the claim is to hold for beyond what was measured.
    within : sequence of str, optional
        Axes to hold fixed. Default: all others. The contrast is taken at each of their levels, and
        averaged.
    pool : sequence of str
        Axes to mix: networks that differ on them are taken together.
    confidence : float
        Confidence level of intervals.
    n_swaps : int
        Label swaps where they cannot be enumerated.
    align : {"exact", "inner"}
        Images of networks and people: exact, or inner (those of both; the others are counted).
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        On `level` x `effect` ("kappa"): `level_mean` (mean over networks and people), `level_ci`,
        `level_p_value` (is it 0: no more than independent raters with these shares?); with an axis
        on `contrast` the same as in `relstats.compare`. `kappa`, `observed`, `expected`, `n_items`
        (network, participant); of errors `observed_bound` (network, participant, bound): what the
        shares of right answers allow. `people_kappa`, `people_ci`: mean among people;
        `networks_kappa`, `networks_ci` on `level`: among networks of it. `accuracy` of each
        network, `human_accuracy` of each participant.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` (`level_...` of levels) says why, and `ci_these_networks` is
        for these networks, over images and people.

        NaN: kappa with one who gives the same answer throughout (never errs, say) is not defined:
        NaN, and counted in `n_undefined`. Such networks and participants are left out of all means,
        and named. So are participants who share no image with a network, or too few to have a
        kappa. Images that a participant did not judge are left out of this participant's kappas.

    Raises
    ------
    UsageError
        Unknown option; no such group or label.
    ImpossibleAnalysis
        No network or participant is left that answers in more than one way; a level has one network
        and seeds are random.
    InvalidData
        Choices that are no class, images that differ, classes in an order that `correct`
        contradicts.

    Notes
    -----
    Geirhos et al. 2020 (arXiv:2006.16736). Intervals: analysis of variance over networks, images
    and people of kappa's influence values. See `docs/human_maps.md`.

    Examples
    --------
    >>> import relstats
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=3, images=40, size=8, rng=rng)
    >>> ids = study["relevance/image"].values
    >>> maps = (
    ...     study["relevance"]
    ...     .to_dataset()
    ...     .assign(correct=(("model", "seed", "image"), rng.integers(0, 2, (2, 3, 40))))
    ... )
    >>> chosen = xr.Dataset(
    ...     {"choice": (("participant", "image"), rng.choice(["f", "m"], (4, 40)).astype(object))},
    ...     {"participant": list("abcd"), "image": ids},
    ... )
    >>> truth = xr.Dataset(
    ...     coords={"image": ids, "sex": ("image", rng.choice(["f", "m"], 40).astype(object))}
    ... )
    >>> study = study.assign(
    ...     relevance=xr.DataTree(maps), behaviour=xr.DataTree(chosen), images=xr.DataTree(truth)
    ... )
    >>> bool(-1 < behaviour(study, label="sex", axis="pretrain", rng=rng)["estimate"].item() < 1)
    True
    """
    data = answers.answers(study, of, label, classes, models, align)
    all_of = kappa.kappas(data.networks, data.people, len(data.classes))
    matrices = _matrices(all_of, data, of)
    kept, notes = _defined(data)
    found = kappa.kappas(kept.networks, kept.people, len(kept.classes))
    plan = plan_levels(kept.table, axis, random, within, pool)
    cells = {"kappa": Cells(found.kappa, found.kappa[:, np.newaxis] + found.influence)}
    result = level_results(cells, plan, random, confidence)
    if plan.contrasts is not None:
        result = result.merge(contrast_results(cells, plan, random, confidence, n_swaps, rng))
    result = (
        result.merge(matrices)
        .merge(_among(kept, plan, confidence))
        .assign(n_undefined=int(np.isnan(all_of.kappa).sum()))
    )
    result = result.assign_attrs(label=data.label, classes=data.classes)
    parameters = {"of": of, "confidence": confidence}
    return _described(result, kept, parameters, [*data.notes, *notes, *plan.notes])


def _defined(data: Answers) -> tuple[Answers, list[str]]:
    """Without networks and participants who have no kappa, and what is said of these."""
    networks, people = kappa.constant(data.networks), kappa.constant(data.people)
    for whose, is_constant in (("network", networks), ("participant", people)):
        if is_constant.all():
            raise ImpossibleAnalysis(
                f"each of {is_constant.size} {whose}(s) gives the same answer throughout (all"
                " right, say): kappa with them is not defined. Use harder images"
            )
    apart = np.zeros(len(people), bool)
    found = kappa.kappas(data.networks[~networks], data.people[~people], len(data.classes))
    apart[~people] = np.isnan(found.kappa).any(axis=0)
    if (people | apart).all():
        raise ImpossibleAnalysis(
            "no participant can be compared with every network: on the images that both judged, one"
            f" of them gives the same answer throughout ({int(np.isnan(found.kappa).sum())} of"
            f" {found.kappa.size} pairs)"
        )
    left = replace(
        data,
        networks=data.networks[~networks],
        table=data.table[~networks].reset_index(drop=True),
        people=data.people[~(people | apart)],
        participants=[data.participants[k] for k in np.flatnonzero(~(people | apart))],
    )
    return left, _omissions(data, networks, people, apart)


def _omissions(
    data: Answers, networks: np.ndarray, people: np.ndarray, apart: np.ndarray
) -> list[str]:
    """Who is left out, and why: masks of networks and people who answer alike throughout, and of
    people who do with one network.
    """
    cells = zip(data.table["model"], data.table["seed"], strict=True)
    names = np.array([f"{model} seed {seed}" for model, seed in cells], dtype=object)
    participants = np.array(data.participants, dtype=object)
    constant = "{} {}(s) left out ({}): kappa is not defined with who answers alike throughout"
    few = "{} {}(s) left out ({}): on the images judged by them and a network, one answers alike"
    omitted = (
        (constant, "network", names[networks]),
        (constant, "participant", participants[people]),
        (few, "participant", participants[apart]),
    )
    return [text.format(len(w), whose, ", ".join(w[:3])) for text, whose, w in omitted if len(w)]


def _matrices(found: kappa.Kappas, data: Answers, of: str) -> xr.Dataset:
    dims = ("network", "participant")
    labels = {f"network_{c}": ("network", data.table[c].to_numpy(dtype=object)) for c in data.table}
    result = xr.Dataset(
        {
            "kappa": (dims, found.kappa),
            "observed": (dims, found.observed),
            "expected": (dims, found.expected),
            "n_items": (dims, found.n_items),
            "n_images": len(data.images),
            "n_participants": len(data.participants),
        },
        {
            **labels,
            "participant": np.array(data.participants, dtype=object),
            "bound": np.array(["lower", "upper"], dtype=object),
        },
    )
    if of != "errors":
        return result
    both = (data.networks[:, :, np.newaxis] >= 0) & (data.people.T[np.newaxis] >= 0)
    n = np.where(found.n_items, found.n_items, np.nan)
    mine, theirs = (
        ((values == 1) & both).sum(axis=1) / n
        for values in (data.networks[:, :, np.newaxis], data.people.T[np.newaxis])
    )
    result["observed_bound"] = (
        (*dims, "bound"),
        np.stack(kappa.observed_bounds(mine, theirs), axis=-1),
    )
    for name, dim, values in (
        ("accuracy", "network", data.networks),
        ("human_accuracy", "participant", data.people),
    ):
        known = (values >= 0).sum(axis=1)
        result[name] = (dim, (values == 1).sum(axis=1) / np.where(known, known, np.nan))
    return result


def _among(data: Answers, plan: Plan, confidence: float) -> xr.Dataset:
    """Mean kappa among people, and among the networks of each level."""
    people = _mean_of_pairs(data.people, len(data.classes), confidence)
    used = [
        data.networks[(rows != 0).any(axis=0)] if len(rows) else data.networks[:0]
        for rows in plan.rows
    ]
    networks = np.array([_mean_of_pairs(values, len(data.classes), confidence) for values in used])
    return xr.Dataset(
        {
            "people_kappa": people[0],
            "people_ci": ("bound", people[1:]),
            "networks_kappa": ("level", networks[:, 0]),
            "networks_ci": (("level", "bound"), networks[:, 1:]),
        }
    )


def _mean_of_pairs(codes: np.ndarray, n_classes: int, confidence: float) -> np.ndarray:
    """Mean, lower and upper bound over raters and images, by the jackknife of pairs.

    NaN where a pair has no kappa.
    """
    if len(codes) < 2:
        return np.full(3, np.nan)
    found = kappa.kappas(codes, codes, n_classes)
    pairs = found.kappa[:, np.newaxis] + found.influence
    apart = ~np.eye(len(codes), dtype=bool)
    known = found.kappa[apart]
    if np.isnan(known).any():
        return np.array([np.nanmean(known) if np.isfinite(known).any() else np.nan, np.nan, np.nan])
    operator = contrast_operator(np.zeros(len(codes), int), np.ones((1, 1)))
    moments = block_moments(pairs.transpose(0, 2, 1)[:, :, np.newaxis], [operator])
    tested = jackknife.two_way_jackknife(moments, 0, confidence=confidence)
    return np.array([known.mean(), tested.lower[-1], tested.upper[-1]])


def _described(
    result: xr.Dataset, data: Answers, parameters: dict[str, Any], notes: list[str]
) -> xr.Dataset:
    sizes = (
        f"{len(data.table)} networks, {len(data.images)} images, {len(data.participants)}"
        " participants"
    )
    kinds = sorted(
        {
            str(kind)
            for name in ("random", "level_random")
            if name in result
            for kind in result[name].values.ravel()
        }
    )
    what = (
        "right and wrong answers (error consistency, Geirhos et al. 2020, arXiv:2006.16736)"
        if parameters["of"] == "errors"
        else "choices"
    )
    some = (data.people < 0).any() or (data.networks < 0).any()
    checks = (
        (
            1 < len(data.participants) < 5,
            f"{len(data.participants)} participants: their variance is poorly known below 5",
        ),
        (len(data.images) < 20, f"{len(data.images)} images: kappa is poorly known below 20"),
        (
            bool(some),
            (
                "not everybody judged every image: each pair is compared on the images that both"
                " judged"
            ),
        ),
        (
            bool(np.isnan(result["people_kappa"])),
            "kappa among people is unknown: one participant, or one who answers alike on the images"
            " of another",
        ),
    )
    method = (
        f"Cohen's kappa of {what} was computed for each network and participant and averaged"
        f" ({sizes}). {100 * parameters['confidence']:g} % intervals and p-values: analysis of"
        " variance over networks, images and people of kappa's influence values (infinitesimal"
        " jackknife), interactions counted once, with t and Satterthwaite's degrees of freedom."
    )
    floor = {"min_p": float(result["min_p_swap"].min())} if "min_p_swap" in result else {}
    return result.assign_attrs(
        **floor,
        method=method,
        warnings=[*notes, *[t for so, t in checks if so]],
        population=f"inference over {' or '.join(kinds)} like those measured ({sizes})",
    )
