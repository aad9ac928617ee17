"""How well networks' RDMs agree with people's, which model's better, and how far that is from the
noise ceiling.

Labels in, labels out. Every number comes from `evaluation`, `mantel` and `ceiling`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import xarray as xr

from relstats.errors import ImpossibleAnalysis, UsageError
from relstats.human import evaluation
from relstats.human.evaluation import FACTORS, Evaluations
from relstats.human.rdms import ceiling
from relstats.human.rdms.comparisons import COMPARISONS, WITHOUT_PARTIAL
from relstats.human.rdms.mantel import Mantel, mantel
from relstats.human.reading import Data, read
from relstats.stats.inference.crossed import Inference
from relstats.stats.inference.jackknife import holm
from relstats.study.provenance import provenance

REFERENCE = (
    "a bootstrap over crossed factors as in Schuett et al. 2023 (doi:10.7554/eLife.82566), with t"
    " and Satterthwaite's degrees of freedom; noise ceiling after Nili et al. 2014"
    " (doi:10.1371/journal.pcbi.1003553)"
)
FEW_IMAGES, FEW_SEEDS = 20, 5
_FIELDS = ("estimate", "standard_error", "statistic", "df", "p_value", "lower", "upper")


def rsa(
    model_rdms: xr.Dataset | xr.DataArray,
    human_rdms: xr.DataTree | xr.Dataset | xr.DataArray,
    *,
    comparison: str = "rho-a",
    by: str = "model",
    random: Collection[str] | None = None,
    control: xr.Dataset | xr.DataArray | None = None,
    align: str = "exact",
    n_draws: int = 1000,
    n_permutations: int = 9999,
    confidence: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Compare RDMs of networks with judgments of people.

    Parameters
    ----------
    model_rdms : Dataset or DataArray, ([model, [seed,]] pair)
        From `relstats.human.rdm`, or any dissimilarities with text coordinates `image_i`, `image_j`
        on `pair`; text labels on `model` are axes; `available` (model, seed) says which networks
        exist.
    human_rdms : DataTree, Dataset or DataArray, (participant, pair)
        A study, its `/human` group, or dissimilarities with the same coordinates and text ids of
        participants. NaN, or no entry, where a pair was not judged.
    comparison : str
        See `relstats.human.compare_rdms`.
    by : str
        What networks are averaged over: those of one "model", or of one level of an axis.
    random : collection of {"images", "participants", "seeds"}
        What the claim is to hold for beyond what was measured. Default: all of them, but seeds only
        where a model has two or more; with one seed, the claim is about these networks, and the
        result says so. Asked for by name, random seeds of a model that has one are refused.
    control : Dataset or DataArray, ([...,] pair), optional
        RDMs to hold constant (pixels, luminance, ...): partial agreement. Not with "rho-a" and
        "tau-a".
    align : {"exact", "inner"}
        "inner" keeps the images that both sides have, and counts the others.
    n_draws, n_permutations : int
        Draws of images and participants; permutations of image labels. With "tau-a", and with
        missing pairs, each permutation is a comparison of its own: seconds with 92 images and 16
        people become minutes.
    confidence : float
        Confidence level of intervals.
    progress : callable, optional
        Called with the number of permutations done, and of all.
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        On `model` (`level` where `by` is an axis): mean agreement `estimate`, `ci`,
        `standard_error`, `statistic`, `df`, `p_value` (two-sided: is it 0, for images, people and
        seeds like these?), `p_mantel` (one-sided: are image labels irrelevant, for these people and
        networks?), `p_mantel_max` (the same for the best of all models), `variance_images`,
        `variance_participants`, `variance_seeds`, `n_networks`, `random`; `ceiling_difference`
        (less the lower bound of the `noise_ceiling`) and the same of it. On `contrast` "a|b":
        `difference` (a less b) and the same of it. `agreement` of each model with each participant,
        `network_estimate` of each network; `n_pairs` of each participant, `n_images`,
        `n_participants`. Nothing is squared, or divided by the ceiling. All p are raw: see
        `correct`.

        NaN: pairs that a participant did not judge are left out for this participant, for all
        models alike. Participants who judged all alike, or fewer than 3 pairs, and networks whose
        RDM says nothing are left out and counted. A ceiling of fewer than 3 participants, and what
        cannot be tested, is NaN, and `warnings` says why.

    Raises
    ------
    UsageError
        Unknown comparison, axis, factor; a comparison without a partial form.
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
    >>> result["difference_p_value"].sel(contrast="bad|good").item() < 0.05
    True
    """
    asked, random = random or (), FACTORS if random is None else random
    check_options(comparison, random, control is not None, n_draws, n_permutations)
    data = read(model_rdms, human_rdms, control, by, align, comparison)
    _require_seeds(asked, data)
    found = evaluation.evaluate(
        data.models,
        data.people,
        comparison,
        random=random,
        control=data.control,
        n_draws=n_draws,
        rng=rng,
    )
    weights = (data.group == np.arange(len(data.groups))[:, np.newaxis]).astype(float)
    weights /= weights.sum(axis=1, keepdims=True)
    chance = None
    if (
        data.control is None
    ):  # permuting labels of models alone would undo what they share with the controls
        chance = mantel(
            data.models,
            data.people,
            comparison,
            weights,
            n_permutations=n_permutations,
            progress=progress,
            rng=rng,
        )
    dim = "model" if by == "model" else "level"
    result = _models(found, weights, chance, data, dim, confidence).merge(
        _contrasts(found, weights, data, confidence)
    )
    parameters = {
        "comparison": comparison,
        "by": by,
        "confidence": confidence,
        "n_draws": n_draws,
        "n_permutations": n_permutations,
        "align": align,
        "random": sorted(random),
        "controls": 0 if data.control is None else len(data.control),
    }
    return _described(result, found, data, weights, parameters)


