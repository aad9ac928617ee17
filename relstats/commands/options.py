"""Arguments and options that several commands have, each written once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from relstats.errors import UsageError

_NUMBERS = {int: "a whole number, as in 3,5,10", float: "a number, as in 0.1,0.2"}


def several(*names: str, help: str, kind: Callable[[str], Any] = str, **more: Any) -> Any:
    """An option that takes several values, comma-separated or repeated.

    Parameters
    ----------
    *names : str
        As it is typed; by default as its parameter is called.
    help : str
        What it means.
    kind : callable
        `str`, `int` or `float`: what each value is.
    **more
        Passed to `typer.Option`.

    Returns
    -------
    OptionInfo
        For a parameter that is a list, or None where the option is not given.

    Examples
    --------
    >>> Networks = Annotated[list[int], several(help="Networks in each level.", kind=int)]
    """

    def parse(text: Any) -> list[Any]:
        return split(text, kind)

    def flat(lists: Iterable[list[Any]] | None) -> list[Any] | None:
        return [value for values in lists for value in values] if lists else None

    return typer.Option(*names, help=help, parser=parse, callback=flat, **more)


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
        raise typer.BadParameter(f"there is an empty value in {text!r}")
    return [_value(part, kind) for part in parts]


def _value(text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        wanted = _NUMBERS.get(kind, "such a value")  # type: ignore[call-overload]
        raise typer.BadParameter(f"{text!r} is not {wanted}") from None


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


def replacing(what: str) -> Any:
    """The option that allows to replace what is there: "a study", "regions"."""
    are = "is" if what.startswith("a ") else "are"
    return typer.Option("--force", help=f"Replace {what} that {are} there.")


Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers; it is recorded.", min=0)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")]
Align = Annotated[
    str, typer.Option(help="Images of the groups: exact, or inner (what is dropped is recorded).")
]
Nan = Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")]
Axis = Annotated[str | None, typer.Option(help="Label of the models whose levels are compared.")]
RequiredAxis = Annotated[
    str, typer.Option(help="Label of the models whose levels are compared.", show_default=False)
]
Within = Annotated[
    list[str] | None, several(help="Axes to hold fixed. [default: all others]", show_default=False)
]
Pool = Annotated[list[str] | None, several(help="Axes to mix.")]
Ranking = Annotated[
    str, typer.Option(help="What counts as relevance: positive, absolute or signed.")
]
Degrees = Annotated[str, typer.Option("--df", help="satterthwaite or pooled.")]
Confidence = Annotated[float, typer.Option(help="Confidence level.")]
Swaps = Annotated[int, typer.Option(help="Label swaps where they cannot be enumerated.")]
Random = Annotated[
    list[str] | None,
    several(help="What to generalize to. [default: images,participants,seeds]"),
]
