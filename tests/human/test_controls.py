"""Several RDMs to hold constant, on the images that all of them have."""

import numpy as np
import pytest

import relstats
from relstats.errors import InvalidData
from relstats.human import controls


def table(path, images, values):
    pairs = [(a, b) for k, a in enumerate(images) for b in images[k + 1 :]]
    path.write_text(
        "\n".join(["image_i,image_j,x", *(f"{a},{b},{values[a] + values[b]}" for a, b in pairs)])
    )
    return str(path)


def test_common_images_by_label(tmp_path):
    study = relstats.simulate(models="2x1", seeds=2, images=4, size=8, rng=np.random.default_rng(1))
    values = dict(zip("abcde", (1, 2, 4, 8, 16), strict=True))
    names = [
        table(tmp_path / "one.csv", "dcba", values),
        table(tmp_path / "two.csv", "bcde", values),
    ]
    found = controls(study, names)
    ends = list(zip(found["image_i"].values, found["image_j"].values, strict=True))
    assert ends == [("b", "c"), ("b", "d"), ("c", "d")]
    assert found.values.tolist() == [[6, 10, 12]] * 2
    with pytest.raises(InvalidData, match=r"have 1 image\(s\) in common"):
        controls(
            study,
            [table(tmp_path / "x.csv", "ab", values), table(tmp_path / "y.csv", "bc", values)],
        )
