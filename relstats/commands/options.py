"""Arguments and options that several commands have, each written once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import click

from relstats.commands.parser import Typed, argument, option
from relstats.errors import UsageError

_METAVARS: dict[Any, str] = {str: "text", int: "integer", float: "float"}
_NUMBERS = {int: "a whole number, as in 3,5,10", float: "a number, as in 0.1,0.2"}


class _Several(click.ParamType):
    """Comma-separated values."""

    def __init__(self, kind: Callable[[str], Any]) -> None:
        self.kind = kind
        self.name = f"{_METAVARS[kind]},..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[Any]:
        """What is typed after the option, once."""
        return split(value, self.kind)


def several(*names: str, help: str, kind: Callable[[str], Any] = str) -> Typed:
    """An option that takes several values, comma-separated or repeated.

    Parameters
    ----------
    *names : str
        As it is typed; by default as its parameter is called.
    help : str
        What it means.
    kind : callable
        `str`, `int` or `float`: what each value is.

    Returns
    -------
    Typed
        For a parameter that is a list, or None where the option is not given.

    Examples
    --------
    >>> Networks = Annotated[list[int], several(help="Networks in each level.", kind=int)]
    """

    def flat(ctx: Any, param: Any, lists: Iterable[list[Any]]) -> list[Any] | None:
        return [value for values in lists or () for value in values] or None

    return option(*names, help=help, type=_Several(kind), multiple=True, callback=flat)


def split(text: str, kind: Callable[[str], Any] = str) -> list[Any]:
    """Comma-separated values; one with a comma stands in double quotes.

    Raises
    ------
    BadParameter
        A value is empty, or no number where numbers are wanted.

    Examples
    --------
    >>> split("eyes,nose"), split('"a, b",c'), split("3,5,10", int)
    (['eyes', 'nose'], ['a, b', 'c'], [3, 5, 10])
    """
    try:
        parts = [part for row in csv.reader([text], skipinitialspace=True) for part in row]
    except csv.Error:
        parts = [text]
    if not all(parts) or not parts:
        raise click.BadParameter(f"there is an empty value in {text!r}")
    return [_value(part, kind) for part in parts]


def _value(text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        wanted = _NUMBERS.get(kind, "such a value")  # type: ignore[call-overload]
        raise click.BadParameter(f"{text!r} is not {wanted}") from None


def size(text: str | None, option: str, example: str) -> tuple[int, int] | None:
    """Height and width of images in pixels.

    Raises
    ------
    UsageError
        The text is no size.

    Examples
    --------
    >>> size("160", "--landmark-size", "160, or 120x160")
    (160, 160)
    >>> size("120x160", "--landmark-size", "160, or 120x160")
    (120, 160)
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise UsageError(f"{option} {text!r} is no size in pixels: give {example} (height x width)")
    return int(parts[0]), int(parts[-1])


def replacing(what: str) -> Typed:
    """The option that allows to replace what is there: "a study", "files"."""
    are = "is" if what.startswith("a ") else "are"
    return option("--force", help=f"Replace {what} that {are} there.")


Study = Annotated[str, argument(help="The study, a Zarr store.", metavar="STUDY")]
Json = Annotated[bool, option("--json", help="One JSON object on stdout, and nothing else.")]
Seed = Annotated[
    int, option(help="Seed of the random numbers; it is recorded.", type=click.IntRange(min=0))
]
DryRun = Annotated[bool, option("--dry-run", help="Say what would be done, and stop.")]
Align = Annotated[
    str, option(help="Images of the groups: exact, or inner (what is dropped is recorded).")
]
Confidence = Annotated[float, option(help="Confidence level.")]
