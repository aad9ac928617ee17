"""What can differ where optional packages are missing: imports, commands, an analysis of each kind.

`make test-minimal` runs this file alone, without torch, matplotlib, jinja2 and all else that is
optional. Where everything is installed, the other tests try the analyses, and what only an error
can show is left out.
"""

import importlib
import pkgutil
from importlib.util import find_spec

import golden
import pytest
from click.testing import CliRunner
from command_line import run

import relstats
from relstats import cli
from relstats.errors import UsageError

OPTIONAL = ("torch", "torchvision", "zennit", "safetensors", "PIL", "h5py", "matplotlib", "jinja2")
IS_MINIMAL = not any(find_spec(package) for package in OPTIONAL)
minimal = pytest.mark.skipif(not IS_MINIMAL, reason="optional packages are installed")

#: Modules that need an optional package, and may fail to be imported without it.
NEED_A_PACKAGE = (
    "relstats.compute",
    "relstats.demo",
    "relstats.report",
    "relstats.inputs.virelay",
)
MODULES = [module.name for module in pkgutil.walk_packages(relstats.__path__, "relstats.")]
#: The first golden case of each statistic.
FIRST = list({case.split()[0]: case for case in reversed(golden.CASES)}.values())


def test_every_module_is_imported_but_those_that_name_a_package():
    missing = {}
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing[module] = error.name
    assert set(missing.values()) <= {name for name in OPTIONAL if not find_spec(name)}
    assert [name for name in missing if not name.startswith(NEED_A_PACKAGE)] == []


def paths(command, path=()):
    """The words of a command and of all below it."""
    below = getattr(command, "commands", {})
    return [path, *(one for name in below for one in paths(below[name], (*path, name)))]


@pytest.mark.parametrize("path", paths(cli.app), ids=" ".join)
def test_every_command_has_its_help(path):
    answer = CliRunner().invoke(cli.app, [*path, "--help"], prog_name="relstats")
    assert answer.exit_code == 0, answer.exception
    assert answer.output.strip().startswith(f"Usage: {' '.join(('relstats', *path))} ")


def test_every_public_name_is_there():
    assert [name for name in relstats.__all__ if not hasattr(relstats, name)] == []


@minimal
@pytest.mark.parametrize("case", FIRST)
def test_an_analysis_of_each_kind_has_its_numbers(case):
    found = golden.compare(case, golden.read()[case], golden.frozen(case))
    assert [difference for difference in found if not difference.is_same] == []


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the folder of a study file, a label image and a simulated study, s.zarr."""
    folder = tmp_path_factory.mktemp("minimal")
    assert run("simulate", folder / "s.zarr", "--seeds", 2, "--images", 6, "--size", 8)[0] == 0
    for name in ("study.toml", "labels.png"):
        (folder / name).touch()
    return folder


@minimal
def test_commands_take_a_study_to_results(study, monkeypatch):
    monkeypatch.chdir(study)
    for arguments in (
        ("validate", "s.zarr"),
        ("compare", "s.zarr", "--axis", "pretrain"),
        ("stability", "s.zarr"),
        ("inspect", "s.zarr"),
    ):
        code, out, _ = run(*arguments)
        assert code == 0
        assert out
    assert len(relstats.open_study("s.zarr")["results"].children) == 2


COMPUTING = "torch, torchvision, zennit, safetensors, PIL not installed, which computing needs"


@minimal
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compute", "study.toml", "new.zarr"), f"{COMPUTING}: pip install 'relstats[compute]'"),
        (("transfer", "study.toml", "new.zarr"), COMPUTING),
        (("run", "study.toml", "new.zarr"), COMPUTING),
        (("demo", "new"), COMPUTING),
        (("report", "s.zarr"), "matplotlib, jinja2 not installed, which the report needs"),
        (("plot", "s.zarr", "data"), "matplotlib is not installed, which figures need"),
        (
            ("virelay", "s.zarr", "a.h5", "--model", "m", "--seed", "0"),
            "h5py not installed, which HDF5 files need",
        ),
        (("add", "regions", "s.zarr", "labels.png", "--names", "face"), "needs pillow"),
    ],
)
def test_a_command_says_which_package_it_lacks(arguments, says, study, monkeypatch):
    monkeypatch.chdir(study)
    code, out, told = run(*arguments)
    assert (code, out) == (2, "")
    assert says in told
    assert "pip install 'relstats[" in told


@minimal
def test_a_drawing_says_which_package_it_lacks():
    drawing, *_ = relstats.plots.figures(relstats.power_table([3], [50]))
    with pytest.raises(UsageError, match=r"matplotlib is not installed.*'relstats\[report\]'"):
        drawing.draw()
