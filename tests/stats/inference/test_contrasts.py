"""Which networks a contrast compares: levels, strata, pooled axes."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.inference.contrasts import plan, require_one_scale


def table(*rows):
    """Networks from (pretrain, task, number of seeds)."""
    return pd.DataFrame(
        [
            {"model": f"{p}-{t}", "seed": str(k), "pretrain": p, "task": t}
            for p, t, n in rows
            for k in range(n)
        ]
    )


FULL = table(("v", "id", 3), ("i", "id", 3), ("i", "g", 3), ("v", "g", 3))


def test_strata_are_every_other_axis_that_varies() -> None:
    found = plan(FULL, "pretrain")
    assert (found.pairs, found.levels, found.within, found.pooled, found.strata) == (
        [("i", "v")],
        ["i", "v"],
        ("task",),
        (),
        ["g", "id"],
    )
    assert found.groups.tolist() == [[3, 3, 3, 2, 2, 2, 0, 0, 0, 1, 1, 1]]
    assert found.warnings == ()
    assert plan(FULL.assign(model_zoo="one"), "pretrain").within == (
        "task",
    )  # an axis that does not vary


def test_two_contrasts_never_have_one_name() -> None:
    rows = [(level, "g", 2) for level in ("a", "b|c", "a|b", "c")]
    with pytest.raises(InvalidData, match=r"contrasts would have one name, 'a\|b\|c'"):
        plan(table(*rows), "pretrain")
    assert plan(table(*rows[:2]), "pretrain").pairs == [("a", "b|c")]


def test_pooled_and_chosen_axes() -> None:
    for options in ({"pool": ["task"]}, {"within": []}):
        found = plan(FULL, "pretrain", **options)
        assert (found.within, found.pooled) == ((), ("task",))
        assert set(found.groups.ravel()) == {0, 1}
        assert found.warnings == (
            "networks that differ on task are mixed: an effect may be one of task",
        )


def test_strata_whose_names_read_alike_stay_apart() -> None:
    rows = [("m", "0", level, "a b", "c") for level in "xy"] + [
        ("n", "0", level, "a", "b c") for level in "xy"
    ]
    networks = pd.DataFrame(rows, columns=["model", "seed", "axis", "one", "two"])
    found = plan(networks, "axis")
    assert len(np.unique(found.groups)) == 4
    assert len(found.strata) == 2


def test_weights_are_means_of_cells_averaged_over_strata() -> None:
    networks = table(("i", "g", 2), ("v", "g", 3), ("i", "id", 4), ("v", "id", 2), ("i", "age", 2))
    found = plan(networks, "pretrain")
    pretrain, task = networks["pretrain"].to_numpy(), networks["task"].to_numpy()
    asymmetry = found.operators[0, "asymmetry"].estimate
    cell = found.operators["i", "v"].estimate
    for m, k in itertools.product(range(len(networks)), repeat=2):
        sizes = {"g": 2 * 3, "id": 4 * 2, "age": 1}
        weight = 0.5 / sizes[task[m]] if task[m] == task[k] and pretrain[m] != pretrain[k] else 0
        assert asymmetry[m, k] == pytest.approx(weight if pretrain[m] == "i" else -weight)
        assert cell[m, k] == pytest.approx(weight if pretrain[m] == "i" else 0)
    assert not found.operators["i", "i"].estimate[task == "age"].any()  # no contrast is within age
    assert found.strata == ["g", "id"]
    assert (found.groups[0][task == "age"] == -1).all()


def test_every_pair_of_levels_in_the_strata_that_hold_both() -> None:
    networks = table(("a", "g", 2), ("b", "g", 2), ("b", "id", 2), ("c", "id", 2))
    found = plan(networks, "pretrain")
    assert found.pairs == [("a", "b"), ("b", "c")]  # a and c never meet
    assert found.groups.tolist() == [[0, 0, 1, 1, -1, -1, -1, -1], [-1, -1, -1, -1, 2, 2, 3, 3]]
    assert ("a", "c") not in found.operators


def test_a_symmetric_measure_has_no_direction() -> None:
    assert plan(FULL, "pretrain", symmetric=True).effects == ("specificity", "own_level_difference")
    assert plan(FULL, "pretrain").effects == (
        "asymmetry",
        "source_effect",
        "target_effect",
        "specificity",
        "own_level_difference",
    )


def test_effects_that_need_pairs_within_a_level() -> None:
    found = plan(table(("i", "g", 1), ("v", "g", 3)), "pretrain")
    assert {key[1] for key in found.operators if key[0] == 0} == {"asymmetry"}
    lacking = [w for w in found.warnings if "cannot be estimated" in w]
    assert (
        lacking[0]
        == "source_effect cannot be estimated for i|v: it needs two networks in each level and"
        " stratum"
    )
    assert len(lacking) == 4
    assert any(
        "i|v: unbalanced (1 to 3 networks a level) with fewer than 4" in w for w in found.warnings
    )


def test_one_scale() -> None:
    found = plan(FULL, "pretrain")
    by_task = np.where(FULL["task"] == "g", 2, 102)
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"i\|v: the networks tell 2 and 102 classes apart.*or choose one stratum",
    ):
        require_one_scale(found, by_task)
    require_one_scale(found, np.full(12, 2))
    require_one_scale(found, None)


def test_refusals() -> None:
    with pytest.raises(
        UsageError,
        match=(
            r"--axis 'tasks': models have no such label; they have pretrain, task. Did you mean"
            r" 'task'?"
        ),
    ):
        plan(FULL, "tasks")
    with pytest.raises(UsageError, match="models have no such label; they have none"):
        plan(FULL[["model", "seed"]], "task")
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"axis 'task' has one level, 'g': comparing needs two. Axes with more: none",
    ):
        plan(table(("i", "g", 3)), "task")
    confounded = table(("i", "g", 3), ("v", "id", 3))
    with pytest.raises(
        ImpossibleAnalysis,
        match=r"axis 'task' is confounded with 'pretrain': at no level of it.*--pool pretrain",
    ):
        plan(confounded, "task")


def test_an_axis_is_compared_or_held_fixed_or_mixed() -> None:
    networks = table(("i", "g", 3), ("v", "g", 3), ("i", "id", 3), ("v", "id", 3))
    for options, message in (
        (
            {"within": ["pretrain"]},
            r"--within 'pretrain': its levels are compared, so they cannot be held fixed",
        ),
        (
            {"pool": ["pretrain"]},
            r"--pool 'pretrain': its levels are compared, so they cannot be mixed",
        ),
        ({"within": ["task"], "pool": ["task"]}, r"'task' is both in --within and in --pool"),
    ):
        with pytest.raises(UsageError, match=message):
            plan(networks, "pretrain", **options)
    assert plan(networks, "pretrain", within=["task"]).within == ("task",)
