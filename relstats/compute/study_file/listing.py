"""Which images a study has: every one of a folder, or the rows of a CSV file, with the sha256 of
each.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from relstats.compute.study_file.fields import Table, near
from relstats.study.check import Problem

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_OTHER_IMAGES = (".gif", ".heic", ".heif", ".avif", ".svg", ".jp2", ".raw")
_NOT_A_LABEL = {"sha256", "pixels", "y", "x", "channel"}


def from_folder(root: Path, table: Table) -> pd.DataFrame:
    """Every image below a folder: its id is the path without suffix, its label `folder` the folder
    it lies in.
    """
    if not root.is_dir():
        table.note(
            "folder",
            f"{str(root)!r} is not a folder",
            f"Name the folder of the images.{near(root)}",
        )
        return pd.DataFrame()
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    other = [p.name for p in files if p.suffix.lower() in _OTHER_IMAGES]
    if other:
        table.problems.append(
            Problem(
                f"{table.where} folder",
                f"{len(other)} image(s) of a kind that is not read",
                f"Convert them to PNG ({', '.join(SUFFIXES)} are read)",
                len(other),
                tuple(other[:3]),
            )
        )
    found = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not found:
        table.note("folder", f"no images in {str(root)!r}", f"Files read are {', '.join(SUFFIXES)}")
    names = [p.relative_to(root) for p in found]
    rows = pd.DataFrame(
        {
            "image": [n.with_suffix("").as_posix() for n in names],
            "path": [str(p) for p in found],
            "folder": [n.parent.as_posix() for n in names],
        },
        dtype=object,
    )
    _unique(rows, table, "folder")
    return rows


def from_table(file: Path, folder: Path, table: Table) -> pd.DataFrame:
    """The rows of a CSV file, all of them text.

    Paths are relative to `folder`, that of the study file.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            header, *rows = [row for row in csv.reader(lines, strict=True) if row] or [[]]
    except FileNotFoundError:
        table.note("table", f"{str(file)!r} does not exist", f"Name a CSV file.{near(file)}")
        return pd.DataFrame()
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        table.note(
            "table",
            f"{str(file)!r} cannot be read as CSV ({error})",
            "Give a CSV file in UTF-8, with a header",
        )
        return pd.DataFrame()
    wrong = _wrong_table(header, rows)
    if wrong:
        columns = ", ".join(header) or "none"
        do = "Give columns image (the id), path, and one for each label"
        table.note("table", f"{str(file)!r} {wrong} (columns: {columns})", do)
        return pd.DataFrame()
    found = pd.DataFrame(rows, columns=header, dtype=object)
    found["path"] = [str(folder / path) for path in found["path"]]
    _unique(found, table, "table")
    return found


def _wrong_table(header: list[str], rows: list[list[str]]) -> str:
    """What is wrong with a table of images, in words; empty where nothing is."""
    lacking = [name for name in ("image", "path") if name not in header]
    if lacking:
        return f"lacks column {' and '.join(lacking)}"
    if len(set(header)) < len(header):
        return "names a column twice"
    reserved = [name for name in header if name in _NOT_A_LABEL]
    if reserved:
        return f"has column {', '.join(reserved)}, a name the study uses"
    uneven = [k for k, row in enumerate(rows, start=2) if len(row) != len(header)]
    if uneven:
        return (
            f"has {len(uneven)} row(s) that do not have {len(header)} fields, the first in row"
            f" {uneven[0]}"
        )
    return "" if rows else "has no rows"


def _unique(rows: pd.DataFrame, table: Table, key: str) -> None:
    twice = [name for name, n in Counter(rows["image"]).items() if n > 1]
    if twice:
        table.problems.append(
            Problem(
                f"{table.where} {key}",
                f"{len(twice)} duplicate image id(s)",
                "Give each image an id of its own",
                len(twice),
                tuple(map(repr, twice[:3])),
            )
        )
    if "" in set(rows["image"]):
        table.note(key, "an image has an empty id", "Give each image an id of its own")


def hashed(rows: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The rows by image id, with the sha256 of each file."""
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_sha256, rows["path"]))
    missing = [path for path, digest in zip(rows["path"], digests, strict=True) if not digest]
    if missing:
        table.problems.append(
            Problem(
                table.where,
                f"{len(missing)} image file(s) cannot be read",
                "Mend the paths; relative ones are relative to the study file",
                len(missing),
                tuple(missing[:3]),
            )
        )
    rows = rows.astype(object).assign(sha256=np.array(digests, dtype=object))
    return rows.set_index("image")


def _sha256(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
