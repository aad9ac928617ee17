"""Judgments of people into a study: read by label, turned into dissimilarities, checked, and
matched with the study's images.

Labels in, labels out. Every number comes from `tasks`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs import judgment_files, tasks
from relstats.inputs.judged import Judged
from relstats.study import check, layout, pairs, store, writing

KINDS = ("similarity", "dissimilarity")
#: Formats whose task says what is alike; of the others the user does.
_TOLD = ("triplets", "arrangement")
#: Below, triplets of images are ordered as similarities order them. The people of Mur et al. 2013
#: lie at .60 to .68, noise at .5.
_IMPLAUSIBLE = 0.4
#: In fewer images, chance orders triplets either way.
_ENOUGH = 10


def add_judgments(
    path: str | Path,
    source: str | Path,
    *,
    kind: str | None = None,
    format: str | None = None,
    task: str | None = None,
    align: str = "exact",
    force: bool = False,
    dry_run: bool = False,
) -> xr.Dataset:
    r"""Add judgments of people to a study, as its `/human`, whole or not at all.

    Parameters
    ----------
    path : str or Path
        A study with images.
    source, kind, format, task
        As in `read_judgments`.
    align : {"exact", "inner"}
        "inner" keeps the images that both the judgments and the study have; the others are recorded
        in `dropped_images`.
    force : bool
        Replace judgments that are there.
    dry_run : bool
        Check everything, and write nothing.

    Returns
    -------
    xarray.Dataset
        As `read_judgments`, on the images of the study.

    Raises
    ------
    UsageError
        As `read_judgments`; other judgments are there; a study without images.
    InvalidData
        As `read_judgments`; images that do not match those of the study, with both lists.

    Examples
    --------
    >>> import tempfile, relstats
    >>> folder = Path(tempfile.mkdtemp())
    >>> study = relstats.simulate(
    ...     folder / "s.zarr", models="2x1", seeds=3, images=3, size=8, rng=np.random.default_rng(1)
    ... )
    >>> a, b, c = relstats.open_study(folder / "s.zarr")["relevance"]["image"].values
    >>> rows = [f"p1,{a},{b},6", f"p1,{c},{a},2", f"p1,{b},{c},1"]
    >>> _ = (folder / "r.csv").write_text("\n".join(["participant,image_i,image_j,rating", *rows]))
    >>> add_judgments(folder / "s.zarr", folder / "r.csv", kind="similarity")[
    ...     "dissimilarity"
    ... ].values
    array([[0., 4., 5.]], dtype=float32)
    """
    if align not in ("exact", "inner"):
        raise UsageError(f"align is {align!r}; it is one of exact, inner")
    images = _study_images(store.open_study(path), path)
    found = read_judgments(source, kind=kind, format=format, task=task)
    found = _matched(found, images, Path(source).name, align)
    plan = f"judgments of {Path(source).name} ({found.attrs['format']}, {_digest(found)})"
    if not dry_run:
        writing.add_small_group(path, layout.HUMAN, found, plan, force=force)
    return found


def read_judgments(
    source: str | Path,
    *,
    kind: str | None = None,
    format: str | None = None,
    task: str | None = None,
) -> xr.Dataset:
    r"""Read judgments of people as dissimilarities of pairs of images.

    Parameters
    ----------
    source : str or Path
        ratings: `.csv` with `participant`, `image_i`, `image_j` and one column of judgments. pairs:
        `.csv` with `image_i`, `image_j` and one column a participant. matrix: a square `.csv` with
        the ids of images as header and first column. A folder of `.csv` holds one matrix, or one
        table of pairs, a participant, named as the file. `.npz` or Zarr: one array (participant,
        pair) with ids `participant`, `image_i`, `image_j`, or (participant, image, image) with
        `participant` and `image` (Zarr: dims `participant`, `image_i`, `image_j`). triplets: `.csv`
        with `participant`, `image_1`, `image_2`, `image_3`, `odd`. arrangement: `.json`, or a
        folder of them, see `relstats.inputs.arrangement_files.read`. All ids are text.
    kind : {"similarity", "dissimilarity"}
        What a large number means. Needed for ratings, pairs and matrices; triplets and arrangements
        say it themselves.
    format : {"ratings", "pairs", "matrix", "triplets", "arrangement"}, optional
        Default: what nothing but the file's columns allow.
    task : str, optional
        Name of the arrangement task, in files with several.

    Returns
    -------
    xarray.Dataset
        `dissimilarity` (participant, pair), float32; NaN where a pair was not judged, and
        throughout for participants who judged all alike (attribute `n_constant`). Similarities are
        turned over: the largest of all less each. Triplets: 1 - the share of triplets with the pair
        in which the third image was the odd one. Arrangements: see
        `relstats.inputs.tasks.arranged`. Pairs are those of all images, sorted. `warnings` has what
        was assumed, left out, or looks wrong.

    Raises
    ------
    UsageError
        No such file, unknown or unclear format or kind.
    InvalidData
        Pairs or participants there twice, ids that are no text, values that are no numbers, an
        asymmetric matrix, a diagonal that is not 0.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "anna.csv"
    >>> _ = path.write_text(",007,7,NA\n007,0,3,1\n7,3,0,\nNA,1,,0")
    >>> found = read_judgments(path, kind="dissimilarity")
    >>> found["image_i"].values.tolist(), found["dissimilarity"].values
    (['007', '007', '7'], array([[ 3.,  1., nan]], dtype=float32))
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"kind is {kind!r}; it is one of {', '.join(KINDS)}")
    source = Path(source)
    judged = judgment_files.read(source, format, task)
    kind = _kind(kind, judged, source)
    rdms = pairs.read_pairs(judged.values, source.name)
    notes = [*judged.notes, *_own_pairs(judged, kind, source), *_implausible(rdms, kind, judged)]
    values, turned = rdms.values, {}
    if kind == "similarity":
        top = float(
            np.nanmax(np.concatenate([values.ravel(), judged.own.ravel()]), initial=-np.inf)
        )
        values, turned = top - values, {"turned_over_at": top}
    constant = ~(
        np.nanmax(values, axis=1, initial=-np.inf) > np.nanmin(values, axis=1, initial=np.inf)
    )
    values = np.where(constant[:, np.newaxis], np.nan, values)
    names = [
        str(p)
        for p, is_constant in zip(judged.values["participant"].values, constant, strict=True)
        if is_constant
    ]
    if names:
        notes.append(
            f"{len(names)} participant(s) judged all pairs alike, or none: NaN"
            f" ({', '.join(names[:3])})"
        )
    attrs: dict[str, Any] = {
        "format": judged.format,
        "kind": kind,
        "source": source.name,
        "n_constant": len(names),
        **turned,
    }
    coords = {**pairs.pair_labels(rdms.images), "participant": judged.values["participant"].values}
    variable = (("participant", "pair"), _as_stored(values, source.name))
    return xr.Dataset({"dissimilarity": variable}, coords, {**attrs, "warnings": notes})


