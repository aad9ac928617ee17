"""Points on a plane, or why there are none."""

import numpy as np
import pytest
import xarray as xr

from relstats.human import points
from relstats.study.pairs import pair_labels

LABELS = pair_labels(["a", "b", "c"])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([3.0, 5.0, 4.0], ""),
        ([3.0, np.nan, 4.0], "1 of 3 pairs are unknown"),
        ([3.0, -0.1, 4.0], "dissimilarities are negative, or all 0"),
        ([0.0, 0.0, 0.0], "dissimilarities are negative, or all 0"),
    ],
)
def test_points_or_the_reason(values, says):
    found = points(xr.DataArray(values, dims="pair", coords=LABELS))
    assert found["unknown"].item() == says
    assert np.isnan(found["points"].values).all() == bool(says)
    if not says:
        a, b, c = found["points"].values
        assert [
            np.linalg.norm(a - b),
            np.linalg.norm(a - c),
            np.linalg.norm(b - c),
        ] == pytest.approx(values, rel=1e-5)
