"""The study file: what is read from it, and every problem with where it is and what to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from relstats.compute.study_file.settings import true_classes
from relstats.compute.study_file.study import read_study
from relstats.errors import InvalidData, UsageError


def edited(path: Path, *swaps: tuple[str, str]) -> Path:
    """Swap texts in a study file that must be there."""
    text = path.read_text()
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def refused(path: Path, error: type[Exception] = InvalidData) -> str:
    with pytest.raises(error) as caught:
        read_study(path)
    return str(caught.value)


def test_labels_are_text_and_paths_are_relative_to_the_file(small_study, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    study = read_study(small_study)
    assert study.images.table.index.tolist()[:8] == [
        "000",
        "001",
        "002",
        "003",
        "004",
        "005",
        "006",
        "007",
    ]
    assert study.images.table["identity"].tolist()[:3] == ["a", "b", "NA"]
    row = study.images.table.loc["007"]
    assert row["path"] == str(tmp_path / "photos/7.png")
    assert row["sha256"] == hashlib.sha256((tmp_path / "photos/7.png").read_bytes()).hexdigest()
    assert study.models[0].checkpoints["1"] == tmp_path / "gender-1.safetensors"
    assert (study.name, study.batch, study.device, study.dtype) == ("small", 5, "cpu", "float32")
    assert study.text == small_study.read_text()


def test_defaults_and_seeds(small_study):
    study = read_study(small_study)
    assert study.seeds == ("0", "1")
    how, transfer = study.relevance, study.transfer
    assert (how.engine, how.precision, how.canonizers, how.parameters) == (
        "relstats",
        "fp32",
        (),
        {},
    )
    assert (transfer.fractions, transfer.operation, transfer.fill, transfer.control) == (
        (0.2, 0.5),
        "keep",
        "mean",
        "image_swap",
    )
    assert (study.images.size, study.images.resize, study.images.pixels) == (
        (16, 16),
        "none",
        False,
    )
    edited(small_study, ("[transfer]\nfractions = [0.2, 0.5]", ""))
    assert read_study(small_study).transfer is None


def test_true_classes_are_positions_in_the_models_own_classes(small_study):
    study = read_study(small_study)
    assert true_classes(study.models[0], study.images.table).tolist() == [0, 1] * 6
    assert true_classes(study.models[1], study.images.table).tolist() == [0, 1, 2] * 4
    swapped = edited(small_study, ('["f", "m"]', '["m", "f"]'))
    assert true_classes(read_study(swapped).models[0], study.images.table).tolist() == [1, 0] * 6


def test_without_a_label_classes_are_unknown(small_study):
    edited(
        small_study,
        ('label = "gender"\n', ""),
        ('explained_class = "true"', 'explained_class = "predicted"'),
    )
    study = read_study(small_study)
    np.testing.assert_array_equal(true_classes(study.models[0], study.images.table), -1)


def test_all_problems_at_once(small_study):
    edited(
        small_study,
        ("batch = 5", "batch = 0\ndevise = 'cpu'"),
        ("size = [16, 16]", "size = [16]"),
        ('"gender-1.safetensors"', '"gender-7.safetensors"'),
        ("std = [0.25]", "std = [0.0]"),
        ('composite = "epsilon_plus_flat"', 'composit = "x"'),
        ("[0.2, 0.5]", "[0.2, 1.5]"),
    )
    message = refused(small_study)
    lines = message.splitlines()
    assert lines[0].endswith(f"study.toml: {len(lines) - 1} problem(s) with this study file:")
    for part in (
        "batch: is 0. Give a whole number, 1 or more",
        "devise: is not a known key. Did you mean device?",
        "[images] size: is [16]. Give height and width in pixels, such as [224, 224]",
        "[models.gender] checkpoints.1: no such file: ",
        "[models.identity.preprocessing] std: is (0.0,). Give 3 number(s), one a channel, above 0",
        "[relevance] composite: is missing. Give composite = text in quotes",
        "[relevance] composit: is not a known key. Did you mean composite?",
        (
            "[transfer] fractions: is [0.2, 1.5]. Give a list of different shares of the pixels in"
            " (0, 1]"
        ),
    ):
        assert sum(part in line for line in lines) == 1, (part, message)
    assert len(lines) == 9


def test_checkpoint_names_near(small_study):
    edited(small_study, ('"gender-1.safetensors"', '"gender-7.safetensors"'))
    assert "Did you mean" in refused(small_study)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 5", "batch = true", "batch: is True. Give a whole number, 1 or more"),
        ("batch = 5", 'dtype = "flaot32"', "dtype: is 'flaot32'. Did you mean 'float32'?"),
        ("batch = 5", "device = 3", "device: is 3. Give text in quotes"),
        (
            "size = [16, 16]",
            'size = [16, 16]\nresize = "stretch"',
            "[images] resize: is 'stretch'. Choose one of 'none', 'squash', 'crop'",
        ),
        (
            "size = [16, 16]",
            'size = [16, 16]\npixels = "yes"',
            "[images] pixels: is 'yes'. Give either true or false, without quotes",
        ),
        (
            'table = "images.csv"',
            'table = "images.csv"\nfolder = "photos"',
            "[images]: has both folder and table",
        ),
        ('table = "images.csv"\n', "", "[images]: has neither folder nor table"),
        ('"images.csv"', '"image.csv"', "image.csv' does not exist. Name a CSV file. Did you mean"),
        (
            'table = "images.csv"',
            'folder = "photo"',
            "photo' is not a folder. Name the folder of the images. Did you mean",
        ),
        (
            'factory = "small_networks:small"\naxes',
            'factory = "small networks"\naxes',
            "[models.gender] factory: is 'small networks'",
        ),
        (
            "arguments = { classes = 3 }",
            "arguments = 3",
            "[models.identity] arguments: is 3. Give a table",
        ),
        (
            'axes = { task = "gender" }',
            "axes = { task = 1 }",
            "[models.gender] axes: is {'task': 1}. Give a table of texts in quotes",
        ),
        (
            'axes = { task = "gender" }',
            'axes = { logit = "1" }',
            "[models.gender] axes: logit is a name the study uses",
        ),
        (
            'axes = { task = "gender" }',
            'axes = { job = "x" }',
            "models have different axes (gender: job; identity: task)",
        ),
        (
            'classes = ["f", "m"]',
            'classes = ["f"]',
            "[models.gender] classes: 1 names, 1 different",
        ),
        ('classes = ["f", "m"]', 'classes = ["f", "f"]', "[models.gender] classes: is ['f', 'f']"),
        (
            'classes = ["f", "m"]',
            'classes = "names.txt"',
            "[models.gender] classes: 'names.txt' cannot be read",
        ),
        (
            'classes = ["f", "m"]',
            'classes = ["f", "x"]',
            (
                "6 image(s) have a 'gender' that is no class of this model (e.g. '001': 'm', '003':"
                " 'm', '005': 'm')"
            ),
        ),
        (
            'label = "gender"',
            'label = "gendre"',
            (
                "is 'gendre', no column of the images (they have gender, identity). Name one of"
                " them. Did you mean 'gender'?"
            ),
        ),
        (
            'label = "gender"',
            "",
            "[models.gender] label: is missing, and explained_class is 'true'",
        ),
        (
            "mean = [0.5]",
            "mean = [0.5, 0.5]",
            "[models.identity.preprocessing] mean: is (0.5, 0.5). Give 3 number(s)",
        ),
        (
            "mean = [0.5]",
            'channels = "grey", mean = [0.5, 0.5, 0.5]',
            "mean: is (0.5, 0.5, 0.5). Give 1 number(s)",
        ),
        ("mean = [0.5]", "mean = [nan]", "mean: is [nan]. Give one number, or a list of numbers"),
        ("mean = [0.5]", "mean = [0.5], scale = -1", "scale: is -1. Give a number above 0"),
        ('{ "0" = "identity-0.safetensors" }', "{ }", "[models.identity] checkpoints: is empty"),
        (
            '{ "0" = "identity-0.safetensors" }',
            '{ "0" = "gender-0.safetensors" }',
            "1 checkpoint(s) stand for more than one network",
        ),
        (
            'explained_class = "true"',
            "explained_class = 2",
            "is 2, but 'gender' has 2 classes. Count from 0",
        ),
        (
            'explained_class = "true"',
            "explained_class = -1",
            'explained_class: is -1. Give one of "true", "predicted", the index of a class',
        ),
        (
            'explained_class = "true"',
            'explained_class = "M"',
            "explained_class: is 'M', no class of 'gender'",
        ),
        (
            'explained_class = "true"',
            'explained_class = "true"\nengine = "captum"',
            "engine: is 'captum'. Choose one of 'relstats', 'zennit'",
        ),
        ("fractions = [0.2, 0.5]", "fractions = [0.2, 0.2]", "[transfer] fractions: is [0.2, 0.2]"),
        (
            "fractions = [0.2, 0.5]",
            'fractions = [0.2]\nfill = "value"',
            "fill_value: is () with fill 'value'",
        ),
        (
            "fractions = [0.2, 0.5]",
            'fractions = [0.2]\nfill = "value"\nfill_value = 300',
            "fill_value: is 300. Give one grey value or three",
        ),
        (
            "fractions = [0.2, 0.5]",
            "fractions = [0.2]\nn_control = 0",
            "[transfer] n_control: is 0. Give a whole number, 1 or more",
        ),
        (
            "fractions = [0.2, 0.5]",
            "fractions = [0.2]\nseed = 0.5",
            "[transfer] seed: is 0.5. Give a whole number, 0 or more",
        ),
    ],
)
def test_each_problem_says_where_what_and_what_to_do(small_study, old, new, message):
    assert message in refused(edited(small_study, (old, new)))


def test_weights_of_torchvision_are_refused(small_study):
    edited(
        small_study,
        (
            'factory = "small_networks:small"\narguments = { classes = 3 }',
            'factory = "vgg11"\narguments = { weights = "DEFAULT" }',
        ),
    )
    assert "[models.identity] arguments: weights are given. Leave them out" in refused(small_study)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "study.toml").write_text("batch = ")
    assert "is not TOML: Invalid value (at end of document)" in refused(tmp_path / "study.toml")
    (tmp_path / "latin.toml").write_bytes("name = 'Käse'".encode("latin-1"))
    assert "is not text in UTF-8" in refused(tmp_path / "latin.toml")
    assert "Did you mean" in refused(tmp_path / "studi.toml", UsageError)
    assert "is a folder; give the study file" in refused(tmp_path, UsageError)
    (tmp_path / "empty.toml").write_text("")
    message = refused(tmp_path / "empty.toml")
    for part in (
        "images: is missing",
        "models: is missing",
        "relevance: is missing",
        "models]: names no model",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "image,path\n1,photos/0.png\n1,photos/1.png\n",
            "1 duplicate image id(s) (e.g. '1'). Give each image an id of its own",
        ),
        ("image,path\n,photos/0.png\n", "an image has an empty id"),
        ("image,path\na,photos/99.png\n", "1 image file(s) cannot be read (e.g. "),
        ("id,path\na,photos/0.png\n", "lacks column image (columns: id, path)"),
        ("image,path,sha256\na,photos/0.png,x\n", "has column sha256, a name the study uses"),
        ("image,path\n", "has no rows"),
        ("", "lacks column image and path (columns: none)"),
        ("image,path,a,a\n1,2,3,4\n", "names a column twice"),
        ('image,path\n"a,b\n', "cannot be read as CSV (unexpected end of data)"),
        (
            "image,path\na,b\n\nc,d,e\n",
            "has 1 row(s) that do not have 2 fields, the first in row 3",
        ),
    ],
)
def test_tables_of_images_that_cannot_be_used(small_study, tmp_path, rows, message):
    (tmp_path / "images.csv").write_text(rows)
    assert message in refused(small_study)


@pytest.mark.parametrize("word", ["NA", "null", "nan", "1e5", "TRUE", "007", " 7"])
def test_every_id_stays_as_it_is_written(small_study, tmp_path, word):
    (tmp_path / "images.csv").write_text(f"image,path,gender,identity\n{word},photos/0.png,f,NA\n")
    table = read_study(small_study).images.table
    assert table.index.tolist() == [word]
    assert table.at[word, "identity"] == "NA"


def test_a_folder_of_images(small_study, tmp_path):
    for name in ("b/2.png", "b/10.JPG", "a.png", "notes.txt", ".hidden.png"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(name.encode())
    edited(
        small_study,
        ('table = "images.csv"', 'folder = "tree"'),
        ('explained_class = "true"', "explained_class = 0"),
        ('label = "gender"\n', ""),
        ('label = "identity"\n', ""),
    )
    table = read_study(small_study).images.table
    assert table.index.tolist() == ["a", "b/10", "b/2"]
    assert table["folder"].tolist() == [".", "b", "b"]
    (tmp_path / "tree/a.jpg").write_bytes(b"")
    (tmp_path / "tree/c.heic").write_bytes(b"")
    message = refused(small_study)
    assert "1 duplicate image id(s) (e.g. 'a')" in message
    assert "1 image(s) of a kind that is not read (e.g. c.heic)" in message


def test_classes_from_a_file(small_study, tmp_path):
    (tmp_path / "names.txt").write_text("f\nm\n")
    assert read_study(
        edited(small_study, ('classes = ["f", "m"]', 'classes = "names.txt"'))
    ).models[0].classes == (
        "f",
        "m",
    )
