"""The rules that the project sets itself: what an import costs, what is shipped, what the suite
refuses.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import relstats

ROOT = Path(__file__).parents[1]
CONFTEST = (ROOT / "conftest.py").read_text().replace('pytest_plugins = ["pytester"]\n', "")
REAL_TEST = (
    "import pytest\n@pytest.mark.real\ndef test_real(real_data): assert real_data.is_dir()\n"
)

WORKERS = ([], ["-n", "2"])  # in one process, and with pytest-xdist


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("RELSTATS_DATA", "RELSTATS_REQUIRE_REAL"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makeini(
        "[pytest]\nmarkers = real: needs the real data\naddopts = --strict-markers -p"
        " no:cacheprovider"
    )
    return pytester


def test_importing_relstats_loads_no_heavy_package() -> None:
    heavy = {"torch", "zennit", "matplotlib", "pandas", "numba", "xarray", "jinja2"}
    code = f"import sys, relstats; print(*{heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_types_are_shipped() -> None:
    assert (Path(relstats.__file__).parent / "py.typed").is_file()


def test_every_version_agrees() -> None:
    assert version("relstats") == relstats.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == relstats.__version__


def test_every_dependency_says_why_in_three_words() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    named = project["dependencies"] + [
        name for extra in project["optional-dependencies"].values() for name in extra
    ]
    reasons = dict(re.findall(r'^    "(.+)", # (.+)$', text, re.MULTILINE))
    assert set(reasons) >= set(named)
    assert [
        reason for name, reason in reasons.items() if name in named and len(reason.split()) != 3
    ] == []


def test_constraints_are_pins_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*|#.*", line)
    ] == []
    assert len(lines) > 50


@pytest.mark.parametrize("workers", WORKERS)
def test_real_tests_are_skipped_and_counted_without_data(
    suite: pytest.Pytester, workers: list[str]
) -> None:
    suite.makepyfile(test_one=REAL_TEST, test_two=REAL_TEST)
    run = suite.runpytest_subprocess(*workers)
    run.assert_outcomes(skipped=2)
    run.stdout.fnmatch_lines(["2 real-data tests skipped: RELSTATS_DATA is unset"])


@pytest.mark.parametrize("workers", WORKERS)
def test_a_skipped_real_test_fails_where_real_data_are_required(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    suite.makepyfile(REAL_TEST)
    monkeypatch.setenv("RELSTATS_REQUIRE_REAL", "1")
    run = suite.runpytest_subprocess(*workers)
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines(["*RELSTATS_REQUIRE_REAL=1 wants it run*"])


def test_a_worker_has_one_thread(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What numpy and torch take from the environment when they are loaded."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    suite.makepyfile("import os\ndef test_it(): assert os.environ['OMP_NUM_THREADS'] == '1'")
    suite.runpytest_subprocess("-n", "1").assert_outcomes(passed=1)


def test_real_tests_run_with_data(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile(REAL_TEST)
    monkeypatch.setenv("RELSTATS_DATA", str(suite.path))
    monkeypatch.setenv("RELSTATS_REQUIRE_REAL", "1")
    run = suite.runpytest_subprocess()
    run.assert_outcomes(passed=1)
    run.stdout.no_fnmatch_line("*real-data tests skipped*")


def test_a_data_folder_that_is_not_there_stops_the_run(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELSTATS_DATA", "no/such/folder")
    run = suite.runpytest_subprocess()
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*RELSTATS_DATA='no/such/folder' is not a folder*"])


@pytest.mark.parametrize("package", ["json", "no_such_package"])
def test_a_room_without_its_package_is_left_out_aloud(suite: pytest.Pytester, package: str) -> None:
    suite.makeconftest(CONFTEST.replace('"torch"', repr(package)))
    room = suite.mkdir("tests") / "compute"
    room.mkdir()
    (room / "test_inside.py").write_text(f"import {package}\ndef test_it(): pass\n")
    suite.makepyfile("def test_outside(): pass")
    run = suite.runpytest_subprocess()
    missing = package == "no_such_package"
    run.assert_outcomes(passed=1 if missing else 2)
    said = f"tests/compute not tested: {package} is not installed*"
    run.stdout.fnmatch_lines([said]) if missing else run.stdout.no_fnmatch_line(said)