def correct(result: xr.Dataset, p_value: str, method: str = "holm") -> xr.Dataset:
    """Adjust p-values of a result for how many there are; the raw ones stay.

    Parameters
    ----------
    result : Dataset
        From `rsa`.
    p_value : {"p_value", "p_mantel", "difference_p_value", "ceiling_difference_p_value"}
        Which family of tests.
    method : {"holm", "bh", "max-t"}
        "holm": family-wise error. "bh": false discovery rate (Benjamini & Hochberg 1995). "max-t":
        family-wise, by permutation, for "p_mantel" alone; it uses how models depend on each other.

    Returns
    -------
    Dataset
        With `<p_value>_adjusted`, whose attribute `correction` names the method. NaN are no tests,
        and stay.

    Raises
    ------
    UsageError
        Unknown p-value or method; max-t for another family.

    Examples
    --------
    >>> result = xr.Dataset({"p_value": ("model", [0.01, 0.04])})
    >>> correct(result, "p_value")["p_value_adjusted"].values
    array([0.02, 0.04])
    """
    known = [str(name) for name in result.data_vars if str(name).endswith(("p_value", "p_mantel"))]
    if p_value not in known:
        raise UsageError(f"p_value is {p_value!r}; this result has {', '.join(known)}")
    if method not in ("holm", "bh", "max-t"):
        raise UsageError(f"method is {method!r}; it is one of holm, bh, max-t")
    if method == "max-t" and p_value != "p_mantel":
        raise UsageError(
            f"max-t of {p_value!r}: only p_mantel has draws under its null. Use holm or bh"
        )
    raw = result[p_value]
    if method == "max-t":
        adjusted = result["p_mantel_max"].values
    else:
        adjusted = holm(raw.values) if method == "holm" else _benjamini_hochberg(raw.values)
    return result.assign({f"{p_value}_adjusted": (raw.dims, adjusted, {"correction": method})})


