"""The command line as a new user meets it: what is printed where, exit codes, and that nothing is
lost.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from command_line import run

import relstats
from relstats import cli
from relstats.commands import analyse, old_names, options
from relstats.errors import InvalidData
from relstats.results.catalogue import BY_STATISTIC
from relstats.study import save, store

SMALL = ("--models", "2x1", "--seeds", "3", "--images", "6", "--size", "8")


def run_cold(*arguments, cwd=None, env=None, stdin=None):
    """In a process of its own, for what only shows there."""
    command = [sys.executable, "-W", "error", "-m", "relstats.cli", *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=120,
        stdin=stdin,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "study.zarr"
    code, out, err = run("simulate", path, *SMALL, "--seed", 1)
    assert (code, out) == (0, f"{path}\n"), err
    return path


def labelled(path, labels, maps=None):
    """A study whose labels are the given ones: two models of an axis, three seeds."""
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((2, 3, 4, 6, 6)) if maps is None else maps
    models = pd.DataFrame({"model": ["a", "b"], "pretrain": labels})
    group = relstats.relevance_dataset(maps, models=models, images=list("wxyz"))
    save.save_study(relstats.study(relevance=group, name=labels[0]), path)
    return path


@pytest.mark.parametrize("command", ["", "simulate", "inspect", "validate", "compare", "power"])
def test_help_says_what_and_shows_an_example(command):
    code, out, err = run(*command.split(), "--help")
    assert code == 0
    assert err == ""
    assert f"relstats {command}".strip() in out
    assert ("Example" in out) == bool(command)


IN_NO_HELP = (
    *("numpy", "scipy", "pandas", "xarray", "zarr", "dask", "distributed", "numba", "sklearn"),
    *("torch", "torchvision", "zennit", "h5py", "PIL", "matplotlib", "jinja2", "rich", "pydantic"),
)
EVERY_HELP = f"""
import sys
from click.testing import CliRunner
from relstats import cli

def walk(command, path=()):
    yield path
    for name, below in getattr(command, "commands", {{}}).items():
        yield from walk(below, (*path, name))

for path in walk(cli.app):
    answer = CliRunner().invoke(cli.app, [*path, "--help"], prog_name="relstats")
    assert answer.exit_code == 0, answer.exception
    heavy = [name for name in {IN_NO_HELP!r} if name in sys.modules]
    assert not heavy, f"the help of relstats {{' '.join(path)}} imports {{heavy}}"
    print(*path)
