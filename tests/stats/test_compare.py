"""compare(): against a loop by definition, its symmetries, planted truth, and what it refuses."""

from __future__ import annotations

import itertools
import json

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import relstats
from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.study import shards

EFFECTS = {
    "asymmetry": lambda aa, ab, ba, bb: ab - ba,
    "source_effect": lambda aa, ab, ba, bb: (aa + ab - ba - bb) / 2,
    "target_effect": lambda aa, ab, ba, bb: (aa + ba - ab - bb) / 2,
    "specificity": lambda aa, ab, ba, bb: (aa + bb - ab - ba) / 2,
    "own_level_difference": lambda aa, ab, ba, bb: aa - bb,
}
SYMMETRIC = ("specificity", "own_level_difference")
NUMBERS = (
    "estimate",
    "standard_error",
    "statistic",
    "df",
    "p_value",
    "variance_networks",
    "variance_images",
    "variance_interaction",
)
#: Seeds of (imagenet gender, imagenet identity, vggface2 gender, vggface2 identity, places gender).
BALANCED, UNBALANCED, RAGGED = (3, 3, 3, 3), (3, 5, 4, 3), (4, 3, 4, 0)
MODELS = pd.DataFrame(
    {
        "model": ["i-g", "i-d", "v-g", "v-d"],
        "pretrain": ["imagenet", "imagenet", "vggface2", "vggface2"],
        "task": ["gender", "identity", "gender", "identity"],
    }
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def transfer(
    seeds, n_images=13, fractions=(0.1, 0.2, 0.4), models=MODELS, seed=1, controls=True, **columns
):
    """Random transfer scores; networks that do not exist hold 0.9, which must never count."""
    rng, n, s = np.random.default_rng(seed), len(models), max(seeds)
    available = np.arange(s) < np.array(seeds)[:, np.newaxis]
    shape = (n, s, n, s, len(fractions), n_images)
    scores = (
        0.3
        + 0.1 * rng.random((n, s, 1, 1, 1, 1))
        + 0.1 * rng.random((1, 1, n, s, 1, 1))
        + 0.2 * rng.random(shape)
    )
    scores = scores + 0.1 * rng.random(n_images) + 0.05 * np.arange(n).reshape(n, 1, 1, 1, 1, 1)
    scores[~available] = 0.9
    scores[:, :, ~available] = 0.9
    arrays = {"probability": scores, "margin": 3 * scores - 1}
    if controls:
        arrays |= {
            "random_probability": 0.2 + 0.1 * rng.random((n, s, len(fractions), n_images)),
            "unmasked_probability": 0.9 + 0.1 * rng.random((n, s, n_images)),
        }
    images = [f"im{k}" for k in range(n_images)]
    return relstats.transfer_dataset(
        arrays,
        models=models.assign(**columns),
        images=images,
        fractions=fractions,
        available=available,
    )


def maps(seeds=(3, 3, 3, 3), n_images=8, size=6, seed=2, models=MODELS):
    rng, s = np.random.default_rng(seed), max(seeds)
    available = np.arange(s) < np.array(seeds)[:, np.newaxis]
    values = rng.standard_normal((len(models), s, n_images, size, size)) + 2 * rng.standard_normal(
        (n_images, size, size)
    )
    values += rng.standard_normal((len(models), 1, n_images, size, size))
    values[np.abs(values) < 0.8] = 0
    values = values.astype(np.float32)
    images = [f"im{k}" for k in range(n_images)]
    return relstats.relevance_dataset(values, models=models, images=images, available=available)


def compare(study, axis="pretrain", **options):
    options = {"score": "probability", "rng": np.random.default_rng(3), **options}
    return relstats.compare(study, axis=axis, **options)


def networks(study, prefix=""):
    """(model, seed) and labels of each network that exists."""
    available = study[f"{prefix}available"]
    model, seed = f"{prefix}model", f"{prefix}seed"
    found = []
    for m, s in itertools.product(study[model].values, study[seed].values):
        if bool(available.sel({model: m, seed: s})):
            row = study.sel({model: m})
            found.append(
                {
                    "model": m,
                    "seed": s,
                    **{a: str(row[f"{prefix}{a}"].item()) for a in ("pretrain", "task")},
                }
            )
    return found


def score_matrix(study, score="probability"):
    """(source, target, fraction, image) by label, one number after another."""
    nets = networks(study, "source_")
    array = study[score].transpose(
        "source_model", "source_seed", "target_model", "target_seed", "fraction", "image"
    )
    rows = [
        [
            array.sel(
                source_model=a["model"],
                source_seed=a["seed"],
                target_model=b["model"],
                target_seed=b["seed"],
            ).values
            for b in nets
        ]
        for a in nets
    ]
    return np.array(rows), nets


def map_matrix(study, measure, fractions=(0.05, 0.1, 0.2)):
    nets = networks(study)
    flat = [
        study["relevance"]
        .sel(model=n["model"], seed=n["seed"])
        .values.reshape(study.sizes["image"], -1)
        for n in nets
    ]
    if measure == "spearman":
        fractions = (None,)
    out = np.empty((len(nets), len(nets), len(fractions), study.sizes["image"]))
    for (m, a), (k, b), i in itertools.product(
        enumerate(flat), enumerate(flat), range(out.shape[-1])
    ):
        for f, fraction in enumerate(fractions):
            out[m, k, f, i] = one_agreement(
                a[i].astype(float), b[i].astype(float), measure, fraction
            )
    return out, nets


def top(values, fraction):
    """Of the positive pixels, as many as asked; ties by position."""
    order = np.argsort(-values, kind="stable")[: max(1, round(fraction * values.size))]
    return {int(p) for p in order if values[p] > 0}


def one_agreement(a, b, measure, fraction):
    if measure == "spearman":
        return stats.spearmanr(a, b).statistic
    if measure == "capture":
        positive = np.maximum(b, 0)
        return sum(positive[p] for p in top(a, fraction)) / positive.sum()
    return len(top(a, fraction) & top(b, fraction)) / len(top(a, fraction) | top(b, fraction))


def slow_cell(scores, sources, targets):
    pairs = [scores[m, k] for m in sources for k in targets if m != k]
    return np.mean(pairs, axis=0) if pairs else np.full(scores.shape[2:], np.nan)


def slow_contrast(scores, groups, effect, without=None):
    """Mean over strata of an effect, for each image.

    `groups` is {stratum: (networks of A, networks of B)}.
    """
    values = []
    for first, second in groups.values():
        a, b = ([m for m in part if m != without] for part in (first, second))
        cells = [slow_cell(scores, x, y) for x in (a, b) for y in (a, b)]
        values.append(EFFECTS[effect](*cells))
    return np.mean(values, axis=0)


def slow_jackknife(scores, groups, effect):
    """Two-way jackknife of scores (source, target, image), by loops."""
    per_image = slow_contrast(scores, groups, effect)
    n = per_image.size
    v_images, parts, v_both = per_image.var(ddof=1) / n, [], 0.0
    for part in (part for pair in groups.values() for part in pair):
        without = np.array([slow_contrast(scores, groups, effect, m) for m in part])
        factor = (len(part) - 1) / len(part)
        parts.append((factor * ((without.mean(axis=1) - without.mean()) ** 2).sum(), len(part) - 1))
        v_both += factor * sum((z - without.mean(axis=0)).var(ddof=1) for z in without) / n
    v_networks = sum(v for v, _ in parts)
    total = max(v_networks + v_images - v_both, v_networks, v_images)
    df = total**2 / (sum(v**2 / d for v, d in parts) + v_images**2 / (n - 1))
    t = per_image.mean() / np.sqrt(total)
    half = stats.t.ppf(0.975, df) * np.sqrt(total)
    return {
        "estimate": per_image.mean(),
        "standard_error": np.sqrt(total),
        "statistic": t,
        "df": df,
        "p_value": 2 * stats.t.sf(abs(t), df),
        "variance_networks": v_networks,
        "variance_images": v_images,
        "variance_interaction": v_both,
        "ci": (per_image.mean() - half, per_image.mean() + half),
    }


def slow_groups(nets, a, b, within=("task",), axis="pretrain"):
    groups = {}
    for key in {tuple(n[w] for w in within) for n in nets}:
        part = [
            [k for k, n in enumerate(nets) if n[axis] == x and tuple(n[w] for w in within) == key]
            for x in (a, b)
        ]
        if all(part):
            groups[key] = part
    return groups


def assert_is_the_definition(
    result, scores, nets, effects=tuple(EFFECTS), within=("task",), axis="pretrain"
):
    for contrast, effect in itertools.product(result["contrast"].values, effects):
        groups = slow_groups(nets, *contrast.split("|"), within, axis)
        wanted = [slow_jackknife(scores.mean(axis=2), groups, effect)]
        by_fraction = "estimate_by_fraction" in result
        wanted += [
            slow_jackknife(scores[:, :, f], groups, effect)
            for f in range(scores.shape[2])
            if by_fraction
        ]
        found = result.sel(contrast=contrast, effect=effect)
        for name in (*NUMBERS, "ci"):
            got = found[name].values[np.newaxis]
            if by_fraction:
                got = np.concatenate([got, found[f"{name}_by_fraction"].values])
            np.testing.assert_allclose(
                got, [w[name] for w in wanted], rtol=1e-9, atol=1e-14, err_msg=f"{effect} {name}"
            )


# --- the definition
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [BALANCED, UNBALANCED, RAGGED])
@pytest.mark.parametrize("within", [None, ()])
def test_transfer_is_the_definition(monkeypatch, seeds, within) -> None:
    study = transfer(seeds)
    n = sum(seeds)
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 3 * n * n)  # blocks of 5, 5 and 3 images
    result = compare(study, within=within)
    assert_is_the_definition(
        result, *score_matrix(study), within=("task",) if within is None else ()
    )


