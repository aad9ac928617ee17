"""Optional packages: what to install where one is missing, rather than which import failed."""

from __future__ import annotations

from importlib.util import find_spec

from relstats.errors import UsageError

_COMPUTE = ("torch", "torchvision", "zennit", "safetensors", "PIL")


def require_compute() -> None:
    """Raise `UsageError` unless networks can be run here."""
    missing = [name for name in _COMPUTE if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed, which computing needs: pip install"
            " 'relstats[compute]'"
        )
