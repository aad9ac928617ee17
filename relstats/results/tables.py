"""Tables of any result: one for each set of dims that its variables have, with all numbers as
CSV.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from relstats.results.catalogue import analysis_of
from relstats.results.text import number, safe

#: Columns that a reader wants first of a statistic that the catalogue does not know; the others are
#: in the CSV, and in the tables of their own dims.
FIRST = (
    "estimate",
    "ci",
    "ci_these_networks",
    "untested",
    "p_value",
    "p_adjusted",
    "p_swap",
    "p_max_t",
    "p_equivalence",
    "cell_mean",
    "cell_ci",
    "cell_ci_these_networks",
    "cell_flag",
    "level_mean",
    "level_ci",
    "level_ci_these_networks",
    "level_untested",
    "difference",
    "difference_ci",
    "difference_ci_these_networks",
    "difference_untested",
    "difference_p_value",
    "p_mantel",
    "p_mantel_max",
    "n_networks",
    "n_images",
    "n_participants",
    "random",
)
#: Values of a variable that the page carries at most; the rest stays in the study.
MOST_VALUES = 5000
ROWS_SHOWN = 60
_MOST_COLUMNS = 9
_NAMES = {
    "ci": "interval",
    "ci_these_networks": "these networks",
    "untested": "no p, as",
    "p_value": "p",
    "p_adjusted": "p, adjusted",
    "p_swap": "p, label swap",
    "p_max_t": "p, max-T",
    "p_equivalence": "p, equivalence",
    "n_networks": "networks",
    "n_images": "images",
    "n_participants": "participants",
    "random": "holds for",
    "cell_mean": "mean",
    "cell_ci": "interval",
    "cell_ci_these_networks": "these networks",
    "cell_flag": "flag",
    "level_mean": "mean",
    "level_ci": "interval",
    "level_ci_these_networks": "these networks",
    "level_untested": "no p, as",
    "source_level": "maps from",
    "target_level": "tested on",
    "min_p_swap": "smallest p, label swap",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns.

    `csv` has every column and full precision; empty where it would be too large.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    csv: str = ""
    n_labels: int = 1
    n_rows: int = 0
    primary: bool = False
    variables: tuple[str, ...] = field(default=())


def tables(result: xr.Dataset, name: str, most_columns: int = _MOST_COLUMNS) -> list[Table]:
    """All small numbers of a result as tables, those that the catalogue names first.

    Parameters
    ----------
    result : xarray.Dataset
        Any result. Variables over pixels, and those of more than `MOST_VALUES` values, are left
        out.
    name : str
        Of the result, for the titles.
    most_columns : int
        Of a table, with its labels; the others are in the CSV.

    Returns
    -------
    list of Table

    Examples
    --------
    >>> result = xr.Dataset(
    ...     {"estimate": ("region", [0.5]), "ci": (("region", "bound"), [[0.4, 0.6]])},
    ...     coords={"region": ["eyes"]},
    ... )
    >>> tables(result, "relevance in the eyes")[0].rows
    (('eyes', '0.500', '[0.400, 0.600]'),)
    """
    analysis = analysis_of(result.attrs)
    first = analysis.columns if analysis else FIRST
    groups: dict[tuple[str, ...], list[str]] = {}
    for variable in sorted(map(str, result.data_vars), key=lambda v: (_rank(v, first), v)):
        if is_small(result[variable]):
            groups.setdefault(_dims(result[variable]), []).append(variable)
    primary = _dims(result["estimate"]) if "estimate" in result else None
    made = [
        _table(result, dims, groups[dims], name, first, most_columns, dims == primary)
        for dims in groups
        if dims
    ]
    scalars = [_scalars(result, groups[()], name)] if () in groups else []
    return made + scalars


def is_small(array: xr.DataArray) -> bool:
    """Whether the values can be shown in a page."""
    return array.size <= MOST_VALUES and not {"y", "x"} <= set(array.dims)


def left_out(result: xr.Dataset) -> list[str]:
    """Variables that the page does not carry, with their sizes."""
    return [
        f"{name} ({' x '.join(f'{n} {dim}' for dim, n in result[name].sizes.items())})"
        for name in sorted(map(str, result.data_vars))
        if not is_small(result[name])
    ]


def _dims(array: xr.DataArray) -> tuple[str, ...]:
    return tuple(str(dim) for dim in array.dims if dim != "bound")


def _table(
    result: xr.Dataset,
    dims: tuple[str, ...],
    ordered: Sequence[str],
    of: str,
    first: Sequence[str],
    most_columns: int,
    primary: bool,
) -> Table:
    shown = [name for name in ordered if name in first] or list(ordered)
    labels = [label for dim in dims for label in _labels(result, dim)]
    cells = list(itertools.product(*(range(result.sizes[dim]) for dim in dims)))
    arrays = {name: _values(result[name], dims) for name in ordered}
    shown = shown[: max(1, most_columns - len(labels))]
    rows = [
        (*_label_texts(labels, dims, cell), *(_shown(arrays[name][cell]) for name in shown))
        for cell in cells[:ROWS_SHOWN]
    ]
    columns = (*(_title(label) for _, label, _ in labels), *(_title(name) for name in shown))
    return Table(
        f"{of}: {' by '.join(_title(dim) for dim in dims)}",
        columns,
        tuple(rows),
        _csv(labels, dims, cells, arrays),
        len(labels),
        len(cells),
        primary,
        tuple(ordered),
    )


def _rank(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)


def _labels(result: xr.Dataset, dim: str) -> list[tuple[str, str, list[str]]]:
    """The labels on a dim, `(dim, name, texts)`: its own first; its positions where it has none."""
    coords = [str(name) for name, coord in result.coords.items() if coord.dims == (dim,)]
    own = [dim] if dim in coords else []
    others = sorted(name for name in coords if name != dim)
    found = [
        (dim, name.removeprefix(f"{dim}_"), [safe(_plain(v)) for v in result[name].values])
        for name in own + others
    ]
    return found or [(dim, dim, [str(k) for k in range(result.sizes[dim])])]


def _plain(value: object) -> object:
    return f"{float(value):g}" if isinstance(value, (float, np.floating)) else value


def _label_texts(
    labels: list[tuple[str, str, list[str]]], dims: tuple[str, ...], cell: tuple[int, ...]
) -> list[str]:
    return [texts[cell[dims.index(dim)]] for dim, _, texts in labels]


def _values(array: xr.DataArray, dims: tuple[str, ...]) -> np.ndarray:
    return array.transpose(*dims, ...).values


def _title(name: str) -> str:
    return safe(_NAMES.get(name, name.replace("_", " ")))


def _shown(value: np.ndarray | np.generic | str | bool | float) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"[{', '.join(_shown(v) for v in value)}]"
    plain = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    return number(plain) if isinstance(plain, float) else safe(plain)


def _csv(
    labels: list[tuple[str, str, list[str]]],
    dims: tuple[str, ...],
    cells: list[tuple[int, ...]],
    arrays: dict[str, np.ndarray],
) -> str:
    if len(cells) > MOST_VALUES:
        return ""
    header = [label for _, label, _ in labels]
    for name, values in arrays.items():
        header += [f"{name}_lower", f"{name}_upper"] if values.ndim > len(dims) else [name]
    rows = [
        [
            *_label_texts(labels, dims, cell),
            *(v for values in arrays.values() for v in np.ravel(values[cell]).tolist()),
        ]
        for cell in cells
    ]
    return as_csv(header, rows)


def as_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    r"""CSV that a spreadsheet shows as it is: no cell is taken for a formula.

    Examples
    --------
    >>> as_csv(["label", "value"], [["=1+1", -0.5]])
    "label,value\r\n'=1+1,-0.5\r\n"
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(name) for name in header])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if not isinstance(value, str):
        return value
    text = safe(value)
    return f"'{text}" if re.match(r"\s*[=+\-@]", text) else text


def _scalars(result: xr.Dataset, names: Sequence[str], of: str) -> Table:
    rows = [(_title(name), _shown(result[name].values)) for name in names]
    full = as_csv(
        ["name", "value"],
        [[name, v] for name in names for v in np.ravel(result[name].values).tolist()],
    )
    return Table(
        f"{of}: single numbers",
        ("what", "value"),
        tuple(rows),
        full,
        1,
        len(rows),
        False,
        tuple(names),
    )
