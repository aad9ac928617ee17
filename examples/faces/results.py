"""Print what `relstats compare` saved in the study, beside what a t-test over images alone would claim.

python results.py FACES.zarr
"""

from __future__ import annotations

import argparse
import math

import xarray as xr
from scipy import stats

import relstats


def images_only_p(result: xr.Dataset) -> float:
    """Return p of the t-test that has images as its cases: the same estimate over its variance over images alone."""
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
            f"| {effect} | {one['estimate'].item():.3f} | [{low:.3f}, {high:.3f}] | {p:.2g} | {swap:.2g} | {today:.2g} |"
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


def main() -> None:
    """Print every comparison of the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="the study, after relstats compare")
    study = relstats.open_study(parser.parse_args().study)
    for name, node in study["results"].children.items():
        if node.attrs.get("statistic") == "compare":
            print(table(name, node.to_dataset()))


if __name__ == "__main__":
    main()