def test_one_fraction_and_another_axis_are_the_definition() -> None:
    study = transfer(BALANCED)
    result = compare(study, axis="task", fraction=0.2)
    scores, nets = score_matrix(study)
    assert_is_the_definition(result, scores[:, :, 1:2], nets, within=("pretrain",), axis="task")
    assert result["fraction"].values.tolist() == [0.2]


@pytest.mark.parametrize("measure", ["spearman", "iou", "capture"])
def test_agreement_of_maps_is_the_definition(monkeypatch, measure) -> None:
    study = maps((3, 4, 3, 3))
    monkeypatch.setattr(shards, "BLOCK_VALUES", 3 * 36 * 13)
    result = compare(study, measure=measure)
    effects = tuple(EFFECTS) if measure == "capture" else SYMMETRIC
    assert result["effect"].values.tolist() == list(effects)
    assert_is_the_definition(result, *map_matrix(study, measure), effects)


def test_cell_means_are_the_definition_and_make_the_effects() -> None:
    study = transfer(UNBALANCED)
    result = compare(study)
    scores, nets = score_matrix(study)
    cells = {}
    for a, b in itertools.product(("imagenet", "vggface2"), repeat=2):
        strata = [
            [k for k, n in enumerate(nets) if (n["pretrain"], n["task"]) == (level, task)]
            for task in ("gender", "identity")
            for level in (a, b)
        ]
        cells[a, b] = np.mean(
            [slow_cell(scores, strata[0], strata[1]), slow_cell(scores, strata[2], strata[3])]
        )
        assert result["cell_mean"].sel(source_level=a, target_level=b).item() == pytest.approx(
            cells[a, b], rel=1e-12
        )
    by_fraction = result["cell_mean_by_fraction"]
    np.testing.assert_allclose(
        by_fraction.mean("fraction").values, result["cell_mean"].values, rtol=1e-12
    )
    alone = compare(study, fraction=0.2)
    for name in ("cell_mean", "cell_ci"):
        np.testing.assert_allclose(
            result[f"{name}_by_fraction"].sel(fraction=0.2).values, alone[name].values, rtol=1e-12
        )
    for effect, of in EFFECTS.items():
        assert result["estimate"].sel(effect=effect).item() == pytest.approx(
            of(*cells.values()), rel=1e-10
        )


def test_pair_means_are_means_over_fractions_and_images_in_the_order_of_the_networks() -> None:
    study = transfer(UNBALANCED)
    result = compare(study)
    scores, nets = score_matrix(study)
    order = list(
        zip(
            result["network_model"].values.tolist(),
            result["network_seed"].values.tolist(),
            strict=True,
        )
    )
    where = [
        next(k for k, n in enumerate(nets) if (n["model"], n["seed"]) == pair) for pair in order
    ]
    slow = scores.mean(axis=(2, 3))[np.ix_(where, where)]
    np.fill_diagonal(slow, np.nan)
    np.testing.assert_allclose(result["pair_mean"].values, slow, rtol=1e-10)
    assert result["pair_mean"].dims == ("source_network", "target_network")


def test_a_stratum_without_both_levels_is_in_no_cell() -> None:
    study = transfer(RAGGED)  # no vggface2 identity: the contrast is within gender alone
    study["probability"].loc[{"source_model": "i-d"}] = 0.01
    study["probability"].loc[{"target_model": "i-d"}] = 0.01
    result = compare(study)
    cells = result["cell_mean"].values
    assert cells.min() > 0.3
    assert result["estimate"].sel(effect="own_level_difference").item() == pytest.approx(
        cells[0, 0] - cells[1, 1], rel=1e-12
    )
    assert result.attrs["strata"] == ["gender"]
    assert result["n_networks"].values.tolist() == [8]


