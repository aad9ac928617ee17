"""Is one level of an axis closer to people, over seeds, images and people.

Labels in, labels out. Every number comes from `evaluation`, `networks` and `swaps`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from relstats.human import evaluation
from relstats.human.evaluation import Evaluations
from relstats.human.rdm import network_rdms
from relstats.human.rdms.comparisons import Comparison
from relstats.human.reading import Data, read
from relstats.human.rsa import FEW_IMAGES, FEW_SEEDS, REFERENCE
from relstats.stats.described import Align, Nan, check_options, described
from relstats.stats.inference import contrasts, networks, swaps
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.crossed import (
    FACTORS,
    Factor,
    Inference,
    contrast_rows,
    level_rows,
)
from relstats.stats.levels import require_seeds
from relstats.study.top_pixels import Ranking

EFFECT = "human_correspondence"
_FIELDS = ("estimate", "standard_error", "statistic", "df", "p_value")


@described
def compare_human(
    study: xr.DataTree,
    *,
    axis: str,
    on: Literal["relevance", "weighted_images", "features"] = "relevance",
    layer: str | None = None,
    comparison: Comparison = "rho-a",
    random: Collection[Factor] = FACTORS,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    ranking: Ranking = "positive",
    confidence: float = 0.95,
    n_swaps: int = 9999,
    n_draws: int = 1000,
    nan: Nan = "raise",
    align: Align = "exact",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Test whether the networks of one level of an axis agree better with people's judgments than
    those of another.

    Parameters
    ----------
    study : DataTree
        A study with `/human`, and with what `on` asks for.
    axis : str
        Label of the models whose levels are compared. Every pair of its levels is a contrast,
        "a|b": a less b.
    on : {"relevance", "weighted_images", "features"}
        What RDMs (1 - Pearson) are made of: maps, images weighted by them, or features. See
        `relstats.human.rdm`.
    layer : str, optional
        Variable of `/features`. Default: the only one.
    comparison : {"rho-a", "spearman", "tau-a", "corr", "cosine", "corr_cov", ...}
        How RDMs are compared. See `relstats.human.compare_rdms`.
    random : collection of {"images", "participants", "seeds"}
        What to generalize to: what the claim is to hold for beyond what was measured. Without
        "seeds" it is one about these networks.
    within : sequence of str, optional
        Axes to hold fixed. Default: all others. The contrast is taken at each of their levels, and
        averaged.
    pool : sequence of str
        Axes to mix: networks that differ on them are taken together.
    ranking : {"positive", "absolute", "signed"}
        Of weighted images: weigh by relevance above 0, by its absolute value, or with its sign.
    confidence : float
        Confidence level of intervals.
    n_swaps : int
        Label swaps where they cannot be enumerated.
    n_draws : int
        Draws of images and participants.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    align : {"exact", "inner"}
        Images of networks and people: exact, or inner (those of both; the others are counted).
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        On `contrast` x `effect` (one, "human_correspondence": mean agreement of a's networks with
        the participants, less b's): `estimate`, `ci`, `standard_error`, `statistic`, `df`,
        `p_value` (two-sided: is it 0, for seeds, images and people like these?), `p_adjusted` (Holm
        over contrasts), `p_swap` (label swap of whole networks: are labels irrelevant, on these
        images for these people?), `min_p_swap`, `variance_networks`, `variance_images`,
        `variance_participants`, `random`; `n_networks` of each contrast. On `level`: `level_mean`,
        `level_ci`. `network_estimate` of each network, `noise_ceiling`, `n_images`,
        `n_participants`.

        NaN: as in `relstats.human.rsa`. What was left out is in `warnings`.

    Raises
    ------
    UsageError
        Unknown axis, comparison, factor; the study has no judgments or no such group.
    ImpossibleAnalysis
        A level has one network and seeds are random: a claim about models needs two. One level
        only, or a confounded axis.
    InvalidData
        Images differ between networks and people (with both lists).

    Notes
    -----
    The bootstrap variance over crossed factors of `relstats.human.rsa`; the seeds of each level in
    each stratum are a factor of their own.

    Examples
    --------
    >>> import relstats
    >>> from relstats.study.pairs import pair_labels
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=3, images=12, size=8, rng=rng)
    >>> people = xr.Dataset(
    ...     {"dissimilarity": (("participant", "pair"), rng.random((5, 66), dtype=np.float32))},
    ...     {"participant": list("abcde"), **pair_labels(study["relevance"]["image"].values)},
    ... )
    >>> result = compare_human(
    ...     study.assign(human=xr.DataTree(people)), axis="pretrain", n_draws=50, rng=rng
    ... )
    >>> bool(0 < result["p_value"].item() < 1)
    True
    """
    rdms = network_rdms(study, on=on, layer=layer, ranking=ranking, nan=nan)
    data = read(rdms, study, None, "model", align, comparison)
    plan = contrasts.plan(data.networks, axis, within=within, pool=pool, symmetric=True)
    if "seeds" in random:
        require_seeds(plan)
    found = evaluation.evaluate(
        data.models, data.people, comparison, random=random, n_draws=n_draws, rng=rng
    )
    result = _contrasts(found, plan, confidence).merge(_levels(found, plan, confidence))
    result = result.merge(_swaps(found, plan, n_swaps, rng)).merge(_context(found, data))
    parameters = {"on": on, "comparison": comparison, "confidence": confidence, "n_draws": n_draws}
    notes = [*rdms.attrs["warnings"], *data.notes]
    return _described(result, found, data, plan, parameters, notes)


