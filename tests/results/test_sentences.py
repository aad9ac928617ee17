"""Sentences say the sign, size, interval and n that the numbers have, for every statistic."""

from __future__ import annotations

import itertools
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

import relstats

if find_spec("matplotlib") is None or find_spec("jinja2") is None:
    pytest.skip("reports need the extra `report`", allow_module_level=True)

from plot_inputs import result

from relstats.report import questions
from relstats.report.facts import Facts, Network, Quality
from relstats.results import sentences
from relstats.results.text import number
from relstats.results.wording import decided, measured
from relstats.study.pairs import pair_labels

EFFECTS = ("asymmetry", "source_effect", "target_effect", "specificity", "own_level_difference")


def comparison(
    estimate, p=0.001, *, measure="transfer", effects=EFFECTS, warnings=(), half=0.02, **more
):
    """A result of `compare` of a|b whose effects are all `estimate`."""
    n = len(effects)
    values = np.full((1, n), float(estimate))
    cells = ("contrast", "effect")
    result = xr.Dataset(
        {
            "estimate": (cells, values),
            "ci": ((*cells, "bound"), np.stack([values - half, values + half], -1)),
            "p_value": (cells, np.full((1, n), p)),
            "p_adjusted": (cells, np.full((1, n), p)),
            "random": (cells, np.full((1, n), "networks and images", object)),
            "n_networks": ("contrast", [10]),
            "n_images": 50,
            **{k: (cells, np.full((1, n), v)) for k, v in more.items()},
            "margin": ("contrast", [0.1]),
        },
        {"contrast": np.array(["a|b"], object), "effect": np.array(effects, object)},
        {
            "statistic": "compare",
            "axis": "pretrain",
            "measure": measure,
            "score": "probability",
            "normalise": "none",
            "confidence": 0.95,
            "warnings": list(warnings),
        },
    )
    return result


def told(result):
    return [sentence.text for sentence in sentences.sentences(result, "name")]


@pytest.mark.parametrize(("sign", "more"), [(1, "more"), (-1, "less")])
def test_direction_follows_the_sign_and_the_interval_the_direction(sign, more):
    found = told(comparison(0.1 * sign))
    assert (
        f"Maps from a tested on b give 0.100 {more} than maps from b tested on a (95 % interval"
        " 0.080 to 0.120; p = 0.001)." in found[1]
    )
    better = "ab"[sign < 0]
    assert found[2].startswith(
        f"{'A' if sign > 0 else 'B'} gives the better maps: as sources they give 0.100 more than"
        f" those of {'b' if sign > 0 else 'a'}"
    )
    assert found[3].startswith(f"Networks of {better} score 0.100 more")
    assert found[0].startswith(
        f"Maps carry over {'less' if sign > 0 else 'more'} between a and b than within them: the"
        f" score is 0.100 {'lower' if sign > 0 else 'higher'}"
    )
    assert f"0.100 higher within {better} than" in found[4]


def test_an_undecided_effect_claims_no_direction():
    found = sentences.sentences(comparison(0.01, p=0.4), "name")
    assert {sentence.kind for sentence in found} == {"open"}
    for sentence in found:
        assert sentence.text.startswith("Not decided: whether")
        assert "0.010 (95 % interval -0.010 to 0.030; p = 0.400)" in sentence.text


@pytest.mark.parametrize("flag", ["floor", "ceiling"])
def test_an_undecided_effect_of_compressed_cells_has_no_power(flag):
    flags = np.array([["", flag], ["", ""]], dtype=object)
    found = comparison(0.01, p=0.4).assign_coords(source_level=["a", "b"], target_level=["a", "b"])
    found["cell_flag"] = (("source_level", "target_level"), flags)
    order = ("specificity", *EFFECTS[:3], "own_level_difference")
    texts = dict(zip(order, told(found), strict=True))
    assert texts["own_level_difference"].startswith("Not decided: whether")
    for effect in ("asymmetry", "specificity", "source_effect", "target_effect"):
        assert texts[effect].startswith("No power here: whether")
        assert f"maps of a on b are at the {flag}" in texts[effect]
        assert "0.010 (95 % interval -0.010 to 0.030; p = 0.400)" in texts[effect]
    known = comparison(0.1).assign_coords(found.coords).assign(cell_flag=found["cell_flag"])
    assert not any("No power here" in text for text in told(known))


