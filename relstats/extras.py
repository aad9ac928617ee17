"""Optional packages: what to install where one is missing, rather than which import failed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from relstats.errors import UsageError

#: What a page with figures needs; a report as Markdown or JSON needs neither.
_REPORT = ("matplotlib", "jinja2")
_COMPUTE = ("torch", "torchvision", "zennit", "safetensors", "PIL")


def require_compute() -> None:
    """Raise `UsageError` unless networks can be run here."""
    _require(_COMPUTE, "which computing needs", "compute")


def require_report() -> None:
    """Raise `UsageError` unless a report with figures can be written here."""
    _require(_REPORT, "which the report needs", "report")


def _require(packages: Sequence[str], purpose: str, extra: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed, {purpose}: pip install 'relstats[{extra}]'"
        )