def describe(
    study: xr.DataTree, *, axis: str, on: str = "relevance", comparison: str = "rho-a"
) -> str:
    """What `compare_human` would do, without doing it."""
    check_options(compare_human, on=on, comparison=comparison)
    return f"agreement of networks ({on}) with people over {axis}, {comparison}"


def _contrasts(found: Evaluations, plan: Contrasts, confidence: float) -> xr.Dataset:
    tests = [
        evaluation.contrast(found, contrast_rows(groups), confidence) for groups in plan.groups
    ]
    dims = ("contrast", "effect")
    values = {
        name: (dims, np.array([[getattr(test, name)] for test in tests], float)) for name in _FIELDS
    }
    result = xr.Dataset(values).assign(
        {
            f"variance_{name}": (dims, np.array([[v] for v in shares]))
            for name, shares in _shares(tests).items()
        }
    )
    kinds = [
        [", ".join(k for k in FACTORS if _is_random(found, contrast_rows(groups))[k]) or "nothing"]
        for groups in plan.groups
    ]
    return result.assign(
        ci=((*dims, "bound"), _intervals(tests)[:, np.newaxis]),
        p_adjusted=(dims, holm(result["p_value"].values)),
        random=(dims, np.array(kinds, dtype=object)),
        n_networks=("contrast", [int((g >= 0).sum()) for g in plan.groups]),
    ).assign_coords(
        contrast=np.array(["|".join(pair) for pair in plan.pairs], dtype=object),
        effect=np.array([EFFECT], dtype=object),
    )


def _intervals(tests: Sequence[Inference]) -> np.ndarray:
    return np.array([[test.lower, test.upper] for test in tests], float)


def _shares(tests: Sequence[Inference]) -> dict[str, list[float]]:
    shares = {
        name: [test.variances.get(name, np.nan) for test in tests]
        for name in ("images", "participants")
    }
    of_seeds = [
        [v for name, v in test.variances.items() if name.startswith("seeds")] for test in tests
    ]
    return shares | {"networks": [sum(values) if values else np.nan for values in of_seeds]}


def _is_random(found: Evaluations, rows: np.ndarray) -> dict[str, bool]:
    return {
        "images": "images" in found.random,
        "seeds": evaluation.seeds_random(found, rows),
        "participants": "participants" in found.random and found.observed.shape[1] > 1,
    }


def _levels(found: Evaluations, plan: Contrasts, confidence: float) -> xr.Dataset:
    """Mean of each level over the strata of the contrasts."""
    tests = []
    for k in range(len(plan.levels)):
        rows = level_rows(plan, k)
        tests.append(evaluation.contrast(found, rows, confidence) if len(rows) else None)
    known = [test for test in tests if test is not None]
    mean, ci = np.full(len(tests), np.nan), np.full((len(tests), 2), np.nan)
    where = [k for k, test in enumerate(tests) if test is not None]
    mean[where], ci[where] = [test.estimate for test in known], _intervals(known)
    return xr.Dataset(
        {"level_mean": ("level", mean), "level_ci": (("level", "bound"), ci)},
        {
            "level": np.array(plan.levels, dtype=object),
            "bound": np.array(["lower", "upper"], dtype=object),
        },
    )


