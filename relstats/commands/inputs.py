"""`relstats add`: what others bring to a study; and `relstats virelay`, which hands maps on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from relstats.commands.options import Align, DryRun, Json, Study, replacing, several, size
from relstats.commands.parser import Group, argument, command, option
from relstats.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr


def judgments(
    path: Study,
    source: Annotated[
        str,
        argument(
            help=".csv, .npz, .json, a Zarr store, or a folder of .csv or .json.", metavar="FILE"
        ),
    ],
    kind: Annotated[
        str | None,
        option(help="What a large number means: similarity or dissimilarity."),
    ] = None,
    format: Annotated[
        str | None,
        option(
            help="ratings, pairs, matrix, triplets or arrangement. [default: as the file shows]"
        ),
    ] = None,
    task: Annotated[
        str | None, option(help="Name of the arrangement task, in files with several.")
    ] = None,
    align: Align = "exact",
    force: Annotated[bool, replacing("judgments")] = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Judgments of people on the images of a study, matched by the ids of the images.

    \b
    Examples:
      relstats add judgments study.zarr ratings.csv --kind similarity
      relstats add judgments study.zarr arrangements.json
      relstats add judgments study.zarr matrices.npz --kind dissimilarity --align inner
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.inputs.judgments import add_judgments

    group = add_judgments(
        path, source, kind=kind, format=format, task=task, align=align, force=force, dry_run=dry_run
    )
    facts = _facts(group)
    if json:
        print_json(facts)
    else:
        counts = facts["n_judged"].values()
        rows = [
            ("format", facts["format"] + (" (as the file shows)" if format is None else "")),
            ("kind", facts["kind"]),
            ("participants", facts["n_participants"]),
            ("images", facts["n_images"]),
            (
                "pairs of each participant",
                f"{min(counts)} to {max(counts)} of {facts['n_pairs']}",
            ),
        ]
        print_table("judgments that would be added" if dry_run else "judgments", ("", ""), rows)
    for warning in group.attrs["warnings"]:
        note(f"warning: {warning}")


def _facts(group: xr.Dataset) -> dict[str, Any]:
    """How many people judged how many images, and what the file says of itself."""
    counts = group["dissimilarity"].notnull().sum("pair").values
    images = {*group["image_i"].values.tolist(), *group["image_j"].values.tolist()}
    people = group["participant"].values
    return {
        **{str(name): value for name, value in group.attrs.items()},
        "n_participants": int((counts > 0).sum()),
        "n_images": len(images),
        "n_pairs": group.sizes["pair"],
        "n_judged": {str(p): int(n) for p, n in zip(people, counts, strict=True)},
    }


def regions(
    path: Study,
    source: Annotated[
        str,
        argument(
            help="landmarks.csv, masks.npz, labels.png or .npy, or a folder of ID.png.",
            metavar="FILE",
        ),
    ],
    landmark_size: Annotated[
        str | None,
        option(
            help=(
                "Size of the images on which landmarks were found: 160, or 120x160 (height x"
                " width)."
            )
        ),
    ] = None,
    dilation: Annotated[
        float, option(help="Of landmarks' hulls, in inter-ocular distances.")
    ] = 0.1,
    overlap: Annotated[
        str, option(help="Pixels in several parts: to the nearest, or keep in all.")
    ] = "nearest",
    names: Annotated[
        list[str] | None, several(help="Regions of the labels 1, 2, ... of label images.")
    ] = None,
    image_column: Annotated[
        str, option(help="Column of the landmarks that names the image.")
    ] = "image",
    match: Annotated[
        str, option(help="Label of the images that these names equal, such as path.")
    ] = "image",
    align: Align = "exact",
    force: Annotated[bool, replacing("regions")] = False,
    json: Json = False,
) -> None:
    """Regions of the images: landmarks, boolean masks or label images.

    \b
    Examples:
      relstats add regions study.zarr landmarks.csv --landmark-size 160
      relstats add regions study.zarr labels.png --names eyes,nose,mouth
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import print_json
    from relstats.inputs.regions import add_regions
    from relstats.results.text import result_dict

    summary = add_regions(
        path,
        source,
        landmark_size=size(landmark_size, "--landmark-size", "160, or 120x160"),
        dilation=dilation,
        overlap=overlap,
        names=names or (),
        image_column=image_column,
        match=match,
        align=align,
        force=force,
    )
    if json:
        return print_json(result_dict(summary))
    _print_regions(summary)


