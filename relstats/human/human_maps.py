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
from relstats.human.level_tests import Cells, contrast_results, level_results
from relstats.human.map_agreement import Agreement, Measure
from relstats.stats.described import Align, Nan, described
from relstats.stats.inference.crossed import FACTORS, Factor
from relstats.stats.levels import plan_levels
from relstats.study import check, layout, shards
from relstats.study.maps import Block, Maps, read_maps, study_group
from relstats.study.networks import image_labels, name_cells
from relstats.study.omissions import refuse_nan
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

        Where a level has too few networks to speak of others like them there is no interval and no
        p: `untested` (`level_...` of levels) says why, and `ci_these_networks` is
        for these networks, over images and people.

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
    data, notes = _kept(_read(study, align, ranking, nan))
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

    `human` (participant, image, y, x): lazy.
    """

    maps: Maps
    human: xr.DataArray
    ranking: str

    @property
    def networks(self) -> pd.DataFrame:
        return self.maps.networks

    @property
    def images(self) -> list[str]:
        return self.maps.images

    def blocks(self) -> Iterator[tuple[Block, np.ndarray]]:
        """Maps of networks, and of people (participant, image, pixel)."""
        people = [(p,) for p in range(self.human.sizes["participant"])]
        for start in range(0, len(self.images), _BLOCK):
            where = slice(start, min(start + _BLOCK, len(self.images)))
            seen = shards.read_block(self.human, people, where)
            yield self.maps.block(where), seen.reshape(*seen.shape[:2], -1)

    def blocks_of_one(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ranked maps of networks and maps of people of each image, as vectors of pixels."""
        for block, people in self.blocks():
            for i in range(people.shape[1]):
                yield agreement.ranked(block.pixels[:, i], self.ranking), people[:, i]

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for networks, people in self.blocks_of_one():
            yield networks, agreement.mean_maps(people)


def _read(study: xr.DataTree, align: str, ranking: str, nan: str) -> _Data:
    need = "comparing with people's maps needs"
    advice = "Add people's maps with relstats add human-maps"
    maps = read_maps(study, need, nan=nan)
    human = study_group(study, layout.HUMAN_MAPS, need, advice=advice)
    labels = image_labels(human)
    without = (
        int(human.attrs.get("n_images_without_maps", 0)) > 0
    )  # left out on purpose, when they were added
    problems = check.disagreement(set(maps.images), set(labels), "/relevance", "/human_maps")
    if problems and align == "exact" and not (without and set(labels) < set(maps.images)):
        raise InvalidData(f"{problems[0]} (--align inner)")
    size = human.sizes["y"], human.sizes["x"]
    if maps.shape != size:
        raise InvalidData(
            f"maps of networks are {maps.shape} and maps of people {size} (y, x): which pixels"
            " correspond is not known. Add people's maps again, with --resize"
        )
    common = sorted(set(maps.images) & set(labels))
    places = [
        np.array([known.index(image) for image in common], int) for known in (maps.images, labels)
    ]
    people = human["map"].transpose("participant", "image", "y", "x").isel(image=places[1])
    return _Data(maps.select(images=places[0]), people, ranking)


def _kept(data: _Data) -> tuple[_Data, list[str]]:
    """Without networks and images that say nothing, and what they were."""
    n, people = len(data.images), data.human.sizes["participant"]
    constant, missing = (np.zeros((len(data.networks), n), bool) for _ in range(2))
    enough, silent = np.zeros(n, bool), 0
    for block, maps in data.blocks():
        missing[:, block.images] = block.missing
        for k, i in enumerate(range(block.images.start, block.images.stop)):
            own = agreement.ranked(block.pixels[:, k], data.ranking)
            constant[:, i] = own.max(axis=1) == own.min(axis=1)
            seen = maps[:, k]
            _require_finite(seen, data, i)
            said = agreement.informative(seen)
            silent += int((~said & ~np.isnan(seen).any(axis=1)).sum())
            # without the only map there is no mean map
            enough[i] = agreement.informative(
                agreement.mean_maps(seen)[: 1 + people * (people > 1)]
            ).all()
    if data.maps.nan == "raise":
        refuse_nan(name_cells(missing, data.networks, data.images), "/relevance/relevance")
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
        maps=data.maps.select(alive, chosen),
        human=data.human.isel(image=chosen),
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
        [row.sum(axis=0) if len(row) else np.full(len(data.networks), np.nan) for row in rows]
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
        f" images, whose mean was taken off (image swap). {len(data.networks)} networks, {n}"
        f" images, {people} participants. {100 * parameters['confidence']:g} % intervals and"
        f" p-values: {REFERENCE}."
    )
    floor = {"min_p": float(result["min_p_swap"].min())} if "min_p_swap" in result else {}
    return result.assign_attrs(
        **floor,
        method=method,
        warnings=[*notes, *[t for so, t in checks if so]],
        population=(
            f"inference over {' or '.join(kinds)} like those measured ({len(data.networks)}"
            f" networks, {n} images, {people} participants)"
        ),
    )