def _benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    adjusted, known = np.full(p.shape, np.nan), np.isfinite(p)
    order = np.argsort(p[known])[::-1]
    steps = p[known][order] * known.sum() / np.arange(known.sum(), 0, -1)
    ordered = np.empty(known.sum())
    ordered[order] = np.minimum(np.minimum.accumulate(steps), 1)
    adjusted[known] = ordered
    return adjusted


def check_options(
    comparison: str, random: Collection[str], controlled: bool, n_draws: int, n_permutations: int
) -> None:
    """Raise what `rsa` raises before it reads anything."""
    if comparison not in COMPARISONS:
        raise UsageError(f"comparison is {comparison!r}; it is one of {', '.join(COMPARISONS)}")
    if controlled and comparison in WITHOUT_PARTIAL:
        raise UsageError(
            f"comparison {comparison!r} has no partial form, so nothing can be held constant; use"
            " 'spearman' with controls"
        )
    unknown = [factor for factor in random if factor not in FACTORS]
    if unknown or isinstance(random, str):
        raise UsageError(f"random is {random!r}; it is a list of {', '.join(FACTORS)}")
    for name, value in (("n_draws", n_draws), ("n_permutations", n_permutations)):
        if value < 2:
            raise UsageError(f"{name} is {value}; give at least 2, better 1000")


def _require_seeds(asked: Collection[str], data: Data) -> None:
    one = [name for name, n in zip(data.groups, np.bincount(data.group), strict=True) if n == 1]
    if "seeds" in asked and one:
        raise ImpossibleAnalysis(
            f"one network of {', '.join(one[:3])}: nothing is known of how networks like it vary,"
            " so nothing can be said of models like these. Say 'these networks' (random: images,"
            " participants), or add seeds"
        )


def _fields(tests: Sequence[Inference], dim: str, prefix: str = "") -> xr.Dataset:
    values = {name: np.array([getattr(test, name) for test in tests], float) for name in _FIELDS}
    interval = np.stack([values.pop("lower"), values.pop("upper")], axis=-1)
    named = {
        (prefix or "estimate") if name == "estimate" else f"{prefix}_{name}".lstrip("_"): (dim, v)
        for name, v in values.items()
    }
    return xr.Dataset({**named, f"{prefix}_ci".lstrip("_"): ((dim, "bound"), interval)})


def _models(
    found: Evaluations,
    weights: np.ndarray,
    chance: Mantel | None,
    data: Data,
    dim: str,
    confidence: float,
) -> xr.Dataset:
    rows = [row[np.newaxis] for row in weights]
    tests = [evaluation.contrast(found, row, confidence) for row in rows]
    gaps = [evaluation.to_ceiling(found, row, confidence) for row in rows]
    result = _fields(tests, dim).merge(_fields(gaps, dim, "ceiling_difference"))
    for factor in FACTORS:
        shares = [
            test.variances.get("seeds 0" if factor == "seeds" else factor, np.nan) for test in tests
        ]
        result[f"variance_{factor}"] = (dim, np.array(shares, float))
    unknown = np.full(len(rows), np.nan)
    result["p_mantel"] = (dim, unknown if chance is None else chance.p_value)
    result["p_mantel_max"] = (dim, unknown if chance is None else chance.p_max)
    result["n_networks"] = (dim, (weights > 0).sum(axis=1))
    result["random"] = (dim, np.array([_random(found, row) for row in rows], dtype=object))
    result["agreement"] = ((dim, "participant"), weights @ found.observed)
    result["network_estimate"] = ("network", found.observed.mean(axis=1))
    result["noise_ceiling"] = ("bound", np.array([found.ceiling.lower, found.ceiling.upper]))
    result["n_pairs"] = ("participant", np.isfinite(data.people).sum(axis=1))
    labels = {
        f"network_{c}": ("network", data.networks[c].to_numpy(dtype=object)) for c in data.networks
    }
    return result.assign(n_images=data.n_images, n_participants=len(data.people)).assign_coords(
        {
            dim: np.array(data.groups, dtype=object),
            "participant": np.array(data.participants, dtype=object),
            "bound": np.array(["lower", "upper"], dtype=object),
            **labels,
        }
    )


