"""Options checked by their words, and results that say how they were made."""

import inspect
import json
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import pytest
import xarray as xr

import relstats
from relstats.errors import UsageError
from relstats.stats.described import Align, check_options, described
from relstats.study import save, store, writing

type Score = Literal["correct", "margin"]


@described
def toy(
    study: xr.DataTree,
    *,
    axis: str | None = None,
    score: Score = "correct",
    fills: Sequence[Literal["mean", "blur"]] = ("mean",),
    measure: Annotated[Literal["cosine"], "vectors only"] = "cosine",
    align: Align = "exact",
    within: Sequence[str] = (),
    normalise: str = "auto",
    baseline: xr.Dataset | None = None,
    weighted: bool = False,
    confidence: float = 0.95,
    n_swaps: int = 999,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Say nothing."""
    rng.random()
    return xr.Dataset({"estimate": 1.0}).assign_attrs(method="Nothing was done.", normalise="none")


@pytest.fixture
def study():
    return relstats.simulate(models="2x1", seeds=2, images=4, size=8, rng=np.random.default_rng(1))


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "accuracy"}, "score is 'accuracy'; it is one of correct, margin$"),
        ({"align": "outer"}, "align is 'outer'; it is one of exact, inner$"),
        ({"fills": ["mean", "grey"]}, r"fills is \['mean', 'grey'\]; it is a list of mean, blur$"),
        ({"fills": "mean"}, "fills is 'mean'; it is a list of mean, blur$"),
        ({"measure": "iou"}, "measure is 'iou'; it is one of cosine: vectors only$"),
        ({"confidence": 95}, "confidence is 95; a confidence level lies between 0 and 1, such as"),
        ({"n_swaps": 0}, "n_swaps is 0; give at least 1"),
    ],
)
def test_options_are_checked_by_their_words(study, options, message):
    with pytest.raises(UsageError, match=message):
        toy(study, **options, rng=rng())
    with pytest.raises(UsageError, match=message):
        check_options(toy, **options)


def test_numbers_of_draws():
    check_options(toy, n_draws=2, n_permutations=2, n_splits=1, n_swaps=1)
    for name, number in (("n_draws", 1), ("n_permutations", 1), ("n_splits", 0)):
        with pytest.raises(UsageError, match=f"{name} is {number}; give at least {number + 1}"):
            check_options(toy, **{name: number})


def test_parameters_are_attributes(study):
    attrs = toy(study, within=("task",), baseline=xr.Dataset(), rng=rng()).attrs
    assert attrs["statistic"] == "toy"
    assert attrs["score"] == "correct"
    assert attrs["within"] == ["task"]
    assert attrs["fills"] == ["mean"]
    assert attrs["confidence"] == 0.95
    assert attrs["normalise"] == "none"  # what the statistic says itself
    assert attrs["method"] == "Nothing was done."
    assert {"created", "relstats_version", "numpy_version", "python_version"} <= set(attrs)
    assert not {"axis", "study", "rng", "baseline", "dropped_images", "rng_state"} & set(attrs)


def test_the_seed_of_a_generator(study):
    assert toy(study, rng=rng()).attrs["seed"] == 7
    used = rng()
    used.random()
    attrs = toy(study, rng=used).attrs
    assert "seed" not in attrs
    again = np.random.default_rng()
    again.bit_generator.state = json.loads(attrs["rng_state"])
    used = rng()
    assert again.random(3).tolist() == used.random(4)[1:].tolist()
    spawned = rng().spawn(1)[0]
    assert "rng_state" in toy(study, rng=spawned).attrs
    old = np.random.Generator(np.random.MT19937(3))
    assert toy(study, rng=old).attrs["seed"] == 3


def test_the_command_is_what_would_be_typed(study):
    assert toy(study, rng=rng()).attrs["command"] == "toy STUDY --seed 7"
    result = toy(
        study,
        axis="pre train",
        fills=["mean", "blur"],
        within=["task", "arch"],
        baseline=xr.Dataset(),
        weighted=True,
        n_swaps=99,
        rng=rng(),
    )
    assert result.attrs["command"] == (
        "toy STUDY --axis 'pre train' --fills mean --fills blur --within task --within arch"
        " --baseline BASELINE --weighted --n-swaps 99 --seed 7"
    )


def test_signature_and_text_stay():
    assert inspect.signature(toy).parameters["score"].annotation == Score
    assert (toy.__name__, toy.__doc__) == ("toy", "Say nothing.")


def test_a_result_saved_from_python_says_how_it_was_made(study, tmp_path):
    path = tmp_path / "my study.zarr"
    save.save_study(study, path)
    opened = store.open_study(path)
    opened.attrs["dropped_images"] = ["img_3"]
    writing.save_result(path, "toy", toy(opened, score="margin", rng=np.random.default_rng(2**100)))
    attrs = store.open_study(path)["results/toy"].attrs
    assert attrs["command"] == f"toy 'my study.zarr' --score margin --seed {2**100}"
    assert attrs["seed"] == 2**100
    assert attrs["dropped_images"] == ["img_3"]
    assert attrs["relstats_version"] == relstats.__version__


def test_what_a_statistic_sets_to_none_is_no_attribute():
    @described
    def mine(study: xr.Dataset, *, layer: str = "last") -> xr.Dataset:
        return study.assign_attrs(layer=None, n_images=3)

    assert "layer" not in mine(xr.Dataset()).attrs
    assert mine(xr.Dataset()).attrs["n_images"] == 3
