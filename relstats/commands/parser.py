"""Functions as commands: a signature says what is typed, a docstring is the help.

A function stays one that Python can call: its defaults stand in its signature alone, and what only
the command line knows of a parameter stands in `Annotated[type, option(...)]`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import click

from relstats.results.signature import REQUIRED

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class Typed:
    """How a parameter is typed: `option(...)` or `argument(...)`.

    Attributes
    ----------
    kind : type
        `click.Option` or `click.Argument`.
    names : tuple of str
        Of an option; empty: as its parameter is called.
    attrs : dict
        Passed to `kind`.
    """

    kind: type[click.Option] | type[click.Argument]
    names: tuple[str, ...]
    attrs: dict[str, Any]


def option(*names: str, **attrs: Any) -> Typed:
    """A parameter that is typed as --NAME VALUE, or as --NAME where it is a bool.

    Parameters
    ----------
    *names : str
        As it is typed; by default as its parameter is called.
    **attrs
        Passed to `click.Option`; the type and the default are those of the parameter.

    Examples
    --------
    >>> from typing import Annotated
    >>> Out = Annotated[str, option("-o", "--out", help="Folder for the files.", metavar="FOLDER")]
    """
    return Typed(click.Option, names, attrs)


def argument(**attrs: Any) -> Typed:
    """A parameter that is typed by its place.

    Parameters
    ----------
    **attrs
        Passed to `click.Argument`.

    Examples
    --------
    >>> from typing import Annotated
    >>> Out = Annotated[str, argument(help="The study to write.", metavar="OUT.zarr")]
    """
    return Typed(click.Argument, (), attrs)


def command(function: Callable[..., Any], name: str = "") -> click.Command:
    """A function as a command.

    Parameters
    ----------
    function : callable
        Each parameter is annotated with `option` or `argument`.
    name : str
        As it is typed; by default as the function is called, with hyphens.

    Examples
    --------
    >>> from relstats.commands.show import validate
    >>> command(validate).name, [parameter.name for parameter in command(validate).params]
    ('validate', ['path', 'deep', 'json'])
    """
    name = name or function.__name__.replace("_", "-")
    parameters = [
        parameter(each.name, each.annotation, _default(each))
        for each in inspect.signature(function, eval_str=True).parameters.values()
    ]
    return click.Command(name, params=parameters, callback=function, help=function.__doc__)


class Group(click.Group):
    """Commands in the order in which they are given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return list(self.commands)


def _default(parameter: inspect.Parameter) -> Any:
    return REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default


def parameter(name: str, annotation: Any, default: Any = REQUIRED) -> click.Parameter:
    """A parameter as the parser knows it.

    Parameters
    ----------
    name : str
        Of the function's parameter.
    annotation : Annotated
        Its type, and how it is typed.
    default : object
        `REQUIRED` where there is none.

    Examples
    --------
    >>> from typing import Annotated
    >>> parameter("n_swaps", Annotated[int, option(help="Label swaps.")], 99).opts
    ['--n-swaps']
    """
    annotated, typed = get_args(annotation)[:2]
    kind = next((kind for kind in get_args(annotated) if kind is not NoneType), annotated)
    given = {"required": True} if default is REQUIRED else {"default": default}
    attrs = {"type": _PATH if kind is Path else kind} | given | typed.attrs
    if typed.kind is click.Argument:
        return click.Argument([name], **_described(name, default, attrs))
    if kind is bool:
        attrs["is_flag"] = True
    names = typed.names or (f"--{name.replace('_', '-')}",)
    return click.Option([name, *names], **{"show_default": True} | attrs)


def _described(name: str, default: Any, attrs: dict[str, Any]) -> dict[str, Any]:
    """An argument whose help says, as that of options does, whether it can be left out."""
    help, metavar = attrs["help"], attrs.get("metavar", name.upper())
    if default is REQUIRED:
        return attrs | {"help": f"{help}  [required]", "metavar": metavar}
    value = "" if default is None else f"  [default: {default}]"
    return attrs | {"help": f"{help}{value}", "metavar": f"[{metavar}]"}