def test_label_swaps_are_all_labelings_within_strata() -> None:
    study = transfer(BALANCED)
    result = compare(study)
    scores, nets = score_matrix(study)
    mean = scores.mean(axis=(2, 3))[:, :, np.newaxis]
    halves = []
    for task in ("gender", "identity"):
        own = [k for k, n in enumerate(nets) if n["task"] == task]
        halves.append(
            [(list(a), [k for k in own if k not in a]) for a in itertools.combinations(own, 3)]
        )
    for effect in EFFECTS:
        values = [
            abs(slow_contrast(mean, dict(enumerate(p)), effect).item())
            for p in itertools.product(*halves)
        ]
        observed = abs(
            slow_contrast(mean, slow_groups(nets, "imagenet", "vggface2"), effect).item()
        )
        p = np.mean([v >= observed * (1 - 1e-9) for v in values])
        assert result["p_swap"].sel(effect=effect).item() == pytest.approx(p, rel=1e-12)
    assert result["min_p_swap"].values[0].tolist() == pytest.approx(
        [2 / 400] * 3 + [4 / 400] + [2 / 400]
    )
    assert result.attrs["min_p"] == 2 / 400


def test_adjusted_p_values_are_holm_over_contrasts_and_over_fractions() -> None:
    study = transfer((3, 3, 3), models=three_levels())
    result = compare(study)

    def holm(p):
        order, adjusted = np.argsort(p), np.empty(len(p))
        adjusted[order] = np.minimum(
            np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1)), 1
        )
        return adjusted

    assert (result["p_adjusted"] > result["p_value"]).any()
    for effect in EFFECTS:
        found = result.sel(effect=effect)
        np.testing.assert_allclose(found["p_adjusted"], holm(found["p_value"].values), rtol=1e-12)
        for k in range(3):
            by_fraction = found["p_value_by_fraction"].values[k]
            np.testing.assert_allclose(
                found["p_adjusted_by_fraction"].values[k], holm(by_fraction), rtol=1e-12
            )


def test_scores_of_networks_make_the_effects() -> None:
    result = compare(transfer(BALANCED))
    first = result["network_pretrain"].values == "imagenet"
    for name in ("source", "target"):
        points = result[f"{name}_score"].values[0]
        effect = result.sel(effect=f"{name}_effect")
        assert points[first].mean() - points[~first].mean() == pytest.approx(
            effect["estimate"].item(), rel=1e-9
        )
        assert np.sign(effect["hedges_g"].item()) == np.sign(effect["estimate"].item())
    own = result["specificity_score"].values[0]
    gap = result["estimate"].sel(effect="specificity").item()
    assert (own[first].mean() + own[~first].mean()) / 2 == pytest.approx(gap, rel=1e-9)
    tasks = result["network_task"].values
    points, within = result["source_score"].values[0], []
    for a, b in itertools.product((True, False), ("gender", "identity")):
        part = points[(first == a) & (tasks == b)]
        within.append(part.var(ddof=1))
    g = (
        result["estimate"].sel(effect="source_effect").item()
        / np.sqrt(np.mean(within))
        * (1 - 3 / (4 * 8 - 1))
    )
    assert result["hedges_g"].sel(effect="source_effect").item() == pytest.approx(g, rel=1e-9)


def three_levels():
    return pd.DataFrame(
        {"model": ["a", "b", "c"], "pretrain": ["x", "y", "z"], "task": ["g", "g", "g"]}
    )


def test_three_levels_give_three_contrasts_and_an_omnibus_p() -> None:
    models = three_levels()
    result = compare(transfer((3, 3, 3), models=models))
    assert result["contrast"].values.tolist() == ["x|y", "x|z", "y|z"]
    e = result["estimate"]
    for effect in ("source_effect", "target_effect", "asymmetry", "own_level_difference"):
        known = result["cell_mean"]
        part = EFFECTS[effect](
            *(known.sel(source_level=s, target_level=t).item() for s in "xz" for t in "xz")
        )
        assert e.sel(contrast="x|z", effect=effect).item() == pytest.approx(part, rel=1e-9)
    p = result["p_omnibus"]
    alike = (
        p.sel(effect="source_effect").item() * 1680 / 6
    )  # labelings that only rename levels are as extreme
    assert alike == pytest.approx(round(alike))
    assert 1 <= alike < 0.05 * 1680 / 6
    assert np.isnan(p.sel(effect=["asymmetry", "own_level_difference"])).all()
    assert result["p_omnibus_by_fraction"].dims == ("effect", "fraction")
    assert "p_omnibus" not in compare(transfer(BALANCED))


def test_the_omnibus_takes_the_strata_that_hold_two_networks_of_each_level() -> None:
    rows = [(level, task) for task in "gd" for level in "xyz"]
    models = pd.DataFrame(
        {
            "model": [a + b for a, b in rows],
            "pretrain": [a for a, _ in rows],
            "task": [b for _, b in rows],
        }
    )
    study = transfer((3, 3, 3, 3, 3, 1), models=models)
    gender = {"source_model": slice(3), "target_model": slice(3)}
    one, alone = compare(study), compare(study.isel(gender))
    np.testing.assert_array_equal(one["p_omnibus"], alone["p_omnibus"])
    assert np.isnan(compare(transfer((1, 1, 1), models=three_levels()))["p_omnibus"]).all()


# --- normalisation
# --------------------------------------------------------------------------------------------------


def slow_normalised(study, images=slice(None)):
    scores, nets = score_matrix(study.isel(image=images))
    part = study.isel(image=images)
    for k, net in enumerate(nets):
        own = part.sel(target_model=net["model"], target_seed=net["seed"])
        floor = own["random_probability"].transpose("fraction", "image").values.mean(axis=1)
        full = own["unmasked_probability"].values.mean()
        scores[:, k] = (scores[:, k].mean(axis=2) - floor)[..., np.newaxis] / (full - floor)[
            :, np.newaxis
        ]
    return scores.mean(axis=(2, 3))[:, :, np.newaxis], nets


@pytest.mark.parametrize("seeds", [BALANCED, UNBALANCED])
def test_normalised_by_target_is_the_ratio_of_means(monkeypatch, seeds) -> None:
    study = transfer(seeds)
    monkeypatch.setattr(shards, "BLOCK_VALUES", 5 * 3 * sum(seeds) ** 2)
    raw, normalised = compare(study), compare(study, normalise="target")
    matrix, nets = slow_normalised(study)
    groups = slow_groups(nets, "imagenet", "vggface2")
    without = [slow_normalised(study, np.delete(np.arange(13), i))[0] for i in range(13)]
    for effect in EFFECTS:
        wanted = slow_contrast(matrix, groups, effect).item()
        assert normalised["estimate"].sel(effect=effect).item() == pytest.approx(wanted, rel=1e-9)
        left_out = np.array([slow_contrast(one, groups, effect).item() for one in without])
        v_images = 12 / 13 * ((left_out - left_out.mean()) ** 2).sum()
        assert normalised["variance_images"].sel(effect=effect).item() == pytest.approx(
            v_images, rel=0.02
        )
    for name in ("estimate", "ci", "p_value"):
        np.testing.assert_array_equal(raw[f"{name}_normalised"], normalised[name])
    assert "estimate_normalised" not in normalised


