"""A study's results as one page to read, print and keep: verdict first, then figures, numbers,
methods and provenance.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from relstats.errors import UsageError
from relstats.study import store

__all__ = ["FORMATS", "N_IMAGES", "render", "report"]

FORMATS = ("html", "md", "json")
N_IMAGES = 6


def report(
    path: str | Path,
    out: str | Path,
    *,
    format: str = "html",
    images: Sequence[str] | None = None,
    n_images: int = N_IMAGES,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the report of a study: one file that needs no network and no other file.

    It reads what is in `/results` and computes nothing again. The same study gives the same bytes.

    Parameters
    ----------
    path : str or Path
        A study.
    out : str or Path
        The file to write, whole or not at all.
    format : {"html", "md", "json"}
        A page; Markdown for a paper's draft; all numbers and sentences for a pipeline.
    images : sequence of str, optional
        Ids of the images whose maps the page shows. Default: `n_images`, evenly spaced in the
        study's order.
    n_images : int
        How many.
    force : bool
        Replace a file that is there.
    progress : callable
        Takes how many results are drawn, and of how many.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UsageError
        No such study, an unknown format or image, or a file is there already.
    InvalidData
        The study breaks rules of the layout.

    Examples
    --------
    >>> import tempfile, numpy as np, relstats
    >>> folder = tempfile.mkdtemp()
    >>> _ = relstats.simulate(
    ...     f"{folder}/s.zarr",
    ...     models="2x1",
    ...     seeds=3,
    ...     images=4,
    ...     size=8,
    ...     rng=np.random.default_rng(1),
    ... )
    >>> report(f"{folder}/s.zarr", f"{folder}/report.md", format="md").read_text()[:8]
    '# Report'
    """
    target = Path(out)
    _require_room(target, force)
    study = store.open_study(path)
    text = render(
        study,
        Path(path).resolve().name,
        format=format,
        images=images,
        n_images=n_images,
        progress=progress,
    )
    _write(target, text)
    return target


def render(
    study: xr.DataTree,
    file: str,
    *,
    format: str = "html",
    images: Sequence[str] | None = None,
    n_images: int = N_IMAGES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """The report of an open study as text.

    `file` is the store's name in the commands that it tells. See `report`.
    """
    if format not in FORMATS:
        raise UsageError(f"format is {format!r}; it is one of {', '.join(FORMATS)}")
    from relstats.report import content

    found = content.gather(
        study, file, images=images, n_images=n_images, pictured=format == "html", advance=progress
    )
    if format == "html":
        from relstats.report import page

        return page.html(found)
    from relstats.report import markdown

    return markdown.markdown(found) if format == "md" else markdown.json_text(found)


def _require_room(target: Path, force: bool) -> None:
    if target.is_dir() or (target.exists() and not force):
        what = "is a folder" if target.is_dir() else "is there already: replace it with --force"
        raise UsageError(f"{str(target)!r} {what}, or choose another name")
    if not target.parent.is_dir():
        raise UsageError(
            f"no such folder: {str(target.parent)!r}. Make it, or choose another place for the"
            " report"
        )


def _write(target: Path, text: str) -> None:
    """Whole or not at all; made as any file is, with the rights that the process's umask leaves."""
    scratch = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}")
    try:
        with scratch.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