def test_the_adjusted_p_decides():
    result = comparison(0.1, p=0.03)
    result["p_adjusted"] = result["p_adjusted"] * 2
    assert {sentence.kind for sentence in sentences.sentences(result, "name")} == {"open"}
    assert "p = 0.030; adjusted p = 0.060" in told(result)[0]


def test_a_missing_estimate_is_said_with_its_reason():
    found = sentences.sentences(comparison(np.nan, np.nan, warnings=["b has one network"]), "name")
    assert {sentence.kind for sentence in found} == {"unsaid"}
    assert all("The analysis says: b has one network." in sentence.text for sentence in found)


def test_what_it_holds_for_and_n():
    assert (
        sentences.sentences(comparison(0.1), "x")[0].holds
        == "Holds for networks and images like these (10 networks, 50 images)."
    )
    fixed = comparison(0.1)
    fixed["random"][:] = "nothing"
    assert (
        sentences.sentences(fixed, "x")[0].holds
        == "Holds for these networks and images only (10 networks, 50 images)."
    )


def test_equivalence_is_told_with_its_margin():
    text = told(comparison(0.01, p=0.4, p_equivalence=0.002))[0]
    assert text.endswith("The gap is smaller than 0.100 (p = 0.002): equivalent by this margin.")
    assert "equivalent" not in told(comparison(0.01, p=0.4, p_equivalence=0.2))[0]


def test_a_loss_is_called_a_loss():
    result = comparison(0.1)
    result.attrs["transfer_operation"] = "remove"
    assert "the loss is 0.100 lower" in told(result)[0]
    assert "Networks of a lose 0.100 more" in told(result)[3]
    assert measured(result.attrs).startswith("loss of score without the relevant pixels")


def people(seed=1):
    rng = np.random.default_rng(seed)
    study = relstats.simulate(models="2x1", seeds=3, images=12, size=8, rng=rng)
    truth = rng.random(66)
    human = xr.Dataset(
        {
            "dissimilarity": (
                ("participant", "pair"),
                (truth + 0.1 * rng.random((5, 66))).astype(np.float32),
            )
        },
        {"participant": list("abcde"), **pair_labels(study["relevance"]["image"].values)},
    )
    return study.assign(human=xr.DataTree(human))


def test_real_results_of_people_are_told():
    from relstats.human import rdm, rsa

    study, rng = people(), np.random.default_rng(2)
    result = rsa(rdm(study), study, n_draws=50, n_permutations=99, rng=rng)
    found = told(result)
    first = result["estimate"].values[0]
    assert len(found) == 3
    assert f"agreement {first:.3f} (" in found[0]
    assert "the noise ceiling" in found[0]
    assert "agreement with people" in found[2].lower()
    assert sentences.sentences(result, "rsa")[0].holds.endswith(
        "(3 networks, 12 images, 5 participants)."
    )
    assert "test nothing" in told(rdm(study))[0]


def test_a_refused_adjustment_leaves_nothing_decided():
    one = xr.Dataset({"p_value": 0.001, "p_adjusted": np.nan}, attrs={"confidence": 0.95})
    assert not decided(one)
    assert decided(one.drop_vars("p_adjusted"))


def test_rsa_is_decided_by_the_adjusted_p():
    from relstats.human import rdm, rsa

    study, rng = people(), np.random.default_rng(2)
    result = rsa(rdm(study), study, n_draws=50, n_permutations=99, rng=rng)
    for prefix in ("", "difference_"):
        result[f"{prefix}p_value"][:] = 0.03
        result[f"{prefix}p_value_adjusted"][:] = 0.2
    result["difference"][:], result["estimate"][:] = 0.1, 0.1
    assert all(text.startswith("Not decided") for text in told(result))
    assert all("adjusted p = 0.200" in text for text in told(result))
    result["p_value_adjusted"][:] = result["difference_p_value_adjusted"][:] = 0.04
    assert not any(text.startswith("Not decided") for text in told(result))