@pytest.mark.parametrize(
    "within", [("task",), ()]
)  # pooled, sources and targets differ in their number of classes
def test_normalised_by_chance(within) -> None:
    study = transfer(BALANCED).assign_coords(target_n_classes=("target_model", [2, 10, 2, 10]))
    result = compare(study, normalise="chance", within=within)
    scores, nets = score_matrix(study)
    chance = np.array([{"gender": 1 / 2, "identity": 1 / 10}[n["task"]] for n in nets]).reshape(
        -1, 1, 1
    )
    assert_is_the_definition(result, (scores - chance) / (1 - chance), nets, within=within)


def test_the_floor_is_the_mean_over_targets() -> None:
    study = transfer(UNBALANCED)
    floors = [
        study["random_probability"]
        .sel(target_model=n["model"], target_seed=n["seed"])
        .transpose("fraction", "image")
        .values
        for n in networks(study, "target_")
    ]
    result = compare(study)
    np.testing.assert_allclose(result["floor"], np.mean(floors, axis=(0, 2)), rtol=1e-12)
    whole = study["unmasked_probability"].where(study["target_available"])
    assert result["ceiling"].item() == pytest.approx(whole.mean().item(), rel=1e-12)


def test_equivalence_is_two_one_sided_tests() -> None:
    result = compare(transfer(BALANCED), margin=0.03)
    gap = result.sel(effect="specificity")
    p = max(
        stats.t.sf(
            (0.03 + s * gap["estimate"].item()) / gap["standard_error"].item(), gap["df"].item()
        )
        for s in (-1, 1)
    )
    assert gap["p_equivalence"].item() == pytest.approx(p, rel=1e-9)
    assert np.isnan(result["p_equivalence"].drop_sel(effect="specificity")).all()


def test_default_equivalence_is_of_the_gap_against_a_share_of_the_mean(monkeypatch) -> None:
    study = transfer(BALANCED)
    scores, nets = score_matrix(study)
    result = compare(study).sel(effect="specificity", contrast="imagenet|vggface2")
    floor, groups = (
        study["random_probability"].values.mean(),
        slow_groups(nets, "imagenet", "vggface2"),
    )
    p, bounds = [], []
    for sign, tail in ((-1, stats.t.cdf), (1, stats.t.sf)):
        monkeypatch.setitem(
            EFFECTS,
            "bound",
            lambda aa, ab, ba, bb, s=sign: (aa + bb - ab - ba) / 2 + s * 0.1 * (aa + bb) / 2,
        )
        found = slow_jackknife(scores.mean(axis=2), groups, "bound")
        bounds.append(found["estimate"] - sign * 0.1 * floor)
        p.append(tail(bounds[-1] / found["standard_error"], found["df"]))
    assert result["p_equivalence"].item() == pytest.approx(max(p), rel=1e-9)
    assert result["margin"].item() == pytest.approx((bounds[1] - bounds[0]) / 2, rel=1e-9)


# --- identities and invariances
# --------------------------------------------------------------------------------------


def assert_same(one, other, rtol=1e-12, skip=()):
    for name in one.data_vars:
        if name not in skip and one[name].dtype.kind == "f":
            np.testing.assert_allclose(
                one[name].values, other[name].values, rtol=rtol, atol=1e-13, err_msg=name
            )


