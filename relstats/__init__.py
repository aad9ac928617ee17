"""relstats: compare relevance maps across networks.

Importing relstats costs nothing: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from relstats.results.entries import ANALYSES

__version__ = "0.1.0"

_HOMES = {analysis.statistic: analysis.run.partition(":")[0] for analysis in ANALYSES} | {
    "open_study": "relstats.study.store",
    "save_study": "relstats.study.save",
    "save_result": "relstats.study.writing",
    "study": "relstats.study.arrays",
    "relevance_dataset": "relstats.study.arrays",
    "transfer_dataset": "relstats.study.arrays",
    "simulate": "relstats.stats.planning.simulate",
    "Planted": "relstats.stats.planning.planted",
    "add_regions": "relstats.inputs.regions",
    "regions_dataset": "relstats.inputs.regions",
    "add_human_maps": "relstats.inputs.human_maps",
    "add_choices": "relstats.inputs.choices",
    "power": "relstats.stats.planning.power",
    "power_table": "relstats.stats.planning.power",
    "pilot_components": "relstats.stats.planning.pilot",
    "add_judgments": "relstats.human",
    "read_judgments": "relstats.human",
    "compare_rdms": "relstats.human",
    "correct": "relstats.human",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "human":
        return importlib.import_module("relstats.human")
    if name not in _HOMES:
        raise AttributeError(f"module 'relstats' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