def test_maps_of_differences_count_pixels():
    study = relstats.simulate(models="2x1", seeds=4, images=6, size=8, rng=np.random.default_rng(1))
    from relstats.stats.differences import differences

    result = differences(study, axis="pretrain", n_swaps=99, rng=np.random.default_rng(1))
    (text,) = told(result)
    for p in ("p_max_t", "p_bh"):
        assert f"{int((result[p].values < 0.05).sum())} of 64 pixels" in text


def test_sufficiency_says_against_what():
    cells = ("level", "question", "against")
    shape = (1, 2, 3)
    result = xr.Dataset(
        {
            "estimate": (cells, np.array([[[-0.2, 0.3, 0.4], [0.1, 0.2, np.nan]]])),
            "p_value": (cells, np.full(shape, 0.01)),
            "ci": ((*cells, "bound"), np.stack([np.full(shape, 0.1), np.full(shape, 0.5)], -1)),
            "random": ("level", np.array(["images"], object)),
            "n_networks": ("level", [6]),
        },
        {
            "level": np.array(["a"], object),
            "question": np.array(["sufficiency", "necessity"], object),
            "against": np.array(["own", "image_swap", "random"], object),
        },
        {"statistic": "sufficiency", "confidence": 0.95, "sets_of": "other networks"},
    )
    found = told(result)
    assert found[0].startswith(
        "The pixels that the other networks share, alone, give a 0.200 less than each network's own"
        " most relevant pixels (95 % interval -0.500 to -0.100"
    )
    assert found[1].startswith(
        "The pixels that the other networks share, alone, give a 0.300 more than what the others"
        " share on another image"
    )
    assert found[4].startswith(
        "Removing the pixels that the other networks share costs a 0.200 more than what the others"
        " share on another image"
    )
    assert found[5].startswith(
        "Could not be said: whether removing the pixels that the other networks share costs a more"
        " than random pixels."
    )


def test_of_several_scores_the_first_does_not_depend_on_what_was_found():
    results = {
        f"compare_{score}_{scale}": comparison(value).assign_attrs(score=score, normalise=scale)
        for value, (score, scale) in enumerate(
            [
                ("correct", "none"),
                ("probability", "chance"),
                ("margin", "none"),
                ("probability", "target"),
            ]
        )
    }
    assert questions.families(results) == [
        [
            "compare_probability_target",
            "compare_probability_chance",
            "compare_correct_none",
            "compare_margin_none",
        ]
    ]


def test_commands_of_gaps_quote_the_name_of_the_study():
    networks = tuple(Network(m, s, {"pre train": m}) for m in "ab" for s in "01")
    found = Facts(
        "n",
        "my study.zarr; rm",
        "",
        networks,
        ("i", "j"),
        {"pre train": {"a": 2, "b": 2}},
        frozenset({"relevance"}),
    )
    asked = questions.questions(found, Quality((), (), ()), {})
    commands = [command for question in asked for _, command in question.missing if command]
    assert "relstats compare 'my study.zarr; rm' --axis 'pre train' --measure spearman" in commands
    assert "relstats stability 'my study.zarr; rm'" in commands


@pytest.mark.parametrize(
    ("kind", "what"),
    [("human_maps", "Agreement with people's maps"), ("behaviour", "Kappa with people's answers")],
)
def test_maps_and_choices_of_people_are_told_from_real_results(kind, what):
    found = result(kind)
    texts = told(found)
    for effect, level in itertools.product(found["effect"].values, found["level"].values):
        one = found.sel(effect=effect, level=level)
        (text,) = [t for t in texts if f" of {level} is {number(float(one['level_mean']))} (" in t]
        low, high = one["level_ci"].values
        assert f"95 % interval {number(low)} to {number(high)}" in text
    assert any(text.startswith(f"{what} of imagenet is") for text in texts)
    (difference,) = [
        t
        for t in texts
        if "between imagenet and vggface2" in t or "for imagenet than for vggface2" in t
    ][:1]
    estimate = float(found["estimate"].isel(contrast=0, effect=0))
    assert number(estimate) in difference or number(abs(estimate)) in difference
    assert sentences.sentences(found, kind)[0].holds.startswith("Holds for")


def test_a_small_p_has_no_exponent():
    text = told(comparison(0.1, p=5.11e-07))[0]
    assert "p < 0.0001" in text
    assert "e-0" not in " ".join(told(comparison(0.1, p=5.11e-07)))