def _print_regions(summary: xr.Dataset) -> None:
    from relstats.commands.terminal import note, print_table
    from relstats.results.text import number

    shares = 100 * summary["area"].values
    rows = [
        (region, number(float(share)), int(empty))
        for region, share, empty in zip(
            summary["region"].values, shares, summary["n_empty"].values, strict=True
        )
    ]
    title = f"regions of {int(summary['n_images'])} image(s)"
    print_table(title, ("region", "% of pixels", "empty on"), rows)
    note(
        f"overlap: {100 * float(summary['overlapping']):.2g} % of an image's pixels at most are in"
        " several regions"
    )
    if summary.attrs.get("landmark_size_stated") == "False":
        note(
            "warning: landmarks are taken to be in pixels of the maps"
            f" ({summary.attrs['landmark_size']}); if they were found on images of another size,"
            " give it: --landmark-size, with --force"
        )
    _note_counts(summary, "n_images_dropped", "n_images_without_masks")


def _note_counts(summary: xr.Dataset, *names: str) -> None:
    """A warning for each count of things that were left out or are missing."""
    from relstats.commands.terminal import note

    for name in names:
        if summary.attrs.get(name):
            note(f"warning: {summary.attrs[name]} {name.removeprefix('n_').replace('_', ' ')}")


def human_maps(
    path: Study,
    source: Annotated[
        str,
        argument(
            help="maps.npz, maps.zarr, a folder of .png or .npy, or fixations.csv.", metavar="FILE"
        ),
    ],
    bandwidth: Annotated[
        float | None,
        option(help="Of fixations: standard deviation of the Gaussian, in pixels."),
    ] = None,
    fixation_size: Annotated[
        str | None,
        option(
            help=(
                "Size of the images that were looked at: 600, or 600x800 (height x width)."
                " [default: the maps']"
            )
        ),
    ] = None,
    resize: Annotated[
        bool,
        option("--resize", help="Bring maps of another size to that of the study's, by area."),
    ] = False,
    align: Align = "exact",
    force: Annotated[bool, replacing("maps")] = False,
    json: Json = False,
) -> None:
    """People's own maps: what they looked at, marked or needed to see.

    \b
    Examples:
      relstats add human-maps study.zarr fixations.csv --bandwidth 25 --fixation-size 600x800
      relstats add human-maps study.zarr bubbles/ --resize
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import print_json, print_table
    from relstats.inputs.human_maps import add_human_maps
    from relstats.results.text import result_dict

    summary = add_human_maps(
        path,
        source,
        bandwidth=bandwidth,
        fixation_size=size(fixation_size, "--fixation-size", "600, or 600x800"),
        resize=resize,
        align=align,
        force=force,
    )
    if json:
        return print_json(result_dict(summary))
    n_images = int(summary["n_images"])
    rows = [
        (person, int(n), n_images - int(n))
        for person, n in zip(summary["participant"].values, summary["n_maps"].values, strict=True)
    ]
    title = f"maps of people, of {n_images} image(s)"
    print_table(title, ("participant", "maps", "none"), rows)
    _note_counts(summary, "n_images_dropped", "n_images_without_maps", "n_fixations_outside")


def choices(
    path: Study,
    source: Annotated[str, argument(help="Table: participant, image, choice.", metavar="FILE.csv")],
    align: Align = "exact",
    force: Annotated[bool, replacing("choices")] = False,
    json: Json = False,
) -> None:
    """People's own choices: which class each of them said an image is.

    \b
    Example:
      relstats add choices study.zarr choices.csv
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands.terminal import print_json, print_table
    from relstats.inputs.choices import add_choices
    from relstats.results.text import result_dict

    summary = add_choices(path, source, align=align, force=force)
    if json:
        return print_json(result_dict(summary))
    people, counts = summary["participant"].values, summary["n_choices"].values
    rows = [(person, int(n)) for person, n in zip(people, counts, strict=True)]
    title = (
        f"choices of {int(summary['n_classes'])} class(es) for {int(summary['n_images'])} image(s)"
    )
    print_table(title, ("participant", "choices"), rows)
    _note_counts(summary, "n_images_dropped", "n_images_without_choices")


