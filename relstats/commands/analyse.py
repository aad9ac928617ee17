"""The commands of the analyses, made from the catalogue and from each statistic's own signature and
docstring, when they are called: nothing that an analysis can do is written down twice.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import click

from relstats.commands import options
from relstats.commands.parser import option, parameter
from relstats.results.analysis import Analysis
from relstats.results.catalogue import load, result_name
from relstats.results.signature import REQUIRED, Parameter, signature

if TYPE_CHECKING:
    import xarray as xr

_TYPES: dict[str, type] = {"text": str, "whole": int, "number": float, "flag": bool, "study": str}
#: Dims whose variables are too large for a terminal or for JSON.
_LARGE = ("y", "x", "pair")

_NAME = option(help="Of the result. [default: the statistic, and what is not the default]")
#: A terminal shows all columns that the catalogue names, and wraps them.
_ALL = 99
#: What a command does with a result, and no parameter of the statistic.
_SETTINGS = ("json", "dry_run", "align", "name", "export", "seed")
_EXPORT = option(help="New folder for the result's own files.", metavar="FOLDER")


def command(analysis: Analysis) -> click.Command:
    """The command of an analysis, as the parser knows it.

    Parameters
    ----------
    analysis : Analysis
        From the catalogue.

    Examples
    --------
    >>> from relstats.results.catalogue import ANALYSES
    >>> [command(analysis).params[0].name for analysis in ANALYSES[:2]]
    ['study', 'study']
    """

    def call(study: str, **typed: Any) -> None:
        settings = {name: typed.pop(name) for name in _SETTINGS if name in typed}
        execute(analysis, study, typed, **settings)

    params = _parameters(analysis)
    return click.Command(analysis.command, params=params, callback=call, help=_help(analysis))


def _help(analysis: Analysis) -> str:
    read = signature(analysis.run)
    examples = "\n".join(f"  relstats {line}" for line in analysis.examples)
    heading = "Example" if len(analysis.examples) == 1 else "Examples"
    saved = "The result is printed and saved in the study."
    return f"{_text(read.summary)}\n\n{saved}\n\n\b\n{heading}:\n{examples}"


def _parameters(analysis: Analysis) -> list[click.Parameter]:
    """The study, what the statistic takes, and what is done with the result."""
    read = signature(analysis.run).parameters
    offered = [p for p in read[1:] if p.kind in _TYPES]
    parameters = [parameter("study", options.Study)]
    parameters += [_option(analysis, p) for p in offered]
    if not any(p.name == "align" for p in offered):
        parameters.append(parameter("align", options.Align, "exact"))
    parameters.append(parameter("name", Annotated[str | None, _NAME], None))
    if analysis.export:
        parameters.append(parameter("export", Annotated[str | None, _EXPORT], None))
    if any(p.kind == "rng" for p in read):
        parameters.append(parameter("seed", options.Seed, 0))
    parameters.append(parameter("json", options.Json, False))
    parameters.append(parameter("dry_run", options.DryRun, False))
    return parameters


def _option(analysis: Analysis, described: Parameter) -> click.Parameter:
    """A parameter of the statistic as an option of the command."""
    name = analysis.options.get(described.name, f"--{described.name.replace('_', '-')}")
    text = _text(described.help)
    if not all(choice in text for choice in described.choices):
        text = f"{', '.join(described.choices)}: {text[0].lower()}{text[1:]}"
    kind = _TYPES[described.kind]
    if described.several:
        values = ",".join(map(str, described.default or ()))
        text = f"{text} [default: {values}]" if values else text
        several = options.several(name, help=text, kind=kind)
        return parameter(described.name, Annotated[list, several], None)
    return parameter(described.name, Annotated[kind, option(name, help=text)], described.default)  # type: ignore[valid-type]


def _text(text: str) -> str:
    """Prose of a docstring as a terminal shows it."""
    plain = text.replace("`", "")
    return re.sub(r"Default: (.*?)\.?$", r"[default: \1]", plain)


def execute(
    analysis: Analysis,
    study: str,
    typed: Mapping[str, Any],
    *,
    json: bool = False,
    dry_run: bool = False,
    align: str = "exact",
    name: str | None = None,
    export: str | None = None,
    seed: int = 0,
) -> str:
    """Do an analysis of a study, print its result and save it in the study.

    Parameters
    ----------
    analysis : Analysis
        From the catalogue.
    study : str
        The store.
    typed : mapping
        Parameters of the statistic, as they were typed; those with several values may be None.
    json, dry_run : bool
        Print one JSON object; only say what would be done.
    align : {"exact", "inner"}
        Images of the groups.
    name : str, optional
        Of the result.
    export : str, optional
        New folder for the result's own files.
    seed : int

    Returns
    -------
    str
        The name of the saved result; empty for a dry run.
    """
    from relstats.commands import terminal
    from relstats.results import mask_folder
    from relstats.study import store, writing

    read = {parameter.name: parameter for parameter in signature(analysis.run).parameters}
    arguments = {key: _value(read[key], value) for key, value in typed.items()}
    arguments = {key: value for key, value in arguments.items() if value is not REQUIRED}
    if "align" in read:
        arguments["align"] = align
    opened = store.open_study(study, align="exact" if "align" in read else align)
    if dry_run:
        terminal.note(_plan(analysis, opened, arguments))
        return ""
    if export:
        mask_folder.require_new(export)
    result = _result(analysis, opened, arguments, seed, read)
    name = name or result_name(result.attrs, signature(analysis.run).defaults)
    try:
        show(analysis, result, name, json=json)
    finally:  # also where nobody reads on, as in `| head`
        writing.save_result(study, name, result)
    if export:
        saved = store.open_study(study)[f"results/{name}"].to_dataset()
        load(analysis.export)(saved, export)
    return name


def _value(parameter: Parameter, value: Any) -> Any:
    """What was typed as the statistic takes it; REQUIRED for a default that it should fill in."""
    if parameter.several and not value:
        return REQUIRED
    if parameter.choices and value not in parameter.choices and isinstance(value, str):
        hyphenless = value.replace("-", "_")  # weighted-images, as words on a command line are
        return hyphenless if hyphenless in parameter.choices else value
    if parameter.kind == "study" and value:
        from relstats.study import store

        return store.open_study(value)
    return value


def _result(
    analysis: Analysis,
    study: xr.DataTree,
    arguments: dict[str, Any],
    seed: int,
    read: Mapping[str, Parameter],
) -> xr.Dataset:
    import numpy as np

    from relstats.commands import terminal

    for described in read.values():
        if described.kind == "rng":
            arguments[described.name] = np.random.default_rng(seed)
    function = load(analysis.run)
    what = analysis.command.replace("-", " ")
    if "progress" in read:
        with terminal.progress(what) as advance:
            return function(study, **arguments, progress=advance)
    with terminal.dask_progress(what):
        return function(study, **arguments)


def _plan(analysis: Analysis, study: xr.DataTree, arguments: dict[str, Any]) -> str:
    """What would be done: in the statistic's own words where its module has a `describe`."""
    module = analysis.run.partition(":")[0]
    try:
        describe = load(f"{module}:describe")
    except AttributeError:
        return _plain_plan(analysis, study)
    known = inspect.signature(describe).parameters
    rest = {"study", *(key for key, one in known.items() if one.kind.name == "VAR_KEYWORD")}
    defaults = signature(analysis.run).defaults
    given = {key: arguments.get(key, defaults.get(key)) for key in known if key not in rest}
    if "rng" in given:
        import numpy as np

        given["rng"] = np.random.default_rng(0)
    return str(describe(study, **given))