def test_asymmetry_is_source_effect_minus_target_effect() -> None:
    for study, measure in ((transfer(UNBALANCED), "transfer"), (maps(), "capture")):
        e = compare(study, measure=measure)["estimate_by_fraction"]
        difference = e.sel(effect="source_effect") - e.sel(effect="target_effect")
        np.testing.assert_allclose(e.sel(effect="asymmetry"), difference, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("measure", ["transfer", "spearman"])
def test_swapping_the_names_of_levels_flips_signs(measure) -> None:
    study = transfer(UNBALANCED) if measure == "transfer" else maps()
    other = study.copy()
    for name in ("pretrain", "source_pretrain", "target_pretrain"):
        if name in other.coords:
            swapped = [
                {"imagenet": "vggface2", "vggface2": "imagenet"}[v] for v in other[name].values
            ]
            other = other.assign_coords({name: (other[name].dims, np.array(swapped, object))})
    one, two = compare(study, measure=measure), compare(other, measure=measure)
    sign = xr.where(one["effect"] == "specificity", 1, -1)
    for name in ("estimate", "statistic"):
        np.testing.assert_allclose(
            two[name], (sign * one[name]).transpose(*one[name].dims), rtol=1e-9, atol=1e-14
        )
    for name in ("p_value", "p_swap", "df", "standard_error"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-9)
    np.testing.assert_allclose(
        two["cell_mean"].values, one["cell_mean"].values[::-1, ::-1], rtol=1e-12
    )


def test_swapping_sources_and_targets_swaps_their_effects() -> None:
    study = transfer(UNBALANCED, controls=False)
    names = {
        f"{a}_{d}": f"{b}_{d}"
        for a, b in (("source", "target"), ("target", "source"))
        for d in ("model", "seed", "pretrain", "task", "available")
    }
    one, two = compare(study)["estimate"], compare(study.rename(names))["estimate"]
    assert two.sel(effect="source_effect").item() == pytest.approx(
        one.sel(effect="target_effect").item(), rel=1e-9
    )
    assert two.sel(effect="asymmetry").item() == pytest.approx(
        -one.sel(effect="asymmetry").item(), rel=1e-9
    )
    assert two.sel(effect="own_level_difference").item() == pytest.approx(
        one.sel(effect="own_level_difference").item(), rel=1e-9
    )


@pytest.mark.parametrize("measure", ["transfer", "spearman", "capture"])
def test_order_of_models_seeds_and_images_changes_nothing(rng, measure) -> None:
    study = transfer(UNBALANCED) if measure == "transfer" else maps((3, 3, 4, 3))
    shuffled = study.isel(
        {d: rng.permutation(n) for d, n in study.sizes.items() if d not in ("fraction", "x", "y")}
    )
    assert_same(compare(study, measure=measure), compare(shuffled, measure=measure))


def test_order_changes_nothing_with_random_labelings() -> None:
    study = transfer((9, 9, 2, 2), n_images=4, controls=False)
    shuffled = study.isel(
        source_model=[2, 0, 1, 3], target_model=[3, 2, 1, 0], source_seed=slice(None, None, -1)
    )
    options = {"axis": "task", "n_swaps": 99}
    assert_same(compare(study, **options), compare(shuffled, **options))


@pytest.mark.parametrize("measure", ["spearman", "pearson", "cosine", "iou", "capture"])
def test_scale_of_relevance_changes_nothing(measure) -> None:
    study = maps()
    scale = xr.DataArray(
        2.0 ** np.arange(-24, 24)[: 3 * 4 * 4].reshape(4, 3, 4), dims=("model", "seed", "image")
    ).astype("f4")
    scaled = study.isel(image=slice(4)).assign(
        relevance=lambda d: d["relevance"] * scale.values[..., None, None]
    )
    assert_same(
        compare(study.isel(image=slice(4)), measure=measure),
        compare(scaled, measure=measure),
        rtol=0,
    )


def test_scale_of_scores_scales_estimates() -> None:
    study = transfer(BALANCED)
    one, two = (
        compare(study, score="margin"),
        compare(study.assign(margin=study["margin"] * 8), score="margin"),
    )
    for name, power in (
        ("estimate", 1),
        ("variance_networks", 2),
        ("p_value", 0),
        ("df", 0),
        ("p_swap", 0),
        ("ci", 1),
    ):
        np.testing.assert_array_equal(two[name], one[name] * 8.0**power)


@pytest.mark.parametrize(
    "options",
    [{"measure": "transfer", "normalise": "target"}, {"measure": "spearman"}, {"measure": "iou"}],
)
def test_workers_change_nothing(monkeypatch, options) -> None:
    study = transfer(BALANCED) if options["measure"] == "transfer" else maps()
    monkeypatch.setattr(shards, "BLOCK_VALUES", 1000)
    with dask.config.set(scheduler="synchronous"):
        one = compare(study, **options)
    with dask.config.set(scheduler="threads", num_workers=4):
        other = compare(study, **options)
    assert_same(one, other, rtol=0)


def test_blocks_change_nothing(monkeypatch) -> None:
    one = compare(transfer(BALANCED))
    monkeypatch.setattr(shards, "BLOCK_VALUES", 1000)
    assert_same(one, compare(transfer(BALANCED)), rtol=1e-10)


def test_a_study_on_disk_or_in_memory_or_just_its_group_give_the_same(tmp_path) -> None:
    options = {"models": "2x1", "seeds": (4, 3), "images": 12, "size": 8}
    memory = relstats.simulate(**options, rng=np.random.default_rng(4))
    disk = relstats.simulate(tmp_path / "s.zarr", **options, rng=np.random.default_rng(4))
    relstats.save_study(memory, tmp_path / "copy.zarr")
    for measure, group in (("transfer", "transfer"), ("spearman", "relevance")):
        one = compare(memory, measure=measure, score="correct")
        for other in (
            disk,
            memory[group].to_dataset(),
            relstats.open_study(tmp_path / "copy.zarr"),
        ):
            assert_same(one, compare(other, measure=measure, score="correct"), rtol=0)


@pytest.mark.parametrize("measure", ["transfer", "spearman"])
def test_a_nan_image_omitted_was_never_there(measure) -> None:
    study = transfer(BALANCED) if measure == "transfer" else maps()
    name = "probability" if measure == "transfer" else "relevance"
    bad = study.copy(deep=True)
    bad[name].values[(1, 0, 2, 1, 0, 4) if measure == "transfer" else (1, 0, 4, 2, 2)] = np.nan
    found = compare(bad, measure=measure, nan="omit")
    assert_same(found, compare(study.drop_isel(image=[4]), measure=measure))
    assert found["n_images"].item() == study.sizes["image"] - 1
    assert found.attrs["n_images_omitted"] == 1
    assert "1 image(s) left out for NaN" in found.attrs["warnings"]


def test_self_pairs_never_count() -> None:
    study = transfer(BALANCED)
    other = study.copy(deep=True)
    for m, s in itertools.product(range(4), range(3)):
        other["probability"].values[m, s, m, s] = np.nan
    assert_same(compare(study), compare(other), rtol=0)
    assert compare(other).attrs["warnings"] == compare(study).attrs["warnings"]


def test_identical_networks_have_no_effects() -> None:
    study = maps()
    study["relevance"] = study["relevance"].copy(
        data=np.broadcast_to(study["relevance"].values[:1, :1], study["relevance"].shape)
    )
    for measure in ("spearman", "capture"):
        result = compare(study, measure=measure)
        assert (result["estimate"] == 0).all()
        assert (result["p_value"] == 1).all()
        assert (result["p_swap"] == 1).all()
        assert np.isnan(result["ci"]).all()


# --- planted truth
# --------------------------------------------------------------------------------------------------


def simulated(planted, seed, **options):
    options = {
        "models": "2x1",
        "seeds": 8,
        "images": 120,
        "size": 4,
        "fractions": (0.2,),
        **options,
    }
    study = relstats.simulate(planted=planted, rng=np.random.default_rng(seed), **options)
    return compare(study["transfer"].to_dataset(), n_swaps=99)


ALONE = [{"source_effect": 0.08}, {"target_effect": 0.08}, {"specificity": 0.08}, {}]


@pytest.mark.parametrize("effect", ALONE)
def test_each_planted_effect_alone_is_found_alone(effect) -> None:
    planted = relstats.Planted(
        **{"source_effect": 0, "target_effect": 0, "specificity": 0, **effect}
    )
    results = [simulated(planted, seed) for seed in range(3)]
    for name, truth in planted.effects().items():
        found = [r.sel(effect=name) for r in results]
        estimate = np.mean([r["estimate"].item() for r in found])
        error = np.sqrt(np.mean([r["standard_error"].item() ** 2 for r in found]) / 3)
        assert abs(estimate - truth) < 3 * error
        assert error < 0.025
        p = [r["p_value"].item() for r in found]
        assert max(p) < 0.05 if truth else np.median(p) > 0.05


def test_planted_effects_over_three_levels_and_two_tasks() -> None:
    planted = relstats.Planted(source_effect=0.12, target_effect=-0.08, specificity=0.06)
    result = simulated(planted, 1, models="3x2", seeds=(6, 4, 4, 6, 5, 4), images=100)
    assert result["contrast"].values.tolist() == [
        "imagenet|places",
        "imagenet|vggface2",
        "places|vggface2",
    ]
    truth = planted.effects()
    for contrast, share in (
        ("imagenet|places", 1),
        ("imagenet|vggface2", 0.5),
        ("places|vggface2", -0.5),
    ):
        for effect in EFFECTS:
            found = result.sel(contrast=contrast, effect=effect)
            wanted = truth[effect] * (
                abs(share) if effect == "specificity" and share == 1 else share
            )
            wanted = truth[effect] if effect == "specificity" else wanted
            assert abs(found["estimate"].item() - wanted) < 3.5 * found["standard_error"].item()
    assert (result["p_omnibus"].sel(effect=["source_effect", "specificity"]) < 0.02).all()


def test_planted_agreement_of_maps_is_found() -> None:
    study = relstats.simulate(
        models="2x1", seeds=4, images=30, size=16, rng=np.random.default_rng(1)
    )
    gap = compare(study, measure="spearman").sel(effect="specificity")
    assert gap["estimate"].item() > 0.03
    assert gap["p_value"].item() < 0.01
    none = relstats.Planted(level=0, image=0.5)
    study = relstats.simulate(
        models="2x1", seeds=4, images=30, size=16, planted=none, rng=np.random.default_rng(1)
    )
    gap = compare(study, measure="spearman").sel(effect="specificity")
    assert abs(gap["estimate"].item()) < 3 * gap["standard_error"].item()


# --- what is refused, and what is said
# -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"measure": "spearmann"},
            (
                "measure is 'spearmann'; it is one of transfer, spearman, pearson, cosine, iou,"
                " dice, capture"
            ),
        ),
        ({"score": "accuracy"}, "score is 'accuracy'; it is one of correct, probability, margin"),
        (
            {"score": "correct"},
            "score 'correct' was not measured; this study has probability, margin. Use --score",
        ),
        ({"fraction": 0.3}, "fraction [0.3] was not measured; this study has [0.1, 0.2, 0.4]"),
        (
            {"fraction": [0.1, 0.1]},
            "fraction is [0.1, 0.1]: give at least one share of the pixels, each once",
        ),
        ({"fraction": []}, "fraction is []: give at least one share"),
        (
            {"axis": "pretrian"},
            (
                "--axis 'pretrian': models have no such label; they have pretrain, task. Did you"
                " mean 'pretrain'?"
            ),
        ),
        (
            {"axis": "n_classes"},
            "--axis 'n_classes': models have no such label; they have pretrain, task.",
        ),
        ({"within": ["architecture"]}, "--within 'architecture': models have no such label"),
        (
            {"pool": ["tusk"]},
            (
                "--pool 'tusk': models have no such label; they have pretrain, task. Did you mean"
                " 'task'?"
            ),
        ),
        ({"normalise": "floor"}, "normalise is 'floor'; it is one of auto, none, target, chance"),
        ({"df": "welch"}, "df is 'welch'; it is one of satterthwaite, pooled"),
        ({"nan": "drop"}, "nan is 'drop'; it is one of raise, omit"),
        ({"ranking": "negative"}, "ranking is 'negative'; it is one of positive, absolute, signed"),
        ({"confidence": 95}, "confidence is 95; a confidence level lies between 0 and 1"),
        ({"n_swaps": 0}, "n_swaps is 0; give at least 1"),
    ],
)
def test_unknown_options_are_refused(options, message) -> None:
    study = transfer(BALANCED, n_classes="2")
    with pytest.raises(UsageError) as error:
        compare(study, **options)
    assert message in str(error.value)


