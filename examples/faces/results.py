"""Print what relstats saved in the study as tables.

Comparisons beside what a t-test over images alone would claim.

python results.py FACES.zarr
"""

from __future__ import annotations

import argparse
import math

import xarray as xr
from scipy import stats

import relstats


def images_only_p(result: xr.Dataset) -> float:
    """Return p of the t-test that has images as its cases: the same estimate over its variance over
    images alone.
    """
    t = abs(result["estimate"].item()) / math.sqrt(result["variance_images"].item())
    return 2 * stats.t.sf(t, int(result["n_images"]) - 1)


def rows(result: xr.Dataset) -> list[str]:
    """Return a line of the table for each effect."""
    lines = []
    for effect in result["effect"].values:
        one = result.isel(contrast=0).sel(effect=effect)
        low, high = one["ci"].values
        p, swap, today = one["p_value"].item(), one["p_swap"].item(), images_only_p(one)
        lines.append(
            f"| {effect} | {one['estimate'].item():.3f} | [{low:.3f}, {high:.3f}] | {p:.2g} |"
            f" {swap:.2g} | {today:.2g} |"
        )
    return lines


def table(name: str, result: xr.Dataset) -> str:
    """Return one result as a table in Markdown."""
    cells = result["cell_mean"]
    means = ", ".join(
        f"{a} on {b} {cells.sel(source_level=a, target_level=b).item():.3f}"
        for a in cells["source_level"].values
        for b in cells["target_level"].values
    )
    head = [
        f"**{name}**: {result['contrast'].values[0]}, {result.attrs['population']}.",
        f"Means (maps of one on networks of the other): {means}.",
        "",
        "| effect | estimate | 95 % interval | p | p, label swap | p, images only |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows(result), ""])


def interval(ci: xr.DataArray, digits: int = 3) -> str:
    """Return the bounds of an interval."""
    return "[" + ", ".join(f"{bound:.{digits}f}" for bound in ci.values) + "]"


def grid(head: list[str], lines: list[list[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]


def shared_table(name: str, result: xr.Dataset) -> str:
    """Return sizes of the core sets, in percent of the pixels."""
    lines = []
    for kind in result["consensus"].values:
        one = result.sel(consensus=kind)
        needed = " and ".join(
            dict.fromkeys(
                f"{k} of {n}"
                for k, n in zip(one["n_needed"].values, result["n_networks"].values, strict=True)
            )
        )
        swapped = 100 * one["expected"].sel(null="image swap").item()
        lines.append(
            [
                str(kind),
                needed,
                f"{100 * one['estimate'].item():.1f}",
                interval(100 * one["ci_these_networks"], 1),
                f"{swapped:.1f}",
                f"{one['p_adjusted'].item():.2g}",
            ]
        )
    head = [
        "pixels of",
        "networks of each condition",
        "% of pixels",
        "95 % interval, these networks",
        "by image swap",
        "p, Holm",
    ]
    about = (
        f"**{name}**: among the top {100 * result.attrs['fraction']:g} %, {int(result['n_images'])}"
        " images."
    )
    return "\n".join([about, "", *grid(head, lines), ""])


def sufficiency_table(name: str, result: xr.Dataset) -> str:
    """Return scores with each set alone, losses without it, and the comparisons with the shared
    set.
    """
    scores, tests = [], []
    for level in result["level"].values:
        one = result.sel(level=level)
        for choice in result["choice"].values:
            kept, lost = one.sel(operation="keep", choice=choice), one.sel(choice=choice)
            scores.append(
                [
                    str(level),
                    str(choice),
                    f"{kept['score_mean'].item():.3f}",
                    interval(kept["score_ci"]),
                    f"{lost['loss_mean'].item():.3f}",
                    interval(lost["loss_ci"]),
                ]
            )
        scores.append(
            [
                str(level),
                "whole image",
                f"{one['whole_mean'].item():.3f}",
                interval(one["whole_ci"]),
                "",
                "",
            ]
        )
        for question in result["question"].values:
            for against in result["against"].values:
                cell = one.sel(question=question, against=against)
                tests.append(
                    [
                        str(level),
                        str(question),
                        str(against),
                        f"{cell['estimate'].item():.3f}",
                        interval(cell["ci"]),
                        f"{cell['p_value'].item():.2g}",
                        f"{cell['p_adjusted'].item():.2g}",
                    ]
                )
    about = (
        f"**{name}**: {result.attrs['score']} with {100 * result['area'].item():.1f} % of the"
        f" pixels, {int(result['n_images'])} images."
    )
    first = grid(
        ["level", "pixels", "kept alone", "95 % interval", "loss when removed", "95 % interval"],
        scores,
    )
    second = grid(
        ["level", "shared set", "less", "difference", "95 % interval", "p", "p, Holm"], tests
    )
    return "\n".join([about, "", *first, "", *second, ""])


def regions_table(name: str, result: xr.Dataset) -> str:
    """Return the mean of each level in each region, and their difference."""
    levels = [str(level) for level in result["level"].values]
    lines = []
    for region in result["region"].values:
        one = result.isel(contrast=0).sel(region=region)
        means = [f"{one['level_mean'].sel(level=level).item():.2f}" for level in levels]
        lines.append(
            [
                str(region),
                f"{100 * one['area'].item():.0f}",
                *means,
                f"{one['estimate'].item():.2f}",
                interval(one["ci"], 2),
                f"{one['p_adjusted'].item():.1g}",
            ]
        )
    about = (
        f"**{name}**: {result.attrs['measure']}, {result['contrast'].values[0]},"
        f" {result.attrs['population']}."
    )
    return "\n".join(
        [
            about,
            "",
            *grid(
                ["region", "% of pixels", *levels, "difference", "95 % interval", "p, Holm"], lines
            ),
            "",
        ]
    )


TABLES = {
    "compare": table,
    "shared": shared_table,
    "sufficiency": sufficiency_table,
    "regions": regions_table,
}


def main() -> None:
    """Print every result of the study that has a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "study", help="the study, after relstats compare, shared, regions or sufficiency"
    )
    study = relstats.open_study(parser.parse_args().study)
    for name, node in study["results"].children.items():
        if node.attrs.get("statistic") in TABLES:
            print(TABLES[node.attrs["statistic"]](name, node.to_dataset()))


if __name__ == "__main__":
    main()
