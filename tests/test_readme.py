"""The README's example runs as it stands."""

import re
from pathlib import Path

import numpy as np

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_five_lines_run():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(code, names)
    assert names["result"]["estimate"].sizes == {"contrast": 1, "effect": 2}
    assert np.isfinite(names["result"]["p_value"]).all()
    assert len([line for line in code.splitlines() if not line.startswith("import")]) <= 5


def test_every_command_that_it_names_is_there():
    from relstats.cli import app

    named = set(re.findall(r"^relstats (\w+)", README, re.MULTILINE))
    groups = {group.name for group in app.registered_groups}
    assert named == {command.callback.__name__ for command in app.registered_commands} | groups