def test_a_study_without_the_group_or_dataset_without_maps() -> None:
    study = relstats.study(transfer=transfer(BALANCED))
    with pytest.raises(
        UsageError,
        match=(
            r"measure 'spearman' needs /relevance; this study has transfer. Use --measure transfer"
        ),
    ):
        compare(study, measure="spearman")
    with pytest.raises(
        UsageError, match="measure 'iou' needs relevance maps; this dataset has probability, margin"
    ):
        compare(transfer(BALANCED), measure="iou")
    with pytest.raises(UsageError, match=r"fraction \[1.5\] is outside \(0, 1\]"):
        compare(maps(), measure="iou", fraction=1.5)


def test_one_level_cannot_be_compared() -> None:
    study = transfer((3, 3, 0, 0))
    with pytest.raises(
        ImpossibleAnalysis,
        match=(
            r"axis 'pretrain' has one level, 'imagenet': comparing needs two. Axes with more: task"
        ),
    ):
        compare(study)


def test_a_confounded_axis_cannot_be_compared_unless_pooled() -> None:
    study = transfer((3, 0, 0, 3))
    with pytest.raises(
        ImpossibleAnalysis, match=r"axis 'pretrain' is confounded with 'task'.*--pool task"
    ):
        compare(study)
    result = compare(study, pool=["task"])
    assert (
        "networks that differ on task are mixed: an effect may be one of task"
        in result.attrs["warnings"]
    )
    assert (result.attrs["within"], result.attrs["pooled"]) == ([], ["task"])
    assert compare(transfer(BALANCED)).attrs["warnings"] == []
    assert compare(transfer(BALANCED)).attrs["within"] == ["task"]


def test_one_network_a_level_speaks_for_these_networks_only() -> None:
    models = MODELS.iloc[[0, 2]]
    result = compare(transfer((1, 1), models=models))
    raw = result.sel(effect="asymmetry")
    assert raw["random"].item() == "images"
    assert np.isnan(raw["variance_networks"].item())
    study = transfer((1, 1), models=models)
    scores, _ = score_matrix(study)
    each = scores[0, 1].mean(axis=0) - scores[1, 0].mean(axis=0)
    assert np.isnan(raw["p_value"].item())
    assert np.isnan(raw["ci"].values).all()
    assert np.isnan(result["cell_ci"].values).all()
    np.testing.assert_allclose(
        raw["ci_these_networks"].squeeze(),
        stats.ttest_1samp(each, 0).confidence_interval(),
        rtol=1e-9,
    )
    assert raw["untested"].item().startswith("a level has 1 network, and this needs 2")
    assert np.isnan(result["estimate"].drop_sel(effect="asymmetry")).all()
    said = result.attrs["warnings"]
    assert any(
        "imagenet|vggface2: a level of pretrain has one network only" in w and "no p" in w
        for w in said
    )
    assert any(
        w.startswith(
            "own_level_difference cannot be estimated for imagenet|vggface2: it needs two networks"
        )
        for w in said
    )
    assert any("the label swap cannot give p below 1" in w for w in said)
    assert result.attrs["population"].startswith(
        "no inference over networks: of these networks only (2 networks"
    )


def test_two_networks_a_level_know_no_variance_within() -> None:
    result = compare(transfer((2, 2), models=MODELS.iloc[[0, 2]]))
    random = result["random"].sel(contrast="imagenet|vggface2")
    assert random.sel(effect="asymmetry").item() == "networks and images"
    assert set(random.drop_sel(effect="asymmetry").values) == {"images"}
    assert np.isfinite(result["estimate"]).all()
    assert any(
        "has two networks, too few to estimate the variance of agreement within" in w
        for w in result.attrs["warnings"]
    )
    assert result.attrs["population"].startswith(
        "inference over networks and images like those measured; where there is no p, of these"
    )


def test_a_small_unbalanced_design_is_flagged() -> None:
    def said(seeds):
        return [w for w in compare(transfer(seeds)).attrs["warnings"] if "unbalanced" in w]

    assert said((3, 3, 5, 5)) == [
        "imagenet|vggface2: unbalanced (3 to 5 networks a level) with fewer than 4: p-values are"
        " too small where networks vary unequally"
    ]
    assert said((4, 4, 5, 5)) == []