def add_virelay(
    path: Annotated[
        str,
        argument(help="The study; made where there is none.", metavar="STUDY"),
    ],
    files: Annotated[
        tuple[str, ...],
        argument(help="Of each network.", metavar="MODEL:SEED=FILE.h5...", nargs=-1),
    ],
    images: Annotated[
        str | None, option(help="Text file: the id of each image, one a line, index 0 first.")
    ] = None,
) -> None:
    """Maps of ViRelAy's attribution files, HDF5, one for each network; channels are summed.

    \b
    Example:
      relstats add virelay faces.zarr gender:0=g0.h5 gender:1=g1.h5 --images ids.txt
    """  # noqa: D301 - the parser knows the character, not its escape
    _require_h5py()
    import xarray as xr

    from relstats.commands.terminal import note
    from relstats.inputs.virelay import read_virelay
    from relstats.study import save

    ids = Path(images).read_text(encoding="utf-8-sig").splitlines() if images else None
    group = read_virelay(_networks(files), images=ids)
    if ids is None:
        note("note: images are called by their index (0, 1, ...): give --images for their ids")
    save.save_study(xr.DataTree.from_dict({"/relevance": group}), path)
    print(path)


def _networks(files: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """`gender:0=g0.h5` as the file of a model and a seed."""
    networks: dict[tuple[str, str], str] = {}
    for text in files:
        name, _, file = text.partition("=")
        model, _, seed = name.rpartition(":")
        if not (model and seed and file):
            raise UsageError(
                f"{text!r} does not say whose maps it holds: give MODEL:SEED=FILE.h5, as"
                f" gender:0={Path(text).name}"
            )
        if (model, seed) in networks:
            raise UsageError(
                f"model {model!r}, seed {seed!r} is given twice: each network has one file"
            )
        networks[model, seed] = file
    return networks


def virelay(
    path: Study,
    out: Annotated[str, argument(help="The file to write.", metavar="OUT.h5")],
    model: Annotated[str, option(help="Model of the network.")],
    seed: Annotated[str, option(help="Its training run.")],
) -> None:
    """Write the maps of one network for ViRelAy, an HDF5 attribution file.

    The way back: relstats add virelay.

    \b
    Example:
      relstats virelay faces.zarr gender-0.h5 --model gender --seed 0
    """  # noqa: D301 - the parser knows the character, not its escape
    _require_h5py()
    from relstats.inputs.virelay import write_virelay
    from relstats.study import store

    write_virelay(store.open_study(path), model, seed, out)
    print(out)


def _require_h5py() -> None:
    if find_spec("h5py") is None:
        raise UsageError(
            "h5py not installed, which HDF5 files need: pip install 'relstats[compute]'"
        )


add = Group(
    "add",
    [
        command(judgments),
        command(regions),
        command(human_maps),
        command(choices),
        command(add_virelay, "virelay"),
    ],
    no_args_is_help=True,
    help="""Add to a study what its networks do not know: judgments, choices and maps of people,
regions, or maps of another tool. Images are matched by their ids.

\b
Examples:
  relstats add judgments study.zarr ratings.csv --kind similarity
  relstats add judgments study.zarr arrangements.json
  relstats add regions study.zarr landmarks.csv --landmark-size 160
  relstats add human-maps study.zarr fixations.csv --bandwidth 25
  relstats add choices study.zarr choices.csv""",
)
