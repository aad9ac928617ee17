"""What a study is: layout, checks, the one reader and writer. Called, it makes one in memory:
`relstats.study(relevance=...)`, see `relstats.study.arrays.study`.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _Study(types.ModuleType):
    """The package, which is a function of the public names too."""

    def __call__(self, **groups: Any) -> Any:
        """Return the study with these groups: `relstats.study.arrays.study`."""
        from relstats.study.arrays import study

        return study(**groups)


sys.modules[__name__].__class__ = _Study
