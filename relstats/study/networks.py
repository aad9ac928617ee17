"""Networks and images of a group by label: whatever is read, they are sorted and named alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from relstats.study import layout, shards


def network_table(dataset: xr.Dataset, prefix: str = "") -> pd.DataFrame:
    """Labels and positions of the networks, sorted by label: results must not depend on the order
    in a study.
    """
    dims = tuple(f"{prefix}{d}" for d in layout.NETWORK)
    cells = shards.networks(dataset, dims)
    columns = {
        "model": [str(dataset[dims[0]].values[m]) for m, _ in cells],
        "seed": [str(dataset[dims[1]].values[s]) for _, s in cells],
    }
    axes = {
        a: [levels[m] for m, _ in cells]
        for a, levels in layout.axes(dataset, prefix).items()
        if a != "n_classes"
    }
    table = pd.DataFrame({**columns, **axes, "cell": cells}, dtype=object)
    return table.sort_values(["model", "seed"], ignore_index=True)


def image_labels(dataset: xr.Dataset) -> list[str]:
    """Ids of the images of a group, in its order."""
    return [str(label) for label in dataset["image"].values]


def name_cells(where: np.ndarray, table: pd.DataFrame, images: Sequence[str]) -> tuple[str, ...]:
    """The cells (network, image) or (source, target, image) that are True, in words; the image
    alone, where the table has no networks.
    """
    cells = np.argwhere(where)
    if "model" not in table:
        return tuple(f"image {images[index[-1]]!r}" for index in cells)
    names = [
        f"{model} seed {seed}" for model, seed in zip(table["model"], table["seed"], strict=True)
    ]
    return tuple(
        f"{' on '.join(names[k] for k in index[:-1])}, image {images[index[-1]]!r}"
        for index in cells
    )
