"""The command about shared pixels as all that networks see, and as all that they miss."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

Study = Annotated[
    str, typer.Argument(help="The study, a Zarr store.", metavar="STUDY", show_default=False)
]


def sufficiency(
    path: Study,
    masks: Annotated[
        str | None,
        typer.Option(help="The result whose shared sets were scored. [default: whichever it is]"),
    ] = None,
    score: Annotated[str, typer.Option(help="probability, correct or margin.")] = "probability",
    axis: Annotated[
        str | None, typer.Option(help="Label of the models: at each of its levels.")
    ] = None,
    normalise: Annotated[str, typer.Option(help="Scores: auto, none or chance.")] = "auto",
    confidence: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    nan: Annotated[str, typer.Option(help="Images with NaN: raise, or omit (counted).")] = "raise",
    align: Annotated[
        str, typer.Option(help="Images of the groups: exact, or inner (recorded).")
    ] = "exact",
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, and nothing else.")
    ] = False,
) -> None:
    """Test whether shared pixels are sufficient and necessary, against other pixels of the same
    area.

    Needs relstats transfer --masks. The result is printed and saved in the study.

    \b
    Examples:
      relstats sufficiency study.zarr
      relstats sufficiency study.zarr --axis pretrain --score correct
    """  # noqa: D301 - the parser knows the character, not its escape
    from relstats.commands import terminal
    from relstats.stats.sufficiency import sufficiency as run
    from relstats.study import store

    study = store.open_study(path, align=align)
    with terminal.dask_progress("sufficiency"):
        result = run(
            study,
            masks=masks,
            score=score,
            axis=axis,
            normalise=normalise,
            confidence=confidence,
            nan=nan,
        )
    result.attrs |= {
        "command": " ".join(sys.argv[1:]),
        "dropped_images": study.attrs.get("dropped_images", []),
    }
    try:
        _print(result, json)
    finally:  # also where nobody reads on, as in `| head`
        told = [
            result.attrs["masks"],
            *([score] * (score != "probability")),
            *([axis] if axis else []),
        ]
        store.save_result(path, "_".join(["sufficiency", *told]), result)


def _print(result: Any, json: bool) -> None:
    from relstats.commands.terminal import note, print_json, print_table
    from relstats.results.text import number, result_dict

    if json:
        return print_json(result_dict(result))
    interval = f"{100 * result.attrs['confidence']:g} % interval"
    area = f"{number(100 * float(result['area']))} % of the pixels"
    columns = ("level", "pixels", "kept", interval, "loss when removed", interval)
    print_table(
        f"{result.attrs['score']} with {area}, and without them", columns, _score_rows(result)
    )
    rows = [
        (
            level,
            question,
            against,
            number(one["estimate"].item()),
            _range(one["ci"]),
            number(one["p_value"].item()),
            number(one["p_adjusted"].item()),
            one["random"].item(),
        )
        for level in result["level"].values
        for question in result["question"].values
        for against in result["against"].values
        for one in [result.sel(level=level, question=question, against=against)]
    ]
    tests = ("level", "shared set", "less", "difference", interval, "p", "p Holm", "random")
    print_table(
        "sufficiency (score kept) and necessity (loss when removed) of the shared set", tests, rows
    )
    note(result.attrs["population"])
    for warning in result.attrs["warnings"]:
        note(f"warning: {warning}")


def _score_rows(result: Any) -> list[tuple[object, ...]]:
    from relstats.results.text import number

    rows: list[tuple[object, ...]] = []
    for level in result["level"].values:
        one = result.sel(level=level)
        kept = one.sel(operation="keep")
        rows += [
            (
                level,
                choice,
                number(kept["score_mean"].sel(choice=choice).item()),
                _range(kept["score_ci"].sel(choice=choice)),
                number(one["loss_mean"].sel(choice=choice).item()),
                _range(one["loss_ci"].sel(choice=choice)),
            )
            for choice in result["choice"].values
        ]
        rows.append(
            (
                level,
                "whole image",
                number(one["whole_mean"].item()),
                _range(one["whole_ci"]),
                "",
                "",
            )
        )
    return rows


def _range(ci: Any) -> str:
    from relstats.results.text import number

    return f"[{', '.join(number(bound) for bound in ci.values)}]"
