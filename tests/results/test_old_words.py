"""Results of 0.1.0 are refused, with the new word and the command; those of today are read."""

import numpy as np
import pytest
import xarray as xr

from relstats.errors import InvalidData
from relstats.results.old_words import require_new_words

EFFECTS = {"effect": np.array(["asymmetry", "generalization_gap", "stability"], object)}


@pytest.mark.parametrize(
    ("attrs", "coords", "messages"),
    [
        (
            {"statistic": "map", "axis": "task", "level": 0.95},
            {},
            ["statistic 'map' is now 'differences'", "'level' is now 'confidence'", "--axis task"],
        ),
        (
            {"statistic": "compare", "axis": "task", "measure": "transfer", "score": "margin"},
            EFFECTS,
            [
                "effect 'generalization_gap' is now 'specificity'",
                "effect 'stability' is now 'own_level_difference'",
                "relstats compare 'my study.zarr' --axis task --measure transfer --score margin",
            ],
        ),
        (
            {"statistic": "rsa", "measure": "rho-a", "n_resamples": 99},
            {},
            ["'measure' is now 'comparison'", "'n_swaps or n_draws'", "--comparison rho-a"],
        ),
    ],
)
def test_an_old_word_is_refused_with_the_new_one_and_the_command(attrs, coords, messages):
    with pytest.raises(InvalidData) as error:
        require_new_words(xr.Dataset(coords=coords, attrs=attrs), "mine", "my study.zarr")
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    "result",
    [
        xr.Dataset(attrs={"statistic": "stability", "measure": "pearson", "confidence": 0.9}),
        xr.Dataset(attrs={"statistic": "compare"}, coords={"effect": ["specificity"]}),
        xr.Dataset(attrs={"statistic": "of_another_tool", "level": 0.9}),
        xr.Dataset(),
    ],
)
def test_words_of_today_and_of_others_pass(result):
    require_new_words(result, "mine")
