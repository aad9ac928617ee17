"""Do networks find relevant what people do, more than on other images, and at which level of an
axis more.

Labels in, labels out. Every number comes from `map_agreement`, `crossed` and `swaps`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import ImpossibleAnalysis, InvalidData, UsageError
from relstats.human import map_agreement as agreement
from relstats.human.map_agreement import Agreement, Measure
from relstats.stats.described import Align, Nan, described
from relstats.stats.inference.crossed import FACTORS, Factor
from relstats.stats.levels import Cells, contrast_results, level_results, plan_levels
from relstats.stats.sources import scores
from relstats.study import layout, shards, store
from relstats.study.top_pixels import Ranking

REFERENCE = (
    "a three-way analysis of variance over networks, images and people with interactions counted"
    " once, with t and Satterthwaite's degrees of freedom; people's part by delete-one jackknife of"
    " the mean map (Efron & Stein 1981, doi:10.1214/aos/1176345462)"
)
#: Images in memory at once; people's maps are stored in blocks of so many.
_BLOCK = 20


@described
def human_maps(
    study: xr.DataTree,
    *,
    axis: str | None = None,
    measure: Measure = "spearman",
    fraction: float = 0.1,
    ranking: Ranking = "positive",
    random: Collection[Factor] = FACTORS,
    within: Sequence[str] | None = None,
    pool: Sequence[str] = (),
    confidence: float = 0.95,
    n_splits: int = 20,
    n_swaps: int = 9999,
    nan: Nan = "raise",
    align: Align = "exact",
    rng: np.random.Generator,
) -> xr.Dataset:
    """Do networks find relevant what people do, beyond what any image would give, and at which
    level of an axis more.

    Parameters
    ----------
    study : DataTree
        A study with `/relevance` and `/human_maps`.
    axis : str, optional
        Label of the models whose levels are compared. Default: none, means of each model only.
        Every pair of its levels is a contrast, "a|b": a less b.
    measure : {"spearman", "overlap"}
        Spearman correlation over pixels, or overlap of the top pixels. Of a network's map and the
        mean map of people, each divided by its sum; overlap is the share of the top pixels that
        both have. Ties share ranks, and places on top.
    fraction : float
        Of overlap: share of the pixels on top. It is what unrelated maps give.
    ranking : {"positive", "absolute", "signed"}
        What of relevance counts.
    random : collection of {"images", "participants", "seeds"}
        What to generalize to: what the claim is to hold for beyond what was measured. With one
        map for all people it is one about these people.
    within : sequence of str, optional
        Axes to hold fixed. Default: all others. The contrast is taken at each of their levels, and
        averaged.
    pool : sequence of str
        Axes to mix: networks that differ on them are taken together.
    confidence : float
        Confidence level of intervals.
    n_splits : int
        Splits of people into halves, for the ceiling; all, where there are no more.
    n_swaps : int
        Label swaps where they cannot be enumerated.
    nan : {"raise", "omit"}
        Images with NaN: raise, or omit (counted).
    align : {"exact", "inner"}
        Images of networks and people: exact, or inner (those of both; the others are counted).
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        On `effect` ("agreement": with people's map of the same image; "above_swapped": that less
        the mean agreement with their maps of all other images, which a bias to the centre gives as
        well) and `level`: `level_mean`, `level_ci`, `level_p_value` (of "above_swapped" alone: is
        it 0?); with an axis on `contrast` x `effect`: `estimate`, `ci`, `standard_error`,
        `statistic`, `df`, `p_value`, `p_adjusted` (Holm over contrasts), `p_swap`, `min_p_swap`,
        `variance_networks`, `variance_images`, `variance_participants`, `random`, `n_networks`.
        `swapped` on `level`; `split_half` (of people, mean over splits and images) and
        `split_half_corrected` (2 r / (1 + r): the mean map of all; NaN for overlap, which it does
        not hold for); `image_agreement` (level, image), `image_split_half`; `network_score`;
        `n_images`, `n_participants`.

        NaN: a participant without a map of an image, or with a constant one, is left out there, and
        counted. Images with fewer than two maps of people (where there are several people), or on
        which a network's map is constant, are left out for all.

    Raises
    ------
    UsageError
        Unknown option; the study has no such group.
    ImpossibleAnalysis
        No image or network is left; a level has one network and seeds are random; one level only.
    InvalidData
        Incomplete, damaged, NaN (unless omitted) or infinite maps; images that differ (with both
        lists), other sizes.

    Notes
    -----
    See `docs/human_maps.md`; error rates: `benchmarks/results/calibration_humanmaps.md`.

    Examples
    --------
    >>> import relstats
    >>> rng = np.random.default_rng(1)
    >>> study = relstats.simulate(models="2x1", seeds=3, images=12, size=8, rng=rng)
    >>> maps = np.abs(study["relevance/relevance"].values[0]).transpose(0, 1, 2, 3) + rng.random(
    ...     (3, 12, 8, 8)
    ... )
    >>> labels = {"participant": list("abc"), "image": study["relevance/image"].values}
    >>> people = xr.Dataset({"map": (("participant", "image", "y", "x"), maps)}, labels)
    >>> result = human_maps(
    ...     study.assign(human_maps=xr.DataTree(people)),
    ...     axis="pretrain",
    ...     ranking="absolute",
    ...     rng=rng,
    ... )
    >>> result["level_mean"].sizes
    Frozen({'level': 2, 'effect': 2})
    """
    if not 0 < fraction < 1:
        raise UsageError(f"fraction is {fraction}; it lies between 0 and 1")
    data, notes = _kept(_read(study, align, ranking), nan)
    found = agreement.agree(data.pairs, len(data.images), measure, fraction)
    halves = np.array(
        [
            agreement.split_half(people, measure, fraction, n_splits, rng)
            for _, people in data.blocks_of_one()
        ]
    )
    plan = plan_levels(data.networks, axis, random, within, pool)
    scored = {"agreement": found.own, "above_swapped": found.above}
    cells = {
        name: Cells(values[..., 0], agreement.people_pseudo_values(values))
        for name, values in scored.items()
    }
    result = level_results(cells, plan, random, confidence)
    if plan.contrasts is not None:
        result = result.merge(contrast_results(cells, plan, random, confidence, n_swaps, rng))
    result = result.merge(_context(result, found, halves, data, plan.rows, measure))
    parameters = {
        "measure": measure,
        "fraction": fraction,
        "ranking": ranking,
        "confidence": confidence,
    }
    return _described(result, data, parameters, [*notes, *plan.notes])


@dataclass(frozen=True)
class _Data:
    """Both sides on the same images.

    `relevance` (model, seed, image, y, x), `human` (participant, image, y, x): lazy.
    """

    relevance: xr.DataArray
    human: xr.DataArray
    networks: pd.DataFrame
    cells: list[tuple[int, ...]]
    ranking: str

    @property
    def images(self) -> list[str]:
        return [str(label) for label in self.relevance["image"].values]

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Positions of images, maps of networks (network, image, y, x) and of people (participant,
        image, y, x).
        """
        for start in range(0, len(self.images), _BLOCK):
            where = slice(start, start + _BLOCK)
            people = [(p,) for p in range(self.human.sizes["participant"])]
            yield (
                where,
                shards.read_block(self.relevance, self.cells, where),
                shards.read_block(self.human, people, where),
            )

    def blocks_of_one(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ranked maps of networks and maps of people of each image, as vectors of pixels."""
        for _, networks, people in self.blocks():
            for i in range(networks.shape[1]):
                yield (
                    agreement.ranked(networks[:, i].reshape(len(networks), -1), self.ranking),
                    people[:, i].reshape(len(people), -1),
                )

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for networks, people in self.blocks_of_one():
            yield networks, agreement.mean_maps(people)


def _read(study: xr.DataTree, align: str, ranking: str) -> _Data:
    for group in ("relevance", "human_maps"):
        if group not in study.children:
            raise UsageError(
                f"this study has no /{group}; it has {', '.join(study.children) or 'nothing'}. Add"
                " people's maps with relstats humanmaps add"
            )
        store.require_complete(study, group)
    maps, human = study["relevance"].to_dataset(), study["human_maps"].to_dataset()
    _require_valid(human)
    labels = [scores.image_labels(dataset) for dataset in (maps, human)]
    without = (
        int(human.attrs.get("n_images_without_maps", 0)) > 0
    )  # left out on purpose, when they were added
    problems = layout.disagreement(set(labels[0]), set(labels[1]), "/relevance", "/human_maps")
    if problems and align == "exact" and not (without and set(labels[1]) < set(labels[0])):
        raise InvalidData(f"{problems[0]} (--align inner)")
    sizes = [(dataset.sizes["y"], dataset.sizes["x"]) for dataset in (maps, human)]
    if sizes[0] != sizes[1]:
        raise InvalidData(
            f"maps of networks are {sizes[0]} and maps of people {sizes[1]} (y, x): which pixels"
            " correspond is not known. Add people's maps again, with --resize"
        )
    common = sorted(set(labels[0]) & set(labels[1]))
    chosen = [
        dataset.isel(image=[known.index(image) for image in common])
        for dataset, known in zip((maps, human), labels, strict=True)
    ]
    table = scores.network_table(maps)
    people = chosen[1]["map"].transpose("participant", "image", "y", "x")
    return _Data(
        chosen[0]["relevance"].transpose(*layout.NETWORK, "image", "y", "x"),
        people,
        table.drop(columns="cell"),
        list(table["cell"]),
        ranking,
    )


def _require_valid(human: xr.Dataset) -> None:
    problems = layout.check_group(human, "human_maps")
    if problems:
        raise InvalidData("; ".join(str(problem) for problem in problems))


def _kept(data: _Data, nan: str) -> tuple[_Data, list[str]]:
    """Without networks and images that say nothing, and what they were."""
    n, people = len(data.images), data.human.sizes["participant"]
    constant, missing = np.zeros((len(data.cells), n), bool), np.zeros((len(data.cells), n), bool)
    enough, silent = np.zeros(n, bool), 0
    table = data.networks
    for where, networks, maps in data.blocks():
        flat, missing[:, where] = scores.checked_maps(networks, table, data.images[where])
        for k, i in enumerate(range(where.start, min(where.stop, n))):
            own = agreement.ranked(flat[:, k], data.ranking)
            constant[:, i] = own.max(axis=1) == own.min(axis=1)
            seen = maps[:, k].reshape(people, -1)
            _require_finite(seen, data, i)
            said = agreement.informative(seen)
            silent += int((~said & ~np.isnan(seen).any(axis=1)).sum())
            # without the only map there is no mean map
            enough[i] = agreement.informative(
                agreement.mean_maps(seen)[: 1 + people * (people > 1)]
            ).all()
    if missing.any() and nan == "raise":
        cells = scores.name_cells(missing, table, data.images)
        raise InvalidData(
            f"NaN in {len(cells)} cell(s) (e.g. {'; '.join(cells[:3])}). Mend them, or leave these"
            " images out with --nan omit"
        )
    alive = ~(constant | missing).all(axis=1)
    keep = ~(constant | missing)[alive].any(axis=0) & enough
    if not alive.any() or keep.sum() < 1:
        raise ImpossibleAnalysis(
            f"{keep.sum()} image(s) and {alive.sum()} network(s) are left: every network needs a"
            f" map that varies, and people {min(2, people)} map(s), on the same images"
        )
    counts = (
        (int((~alive).sum()), "network(s) left out: none of their maps varies"),
        (silent, "map(s) of people left out: constant"),
        (
            int((~enough).sum()),
            f"image(s) left out: fewer than {min(2, people)} map(s) of people, or alike everywhere",
        ),
        (int(missing[alive].any(axis=0).sum()), "image(s) left out for NaN"),
        (
            int((constant & ~missing)[alive].any(axis=0).sum()),
            f"image(s) left out: a network has no {data.ranking} relevance there",
        ),
    )
    chosen = np.flatnonzero(keep)
    left = replace(
        data,
        relevance=data.relevance.isel(image=chosen),
        human=data.human.isel(image=chosen),
        networks=table[alive].reset_index(drop=True),
        cells=[c for c, is_alive in zip(data.cells, alive, strict=True) if is_alive],
    )
    return left, [f"{count} {text}" for count, text in counts if count]


def _require_finite(people: np.ndarray, data: _Data, i: int) -> None:
    wrong = np.isinf(people).any(axis=1) | (
        np.isnan(people).any(axis=1) & ~np.isnan(people).all(axis=1)
    )
    if wrong.any():
        who = str(data.human["participant"].values[np.argmax(wrong)])
        raise InvalidData(
            f"/human_maps: the map of participant {who!r} and image {data.images[i]!r} is NaN in"
            " part, or infinite. A map that is missing is NaN throughout: mend it"
        )


def _context(
    result: xr.Dataset,
    found: Agreement,
    halves: np.ndarray,
    data: _Data,
    rows: list[np.ndarray],
    measure: str,
) -> xr.Dataset:
    half = float(np.nanmean(halves)) if np.isfinite(halves).any() else np.nan
    over = np.array(
        [row.sum(axis=0) if len(row) else np.full(len(data.cells), np.nan) for row in rows]
    )
    labels = {
        f"network_{c}": ("network", data.networks[c].to_numpy(dtype=object)) for c in data.networks
    }
    return xr.Dataset(
        {
            "swapped": ("level", over @ found.swapped[..., 0].mean(axis=1)),
            "image_agreement": (("level", "image"), over @ found.own[..., 0]),
            "image_split_half": ("image", halves),
            "network_score": (
                ("network", "effect"),
                np.stack([found.own[..., 0], found.above[..., 0]], axis=-1).mean(axis=1),
            ),
            "split_half": half,
            "split_half_corrected": (
                agreement.spearman_brown(half) if measure == "spearman" else np.nan
            ),
            "n_images": len(data.images),
            "n_participants": data.human.sizes["participant"],
            "n_maps": (
                "image",
                np.array(
                    [agreement.informative(people).sum() for _, people in data.blocks_of_one()]
                ),
            ),
        },
        {**labels, "image": np.array(data.images, dtype=object), "effect": result["effect"].values},
    )


def _described(
    result: xr.Dataset, data: _Data, parameters: dict[str, Any], notes: list[str]
) -> xr.Dataset:
    n, people = len(data.images), data.human.sizes["participant"]
    checks = (
        (
            people == 1,
            "one map for all people: there is no ceiling, and nothing is known of other people",
        ),
        (1 < people < 5, f"{people} participants: their variance is poorly known below 5"),
        (n < 2, "one image: there is no other image to swap with"),
        (
            parameters["measure"] == "overlap",
            "overlap has no Spearman-Brown correction: the ceiling is that of half the people",
        ),
    )
    kinds = sorted(
        {
            str(kind)
            for name in ("random", "level_random")
            if name in result
            for kind in result[name].values.ravel()
        }
    )
    held = (
        f"the {100 * parameters['fraction']:g} % top pixels that both have"
        if parameters["measure"] == "overlap"
        else "Spearman correlation over pixels"
    )
    method = (
        f"For each network and image, {parameters['ranking']} relevance was compared with the mean"
        f" map of people (each divided by its sum) by {held}; and with their maps of all other"
        f" images, whose mean was taken off (image swap). {len(data.cells)} networks, {n} images,"
        f" {people} participants. {100 * parameters['confidence']:g} % intervals and p-values:"
        f" {REFERENCE}."
    )
    floor = {"min_p": float(result["min_p_swap"].min())} if "min_p_swap" in result else {}
    return result.assign_attrs(
        **floor,
        method=method,
        warnings=[*notes, *[t for so, t in checks if so]],
        population=(
            f"inference over {' or '.join(kinds)} like those measured ({len(data.cells)} networks,"
            f" {n} images, {people} participants)"
        ),
    )