"""


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 31


def test_same_seed_same_study(study, tmp_path):
    assert run("simulate", tmp_path / "again.zarr", *SMALL, "--seed", 1)[0] == 0
    assert run("simulate", tmp_path / "other.zarr", *SMALL, "--seed", 2)[0] == 0
    maps = [
        store.open_study(p)["relevance"]["relevance"].values
        for p in (study, tmp_path / "again.zarr", tmp_path / "other.zarr")
    ]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_simulate_leaves_another_study_alone_unless_forced(tmp_path):
    path = tmp_path / "s.zarr"
    assert run("simulate", path, *SMALL)[0] == 0
    code, out, err = run("simulate", path, *SMALL, "--seed", 7)
    assert (code, out) == (2, "")
    assert "other settings" in err
    assert "--force" in err
    assert run("simulate", path, *SMALL, "--seed", 7, "--force")[0] == 0
    assert (
        run("simulate", path, *SMALL, "--seed", 7)[0] == 0
    )  # the same again: resumed, nothing to do


def test_dry_run_writes_nothing(tmp_path, study):
    code, out, err = run("simulate", tmp_path / "s.zarr", *SMALL, "--dry-run")
    assert (code, out) == (0, "")
    assert "6 networks, 6 images" in err
    assert not (tmp_path / "s.zarr").exists()
    code, out, err = run("compare", study, "--axis", "pretrain", "--dry-run")
    assert (code, out) == (0, "")
    assert "6 networks (30 pairs) on 6 images" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["shared", "--across", "pretrain"],
            r"top 10 % of \d+ networks' maps .* in 2 condition\(s\); 999 swaps",
        ),
        (["stability"], r"spearman of \d+ networks' maps on \d+ images, \d+ pairs within"),
    ],
)
def test_dry_run_of_a_statistic_computes_nothing(study, arguments, said):
    before = sorted(study.rglob("*"))
    code, out, err = run(arguments[0], study, *arguments[1:], "--dry-run")
    assert (code, out) == (0, "")
    assert re.search(said, err)
    assert sorted(study.rglob("*")) == before


def test_inspect_counts_what_is_there(study):
    code, out, _ = run("inspect", study, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["facts"]["models"], found["facts"]["networks"], found["facts"]["images"]) == (
        2,
        6,
        6,
    )
    assert {"axis": "pretrain", "level": "imagenet", "networks": 3} in found["axes"]
    assert [g["complete"] for g in found["groups"]] == ["yes"] * len(found["groups"])
    table = run("inspect", study)[1]
    assert "vggface2" in table
    assert "3 target_seed" in table


def test_validate_says_valid_or_names_every_problem(study, tmp_path):
    assert run("validate", study, "--deep")[:2] == (0, "valid\n")
    path = tmp_path / "s.zarr"
    assert run("simulate", path, *SMALL)[0] == 0
    damaged = path / "relevance/relevance/c/0/1/0/0/0"
    content = bytearray(damaged.read_bytes())
    content[10] ^= 1
    damaged.write_bytes(content)
    (path / "transfer/correct/c/1/2/0/0/0/0").unlink()
    assert run("validate", path)[:2] == (0, "valid\n")  # only --deep reads the data
    code, out, _ = run("validate", path, "--deep", "--json")
    found = json.loads(out)
    assert code == 3
    assert not found["valid"]
    where = " ".join(p["where"] + p["what"] for p in found["problems"])
    assert len(found["problems"]) == 2
    assert "model 'imagenet-gender', seed '1', images 0 to 5" in where
    assert (
        "source_model 'vggface2-gender', source_seed '2', target_model 'imagenet-gender',"
        " target_seed '0'" in where
    )


def test_compare_prints_a_table_and_saves_the_same_numbers(study):
    code, out, err = run(
        "compare", study, "--axis", "pretrain", "--score", "probability", "--seed", 3
    )
    assert code == 0
    assert re.search(r"imagenet\|vggface2 +source_effect", out)
    assert "inference over" in err
    code, text, err = run(
        "compare", study, "--axis", "pretrain", "--score", "probability", "--seed", 3, "--json"
    )
    printed = json.loads(text)
    saved = store.open_study(study)["results"]["compare_pretrain_probability"].to_dataset()
    assert code == 0
    assert err == ""
    np.testing.assert_array_equal(
        printed["variables"]["estimate"]["data"], saved["estimate"].values
    )
    expected = relstats.compare(
        store.open_study(study), axis="pretrain", score="probability", rng=np.random.default_rng(3)
    )
    np.testing.assert_array_equal(saved["estimate"].values, expected["estimate"].values)
    np.testing.assert_array_equal(saved["p_swap"].values, expected["p_swap"].values)
    assert saved.attrs["seed"] == 3


def test_json_has_null_for_nan(tmp_path):
    path = labelled(
        tmp_path / "one.zarr",
        ["x", "y"],
        maps=np.random.default_rng(1).standard_normal((2, 1, 4, 6, 6)),
    )
    code, out, _ = run("compare", path, "--axis", "pretrain", "--measure", "spearman", "--json")
    printed = json.loads(out)
    assert code == 0
    assert "NaN" not in out
    assert printed["variables"]["estimate"]["data"] == [[None, None]]
    assert any("one network only" in w for w in printed["attrs"]["warnings"])


def test_options_take_several_values(study):
    code, out, _ = run(
        "power",
        "--networks",
        "3,5",
        "--networks",
        10,
        "--images",
        "100,1000",
        "--effect",
        0.05,
        "--json",
    )
    table = json.loads(out)
    assert code == 0
    assert table["coords"]["networks"]["data"] == [3, 5, 10]
    assert np.shape(table["variables"]["power"]["data"]) == (3, 2)
    code, out, err = run("compare", study, "--axis", "pretrain", "--fraction", "0.1,0.2", "--json")
    assert json.loads(out)["coords"]["fraction"]["data"] == [0.1, 0.2], err


def test_power_from_a_pilot(study):
    code, out, err = run(
        "power", "--networks", 5, "--images", 100, "--pilot", study, "--axis", "pretrain", "--json"
    )
    assert code == 0
    assert 0 < json.loads(out)["variables"]["detectable_effect"]["data"][0][0] < 1
    assert f"pilot {study}" not in out
    code, _, err = run("power", "--networks", 5, "--images", 100, "--pilot", study)
    assert code == 2
    assert "needs its axis" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("inspect", "nothing.zarr"), 2, "no such study: 'nothing.zarr'"),
        (("validate", "file.txt"), 2, "is not a study"),
        (("compare", "{study}", "--axis", "pretran"), 2, "Did you mean 'pretrain'?"),
        (("compare", "{study}", "--axis", "task"), 4, "has one level, 'gender'"),
        (
            ("compare", "{study}", "--axis", "pretrain", "--measure", "magic"),
            2,
            "measure is 'magic'",
        ),
        (("compare", "{study}", "--axis", "pretrain", "--fraction", "0.3"), 2, "was not measured"),
        (("compare", "{study}", "--axis", "pretrain", "--score", "speed"), 2, "score is 'speed'"),
        (
            ("compare", "{study}", "--axis", "pretrain", "--normalise", "chance"),
            4,
            "number of classes",
        ),
        (("compare", "{study}", "--axis", "pretrain", "--confidence", "95"), 2, "confidence is 95"),
        (("compare", "{study}", "--axis", "pretrain", "--n-swaps", "0"), 2, "n_swaps is 0"),
        (("compare", "{study}"), 2, "--axis"),
        (("simulate", "o.zarr", "--models", "two"), 2, "models is 'two'"),
        (("simulate", "o.zarr", "--seeds", "2,3,4"), 2, "numbers of seeds"),
        (("simulate", "file.txt/o.zarr"), 2, "file.txt"),
        (("simulate", "folder", "--force"), 2, "is not a study"),
        (("power", "--networks", "1", "--images", "10"), 2, "1 networks"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_known_errors_are_one_line_and_an_exit_code(
    arguments, code, message, study, tmp_path, monkeypatch
):
    (tmp_path / "file.txt").write_text("not a study")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("precious")
    monkeypatch.chdir(tmp_path)
    got, out, err = run(*(a.format(study=study) for a in arguments))
    assert (got, out) == (code, ""), err
    assert message in err
    assert "Traceback" not in err
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "precious"
    assert not (tmp_path / "o.zarr").exists()


def test_near_names_are_suggested(study):
    code, _, err = run("inspect", str(study).replace("study", "stdy"))
    assert code == 2
    assert repr(str(study)) in err


HOSTILE = [
    "<script>alert(1)</script>",
    "[bold red]x[/]",
    "\x1b[31mred",
    "a\u202egnirts",
    "$x^2$",
    "../../etc/passwd",
    "7*{{7}}",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_are_shown_literally(label, tmp_path):
    path = labelled(tmp_path / "s.zarr", [label, "plain"])
    code, out, err = run("compare", path, "--axis", "pretrain", "--measure", "spearman")
    shown = label.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert code == 0, err
    assert shown in out
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert shown in run("inspect", path)[1]
    assert json.loads(
        run("compare", path, "--axis", "pretrain", "--measure", "cosine", "--json")[1]
    )["coords"]["source_level"]["data"] == sorted([label, "plain"])


def test_an_axis_cannot_leave_the_study(tmp_path):
    maps = np.random.default_rng(1).standard_normal((2, 3, 4, 6, 6))
    for name in ("../../etc", "..", "a/b", "CON:", "a b", "\0", "x" * 300, "\x1b[31m"):
        models = pd.DataFrame({"model": ["a", "b"], name: ["x", "y"]})
        with pytest.raises(InvalidData, match="become names in the store"):
            relstats.relevance_dataset(maps, models=models, images=list("wxyz"))
    models = pd.DataFrame({"model": ["a", "b"], "my-axis": ["x", "y"]})
    group = relstats.relevance_dataset(maps, models=models, images=list("wxyz"))
    save.save_study(relstats.study(relevance=group), tmp_path / "in" / "s.zarr")
    assert (
        run("compare", tmp_path / "in" / "s.zarr", "--axis", "my-axis", "--measure", "spearman")[0]
        == 0
    )
    assert [p.name for p in tmp_path.rglob("compare_*")] == ["compare_my-axis_spearman"]


def test_plain_text_where_it_is_not_a_terminal(study):
    out = run_cold(
        "compare",
        study,
        "--axis",
        "pretrain",
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert out[0] == 0, out[2]
    assert out[1].isascii()


def test_broken_pipe_is_silent(study):
    command = f"{sys.executable} -m relstats.cli inspect {study} --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


SLOWLY = """
import time
from relstats import cli
from relstats.study import shards
real = shards.write_shard
def slowly(*arguments):
    time.sleep(0.1)
    real(*arguments)
