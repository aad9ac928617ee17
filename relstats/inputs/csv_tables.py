"""Tables of commas as text: every label stays the text it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from relstats.errors import InvalidData, UsageError
from relstats.inputs.judged import require_once


def read_rows(source: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table, all of it text, each row as long as the header.

    Raises
    ------
    InvalidData
        No table of commas in UTF-8, no rows, or a row of another length.
    """
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidData(
            f"{source.name} is no table of commas in UTF-8 ({error}). Save it as such"
        ) from error
    if len(rows) < 2:
        raise InvalidData(
            f"{source.name} has {len(rows)} row(s): a header and rows below it are needed"
        )
    if len(rows[0]) == 1 and any(mark in rows[0][0] for mark in ";\t"):
        raise InvalidData(
            f"{source.name} is not separated by commas (its first line is {rows[0][0]!r}). Save it"
            " with commas"
        )
    wrong = next((k for k, row in enumerate(rows, 1) if len(row) != len(rows[0])), 0)
    if wrong:
        raise InvalidData(
            f"{source.name}, row {wrong}: {len(rows[wrong - 1])} cells, but {len(rows[0])} columns."
            " Mend this row"
        )
    return rows[0], rows[1:]


def read_table(source: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of text with these columns and at least one row; "NA" and "007" as they stand.

    Raises
    ------
    UsageError
        No such file.
    InvalidData
        As `read_rows`; a column is missing or there twice; a row without participant or image.
    """
    if not source.is_file():
        raise UsageError(
            f"no such table: {str(source)!r}. Give a .csv with columns {', '.join(columns)}"
        )
    header, rows = read_rows(source)
    return labelled_table(header, rows, columns, source)


def labelled_table(
    header: list[str], rows: list[list[str]], columns: tuple[str, ...], source: Path
) -> pd.DataFrame:
    """Rows as a table that has these columns, and a participant in each row where there is such a
    column; raises as `read_table`.
    """
    require_once(header, f"columns of {source.name}")
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise InvalidData(
            f"{source.name} lacks column(s) {', '.join(lacking)}; it has {', '.join(header[:6])}."
            " Rename them"
        )
    table = pd.DataFrame(rows, columns=header, dtype=object)
    for column in sorted({"participant", *columns} & {"participant", "image"} & set(header)):
        without = (table[column] == "").to_numpy()
        if without.any():
            raise InvalidData(
                f"{source.name}, row {without.argmax() + 2}: no {column}, and nothing to match it"
                " by. Fill it in, or remove this row"
            )
    return table
