"""What a study is made of: networks, axes, images, groups; counts, and no statistic."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from relstats.errors import InvalidData
from relstats.results.old_words import require_new_words
from relstats.results.tables import MOST_VALUES
from relstats.study import layout, shards, store


@dataclass(frozen=True)
class Network:
    """One network: its model, its seed and its level on each axis."""

    model: str
    seed: str
    axes: dict[str, str]

    @property
    def name(self) -> str:
        """Model and seed in words."""
        return f"{self.model}, seed {self.seed}"


@dataclass(frozen=True)
class Facts:
    """A study in counts.

    `axes` holds only axes with two levels or more, and the networks of each level.
    """

    name: str
    file: str
    created: str
    networks: tuple[Network, ...]
    images: tuple[str, ...]
    axes: dict[str, dict[str, int]]
    groups: frozenset[str]
    attrs: dict[str, object] = field(default_factory=dict)

    @property
    def seeds_per_model(self) -> dict[str, int]:
        """How many networks each model has."""
        return dict(Counter(network.model for network in self.networks))


def facts(study: xr.DataTree, file: str) -> Facts:
    """Count what is in a study.

    Parameters
    ----------
    study : DataTree
        From `relstats.open_study`.
    file : str
        Name of the store, as commands name it.

    Examples
    --------
    >>> import relstats
    >>> study = relstats.simulate(
    ...     models="2x1", seeds=3, images=4, size=8, rng=np.random.default_rng(1)
    ... )
    >>> facts(study, "s.zarr").axes
    {'pretrain': {'imagenet': 3, 'vggface2': 3}}
    """
    networks = network_list(study)
    levels = {
        axis: dict(Counter(n.axes[axis] for n in networks))
        for axis in (networks[0].axes if networks else ())
    }
    images = next(
        (
            study[g].to_dataset()["image"].values
            for g in ("relevance", "transfer", "images")
            if g in study.children
        ),
        (),
    )
    return Facts(
        name=str(study.attrs.get("name", "")),
        file=file,
        created=str(study.attrs.get("created", "unknown")),
        networks=tuple(networks),
        images=tuple(str(image) for image in images),
        axes={axis: sizes for axis, sizes in levels.items() if len(sizes) > 1},
        groups=frozenset(map(str, study.children)),
        attrs={str(k): v for k, v in study.attrs.items()},
    )


def network_list(study: xr.DataTree) -> list[Network]:
    """The networks that exist, model by model, from `/relevance` or else from the sources of
    `/transfer`.
    """
    group, prefix = ("relevance", "") if "relevance" in study.children else ("transfer", "source_")
    if group not in study.children:
        return []
    dataset = study[group].to_dataset()
    levels = layout.axes(dataset, prefix)
    labels = [[str(v) for v in dataset[f"{prefix}{dim}"].values] for dim in layout.NETWORK]
    cells = shards.networks(dataset, tuple(f"{prefix}{dim}" for dim in layout.NETWORK))
    return [
        Network(
            labels[0][m],
            labels[1][s],
            {axis: str(values[m]) for axis, values in sorted(levels.items())},
        )
        for m, s in cells
    ]


def results(study: xr.DataTree, file: str) -> tuple[dict[str, xr.Dataset], dict[str, str]]:
    """The results of a study by name, in one order whatever the file system; and of those that are
    left out, because their words are those of an old version, what is said of them.

    Variables in order of their names.

    Parameters
    ----------
    study : DataTree
        From `relstats.open_study`.
    file : str
        Name of the store, as commands name it.
    """
    if "results" not in study.children:
        return {}, {}
    found = {str(name): node.to_dataset() for name, node in study["results"].children.items()}
    old = {name: text for name in sorted(found) if (text := _old_words(found[name], name, file))}
    ordered = {
        name: found[name][sorted(map(str, found[name].data_vars))]
        for name in sorted(found)
        if name not in old
    }
    for result in ordered.values():  # read once, though many parts of a report ask for them
        for variable in result.variables.values():
            if variable.size <= MOST_VALUES:
                variable.load()
    return ordered, old


def _old_words(result: xr.Dataset, name: str, file: str) -> str:
    """What is said of a result whose words have changed; empty of others."""
    try:
        require_new_words(result, name, file)
    except InvalidData as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Quality:
    """Counts about the data: of all, and of each network (`columns`, `rows`)."""

    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    n_zero: int = 0
    n_maps: int = 0


def quality(study: xr.DataTree, found: Facts) -> Quality:
    """Count maps that are missing, NaN or all zero, and take the means that say whether networks
    and maps are sound.

    Maps are read block by block.
    """
    notes = [
        f"/{group}: {problem.what}. {problem.do}"
        for group in sorted(found.groups)
        for problem in store.incomplete(study, group)
    ]
    dropped = found.attrs.get("dropped_images") or []
    if isinstance(dropped, list) and dropped:
        notes.append(
            f"{len(dropped)} image(s) are not in all groups and are left out:"
            f" {', '.join(map(str, dropped[:5]))}"
        )
    if "relevance" not in study.children or any(note.startswith("/relevance") for note in notes):
        return Quality(tuple(notes), (), ())
    maps = study["relevance"].to_dataset()
    cells = shards.networks(maps)
    counted = shards.over_images(
        maps["relevance"].transpose(*layout.NETWORK, "image", "y", "x"), cells, _count
    )
    zero, missing = (np.sum([block[k] for block in counted], axis=0) for k in range(2))
    rows: list[list[str | float]] = [[n.model, n.seed] for n in found.networks]
    columns = ["model", "seed", "maps", "all zero", "with NaN"]
    for row, z, m in zip(rows, zero.tolist(), missing.tolist(), strict=True):
        row += [len(found.images), z, m]
    for name, title, reduce in (
        ("correct", "share right", np.nanmean),
        ("conservation", "conservation, median", np.nanmedian),
        ("absorbed", "taken by biases, median", np.nanmedian),
        ("logit", "explained logit < 0", _share_negative),
    ):
        if name in maps:
            columns.append(title)
            values = maps[name].transpose(*layout.NETWORK, "image").values
            for row, cell in zip(rows, cells, strict=True):
                of = values[cell].astype(float)
                row.append(float(reduce(of)) if np.isfinite(of).any() else float("nan"))
    return Quality(
        tuple(notes),
        tuple(columns),
        tuple(map(tuple, rows)),
        int(zero.sum()),
        len(cells) * len(found.images),
    )


def _count(block: np.ndarray, _images: slice) -> tuple[np.ndarray, np.ndarray]:
    """Maps that are all zero, and maps with NaN, of each network."""
    flat = block.reshape(*block.shape[:2], -1)
    return (flat == 0).all(axis=-1).sum(axis=1), np.isnan(flat).any(axis=-1).sum(axis=1)


def _share_negative(values: np.ndarray) -> float:
    return float((values[np.isfinite(values)] < 0).mean())
