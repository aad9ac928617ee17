"""Commands that exchange maps with ViRelAy: HDF5 attribution files, one for each network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from relstats.errors import UsageError

virelay = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Exchange maps with ViRelAy: HDF5 attribution files.",
)


def _require_h5py() -> None:
    """Raise `UsageError` unless HDF5 files can be read; the help of a command needs no package."""
    if find_spec("h5py") is None:
        raise UsageError(
            "h5py not installed, which HDF5 files need: pip install 'relstats[compute]'"
        )


@virelay.command()
def export(
    path: Annotated[str, typer.Argument(help="The study.", metavar="STUDY", show_default=False)],
    out: Annotated[
        str, typer.Argument(help="The file to write.", metavar="OUT.h5", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="Model of the network.", show_default=False)],
    seed: Annotated[str, typer.Option(help="Its training run.", show_default=False)],
) -> None:
    """Write the maps of one network.

    \b
    Example:
      relstats virelay export faces.zarr --model gender --seed 0 gender-0.h5
    """  # noqa: D301 - the parser knows the character, not its escape
    _require_h5py()
    from relstats.inputs.virelay import write_virelay
    from relstats.study import store

    write_virelay(store.open_study(path), model, seed, out)
    print(out)


@virelay.command("import")
def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Of each network.", metavar="MODEL:SEED=FILE.h5...", show_default=False
        ),
    ],
    out: Annotated[
        str, typer.Argument(help="The study to write.", metavar="OUT.zarr", show_default=False)
    ],
    images: Annotated[
        str | None, typer.Option(help="Text file: the id of each image, one a line, index 0 first.")
    ] = None,
) -> None:
    """Make a study of attribution files; channels are summed.

    \b
    Example:
      relstats virelay import gender:0=g0.h5 gender:1=g1.h5 faces.zarr --images ids.txt
    """  # noqa: D301 - the parser knows the character, not its escape
    _require_h5py()
    import xarray as xr

    from relstats.commands.terminal import note
    from relstats.inputs.virelay import read_virelay
    from relstats.study import store

    ids = Path(images).read_text(encoding="utf-8-sig").splitlines() if images else None
    group = read_virelay(_networks(files), images=ids)
    if ids is None:
        note("note: images are called by their index (0, 1, ...): give --images for their ids")
    store.save_study(xr.DataTree.from_dict({"/relevance": group}), out)
    print(out)


def _networks(files: list[str]) -> dict[tuple[str, str], str]:
    """`gender:0=g0.h5` as the file of a model and a seed."""
    found = {}
    for text in files:
        name, _, file = text.partition("=")
        model, _, seed = name.rpartition(":")
        if not (model and seed and file):
            raise UsageError(
                f"{text!r} does not say whose maps it holds: give MODEL:SEED=FILE.h5, as"
                f" gender:0={Path(text).name}"
            )
        if (model, seed) in found:
            raise UsageError(
                f"model {model!r}, seed {seed!r} is given twice: each network has one file"
            )
        found[model, seed] = file
    return found
