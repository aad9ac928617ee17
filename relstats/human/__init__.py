"""Humans: RDMs of networks and of people, and how well they agree, for images and people like those
measured.

Importing this costs nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relstats.human.compare_human import compare_human
    from relstats.human.controls import controls
    from relstats.human.corrections import correct
    from relstats.human.points import points
    from relstats.human.rdm import rdm
    from relstats.human.rdms.comparisons import compare_rdms
    from relstats.human.rsa import rsa
    from relstats.inputs.judgments import add_judgments, read_judgments

__all__ = [
    "add_judgments",
    "compare_human",
    "compare_rdms",
    "controls",
    "correct",
    "points",
    "rdm",
    "read_judgments",
    "rsa",
]

_HOMES = {
    "add_judgments": "relstats.inputs.judgments",
    "compare_rdms": "relstats.human.rdms.comparisons",
    "correct": "relstats.human.corrections",
    "read_judgments": "relstats.inputs.judgments",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relstats.human' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _NamedAfterItsFile(property):
    """A function whose file has its name: `relstats.human.rdm` is the function, also once the file
    is loaded, which would else take the name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(lambda _: getattr(importlib.import_module(f"{__name__}.{name}"), name))

    def __set__(self, instance: Any, value: Any) -> None:
        """Leave the name to the function."""


class _Package(ModuleType):
    """The package, whose functions are looked up before its files."""

    compare_human = _NamedAfterItsFile("compare_human")
    controls = _NamedAfterItsFile("controls")
    points = _NamedAfterItsFile("points")
    rdm = _NamedAfterItsFile("rdm")
    rsa = _NamedAfterItsFile("rsa")


sys.modules[__name__].__class__ = _Package
