"""What the README and the pages of docs/ show runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    page.name: page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}
CODE = {name: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for name, text in PAGES.items()}


def test_the_five_lines_run():
    (code,) = CODE["README.md"]
    names = {}
    exec(code, names)
    assert names["result"]["estimate"].sizes == {"contrast": 1, "effect": 2}
    assert np.isfinite(names["result"]["p_value"]).all()
    assert len([line for line in code.splitlines() if not line.startswith("import")]) <= 5


@pytest.mark.parametrize("page", [name for name, code in CODE.items() if code])
def test_examples_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "dask.distributed" in PAGES[page]:
        pytest.importorskip("distributed")
    names = {"__name__": "__main__"}
    for code in CODE[page]:
        exec(code, names)
    assert "relstats" in names


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_is_there(page):
    from relstats.cli import app

    named = set(re.findall(r"^relstats ([\w-]+)", PAGES[page], re.MULTILINE))
    known = set(app.commands)
    assert named <= known
    if page == "README.md":  # all of them; the demo by its target of make
        shown = set(re.findall(r"`(?:relstats )?([a-z-]+)", PAGES[page])) | named
        assert known - shown == {"demo"}
