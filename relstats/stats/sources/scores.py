"""Where the network x network scores of each image come from: transfer, or the agreement of two
maps.

Both kinds are read in blocks of images, (source network, target network, fraction, image), so that
a statistic sees the same thing whatever was measured, and never a whole cube.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.stats.maps import agreement
from relstats.stats.maps.single import RANKINGS
from relstats.study import check, layout, shards
from relstats.study.maps import Block, Maps, read_maps, study_group
from relstats.study.networks import image_labels, name_cells, network_table
from relstats.study.omissions import Tally, dead_networks, gather

Measure = Literal["transfer", "spearman", "pearson", "cosine", "iou", "dice", "capture"]
MEASURES = get_args(Measure)
SYMMETRIC = ("spearman", "pearson", "cosine", "iou", "dice")
BY_FRACTION = ("transfer", "iou", "dice", "capture")
Score = Literal["correct", "probability", "margin"]
SCORES = get_args(Score)
_RANGES = {"margin": (-np.inf, np.inf)}  # the others are shares: 0 to 1
Reduced = TypeVar("Reduced")


@dataclass(frozen=True)
class Scores:
    """Network x network scores by blocks of images.

    Attributes
    ----------
    networks : DataFrame
        One row a network: `model`, `seed` and one column for each axis.
    fractions : ndarray
        Fractions of the pixels; NaN alone where the measure has none.
    n_images : int
    reduce : callable
        Applies a function of a block (network, network, fraction, image) and the positions of its
        images to all blocks; returns the list of results and the total `Tally`.
    controls : callable or None
        From positions of images to the floor (control masks; network, fraction, image) and the
        ceiling (unmasked; network, image) of each target network. Where pixels were removed, scores
        are losses: the floor is what control masks cost, the ceiling what it costs to fall to
        chance (0 for a margin, or where the number of classes is unknown).
    n_classes : ndarray or None
        Number of classes of each target network.
    """

    networks: pd.DataFrame
    fractions: np.ndarray
    n_images: int
    reduce: Callable[[Callable[[np.ndarray, np.ndarray], Any]], tuple[list[Any], Tally]]
    controls: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    n_classes: np.ndarray | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)

    @property
    def removed(self) -> bool:
        """Whether the top pixels were removed, and scores are losses."""
        return self.attrs.get("operation") == "remove"

    def dead(self, tally: Tally) -> list[tuple[str, str]]:
        """(model, seed) of networks whose maps are all zero, on every image that has no NaN."""
        return dead_networks(self.networks, tally, self.n_images)


def from_study(
    study: xr.DataTree | xr.Dataset,
    *,
    measure: str,
    score: str = "correct",
    fraction: float | list[float] | None = None,
    ranking: str = "positive",
    nan: str = "raise",
    without: Collection[tuple[str, str]] = (),
) -> Scores:
    """The scores that a measure asks for.

    Parameters
    ----------
    study : DataTree or Dataset
        A study, or just its `/transfer` or `/relevance` group.
    measure : str
        One of `MEASURES`.
    score : {"correct", "probability", "margin"}
        For the measure "transfer".
    fraction : float or list of float, optional
        Fractions of the pixels. Default: all that were measured, or 5, 10 and 20 % for maps.
    ranking : {"positive", "absolute", "signed"}
        How pixels of maps are ranked for masks.
    nan : {"raise", "omit"}
        What to do with images on which a map or score is NaN.
    without : collection of (model, seed)
        Networks to leave out of maps.

    Raises
    ------
    UsageError
        Unknown measure, score or fraction; the study has no such group.
    InvalidData
        The group is incomplete.
    """
    for what, value, known in (
        ("measure", measure, MEASURES),
        ("score", score, SCORES),
        ("ranking", ranking, RANKINGS),
        ("nan", nan, ("raise", "omit")),
    ):
        if value not in known:
            raise UsageError(f"{what} is {value!r}; it is one of {', '.join(known)}")
    wanted = [] if fraction is None else np.atleast_1d(fraction).tolist()
    if fraction is not None and (not wanted or len(set(wanted)) < len(wanted)):
        raise UsageError(
            f"fraction is {wanted}: give at least one share of the pixels, each once, as each"
            " counts in the mean"
        )
    group = "transfer" if measure == "transfer" else "relevance"
    need = f"measure {measure!r} needs"
    other = "spearman" if group == "transfer" else "transfer"
    advice = f"Use --measure {other} or add /{group}"
    if group == "relevance":
        maps = read_maps(study, need, nan=nan, advice=advice)
        return _from_maps(maps.without(without), measure, fraction, ranking)
    dataset = study_group(study, group, need, advice=advice)
    return _from_transfer(dataset, score, fraction, nan)


def _from_transfer(
    dataset: xr.Dataset, score: str, fraction: float | list[float] | None, nan: str
) -> Scores:
    if score not in dataset:
        has = ", ".join(s for s in SCORES if s in dataset)
        raise UsageError(f"score {score!r} was not measured; this study has {has}. Use --score")
    dataset = _select_fractions(dataset, fraction)
    sources, cells, table = _square(dataset)
    array = dataset[score].transpose(*layout.SOURCE, *layout.TARGET, "fraction", "image")
    pairs = [source + target for source in sources for target in cells]
    n, labels = len(cells), image_labels(dataset)
    whole = _whole(dataset, score, cells) if _is_removal(dataset) else None

    def reduce(
        function: Callable[[np.ndarray, np.ndarray], Reduced],
    ) -> tuple[list[Reduced], Tally]:
        def one(block: np.ndarray, images: slice) -> tuple[Reduced | None, Tally]:
            scores = block.reshape(n, n, *block.shape[1:])
            _require_range(scores, score, table, labels[images])
            if whole is not None:
                scores = whole(images)[:, np.newaxis] - scores
            keep = _complete(scores)
            missing = np.isnan(scores).any(axis=2) & ~np.eye(n, dtype=bool)[..., np.newaxis]
            tally = Tally(
                int(keep.sum()),
                int((~keep).sum()),
                0,
                np.zeros(n, int),
                name_cells(missing, table, labels[images]),
            )
            return _apply(function, scores, keep, images), tally

        return gather(shards.over_images(array, pairs, one), nan, f"/transfer/{score}")

    controls, n_classes = None, _n_classes(dataset, cells)
    if {f"unmasked_{score}", f"random_{score}"} <= set(dataset.data_vars):
        controls = partial(_controls, dataset, score, cells, n_classes)
    attrs = {
        k: str(dataset.attrs[k])
        for k in ("operation", "fill", "ranking", "control")
        if k in dataset.attrs
    }
    return Scores(
        table,
        dataset["fraction"].values,
        dataset.sizes["image"],
        reduce,
        controls,
        n_classes,
        attrs,
    )


def _require_range(
    scores: np.ndarray, score: str, table: pd.DataFrame, images: Sequence[str]
) -> None:
    """Refuse what no score can be: infinite, or outside 0 to 1 (a percentage, or 255 for
    missing).
    """
    low, high = _RANGES.get(score, (0, 1))
    wrong = np.isinf(scores) | (scores < low) | (scores > high)
    wrong &= ~np.eye(len(scores), dtype=bool)[..., np.newaxis, np.newaxis]
    if wrong.any():
        where = name_cells(wrong.any(axis=2), table, images)
        rule = "finite" if score == "margin" else "between 0 and 1 (NaN where missing)"
        raise InvalidData(
            f"/transfer/{score}: {len(where)} cell(s) of this block hold {scores[wrong][0]:g} or"
            f" the like (e.g. {'; '.join(where[:3])}). Scores are {rule}: mend them"
        )


def _n_classes(dataset: xr.Dataset, cells: list[tuple[int, ...]]) -> np.ndarray | None:
    """Number of classes of each target network, from a coordinate of numbers or of text."""
    if "target_n_classes" not in dataset.variables:
        return None
    labels = dataset["target_n_classes"].values.tolist()
    wrong = [v for v in labels if not str(v).strip().isdecimal() or int(v) < 2]
    if wrong:
        raise InvalidData(
            f"/transfer/target_n_classes is {wrong[0]!r}: give whole numbers of classes, at least 2"
        )
    return np.array([int(labels[m]) for m, _ in cells])


def _is_removal(dataset: xr.Dataset) -> bool:
    """Whether the most relevant pixels were removed, so that low scores speak for a map."""
    operation = str(dataset.attrs.get("operation", "keep"))
    if operation not in ("keep", "remove"):
        raise InvalidData(
            f"/transfer says operation={operation!r}: it is 'keep' (score with the top pixels"
            " alone) or 'remove' (score without them), which decides the sign of every effect"
        )
    return operation == "remove"


def _whole(
    dataset: xr.Dataset, score: str, cells: list[tuple[int, ...]]
) -> Callable[[slice], np.ndarray]:
    """From images to the scores of the targets on whole images, (network, image)."""
    if f"unmasked_{score}" not in dataset:
        raise ImpossibleAnalysis(
            "pixels were removed, so what counts is the loss against the whole image, and"
            f" /transfer has no unmasked_{score}. Measure it"
        )
    full = dataset[f"unmasked_{score}"].transpose(*layout.TARGET, "image")
    return lambda images: _control_block(full, score, cells, images)


def _control_block(
    array: xr.DataArray, score: str, cells: list[tuple[int, ...]], images: slice
) -> np.ndarray:
    """Scores on whole images or control masks, on the scale of the scores that they are set
    against.
    """
    values = shards.read_block(array, cells, images).astype(float)
    low, high = _RANGES.get(score, (0, 1))
    wrong = values[np.isinf(values) | (values < low) | (values > high)]
    if wrong.size:
        raise InvalidData(
            f"/transfer/{array.name}: {wrong.size} value(s) of images {images.start} to"
            f" {images.stop - 1} are {wrong[0]:g} or the like, and {score} lies in [{low:g},"
            f" {high:g}]: scores would be set against another scale. Mend them"
        )
    return values


def _controls(
    dataset: xr.Dataset,
    score: str,
    cells: list[tuple[int, ...]],
    n_classes: np.ndarray | None,
    images: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    block, within = slice(int(images[0]), int(images[-1]) + 1), images - images[0]
    random = dataset[f"random_{score}"].transpose(*layout.TARGET, "fraction", "image")
    floor = _control_block(random, score, cells, block)[..., within]
    full = _whole(dataset, score, cells)(block)[..., within]
    if not _is_removal(dataset):
        return floor, full
    chance = 0 if n_classes is None or score == "margin" else 1 / n_classes[:, np.newaxis]
    return full[:, np.newaxis] - floor, full - chance


def _select_fractions(dataset: xr.Dataset, fraction: float | list[float] | None) -> xr.Dataset:
    if fraction is None:
        return dataset
    has = dataset["fraction"].values
    wanted = np.atleast_1d(np.asarray(fraction, float))
    index = [np.flatnonzero(np.isclose(has, f, rtol=1e-9, atol=0)) for f in wanted]
    if any(len(found) != 1 for found in index):
        raise UsageError(
            f"fraction {wanted.tolist()} was not measured; this study has {has.tolist()}"
        )
    return dataset.isel(fraction=[int(found[0]) for found in index])


def _square(
    dataset: xr.Dataset,
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], pd.DataFrame]:
    """Networks that are both source and target: their positions on both sides, in one order, and
    their labels.
    """
    source, target = (network_table(dataset, f"{side}_") for side in ("source", "target"))
    ids = [
        set(map(str, zip(table["model"], table["seed"], strict=True))) for table in (source, target)
    ]
    problems = check.disagreement(ids[0], ids[1], "sources", "targets")
    if problems:
        raise ImpossibleAnalysis(
            f"comparing needs each network both as source and as target: {problems[0].what}"
        )
    cells = [list(table.pop("cell")) for table in (source, target)]
    for axis in sorted(set(source) | set(target)):
        if axis not in source or axis not in target or not source[axis].equals(target[axis]):
            raise InvalidData(
                f"/transfer: source_{axis} and target_{axis} label the same models differently. A"
                " network has one label on an axis: mend one of them"
            )
    return cells[0], cells[1], source


def _from_maps(
    maps: Maps, measure: str, fraction: float | list[float] | None, ranking: str
) -> Scores:
    fractions = np.atleast_1d(np.asarray((0.05, 0.1, 0.2) if fraction is None else fraction, float))
    if not ((fractions > 0) & (fractions <= 1)).all():
        raise UsageError(
            f"fraction {fractions.tolist()} is outside (0, 1]: give shares of the pixels"
        )
    if measure not in BY_FRACTION:
        fractions = np.array([np.nan])

    def reduce(
        function: Callable[[np.ndarray, np.ndarray], Reduced],
    ) -> tuple[list[Reduced], Tally]:
        return maps.blocks(partial(_agreement_block, function, measure, tuple(fractions), ranking))

    return Scores(maps.networks, fractions, len(maps.images), reduce, attrs={"ranking": ranking})


def _agreement_block[Reduced](
    function: Callable[[np.ndarray, np.ndarray], Reduced],
    measure: str,
    fractions: tuple[float, ...],
    ranking: str,
    block: Block,
) -> tuple[Reduced | None, Tally]:
    present, n = block.present, len(block.maps)
    scores = np.full((n, n, len(fractions), len(present)), np.nan)
    if present.any():
        scores[..., present] = agreement.agreement(
            block.pixels[:, present], measure, fractions=fractions, ranking=ranking
        )
    keep = _complete(scores)
    tally = block.tally(keep, block.empty())
    return _apply(function, scores, keep, block.images), tally


def _complete(scores: np.ndarray) -> np.ndarray:
    """Images on which every pair of networks has a score. Self pairs do not matter."""
    return ~np.isnan(scores[~np.eye(len(scores), dtype=bool)]).any(axis=(0, 1))


def _apply[Reduced](
    function: Callable[[np.ndarray, np.ndarray], Reduced],
    scores: np.ndarray,
    keep: np.ndarray,
    images: slice,
) -> Reduced | None:
    return function(scores[..., keep], np.flatnonzero(keep) + images.start) if keep.any() else None