shards.write_shard = slowly
cli.main()
"""


def test_interrupt_exits_130_and_the_same_command_resumes(tmp_path):
    path = tmp_path / "s.zarr"
    arguments = ("simulate", str(path), *SMALL)
    command = [sys.executable, "-c", SLOWLY, *arguments]
    listening = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a shell's background jobs ignore Ctrl-C
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listening)
    for _ in range(3000):
        time.sleep(0.02)
        if (path / "relevance/relevance/c").exists():
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resumes" in err
    assert "Traceback" not in err
    code, out, _ = run("validate", path)
    assert code == 3
    assert "not written" in out
    code, _, err = run("compare", path, "--axis", "pretrain")
    assert code == 3
    assert "Run the command that writes it again" in err
    assert run(*arguments)[0] == 0
    assert run("validate", path, "--deep")[:2] == (0, "valid\n")


def test_version():
    assert run("--version")[:2] == (0, f"relstats {relstats.__version__}\n")


@pytest.mark.parametrize(
    ("shell", "says"), [("/bin/zsh", "#compdef relstats"), ("/bin/fish", "fish")]
)
def test_completion_is_shown_for_the_shell(monkeypatch, shell, says):
    monkeypatch.setenv("SHELL", shell)
    code, out, err = run("--show-completion")
    assert (code, err) == (0, "")
    assert says in out
    assert "_RELSTATS_COMPLETE" in out


def test_completion_of_another_shell_is_refused(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, out, err = run("--show-completion")
    assert (code, out) == (2, "")
    assert "'tcsh'" in err


def test_names_are_completed():
    asks = {"_RELSTATS_COMPLETE": "bash_complete", "COMP_WORDS": "relstats comp", "COMP_CWORD": "1"}
    code, out, err = run_cold(env=asks)
    assert (code, err) == (0, "")
    assert out.split() == ["plain,compute", "plain,compare", "plain,compare-human"]


def test_closed_stdin(study):
    with Path(os.devnull).open() as empty:
        assert run_cold("inspect", study, stdin=empty)[0] == 0


@pytest.mark.parametrize("command", ["simulate", "inspect", "validate", "compare", "power"])
def test_examples_of_the_help_can_be_copied(command):
    code, out, _ = run(command, "--help")
    lines = out.splitlines()
    start = next(k for k, line in enumerate(lines) if line.strip() in ("Example:", "Examples:"))
    assert code == 0
    assert "\\b" not in out
    assert lines[start + 1].startswith(f"    relstats {command} ")


@pytest.mark.parametrize("name", ["faces", "faces.zarr/"])
def test_an_option_of_several_values_leaves_the_study_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("simulate", name, "--models", "2x2", *SMALL[2:])[0] == 0
    options = ("--axis", "pretrain", "--measure", "cosine", "--within", "task")
    code, out, err = run("compare", *options, name)
    assert code == 0, err
    assert "imagenet|vggface2" in out


def test_values_with_commas_are_quoted(study):
    assert options.split('"a, b",c, "d ""e"" f"') == ["a, b", "c", 'd "e" f']
    code, _, err = run("compare", study, "--axis", "pretrain", "--within", '"a,b"')
    assert code == 2
    assert "--within 'a,b': models have no such label" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--networks", "3,five"), "'five' is not a whole number, as in 3,5,10"),
        (("--networks", "3,"), "there is an empty value in '3,'"),
        (("--networks", ""), "there is an empty value in ''"),
        (("--networks", "3", "5"), "comma-separated: --networks A,B"),
    ],
)
def test_values_that_are_none_are_told(arguments, message):
    code, out, err = run("power", *arguments, "--images", "10")
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("judgments add s.zarr r.csv", "relstats add judgments STUDY FILE"),
        ("judgments --help", "relstats add judgments STUDY FILE"),
        ("regions add s.zarr m.npz", "relstats add regions STUDY FILE"),
        ("regions measure s.zarr", "relstats regions STUDY"),
        ("humanmaps add s.zarr m.npz", "relstats add human-maps STUDY FILE"),
        ("humanmaps compare s.zarr", "relstats human-maps STUDY"),
        ("behaviour add s.zarr c.csv", "relstats add choices STUDY FILE"),
        ("behaviour measure s.zarr", "relstats behaviour STUDY"),
        ("virelay export s.zarr o.h5", "relstats virelay STUDY OUT.h5"),
        ("virelay import a:0=g.h5 s.zarr", "relstats add virelay STUDY MODEL:SEED=FILE.h5"),
        ("map s.zarr --axis task", "relstats differences STUDY --axis AXIS"),
        ("compare s.zarr --measure human --axis task", "relstats compare-human STUDY --axis AXIS"),
        ("compare s.zarr --axis task --measure=human", "relstats compare-human STUDY --axis AXIS"),
        ("compare s.zarr --axis task --level 0.9", "--confidence"),
        ("compare s.zarr --axis task --n-resamples=9", "--n-swaps"),
        ("rsa s.zarr --n-resamples 9", "--n-draws"),
        ("compare-human s.zarr --axis task --agreement rho-a", "--comparison"),
        ("compare s.zarr --axis task --agreement rho-a", "relstats compare-human --comparison"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(old, new):
    code, out, err = run(*old.split())
    assert (code, out) == (2, "")
    assert err.startswith("relstats: 'relstats ")
    assert err.endswith(f"' is now {new}\n")


def test_new_names_are_names_of_commands():
    commands = cli.app.commands
    for new in (*old_names.COMMANDS.values(), *old_names.VALUES.values()):
        words = new.split()
        assert words[1] in commands, new
        if words[1] == "add":
            assert words[2] in commands["add"].commands, new


def _options(command):
    return [o for parameter in command.params for o in parameter.opts if o.startswith("--")]


def test_old_names_are_no_options_of_today():
    commands = cli.app.commands
    for old, new in old_names.OPTIONS.items():
        name, _, option = old.rpartition(" ")
        if name:
            assert (option in _options(commands[name])) <= (new not in _options(commands[name]))
        else:
            assert not any(option in _options(command) for command in commands.values())


HEAVY = ("torch", "zennit", "matplotlib", "torchvision")


def test_text_needs_neither_torch_nor_matplotlib(study, tmp_path):
    commands = [
        ["plot", "--help"],
        ["plot", str(study)],
        ["inspect", str(study)],
        ["report", str(study), "-o", f"{tmp_path}/r.md"],
        ["report", str(study), "-o", f"{tmp_path}/r.json"],
        ["compare", str(study), "--axis", "pretrain", "--measure", "cosine"],
    ]
    check = f"""
import contextlib, sys
from relstats import cli
for command in {commands!r}:
    sys.argv = ["relstats", *command]
    with contextlib.suppress(SystemExit):
        cli.main()
    print("heavy:", command, [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("heavy:")]
    assert lines == [f"heavy: {command} []" for command in commands]
    assert (tmp_path / "r.md").exists()
    assert (tmp_path / "r.json").exists()


def test_a_result_is_kept_where_nobody_reads_it(study):
    with (
        mock.patch("relstats.commands.analyse.show", side_effect=BrokenPipeError),
        mock.patch("relstats.study.writing.save_result") as save,
        contextlib.suppress(SystemExit, BrokenPipeError),
    ):
        options = {"axis": "pretrain", "measure": "iou"}
        analyse.execute(BY_STATISTIC["compare"], str(study), options)
    assert save.call_args.args[1] == "compare_pretrain_iou"
