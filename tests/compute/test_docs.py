"""The study file of docs/compute.md is one: every key is known, every value is taken, and no key is
left out.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from relstats.compute.study_file.settings import (
    FeatureSettings,
    RelevanceSettings,
    TransferSettings,
)
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData

DOCS = Path(__file__).parents[2] / "docs/compute.md"


def test_the_study_file_of_the_docs(tmp_path):
    found = re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    (tmp_path / "study.toml").write_text(found[1])
    with pytest.raises(InvalidData) as caught:
        read_study(tmp_path / "study.toml")
    problems = str(caught.value).splitlines()[1:]
    assert len(problems) == 3  # its files alone are not here
    assert all("does not exist" in line or "no such file" in line for line in problems)
    for field in (*fields(RelevanceSettings), *fields(TransferSettings), *fields(FeatureSettings)):
        assert f"{field.name} = " in found[1]