def test_networks_that_tell_other_numbers_of_classes_apart_are_not_averaged() -> None:
    for labels in ([2, 102, 2, 102], np.array(["2", "102", "2", "102"], object)):
        study = transfer(BALANCED).assign_coords(target_n_classes=("target_model", labels))
        for alone in ({"normalise": "none"}, {"study": study.drop_vars("random_probability")}):
            with pytest.raises(ImpossibleAnalysis) as error:
                compare(**{"study": study, **alone})
        assert (
            str(error.value)
            == "imagenet|vggface2: the networks tell 2 and 102 classes apart, so their scores are"
            " not on one scale and their mean means nothing. Use --normalise target or chance,"
            " or choose one stratum"
        )
        for normalise in ("target", "chance"):
            assert np.isfinite(compare(study, normalise=normalise)["estimate"]).all()
        chosen, asked = compare(study), compare(study, normalise="target")
        xr.testing.assert_equal(chosen, asked)
        assert chosen.attrs["normalise"] == "target"
        assert chosen.attrs["warnings"][0].startswith(
            "networks tell 2 and 102 classes apart: each target's scores are on its own"
        )
        one = study.sel(source_model=["i-g", "v-g"], target_model=["i-g", "v-g"])
        assert np.isfinite(compare(one)["estimate"]).all()
    ragged = transfer(RAGGED).assign_coords(target_n_classes=("target_model", [2, 102, 2, 102]))
    assert np.isfinite(compare(ragged)["estimate"]).all()  # identity takes no part


@pytest.mark.parametrize("wrong", ["many", "1", "", 2.5])
def test_a_number_of_classes_is_a_number(wrong) -> None:
    study = transfer(BALANCED).assign_coords(
        target_n_classes=("target_model", np.array([2, wrong, 2, 2], object))
    )
    with pytest.raises(
        InvalidData, match=f"/transfer/target_n_classes is {wrong!r}: give whole numbers of classes"
    ):
        compare(study, normalise="chance")


def test_normalisation_needs_what_it_divides_by() -> None:
    study = transfer(BALANCED, controls=False)
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"target normalisation needs scores of whole images and of control masks \(unmasked_",
    ):
        compare(study, normalise="target")
    with pytest.raises(
        ImpossibleAnalysis,
        match="chance correction needs the number of classes: add the coordinate target_n_classes",
    ):
        compare(study, normalise="chance")
    assert "estimate_normalised" not in compare(study)


def test_normalisation_needs_a_scale_that_it_knows() -> None:
    study = transfer(BALANCED, n_classes=["2", "2", "2", "2"])
    with pytest.raises(UsageError, match="a margin at chance is not 1 / number of classes"):
        compare(study, normalise="chance", score="margin")
    with pytest.raises(UsageError, match="spearman is agreement of maps"):
        compare(maps(), normalise="target", measure="spearman")


@pytest.mark.parametrize("name", ["unmasked_probability", "random_probability"])
@pytest.mark.parametrize("value", [87.0, 255.0, -0.1, np.inf])
def test_controls_on_another_scale_are_refused(name, value) -> None:
    study = transfer(BALANCED)
    study[name].loc[{"target_model": "v-g", "target_seed": "1", "image": "im3"}] = value
    for normalise in ("none", "target"):
        with pytest.raises(
            InvalidData,
            match=rf"/transfer/{name}: \d value\(s\) of images 0 to 12 are {value:g} or",
        ):
            compare(study, normalise=normalise)


def test_a_target_no_better_than_its_floor_cannot_be_normalised() -> None:
    study = transfer(BALANCED)
    study["unmasked_probability"].loc[{"target_model": "v-g", "target_seed": "1"}] = 0.1
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"v-g seed 1 has no range: .* \(difference -0.\d+\).*Use --normalise none",
    ):
        compare(study, normalise="target")
    result = compare(study)  # without normalisation nothing is in its way
    assert np.isfinite(result["estimate"]).all()
    assert "estimate_normalised" not in result
    assert any(
        w.startswith("v-g seed 1 has no range: whole images") for w in result.attrs["warnings"]
    )
    study["random_probability"].loc[{"target_model": "v-d", "target_seed": "2", "image": "im3"}] = (
        np.nan
    )
    with pytest.raises(
        ImpossibleAnalysis, match="scores of v-d seed 2 on whole images or control masks are NaN"
    ):
        compare(study, normalise="target")


def test_cells_at_the_ceiling_and_the_floor_are_flagged() -> None:
    study = transfer(BALANCED)
    face = ["v-g", "v-d"]
    study["probability"].loc[{"source_model": face, "target_model": face}] = 0.99
    study["probability"].loc[{"source_model": ["i-g", "i-d"], "target_model": face}] = 0.26
    result = compare(study)
    assert result["cell_flag"].values.tolist() == [["", "floor"], ["", "ceiling"]]
    assert (
        "cell vggface2 on vggface2 is at the ceiling: differences there mean little"
        in result.attrs["warnings"]
    )
    assert (
        "cell imagenet on vggface2 is at the floor: differences there mean little"
        in result.attrs["warnings"]
    )
    assert (compare(study, score="margin")["cell_flag"] == "").all()


def test_few_permutations_say_the_smallest_p() -> None:
    study = transfer((9, 9, 2, 2), n_images=4, controls=False)
    result = compare(study, axis="task", n_swaps=19, confidence=0.99)
    assert result["min_p_swap"].values.min() == 1 / 20
    assert result.attrs["min_p"] == 1 / 20
    assert (
        "gender|identity: with 22 networks and 19 resamples the label swap cannot give p below 0.05"
        in result.attrs["warnings"]
    )
    assert (result["p_swap"] >= 1 / 20).all()


@pytest.mark.parametrize("measure", ["spearman", "iou"])
def test_a_network_without_relevance_is_left_out(measure) -> None:
    study = maps((4, 4, 4, 4))
    dead = study.copy(deep=True)
    dead["relevance"].loc[{"model": "v-g", "seed": "2"}] = 0
    gone = study.copy(deep=True)
    gone["available"].loc[{"model": "v-g", "seed": "2"}] = False
    result = compare(dead, measure=measure)
    assert_same(result, compare(gone, measure=measure), rtol=0)
    assert result["n_networks"].item() == 15
    assert "1 network(s) left out: all their maps are zero (v-g seed 2)" in result.attrs["warnings"]
    dead["relevance"].loc[{"model": "i-g", "seed": "0", "image": "im1"}] = (
        np.nan
    )  # its NaN image hides it from nobody
    dead["relevance"].loc[{"model": "v-g", "seed": "2", "image": "im3"}] = np.nan
    other = compare(dead, measure=measure, nan="omit")
    assert_same(other, compare(gone.drop_sel(image=["im1"]), measure=measure))
    assert other["n_images"].item() == 7


def test_models_without_relevance_are_the_reason_that_nothing_is_compared() -> None:
    study = maps()
    study["relevance"].values[:2] = 0
    with pytest.raises(
        ImpossibleAnalysis,
        match=(
            r"^6 network\(s\) left out: all their maps are zero \(i-d seed 0, .*\); without them,"
            r" axis 'pretrain' has one level"
        ),
    ):
        compare(study, measure="spearman")
    study["relevance"].values[:] = 0
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"^12 network\(s\) left out: .*; without them, there is no network",
    ):
        compare(study, measure="spearman")


