"""Text for a methods section, the references in it, every parameter, and where all of it comes
from.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from relstats.report.facts import Facts
from relstats.results.tables import is_small
from relstats.results.text import safe

_NOT_PARAMETERS = {
    "method",
    "population",
    "warnings",
    "created",
    "command",
    "seed",
    "rng_state",
    "statistic",
    "dropped_images",
}
_DOI = re.compile(r"doi:(10\.\d{4,}/[^\s,;()]+(?:\([^\s()]*\)[^\s,;()]*)?)")
#: The study's own attributes that are shown on their own, not in the list.
_LONG = ("study_file", "compute_settings")


@dataclass(frozen=True)
class Source:
    """Where one result comes from."""

    name: str
    command: str
    seed: str
    created: str
    version: str
    digest: str


def methods(found: Facts, study: xr.DataTree, results: dict[str, xr.Dataset]) -> list[str]:
    """Paragraphs for a methods section: data, relevance, transfer, then each kind of analysis once.

    Parameters
    ----------
    found : Facts
        Of the study.
    study : DataTree
        Its attributes say how relevance was computed.
    results : dict of str to Dataset
        Each carries its own sentence.
    """
    texts = [_data(found)]
    texts += [_relevance(study["relevance"].attrs)] if "relevance" in study.children else []
    texts += [_transfer(study["transfer"].attrs)] if "transfer" in study.children else []
    for result in results.values():
        text = safe(result.attrs.get("method", ""))
        if text and text not in texts:
            texts.append(text)
    version = safe(found.attrs.get("relstats_version", "unknown"))
    used = ", ".join(
        f"{name} {safe(found.attrs[f'{name}_version'])}"
        for name in ("numpy", "scipy", "xarray", "torch", "zennit")
        if f"{name}_version" in found.attrs
    )
    return [
        *(text for text in texts if text),
        f"Analyses were done with relstats {version}{f' ({used})' if used else ''}.",
    ]


def _data(found: Facts) -> str:
    seeds = sorted(set(found.seeds_per_model.values()))
    per = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else "0"
    axes = "; ".join(
        f"{safe(axis)}: {', '.join(safe(level) for level in levels)}"
        for axis, levels in found.axes.items()
    )
    return (
        f"{len(found.networks)} networks ({len(found.seeds_per_model)} models, {per} seeds"
        f" each{f'; {axes}' if axes else ''}) were studied on {len(found.images)} images."
    )


def _relevance(attrs: Mapping[Any, Any]) -> str:
    known = [
        (title, attrs[key])
        for key, title in (
            ("composite", "composite"),
            ("canonizers", "canonizers"),
            ("explained_class_rule", "explained class"),
            ("dtype", "computed in"),
            ("engine", "engine"),
        )
        if attrs.get(key) not in (None, "", [])
    ]
    if not known:
        return "How relevance was computed is not recorded in the study."
    return (
        "Relevance maps, summed over channels:"
        f" {'; '.join(f'{title} {_text(value)}' for title, value in known)}."
    )


def _transfer(attrs: Mapping[Any, Any]) -> str:
    keys = ("operation", "fill", "ranking", "control")
    known = ", ".join(
        f"{key} {_text(attrs[key])}" for key in keys if attrs.get(key) not in (None, "")
    )
    return (
        "Transfer: networks were shown images masked by other networks'"
        f" maps{f' ({known})' if known else ''}."
    )


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(v) for v in value) or "none"
    if isinstance(value, np.ndarray):
        return _text(value.tolist())
    return safe(value)


def parameters(result: xr.Dataset) -> list[tuple[str, str]]:
    """Every parameter of a result as text."""
    return [
        (safe(key), _text(value))
        for key, value in sorted(result.attrs.items())
        if key not in _NOT_PARAMETERS and not str(key).endswith("_version")
    ]


def references(texts: list[str]) -> list[tuple[str, str]]:
    """The works cited in texts: how they are cited there, and their DOI; sorted.

    Examples
    --------
    >>> references(["as in Gallas 2006 (doi:10.1016/j.acra.2005.12.011), and more"])
    [('Gallas 2006', '10.1016/j.acra.2005.12.011')]
    """
    found: dict[str, str] = {}
    for text in texts:
        for match in _DOI.finditer(text):
            named = re.search(
                r"([A-Z][\w'-]+(?: (?:&|and|et al\.?|[A-Z][\w'-]+))*,? \(?\d{4}\)?)\W*$",
                text[: match.start()],
            )
            doi = match.group(1).rstrip(".")
            found[doi] = named.group(1) if named else found.get(doi, doi)
    return sorted((name, doi) for doi, name in found.items())


def sources(results: dict[str, xr.Dataset]) -> list[Source]:
    """Command, seed, date, version and digest of every result."""
    found = []
    for name, result in results.items():
        command, seed, created, version = (
            safe(result.attrs.get(key, "not recorded"))
            for key in ("command", "seed", "created", "relstats_version")
        )
        found.append(Source(name, command, seed, created, version, digest(result)))
    return found


def digest(result: xr.Dataset) -> str:
    """Sha256 over names, dims and values of all that the page shows of a result, and its
    attributes.
    """
    found = hashlib.sha256(json.dumps(result.attrs, default=_text, sort_keys=True).encode())
    for name in sorted(map(str, result.variables)):
        if is_small(result[name]):
            found.update(
                json.dumps(
                    [name, list(map(str, result[name].dims)), result[name].values.tolist()],
                    default=str,
                ).encode()
            )
    return found.hexdigest()


def provenance(found: Facts) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Short attributes of the study, and the long ones (its file, its settings), as `(name, text)`.

    Long ones keep their line ends.
    """
    short = [
        (safe(key), _text(value)) for key, value in sorted(found.attrs.items()) if key not in _LONG
    ]
    long = [
        (safe(key), "\n".join(safe(line) for line in str(found.attrs[key]).split("\n")))
        for key in _LONG
        if key in found.attrs
    ]
    return short, long
