"""What the labels of a group say: its axes."""

from __future__ import annotations

import xarray as xr

from relstats.study import layout


def test_axes_are_text_on_models():
    dataset = xr.Dataset(
        coords={
            "model": ["a", "b"],
            "seed": ["0"],
            "image": ["i", "j", "k"],
            "task": ("model", ["g", "i"]),
            "n": ("model", [1, 2]),
            "sex": ("image", ["f", "m", "f"]),
        }
    )
    assert {k: v.tolist() for k, v in layout.axes(dataset).items()} == {"task": ["g", "i"]}
    sides = xr.Dataset(
        coords={
            "source_model": ["a"],
            "target_model": ["b"],
            "source_task": ("source_model", ["x"]),
            "target_task": ("target_model", ["y"]),
        }
    )
    assert layout.axes(sides, "source_")["task"].tolist() == ["x"]
    assert layout.axes(sides, "target_")["task"].tolist() == ["y"]


def test_axes_are_in_one_order_whatever_the_hash_seed():
    names = [f"axis_{k}" for k in range(20)]
    dataset = xr.Dataset(coords={name: ("model", ["a", "b"]) for name in reversed(names)})
    assert list(layout.axes(dataset)) == sorted(names)
