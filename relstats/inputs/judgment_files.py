"""Files of judgments: ratings, pair tables, square matrices, odd-one-out triplets, arrangements.

Every label stays the text it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from relstats.errors import InvalidData, UsageError
from relstats.inputs import arrangement_files, csv_tables, judgment_arrays, tasks
from relstats.inputs.judged import FORMATS, Judged, all_pairs, labelled, require_once, upper
from relstats.study.pairs import ENDS

#: What stands for a judgment that was not made. In the columns of labels these are labels.
_MISSING = ("", "na", "nan", "null", "none", "n/a")
_TRIPLET = ("image_1", "image_2", "image_3", "odd")


def read(source: Path, form: str | None, task: str | None = None) -> Judged:
    """Read a file or folder, by the format it is said to have, or that it shows without doubt.

    Parameters
    ----------
    source : Path
        `.csv`, `.npz`, `.json`, a Zarr store, or a folder of `.csv` or `.json`, one a participant.
    form : str, optional
        One of `FORMATS`.
    task : str, optional
        Of a file with several arrangement tasks.

    Returns
    -------
    Judged

    Raises
    ------
    UsageError
        No such file, unknown format, or one that cannot be told from the file.
    InvalidData
        The file is not what its format says: with the line, or the label.
    """
    if form is not None and form not in FORMATS:
        raise UsageError(f"format is {form!r}; it is one of {', '.join(FORMATS)}")
    if not source.exists():
        raise UsageError(
            f"no such file: {str(source)!r}. Give judgments (.csv, .npz, .json, a Zarr store, or a"
            " folder of them)"
        )
    if source.is_dir() and not any((source / name).exists() for name in ("zarr.json", ".zgroup")):
        return _folder(source, form, task)
    if source.suffix == ".json" and form in (None, "arrangement"):
        trials, notes = arrangement_files.read(source, task)
        return _arranged(trials, notes)
    if source.suffix == ".npz":
        return judgment_arrays.from_npz(source, form)
    if source.is_dir():
        return judgment_arrays.from_zarr(source, form)
    if source.suffix != ".csv":
        raise UsageError(
            f"{str(source)!r} ends in {source.suffix!r}; judgments come as .csv, .npz, .json"
            " (arrangements), a Zarr store or a folder of .csv or .json"
        )
    return _csv(source, form)


def _folder(source: Path, form: str | None, task: str | None) -> Judged:
    """One file a participant, named as the participant."""
    files = sorted(
        p for p in source.iterdir() if p.suffix in (".csv", ".json") and not p.name.startswith(".")
    )
    if len({p.suffix for p in files}) != 1:
        raise UsageError(
            f"{str(source)!r} holds {len(files)} files of judgments"
            f" ({', '.join(p.name for p in files[:3])}): give a folder of .csv or of .json, one"
            " file a participant"
        )
    if files[0].suffix == ".json":
        read_files = [arrangement_files.read(path, task) for path in files]
        return _arranged(
            [t for trials, _ in read_files for t in trials],
            [n for _, notes in read_files for n in notes],
        )
    parts = [_csv(path, form) for path in files]
    kinds = {part.format for part in parts}
    if len(kinds) > 1 or not kinds <= {"matrix", "pairs"}:
        raise UsageError(
            f"the files of {str(source)!r} are of format {', '.join(sorted(kinds))}: a folder holds"
            " a matrix, or a table of pairs, for each participant. Put other formats into one file"
            " with a column 'participant'"
        )
    for path, part in zip(files, parts, strict=True):
        if part.values.sizes["participant"] > 1:
            raise InvalidData(
                f"{path.name}: {part.values.sizes['participant']} columns of values; in a folder"
                " each file is one participant"
            )
    named = [
        part.values.assign_coords(participant=np.array([path.stem], object))
        for path, part in zip(files, parts, strict=True)
    ]
    return Judged(
        _together(named),
        kinds.pop(),
        np.concatenate([p.own for p in parts]),
        notes=[f"each of {len(files)} files is a participant, named as the file"],
    )


def _together(parts: Sequence[xr.DataArray]) -> xr.DataArray:
    """Participants whose pairs differ, or stand in another order, on the union of their pairs."""
    columns = [_keyed(part) for part in parts]
    pairs = sorted(set(itertools.chain.from_iterable(columns)))
    place = {pair: k for k, pair in enumerate(pairs)}
    values = np.full((len(parts), len(pairs)), np.nan)
    for row, part, keys in zip(values, parts, columns, strict=True):
        row[[place[key] for key in keys]] = part.values[0]
    return labelled(
        values, [str(part["participant"].values[0]) for part in parts], *zip(*pairs, strict=True)
    )


def _keyed(part: xr.DataArray) -> list[tuple[str, str]]:
    keys = [
        tuple(sorted(pair))
        for pair in zip(*(part[end].values.tolist() for end in ENDS), strict=True)
    ]
    require_once(keys, f"participant {part['participant'].values[0]!r}")
    return keys  # type: ignore[return-value]


def _csv(source: Path, form: str | None) -> Judged:
    header, rows = csv_tables.read_rows(source)
    form = form or _guess(header, rows, source)
    readers: dict[str, tuple[Callable[[pd.DataFrame, Path], Judged], tuple[str, ...]]] = {
        "ratings": (_ratings, ("participant", *ENDS)),
        "pairs": (_pairs, ENDS),
        "triplets": (_triplets, _TRIPLET),
    }
    if form == "matrix":
        return _matrix(header, rows, source)
    if form not in readers:
        raise UsageError(f"{source.name!r} is a table; arrangements come as .json")
    judged, columns = readers[form]
    return judged(csv_tables.labelled_table(header, rows, columns, source), source)


def _guess(header: list[str], rows: list[list[str]], source: Path) -> str:
    """The format that nothing but the header and the first column allow."""
    columns = set(header)
    if set(_TRIPLET) <= columns:
        return "triplets"
    if set(ENDS) <= columns:
        return "ratings" if "participant" in columns else "pairs"
    if len(rows) == len(header) - 1 and {row[0] for row in rows} == set(header[1:]):
        return "matrix"
    raise UsageError(
        f"{source.name}: the format cannot be told from the columns {', '.join(header[:6])}. Give"
        " --format: ratings (participant, image_i, image_j, a value), pairs (image_i, image_j, a"
        " column a participant), matrix (ids of images as header and first column), triplets"
        f" (participant, {', '.join(_TRIPLET)})"
    )


def _numbers(cells: np.ndarray, source: Path) -> np.ndarray:
    """Numbers of a block of text, (row, column); NaN where a judgment is missing."""
    out = np.full(cells.shape, np.nan)
    for where, text in np.ndenumerate(cells):
        if text.strip().lower() in _MISSING:
            continue
        try:
            out[where] = float(text)
        except ValueError as error:
            raise InvalidData(
                f"{source.name}, row {where[0] + 2}: {text!r} is no number. Leave a missing"
                " judgment empty, and write decimals with a point"
            ) from error
        if not np.isfinite(out[where]):
            raise InvalidData(
                f"{source.name}, row {where[0] + 2}: {text!r} is infinite. Mend it, or leave it"
                " empty"
            )
    return out


def _ratings(table: pd.DataFrame, source: Path) -> Judged:
    others = [name for name in table if name not in ("participant", *ENDS)]
    known = [name for name in others if name in ("rating", "similarity", "dissimilarity")]
    chosen = known if len(known) == 1 else others
    if len(chosen) != 1:
        raise InvalidData(
            f"{source.name} has columns {', '.join(map(str, others)) or 'without any value'} beside"
            " participant, image_i, image_j: name the one with the judgments 'rating'"
        )
    values = _numbers(table[chosen].to_numpy(), source)[:, 0]
    own = (table[ENDS[0]] == table[ENDS[1]]).to_numpy()
    notes = [f"{own.sum()} judgment(s) of an image with itself left out"] if own.any() else []
    people, first, second = (table.loc[~own, name].tolist() for name in ("participant", *ENDS))
    pairs = [tuple(sorted(pair)) for pair in zip(first, second, strict=True)]
    require_once(list(zip(people, pairs, strict=True)), source.name)
    rows, columns = (sorted(set(labels)) for labels in (people, pairs))
    found = np.full((len(rows), len(columns)), np.nan)
    at = [{label: k for k, label in enumerate(labels)} for labels in (rows, columns)]
    found[[at[0][p] for p in people], [at[1][p] for p in pairs]] = values[~own]
    notes += [] if known else [f"the judgments are taken from column {chosen[0]!r}"]
    return Judged(
        labelled(found, rows, *zip(*columns, strict=True)), "ratings", values[own], chosen[0], notes
    )


def _pairs(table: pd.DataFrame, source: Path) -> Judged:
    people = [str(name) for name in table if name not in ENDS]
    if "participant" in people:
        raise InvalidData(
            f"{source.name} has a column 'participant': that is format ratings; in pairs each"
            " participant is a column"
        )
    if not people:
        raise InvalidData(f"{source.name} has no column with values beside image_i and image_j")
    values = _numbers(table[people].to_numpy(), source).T
    return Judged(labelled(values, people, *(table[end].tolist() for end in ENDS)), "pairs")


def _triplets(table: pd.DataFrame, source: Path) -> Judged:
    notes = (
        []
        if "participant" in table
        else ["no column 'participant': all triplets are of one participant, called 'all'"]
    )
    people = table["participant"] if "participant" in table else pd.Series("all", table.index)
    trials, odd = table[list(_TRIPLET[:3])].to_numpy(), table["odd"].to_numpy()
    is_odd = trials == odd[:, np.newaxis]
    wrong = np.flatnonzero((is_odd.sum(axis=1) != 1) | [len(set(trial)) < 3 for trial in trials])
    if len(wrong):
        raise InvalidData(
            f"{source.name}: {len(wrong)} row(s) do not hold three different images and one of them"
            f" as 'odd' (e.g. row {wrong[0] + 2}: {', '.join(trials[wrong[0]])}; odd"
            f" {odd[wrong[0]]!r})"
        )
    images = sorted(set(trials.ravel()))
    number = {image: k for k, image in enumerate(images)}
    places = np.vectorize(number.__getitem__, otypes=[int])(trials)
    rows = sorted(set(people))
    values = [
        tasks.odd_one_out(places[mine], is_odd[mine].argmax(axis=1), len(images))[0]
        for person in rows
        for mine in [(people == person).to_numpy()]
    ]
    ends = all_pairs(images)
    return Judged(labelled(np.array(values), rows, *ends), "triplets", notes=notes)


def _matrix(header: list[str], rows: list[list[str]], source: Path) -> Judged:
    columns, index = header[1:], [row[0] for row in rows]
    for labels in (columns, index):
        require_once(labels, source.name)
    if set(columns) != set(index):
        differ = sorted(set(columns) ^ set(index))
        raise InvalidData(
            f"{source.name}: ids of rows and columns differ ({len(differ)}, e.g."
            f" {', '.join(map(repr, differ[:3]))}). A square matrix has the same images as header"
            " and as first column"
        )
    square = _numbers(np.array([row[1:] for row in rows], dtype=object), source)
    square = square[np.argsort([columns.index(label) for label in index])]
    values, own = upper(square[np.newaxis], source.name)
    ends = all_pairs(columns)
    return Judged(
        labelled(values, [source.stem], *ends),
        "matrix",
        own,
        notes=[f"one matrix: its participant is named as the file, {source.stem!r}"],
    )


def _arranged(trials: list[arrangement_files.Trial], notes: list[str]) -> Judged:
    """The RDM of each participant from all trials."""
    images = sorted({image for trial in trials for image in trial.images})
    number = {image: k for k, image in enumerate(images)}
    people = sorted({trial.participant for trial in trials})
    values = [
        tasks.arranged(np.array([t.distances(number) for t in trials if t.participant == p]))
        for p in people
    ]
    ends = all_pairs(images)
    return Judged(labelled(np.array(values), people, *ends), "arrangement", notes=notes)