def _contrasts(
    found: Evaluations, weights: np.ndarray, data: Data, confidence: float
) -> xr.Dataset:
    chosen = list(itertools.combinations(range(len(weights)), 2))
    if not chosen:
        return xr.Dataset()
    rows = [np.stack([weights[a], -weights[b]]) for a, b in chosen]
    result = _fields(
        [evaluation.contrast(found, row, confidence) for row in rows], "contrast", "difference"
    )
    result["difference_random"] = (
        "contrast",
        np.array([_random(found, row) for row in rows], dtype=object),
    )
    names = [f"{data.groups[a]}|{data.groups[b]}" for a, b in chosen]
    return result.assign_coords(contrast=np.array(names, dtype=object))


def _random(found: Evaluations, weights: np.ndarray) -> str:
    """What a claim holds for beyond what was measured."""
    is_random = {
        "images": "images" in found.random,
        "participants": "participants" in found.random and found.observed.shape[1] > 1,
        "seeds": evaluation.seeds_random(found, weights),
    }
    kinds = [name for name, yes in is_random.items() if yes]
    return (", ".join(kinds) or "nothing") + ("" if is_random["seeds"] else "; these networks")


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
        statistic="rsa",
        **parameters,
        method=_method(data, parameters),
        population=f"inference over {' or '.join(kinds)} ({sizes})",
        min_p=1 / (parameters["n_permutations"] + 1),
        redrawn=found.redrawn,
        draws_left_out=found.left_out,
        warnings=[*data.notes, *_warnings(found, data, weights, parameters)],
        **provenance(),
    )


def _warnings(
    found: Evaluations, data: Data, weights: np.ndarray, parameters: dict[str, Any]
) -> list[str]:
    seeds = (weights > 0).sum(axis=1)
    one = [name for name, n in zip(data.groups, seeds, strict=True) if n == 1]
    checks = (
        (
            data.n_images < FEW_IMAGES,
            f"{data.n_images} images: below {FEW_IMAGES} all tests are conservative",
        ),
        (
            bool(one),
            (
                f"one network of {', '.join(one[:3])}: what is said is of these networks, not of"
                " models like these"
            ),
        ),
        (
            1 < seeds.min() < FEW_SEEDS,
            f"{seeds.min()} networks of a model: their variance is poorly known below {FEW_SEEDS}",
        ),
        (
            parameters["comparison"] == "cosine",
            "plain cosine of judgments is near 1 for any model: compare with the noise ceiling",
        ),
        (
            len(data.people) < ceiling.MIN_PARTICIPANTS,
            f"{len(data.people)} participant(s): the noise ceiling needs at least 3",
        ),
        (
            found.left_out > 0,
            f"{found.left_out} draws of images left out: somebody had nothing left to compare",
        ),
        (
            data.control is not None,
            (
                "partial agreement: no permutation of image labels keeps what models share with the"
                " controls"
            ),
        ),
        (
            data.control is not None and bool(np.isnan(data.people).any()),
            "partial noise ceiling: needs all pairs of all participants",
        ),
    )
    return [text for is_so, text in checks if is_so]


def _method(data: Data, parameters: dict[str, Any]) -> str:
    held = (
        f", with {parameters['controls']} control RDM(s) held constant"
        if parameters["controls"]
        else ""
    )
    missing = np.isnan(data.people).any()
    own = " Each participant was compared on the pairs judged." if missing else ""
    return (
        f"RDMs of {len(data.networks)} networks ({len(data.groups)} {parameters['by']}(s)) were"
        f" compared with those of {len(data.people)} participants over {data.n_images} images by"
        f" {parameters['comparison']}{held}, and averaged.{own} Standard errors,"
        f" {100 * float(parameters['confidence']):g} % intervals and p-values come from"
        f" {REFERENCE}, with {parameters['n_draws']} draws; p_mantel from"
        f" {parameters['n_permutations']} permutations of image labels."
    )