def test_a_zero_map_leaves_out_the_image() -> None:
    study = maps()
    zero = study.copy(deep=True)
    zero["relevance"].loc[{"model": "v-g", "seed": "2", "image": "im5"}] = 0
    result = compare(zero, measure="spearman")
    assert_same(result, compare(study.drop_sel(image="im5"), measure="spearman"))
    assert (
        "1 image(s) left out: a map is all zero or constant, or has no pixel to rank"
        in result.attrs["warnings"]
    )
    zero["relevance"].values[0, 0, :4] = 0
    zero["relevance"].values[0, 1, 4:] = 0
    with pytest.raises(
        ImpossibleAnalysis,
        match=(
            r"no image has a score for every pair of networks \(0 left out for NaN, 8 for maps that"
            r" are all zero"
        ),
    ):
        compare(zero, measure="spearman")


def test_nan_and_infinite_values_are_named() -> None:
    study = maps()
    study["relevance"].loc[{"model": "v-g", "seed": "2", "image": "im5"}][0, 0] = np.nan
    with pytest.raises(InvalidData) as error:
        compare(study, measure="spearman")
    assert (
        str(error.value)
        == "/relevance/relevance: NaN in 1 cell(s) (e.g. v-g seed 2, image 'im5'). Mend them, or"
        " leave these images out on purpose with --nan omit"
    )
    study["relevance"].loc[{"model": "i-d", "seed": "1", "image": "im2"}][0, 0] = -np.inf
    for nan in ("raise", "omit"):
        with pytest.raises(
            InvalidData,
            match=(
                "/relevance/relevance is infinite in i-d seed 1, image 'im2': a mean over it means"
                " nothing"
            ),
        ):
            compare(study, measure="spearman", nan=nan)
    study["relevance"].loc[{"model": "i-d", "seed": "1", "image": "im2"}][0, 1] = (
        np.inf
    )  # inf - inf is NaN
    with pytest.raises(
        InvalidData, match="/relevance/relevance is infinite in i-d seed 1, image 'im2'"
    ):
        compare(study, measure="spearman", nan="omit")
    scores = transfer(BALANCED)
    scores["probability"].values[3, 1, 0, 2, 1, 6] = np.nan
    with pytest.raises(
        InvalidData,
        match=(
            r"/transfer/probability: NaN in 1 cell\(s\) \(e.g. v-d seed 1 on i-g seed 2, image"
            r" 'im6'\)"
        ),
    ):
        compare(scores)


@pytest.mark.parametrize(
    ("value", "score"),
    [(np.inf, "probability"), (255, "probability"), (-0.1, "probability"), (-np.inf, "margin")],
)
def test_impossible_scores_are_named(value, score) -> None:
    study = transfer(BALANCED)
    study[score].values[3, 1, 0, 2, 1, 6] = value
    with pytest.raises(InvalidData) as error:
        compare(study, score=score)
    rule = "finite" if score == "margin" else "between 0 and 1 (NaN where missing)"
    assert (
        str(error.value)
        == f"/transfer/{score}: 1 cell(s) of this block hold {value:g} or the like (e.g. v-d seed 1"
        f" on i-g seed 2, image 'im6'). Scores are {rule}: mend them"
    )


def test_an_incomplete_study_is_refused(tmp_path) -> None:
    path = tmp_path / "s.zarr"

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relstats.simulate(
            path,
            models="2x1",
            seeds=3,
            images=4,
            size=8,
            progress=stop,
            rng=np.random.default_rng(1),
        )
    with pytest.raises(InvalidData, match="transfer"):
        compare(relstats.open_study(path))
    assert np.isfinite(
        compare(relstats.open_study(path), measure="spearman")["estimate"]
    ).all()  # maps were complete


def test_results_can_be_kept() -> None:
    result = compare(transfer(BALANCED))
    attrs = result.attrs
    assert attrs["statistic"] == "compare"
    assert (
        json.loads(json.dumps({k: v for k, v in attrs.items() if k != "created"}))["axis"]
        == "pretrain"
    )
    assert (
        "within each level of task and averaged, with 3 networks a level and 13 images"
        in attrs["method"]
    )
    assert (
        attrs["population"]
        == "inference over networks and images like those measured (12 networks a contrast, 13"
        " images)"
    )
    assert (attrs["normalise"], attrs["confidence"], attrs["n_swaps"]) == ("none", 0.95, 9999)
    assert "margin" not in attrs


# --- pixels removed instead of kept
# ----------------------------------------------------------------------------------


def removed_and_as_losses(n_classes=None):
    """A study whose pixels were removed, and one that holds the losses as if they were scores."""
    study = transfer(BALANCED)
    if n_classes is not None:
        study = study.assign_coords(target_n_classes=("target_model", n_classes))
    chance = 0 if n_classes is None else 1 / study["target_n_classes"].astype(float)
    full = study["unmasked_probability"]
    losses = study.assign(
        probability=(full - study["probability"]).transpose(*study["probability"].dims),
        random_probability=full - study["random_probability"],
        unmasked_probability=full - chance,
    )
    return study.assign_attrs(operation="remove"), losses


@pytest.mark.parametrize("n_classes", [None, [20, 10, 20, 10]])
def test_removal_is_analysed_as_the_loss(n_classes) -> None:
    removed, losses = removed_and_as_losses(n_classes)
    options = {"pool": ["task"], "normalise": "target"} if n_classes else {}
    got, wanted = compare(removed, **options), compare(losses, **options)
    for name in ("estimate", "p_value", "p_swap", "p_equivalence", "cell_mean"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-6, err_msg=name)
    assert got.attrs["method"].startswith(
        "Loss of score without the most relevant pixels (probability)"
    )


def test_removing_turns_the_sign_of_keeping() -> None:
    removed, _ = removed_and_as_losses()
    lost, kept = compare(removed), compare(removed.assign_attrs(operation="keep"))
    assert (lost["cell_mean"] > 0).all()
    # the targets differ on whole images too, which is no matter of the source
    assert lost["estimate"].sel(effect="source_effect") == pytest.approx(
        -kept["estimate"].sel(effect="source_effect").item()
    )
    assert kept.attrs["method"].startswith("Transfer of the most relevant pixels (probability)")


def test_chance_cancels_in_a_loss() -> None:
    removed, _ = removed_and_as_losses([2, 10, 2, 10])
    scores, nets = score_matrix(removed)
    full = np.stack(
        [
            removed["unmasked_probability"].sel(target_model=n["model"], target_seed=n["seed"])
            for n in nets
        ]
    )
    chance = np.array([{"gender": 1 / 2, "identity": 1 / 10}[n["task"]] for n in nets]).reshape(
        -1, 1, 1
    )
    losses = (full[:, np.newaxis] - scores) / (1 - chance)
    assert_is_the_definition(compare(removed, normalise="chance"), losses, nets)


def test_removal_needs_whole_images_and_a_known_operation() -> None:
    removed, _ = removed_and_as_losses()
    with pytest.raises(
        ImpossibleAnalysis, match=r"pixels were removed, .* has no unmasked_probability. Measure it"
    ):
        compare(removed.drop_vars("unmasked_probability"))
    with pytest.raises(
        InvalidData, match=r"/transfer says operation='delete': it is 'keep' .* or 'remove'"
    ):
        compare(removed.assign_attrs(operation="delete"))