def _plain_plan(analysis: Analysis, study: xr.DataTree) -> str:
    sizes = {name: dict(study[name].to_dataset().sizes) for name in analysis.reads if name in study}
    parts = [
        f"/{name} ({' x '.join(f'{n} {dim}' for dim, n in size.items())})"
        for name, size in sizes.items()
    ]
    return f"{analysis.command}: would read {', '.join(parts) or 'nothing that is there'}"


def show(analysis: Analysis, result: xr.Dataset, name: str, *, json: bool) -> None:
    """Print a result: its tables on stdout, what it holds for and its warnings on stderr."""
    from relstats.commands import terminal
    from relstats.results.tables import tables
    from relstats.results.text import number, result_dict
    from relstats.results.wording import title

    if json:
        large = [dim for dim in _LARGE if dim in result.dims]
        return terminal.print_json(result_dict(result.drop_dims(large)))
    for table in tables(result, title(name, result), _ALL):
        if set(table.variables) & set(analysis.columns):
            terminal.print_table(table.title, table.columns, table.rows)
            if table.n_rows > len(table.rows):
                terminal.note(
                    f"{table.n_rows - len(table.rows)} more rows: in --json and the report"
                )
    if analysis.note:
        terminal.note(analysis.note)
    terminal.note(result.attrs.get("population", ""))
    if isinstance(result.attrs.get("min_p"), float):
        terminal.note(f"smallest p that resampling can reach: {number(result.attrs['min_p'])}")
    for warning in result.attrs.get("warnings", ()):
        terminal.note(f"warning: {warning}")
