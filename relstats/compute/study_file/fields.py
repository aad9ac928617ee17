"""Tables of the study file, read field by field: what is wrong is noted with what to do, and the
reading goes on.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relstats.study.check import Problem

REQUIRED = object()
_SHOWN = 60


@dataclass
class Table:
    """One table of the file, where it stands, and the list that its problems go to."""

    values: dict[str, Any]
    where: str
    problems: list[Problem]
    asked: list[str] = field(default_factory=list)

    def take(self, key: str, convert: Callable[[Any], Any], default: Any = REQUIRED) -> Any:
        """One field, converted; None (and a problem) where it is required and missing, or wrong."""
        self.asked.append(key)
        if key not in self.values:
            if default is REQUIRED:
                self.note(key, "is missing", f"Give {key} = {_about(convert)}")
                return None
            return default
        try:
            return convert(self.values[key])
        except ValueError as error:
            self.note(key, f"is {shown(self.values[key])}", str(error) or f"Give {_about(convert)}")
            return None

    def table(self, key: str, default: Any = REQUIRED) -> Table:
        """A table in this one; empty (and a problem) where it is required and missing."""
        values = self.take(key, mapping, default) or {}
        return Table(
            values,
            f"[{f'{self.where[1:-1]}.' if self.where.startswith('[') else ''}{key}]",
            self.problems,
        )

    def note(self, key: str, what: str, do: str) -> None:
        """A problem of one field."""
        self.problems.append(Problem(f"{self.where} {key}".strip(), what, do))

    def close(self) -> None:
        """Note every key that nobody asked for, with the nearest that exists."""
        for key in self.values:
            if key not in self.asked:
                close = difflib.get_close_matches(key, self.asked, n=2)
                do = (
                    f"Did you mean {' or '.join(close)}?"
                    if close
                    else f"Known here: {', '.join(self.asked)}"
                )
                self.note(key, "is not a known key", do)


def _about(convert: Callable[[Any], Any]) -> str:
    about = (convert.__doc__ or "").rstrip(".")
    return about[:1].lower() + about[1:]


def shown(value: object) -> str:
    """A value as a message shows it: short.

    Examples
    --------
    >>> shown("x" * 100)[-5:]
    'xx...'
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def near(path: Path) -> str:
    """A hint at files of a similar name, for one that is not there; empty where there is none."""
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names)
    return (
        f" Did you mean {' or '.join(repr(str(path.with_name(n))) for n in close)}?"
        if close
        else ""
    )


def text(value: object) -> str:
    """Text in quotes."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of different texts in quotes."""
    if (
        not isinstance(value, list)
        or not all(isinstance(v, str) for v in value)
        or len(set(value)) < len(value)
    ):
        raise ValueError
    return tuple(value)


def mapping(value: object) -> dict[str, Any]:
    """A table."""
    if not isinstance(value, dict):
        raise ValueError
    return value


def text_mapping(value: object) -> dict[str, str]:
    """A table of texts in quotes ('007' is not 7)."""
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError
    return value


def boolean(value: object) -> bool:
    """Either true or false, without quotes."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def positive(value: object) -> float:
    """A number above 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise ValueError
    return float(value)


def count(value: object) -> int:
    """A whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def whole(value: object) -> int:
    """A whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def size(value: object) -> tuple[int, int]:
    """Height and width in pixels, such as [224, 224]."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    return count(value[0]), count(value[1])


def text_or_texts(value: object) -> str | tuple[str, ...]:
    """A list of different texts in quotes, or one text."""
    return text(value) if isinstance(value, str) else texts(value)


def numbers(value: object) -> tuple[float, ...]:
    """One number, or a list of numbers, such as [0.485, 0.456, 0.406]."""
    found: list[Any] = value if isinstance(value, list) else [value]
    if not found or any(
        isinstance(v, bool) or not isinstance(v, int | float) or abs(v) == float("inf") or v != v
        for v in found
    ):
        raise ValueError
    return tuple(float(v) for v in found)


def shares(value: object) -> tuple[float, ...]:
    """A list of different shares of the pixels in (0, 1], such as [0.1, 0.2, 0.4]."""
    found = numbers(value)
    if len(set(found)) < len(found) or not all(0 < v <= 1 for v in found):
        raise ValueError
    return found


def one_of(*choices: str) -> Callable[[object], str]:
    """A converter that takes only these words."""

    def convert(value: object) -> str:
        if value in choices:
            return str(value)
        close = difflib.get_close_matches(str(value), choices, n=1)
        raise ValueError(
            f"Did you mean {close[0]!r}?"
            if close
            else f"Choose one of {', '.join(map(repr, choices))}"
        )

    convert.__doc__ = f"One of {', '.join(map(repr, choices))}"
    return convert