def _kind(kind: str | None, judged: Judged, source: Path) -> str:
    if judged.format in _TOLD:
        if kind == "similarity":
            raise UsageError(
                f"{source.name}: {judged.format} are made into dissimilarities by what people did;"
                " leave --kind out"
            )
        return "dissimilarity"
    if kind is None:
        raise UsageError(
            f"{source.name} has {judged.format}: does a large number mean that images are alike?"
            " Say --kind similarity or --kind dissimilarity: a wrong guess would turn every result"
            " over"
        )
    return kind


def _own_pairs(judged: Judged, kind: str, source: Path) -> list[str]:
    """What an image got with itself says which way a scale runs."""
    own = judged.own[np.isfinite(judged.own)]
    if kind == "dissimilarity" and judged.format == "matrix" and own.any():
        raise InvalidData(
            f"{source.name}: the diagonal is not 0 (largest value {np.abs(own).max():g}; max"
            " asymmetry 0): an image has no dissimilarity to itself. If these are similarities,"
            " say --kind similarity"
        )
    others = judged.values.values[np.isfinite(judged.values.values)]
    if not len(own) or not len(others):
        return []
    gap = own.mean() - others.mean()
    wrong = gap < 0 if kind == "similarity" else gap > 0
    return (
        [
            f"implausible: images are judged less alike with themselves (mean {own.mean():g}) than"
            f" with others ({others.mean():g}): is this {_other(kind)}?"
        ]
        if wrong
        else []
    )


def _implausible(rdms: pairs.Rdms, kind: str, judged: Judged) -> list[str]:
    sign = 1 if kind == "dissimilarity" else -1
    share = tasks.ordered_as_dissimilarities(sign * rdms.values, len(rdms.images))
    notes = []
    if share < _IMPLAUSIBLE and len(rdms.images) >= _ENOUGH and judged.format not in _TOLD:
        notes.append(
            f"implausible: in {100 * share:.0f} % of the triplets of images, values are ordered as"
            f" {kind} orders them (50 % by chance): is this {_other(kind)}?"
        )
    if judged.column == _other(kind):
        notes.append(f"implausible: the column is called {judged.column!r}, and read as {kind}")
    return notes


def _other(kind: str) -> str:
    return KINDS[1 - KINDS.index(kind)]


def _as_stored(values: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # an overflow is told below
        stored: np.ndarray = values.astype(np.float32)
    if np.isinf(stored).any() or ((stored == 0) & (values != 0)).any():
        known = np.abs(values[np.isfinite(values)])
        raise InvalidData(
            f"{where} holds values as far from 1 as {known.max():g} or {known[known > 0].min():g};"
            " they are stored in float32. Rescale them: only their order and proportions matter"
        )
    return stored


def _study_images(study: xr.DataTree, path: str | Path) -> set[str]:
    """Ids of the images of the study; all its groups have the same."""
    for group in layout.IMAGE_GROUPS:
        if group in study.children and "image" in study[group].coords:
            return {str(label) for label in study[group].to_dataset()["image"].values}
    raise UsageError(
        f"{path} has no images that judgments could be of (it has"
        f" {', '.join(study.children) or 'nothing'})"
    )


def _matched(found: xr.Dataset, images: set[str], where: str, align: str) -> xr.Dataset:
    """On the images that both have; an error where they differ, unless inner."""
    rdms = pairs.read_pairs(found["dissimilarity"], where)
    judged = set(rdms.images)
    differ = check.disagreement(judged, images, where, "the study")
    if differ and (align == "exact" or len(judged & images) < 2):
        raise InvalidData(f"{differ[0]} (--align inner)")
    kept = rdms.of(sorted(judged & images))
    coords = {**pairs.pair_labels(kept.images), "participant": found["participant"].values}
    attrs, dropped = dict(found.attrs), sorted(judged ^ images)
    if dropped:
        attrs["dropped_images"] = dropped
        attrs["warnings"] = [
            *attrs["warnings"],
            (
                f"{len(dropped)} image(s) left out: only the judgments or the study have them "
                f"({', '.join(dropped[:3])})"
            ),
        ]
    return xr.Dataset(
        {"dissimilarity": (("participant", "pair"), kept.values.astype(np.float32))}, coords, attrs
    )


def _digest(found: xr.Dataset) -> str:
    labels = [found[name].values.tolist() for name in ("participant", *pairs.ENDS)]
    return hashlib.sha256(
        repr(labels).encode() + found["dissimilarity"].values.tobytes()
    ).hexdigest()[:16]