def shared_or_kept(kind, **attrs):
    """A result over a share of the pixels."""
    if kind == "shared":
        return xr.Dataset(attrs={"statistic": "shared", **attrs})
    return sufficient().assign_attrs(attrs)


def sufficient():
    cells = ("level", "question", "against")
    values = np.array([[[-0.2, 0.3, 0.4], [0.1, 0.2, np.nan]]])
    return xr.Dataset(
        {
            "estimate": (cells, values),
            "p_value": (cells, np.array([[[0.01, 0.01, 0.3], [0.01, 0.3, np.nan]]])),
            "ci": ((*cells, "bound"), np.stack([values - 0.1, values + 0.1], -1)),
            "random": ("level", np.array(["images"], object)),
            "n_networks": ("level", [6]),
        },
        {
            "level": np.array(["all"], object),
            "question": np.array(["sufficiency", "necessity"], object),
            "against": np.array(["own", "image_swap", "random"], object),
        },
        {"statistic": "sufficiency", "confidence": 0.95, "sets_of": "other networks"},
    )


def test_comparisons_of_shared_pixels_are_told_together():
    kept, removed = sentences.leads(sufficient(), "sufficiency")
    assert (
        kept.text
        == "The pixels that the other networks share, alone, give all more than what the others"
        " share on another image (0.300, 0.200 to 0.400, p = 0.010); less than each network's own"
        " most relevant pixels (0.200, 0.100 to 0.300, p = 0.010); not decidedly more or less than"
        " random pixels (0.400, 0.300 to 0.500, p = 0.300). In brackets: difference, 95 % interval,"
        " p."
    )
    assert removed.text.startswith(
        "Removing the pixels that the other networks share costs all more than each network's own"
        " most relevant pixels (0.100"
    )
    assert "could not be compared with random pixels." in removed.text


def test_of_sets_that_networks_helped_to_find_nothing_is_said():
    old = sufficient()
    del old.attrs["sets_of"]
    (lead,), (full,) = sentences.leads(old, "sufficiency"), sentences.sentences(old, "sufficiency")
    assert lead == full
    assert lead.kind == "unsaid"
    assert "relstats transfer --masks, with --force" in lead.text


def test_regions_are_told_in_one_sentence():
    found = result("regions")
    lead, *_ = sentences.leads(found, "regions")
    one = found.isel(contrast=0)
    for region in one["region"].values:
        assert (
            f"{region} ({number(abs(float(one['estimate'].sel(region=region))))}"
            in lead.text.replace("(-", "(")
        )


def test_told_first_does_not_depend_on_what_was_found():
    probability = {"score": "probability", "across": "['a', 'b']"}
    results = {
        "z_none": shared_or_kept("sufficiency", fraction=0.1, **probability),
        "z_task": shared_or_kept("sufficiency", fraction=0.1, axis="task", **probability),
        "a_wide": shared_or_kept("sufficiency", fraction=0.4, **probability),
        "a_other": shared_or_kept(
            "sufficiency", fraction=0.1, score="correct", across="['a', 'b']"
        ),
        "a_few": shared_or_kept("sufficiency", fraction=0.1, score="probability", across="['a']"),
    }
    found = Facts("n", "s.zarr", "", (), (), {}, frozenset())
    (question,) = [
        q for q in questions.questions(found, Quality((), (), ()), results) if q.key == "shared"
    ]
    assert [answer.result for answer in question.answers if answer.told] == ["z_none"]
    assert question.n_folded == 30
    for name in results:
        results[name]["p_value"] = results[name]["p_value"] * 0
    (again,) = [
        q for q in questions.questions(found, Quality((), (), ()), results) if q.key == "shared"
    ]
    assert [answer.result for answer in again.answers if answer.told] == ["z_none"]


def test_five_sentences_of_a_question_at_most_are_told_first():
    many = [comparison(0.1).assign_attrs(axis=axis) for axis in "abcd"]
    found = Facts("n", "s.zarr", "", (), (), {}, frozenset())
    asked = questions.questions(
        found, Quality((), (), ()), {f"compare_{k}": r for k, r in enumerate(many)}
    )
    told = [len(answer.told) for answer in asked[0].answers]
    assert sum(told) == 5
    assert min(told) == 1
    assert asked[0].n_folded == 20 - 5
