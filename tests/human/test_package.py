"""Importing `relstats.human` costs nothing, and its functions keep their names."""

import subprocess
import sys

import relstats.human


def test_nothing_is_imported_before_it_is_used():
    code = "import sys, relstats.human; print('numpy' in sys.modules, dir(relstats.human)[0])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "add_judgments"]


def test_every_name_is_a_function_also_once_its_file_is_loaded():
    for name in relstats.human.__all__:
        assert callable(getattr(relstats.human, name)), name
    from relstats.human.rdm import describe

    assert describe.__module__ == "relstats.human.rdm"
    assert relstats.human.rdm is relstats.rdm
