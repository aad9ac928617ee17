"""Is one level of an axis closer to people, over seeds, images and people.

Labels in, labels out. Every number comes from `evaluation`, `networks` and `swaps`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from relstats.human import evaluation
from relstats.human.evaluation import Evaluations, ceiling_intervals
from relstats.human.rdm import network_rdms
from relstats.human.rdms.comparisons import Comparison
from relstats.human.reading import Data, read
from relstats.human.rsa_text import FEW_IMAGES, FEW_SEEDS, REFERENCE
from relstats.stats import levels
from relstats.stats.described import Align, Nan, check_options, described
from relstats.stats.inference import contrasts, population
from relstats.stats.inference.adjust import holm
from relstats.stats.inference.contrasts import Contrasts
from relstats.stats.inference.crossed import FACTORS, Factor, Inference, contrast_rows, level_rows
from relstats.study.top_pixels import Ranking

EFFECT = "human_correspondence"
#: Of a level without networks in some stratum.
UNKNOWN = Inference(*(np.nan,) * 7, variances={})


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
        `level_ci`. `network_estimate` of each network, `noise_ceiling` with
        `noise_ceiling_lower_ci` and `noise_ceiling_upper_ci`, `n_images`, `n_participants`.

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` says why, and `ci_these_networks` is
        for these networks, over images and people.

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
        population.require_seeds(plan)
    found = evaluation.evaluate(
        data.models, data.people, comparison, random=random, n_draws=n_draws, rng=rng
    )
    result = _contrasts(found, plan, confidence).merge(_levels(found, plan, confidence))
    result = result.merge(_swaps(found, plan, n_swaps, rng)).merge(
        _context(found, data, confidence)
    )
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
    rows = [contrast_rows(groups) for groups in plan.groups]
    tests = [[evaluation.contrast(found, row, confidence)] for row in rows]
    dims = ("contrast", "effect")
    result = levels.tabulated(tests, dims)
    for factor in ("images", "participants", "networks"):
        result[f"variance_{factor}"] = (dims, levels.variances(tests, factor))
    kinds = [[", ".join(evaluation.random_of(found, row)) or "nothing"] for row in rows]
    return result.assign(
        p_adjusted=(dims, holm(result["p_value"].values)),
        random=(dims, levels.words(kinds)),
        n_networks=("contrast", levels.n_networks(plan)),
        **levels.untested(tests, dims),
    ).assign_coords(contrast=levels.words(levels.pair_names(plan)), effect=levels.words([EFFECT]))


def _levels(found: Evaluations, plan: Contrasts, confidence: float) -> xr.Dataset:
    """Mean of each level over the strata of the contrasts; NaN where it has no network in one."""
    tests = []
    for k in range(len(plan.levels)):
        rows = level_rows(plan, k)
        tests.append(evaluation.contrast(found, rows, confidence) if len(rows) else UNKNOWN)
    return levels.level_means(tests, ("level",)).assign_coords(
        level=levels.words(plan.levels), bound=levels.words(["lower", "upper"])
    )


def _swaps(
    found: Evaluations, plan: Contrasts, n_swaps: int, rng: np.random.Generator
) -> xr.Dataset:
    """Label swap of whole networks, on their mean agreement with people."""
    means = found.observed.mean(axis=1)[:, np.newaxis]
    result = levels.swap_tests(means, plan, "effect", n_swaps, rng).drop_vars("p_max_t")
    # of the one effect, as its other fields
    smallest = result["min_p_swap"].values[:, np.newaxis]
    return result.assign(min_p_swap=(("contrast", "effect"), smallest))


def _context(found: Evaluations, data: Data, confidence: float) -> xr.Dataset:
    labels = {
        f"network_{c}": ("network", data.networks[c].to_numpy(dtype=object)) for c in data.networks
    }
    lower, upper = ceiling_intervals(found, confidence)
    return xr.Dataset(
        {
            "network_estimate": ("network", found.observed.mean(axis=1)),
            "n_images": data.n_images,
            "n_participants": len(data.people),
            "noise_ceiling": ("bound", np.array([found.ceiling.lower, found.ceiling.upper])),
            "noise_ceiling_lower_ci": ("bound", lower),
            "noise_ceiling_upper_ci": ("bound", upper),
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