def _swaps(
    found: Evaluations, plan: Contrasts, n_swaps: int, rng: np.random.Generator
) -> xr.Dataset:
    means, p, floor = found.observed.mean(axis=1)[:, np.newaxis], [], []
    for groups in plan.groups:
        part = groups >= 0
        strata = groups[part] // 2
        labels, exact = swaps.labelings(groups[part] % 2 == 0, strata, n_swaps=n_swaps, rng=rng)
        p.append(swaps.swap_p(networks.swapped_means(means[part], labels, strata), exact))
        floor.append(swaps.smallest_p(labels, strata, exact)[:1])
    dims = ("contrast", "effect")
    return xr.Dataset({"p_swap": (dims, np.array(p)), "min_p_swap": (dims, np.array(floor))})


def _context(found: Evaluations, data: Data) -> xr.Dataset:
    labels = {
        f"network_{c}": ("network", data.networks[c].to_numpy(dtype=object)) for c in data.networks
    }
    return xr.Dataset(
        {
            "network_estimate": ("network", found.observed.mean(axis=1)),
            "n_images": data.n_images,
            "n_participants": len(data.people),
            "noise_ceiling": ("bound", np.array([found.ceiling.lower, found.ceiling.upper])),
        },
        {**labels, "bound": np.array(["lower", "upper"], dtype=object)},
    )


def _described(
    result: xr.Dataset,
    found: Evaluations,
    data: Data,
    plan: Contrasts,
    parameters: dict[str, Any],
    notes: list[str],
) -> xr.Dataset:
    kinds = sorted({str(kind) for kind in result["random"].values.ravel()})
    seeds = (
        "" if all("seeds" in kind for kind in kinds) else "; these networks, not models like them"
    )
    population = (
        f"inference over {'; '.join(kinds)} like those measured{seeds} ({len(data.networks)}"
        f" networks, {data.n_images} images, {len(data.people)} participants)"
    )
    return result.assign_attrs(
        within=list(plan.within),
        pooled=list(plan.pooled),
        strata=plan.strata,
        method=_method(data, plan, parameters),
        population=population,
        min_p=float(result["min_p_swap"].min()),
        warnings=[*notes, *_warnings(result, found, data, plan, parameters["confidence"])],
    )


def _warnings(
    result: xr.Dataset, found: Evaluations, data: Data, plan: Contrasts, confidence: float
) -> list[str]:
    sizes = [np.bincount(groups[groups >= 0]) for groups in plan.groups]
    least = min(int(size[size > 0].min()) for size in sizes)
    checks = (
        (
            data.n_images < FEW_IMAGES,
            f"{data.n_images} images: below {FEW_IMAGES} all tests are conservative",
        ),
        (
            1 < least < FEW_SEEDS,
            f"{least} networks of a level: their variance is poorly known below {FEW_SEEDS}",
        ),
        (
            found.observed.shape[1] == 1,
            "one participant: nothing is known of other people, and there is no noise ceiling",
        ),
        (
            found.left_out > 0,
            f"{found.left_out} draws of images left out: somebody had nothing left to compare",
        ),
        (
            float(result["min_p_swap"].max()) > 1 - confidence,
            f"the label swap cannot give p below {float(result['min_p_swap'].max()):.3g}",
        ),
    )
    return [
        f"networks that differ on {a} are mixed: an effect may be one of {a}" for a in plan.pooled
    ] + [t for so, t in checks if so]


def _method(data: Data, plan: Contrasts, parameters: dict[str, Any]) -> str:
    strata = (
        f", within each level of {' and '.join(plan.within)} and averaged" if plan.within else ""
    )
    return (
        f"RDMs (1 - Pearson, on {parameters['on']}) of {len(data.networks)} networks were compared"
        f" with the judgments of {len(data.people)} participants on {data.n_images} images by"
        f" {parameters['comparison']}, averaged, and compared over {plan.axis}"
        f" ({', '.join(plan.levels)}){strata}. Standard errors,"
        f" {100 * float(parameters['confidence']):g} % intervals and p-values come from"
        f" {REFERENCE}, with {parameters['n_draws']} draws; seeds of each level are a factor of"
        " their own; Holm over contrasts. p_swap permutes the labels of whole networks."
    )
