"""No number of any statistic has moved since `fixtures/golden.py --write`: see
fixtures/README.md.
"""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "fixtures" / "golden.py"


def load():
    spec = importlib.util.spec_from_file_location("golden_numbers", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(
        spec
    )  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


golden = load()
FROZEN = golden.read()


def moved(case, old, new):
    return [
        f"{found.name}: {found.what}"
        for found in golden.compare(case, old, new)
        if not found.is_same
    ]


def test_every_case_is_frozen_and_every_frozen_case_is_there():
    assert sorted(golden.CASES) == sorted(FROZEN)


@pytest.mark.parametrize("case", golden.CASES)
def test_no_number_has_moved(case):
    assert moved(case, FROZEN[case], golden.frozen(case)) == []


# --------------------------------------------------------------------------------------------------
# The comparison itself


CASE = "compare two probability"


@pytest.fixture(scope="module")
def new():
    return golden.frozen(CASE)


def changed(name, values):
    old = FROZEN[CASE]
    return dataclasses.replace(old, variables=old.variables | {name: values})


def test_a_number_that_moved_is_found(new):
    old = FROZEN[CASE].variables["estimate"]
    for factor, is_found in ((1 + 1e-7, True), (1 + 1e-8, True), (1 + 1e-11, False)):
        flat = old.flat.copy()
        flat[np.flatnonzero(np.isfinite(flat))[0]] *= factor
        found = moved(CASE, changed("estimate", dataclasses.replace(old, flat=flat)), new)
        assert [line.split(":")[0] for line in found] == ["estimate"] * is_found


def test_a_variable_that_is_missing_is_found(new):
    old = FROZEN[CASE]
    less = dataclasses.replace(
        new, variables={k: v for k, v in new.variables.items() if k != "p_value"}
    )
    assert moved(CASE, old, less) == ["p_value: missing"]
    fewer = dataclasses.replace(new, attrs={k: v for k, v in new.attrs.items() if k != "n_images"})
    assert moved(CASE, old, fewer) == ["attribute n_images: missing"] or "n_images" not in old.attrs


def test_nan_where_there_was_a_number_is_found(new):
    old = new.variables["ci"]
    flat = old.flat.copy()
    flat[0] = np.nan
    with_nan = dataclasses.replace(
        new, variables=new.variables | {"ci": dataclasses.replace(old, flat=flat)}
    )
    assert [line.split(":")[0] for line in moved(CASE, FROZEN[CASE], with_nan)] == ["ci"]


def test_one_number_of_a_large_variable_is_found():
    old = golden.Values(["x"], [1001], np.linspace(1, 2, 1001))
    for k in (3, 500, 1000):
        flat = old.flat.copy()
        flat[k] += 1e-3
        kept = golden.Values(old.dims, old.shape, old.kept)
        found = golden.compare(
            "a",
            golden.Frozen({"v": kept}, {}, {}),
            golden.Frozen({"v": dataclasses.replace(old, flat=flat)}, {}, {}),
        )
        assert not next(found).is_same


def test_what_is_renamed_is_the_same(new, monkeypatch):
    def renamed(values):
        flat = (
            ["gap" if v == "specificity" else v for v in values.flat]
            if values.is_text
            else values.flat
        )
        return golden.Values(
            ["what" if dim == "effect" else dim for dim in values.dims], values.shape, flat
        )

    names = {"p_swap": "p_permutation", "effect": "what"}
    variables = {names.get(k, k): renamed(v) for k, v in new.variables.items() if k != "min_p_swap"}
    other = dataclasses.replace(new, variables=variables)
    assert len(moved(CASE, FROZEN[CASE], other)) > 3
    monkeypatch.setattr(
        golden,
        "RENAMED",
        golden.RENAMED
        | {"generalization_gap": "gap", "specificity": "gap", "compare:min_p_swap": None, **names},
    )
    assert moved(CASE, FROZEN[CASE], other) == []


def test_labels_in_another_order_are_named_and_their_numbers_are_compared_by_label(new):
    turned = {}
    for name, values in new.variables.items():
        flat, shape = values.flat, values.shape
        if "effect" in values.dims:
            cube = np.flip(
                np.array(flat, object).reshape(shape), values.dims.index("effect")
            ).ravel()
            flat = cube.tolist() if values.is_text else cube.astype(float)
        turned[name] = golden.Values(values.dims, shape, flat)
    assert moved(CASE, FROZEN[CASE], dataclasses.replace(new, variables=turned)) == [
        "effect: the same labels in another order"
    ]
