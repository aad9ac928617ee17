"""How Sphinx builds these pages (`make docs`).

What repeats the source is written from it into _made, and cannot grow old.
"""

import re
import shutil
from pathlib import Path

from click.testing import CliRunner

import relstats
from relstats import cli
from relstats.results.analysis import Analysis
from relstats.results.entries import ANALYSES, QUESTIONS
from relstats.results.signature import signature
from relstats.study.variables import VARIABLES

HERE = Path(__file__).parent
MADE = HERE / "_made"
RESULTS = "../benchmarks/results/"

project = "relstats"
author = "The relstats developers"
release = relstats.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_made/*.txt"]
html_theme = "furo"
html_title = "relstats"
html_show_copyright = False
autodoc_typehints = "none"  # numpydoc's Parameters say the types, with shapes and units
numpydoc_show_class_members = False
autosummary_generate = False
myst_heading_anchors = 3


def functions() -> str:
    """One entry for each public name, in the order of relstats."""
    names = [name for name in relstats.__all__ if name != "__version__"]
    kinds = ["class" if isinstance(getattr(relstats, name), type) else "function" for name in names]
    entry = "## {1}\n\n```{{eval-rst}}\n.. auto{0}:: relstats.{1}\n```\n"
    return "\n".join(entry.format(kind, name) for kind, name in zip(kinds, names, strict=True))


def commands() -> str:
    """What each command answers to --help."""
    return "\n".join(_helps(cli.app, []))


def _helps(command: object, path: list[str]) -> list[str]:
    answer = CliRunner().invoke(
        cli.app, [*path, "--help"], prog_name="relstats", terminal_width=88, color=False
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", answer.output).strip()
    own = [f"## relstats {' '.join(path)}\n\n```text\n{text}\n```\n"] if path else []
    return own + [
        one
        for name, sub in getattr(command, "commands", {}).items()
        for one in _helps(sub, [*path, name])
    ]


def analyses() -> str:
    """The analyses of each question: what they do, their command, their data."""
    entries = {
        text: [_analysis(analysis) for analysis in ANALYSES if analysis.question == key]
        for key, text in QUESTIONS.items()
    }
    return "\n".join(f"## {text}\n\n{''.join(told)}" for text, told in entries.items() if told)


def _analysis(analysis: Analysis) -> str:
    gaps = [setting.gap.replace("{axis}", "an axis") for setting in analysis.planned]
    groups = {group: None for setting in analysis.planned for group in setting.reads}
    reads = ", ".join(f"`/{group}`" for group in groups)
    examples = "\n".join(f"relstats {line}" for line in analysis.examples)
    return (
        f"### {analysis.command}\n\n{signature(analysis.run).summary}\n\n"
        f"```sh\n{examples}\n```\n\nReads {reads}. Without it: {' '.join(gaps)}\n\n"
    )


def variables() -> str:
    """The table of groups and variables."""
    rows = [["group", "variable", "dims", "type", "what it is"], ["---"] * 5]
    for v in VARIABLES:
        dims = ", ".join((*v.dims, *(f"[{dim}]" for dim in v.optional_dims)))
        rows.append([f"`/{v.group}`", f"`{v.name}`", dims, v.dtype, v.prose])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _link_to_copies(app: object, name: str, source: list[str]) -> None:
    """Links to the measured tables lead to their copies here.

    In the repository they lead to the tables themselves.
    """
    source[0] = source[0].replace(f"({RESULTS}", "(_made/results/")


def setup(app: object) -> None:
    """Write what is made from the source, then let Sphinx read."""
    shutil.rmtree(MADE, ignore_errors=True)
    (MADE / "results").mkdir(parents=True)
    for table in (HERE / RESULTS).glob("*.md"):
        text = table.read_text(encoding="utf-8")
        title = "" if text.startswith("#") else f"# {table.stem.replace('_', ' ').capitalize()}\n\n"
        (MADE / "results" / table.name).write_text(title + text, encoding="utf-8")
    for made in (functions, commands, variables, analyses):
        (MADE / f"{made.__name__}.txt").write_text(made(), encoding="utf-8")
    app.connect("source-read", _link_to_copies)  # type: ignore[attr-defined]
