"""The study file, read once, with all its problems at once.

What it holds is in `settings`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from relstats.compute.study_file import checks, fields
from relstats.compute.study_file.fields import Table, near
from relstats.compute.study_file.listing import from_folder, from_table, hashed
from relstats.compute.study_file.settings import (
    FeatureSettings,
    Images,
    Model,
    Preprocessing,
    RelevanceSettings,
    Study,
    TransferSettings,
)
from relstats.errors import InvalidData, UsageError
from relstats.study.check import Problem
from relstats.study.variables import variables

_FACTORY = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")
_NOT_A_LAYER = {v.name for v in variables("features")}
_NOT_AN_AXIS = {v.name for v in variables("relevance")} | {"y", "x"}


def read_study(path: str | Path) -> Study:
    """Read a study file and everything it names but the contents of checkpoints.

    Parameters
    ----------
    path : str or Path
        A TOML file. Relative paths in it are relative to its folder.

    Returns
    -------
    Study
        All labels are text: "007" stays "007", "NA" stays "NA".

    Raises
    ------
    UsageError
        There is no such file.
    InvalidData
        The file has problems: all of them, one a line.
    """
    path = Path(path)
    text = _text_of(path)
    problems: list[Problem] = []
    top = Table(_parsed(text, path), "", problems)
    name = top.take("name", fields.text, path.stem)
    batch, dtype = (
        top.take("batch", fields.count, 20),
        top.take("dtype", fields.one_of("float32", "float64"), "float32"),
    )
    device = top.take("device", fields.text, "cpu")
    images = _images(top.table("images"), path.parent)
    models = _models(top.table("models"), path.parent)
    relevance = _relevance(top.table("relevance"))
    transfer = (
        _transfer(top.table("transfer"))
        if "transfer" in top.values
        else top.take("transfer", dict, None)
    )
    features = (
        _features(top.table("features"))
        if "features" in top.values
        else top.take("features", dict, None)
    )
    top.close()
    problems += checks.classes_and_labels(images, models, relevance)
    problems += checks.layers(models, features)
    if problems or images is None:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise InvalidData(f"{path}: {len(problems)} problem(s) with this study file:{lines}")
    return Study(
        name, path, text, images, tuple(models), relevance, transfer, batch, device, dtype, features
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"no such study file: {str(path)!r}.{near(path)}") from None
    except IsADirectoryError:
        raise UsageError(f"{str(path)!r} is a folder; give the study file, a TOML file") from None
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"{path} is not text in UTF-8 ({error.reason} at byte {error.start}). Give a TOML file"
        ) from None


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidData(
            f"{path} is not TOML: {error}. Mend that line; text stands in quotes"
        ) from None


def _images(table: Table, folder: Path) -> Images | None:
    before = len(table.problems)
    size = table.take("size", fields.size)
    resize = table.take("resize", fields.one_of("none", "squash", "crop"), "none")
    pixels = table.take("pixels", fields.boolean, False)
    in_folder, in_table = (
        table.take("folder", fields.text, None),
        table.take("table", fields.text, None),
    )
    table.close()
    if (in_folder is None) == (in_table is None):
        table.note(
            "",
            f"has {'both folder and table' if in_folder else 'neither folder nor table'}",
            'Give folder = "photos", or table = "photos.csv" with columns image, path and labels',
        )
        return None
    rows = (
        from_table(folder / in_table, folder, table)
        if in_table
        else from_folder(folder / in_folder, table)
    )
    if len(table.problems) > before:
        return None
    return Images(hashed(rows, table), size, resize, pixels)


def _models(table: Table, folder: Path) -> list[Model]:
    models = [_model(name, table.table(name), folder) for name in table.values]
    if not models:
        table.note("", "names no model", "Give a table [models.NAME] for each condition")
    good = [model for model in models if model is not None]
    named = {frozenset(model.axes) for model in good}
    if len(named) > 1:
        sets = "; ".join(f"{m.name}: {', '.join(m.axes) or 'none'}" for m in good)
        table.note(
            "", f"models have different axes ({sets})", "Give every model a level on every axis"
        )
    paths = Counter(str(p.resolve()) for m in good for p in m.checkpoints.values())
    twice = [p for p, n in paths.items() if n > 1]
    if twice:
        table.note(
            "",
            f"{len(twice)} checkpoint(s) stand for more than one network (e.g. {twice[0]!r})",
            "Give each network its own: the same one twice counts as agreement",
        )
    return good


def _model(name: str, table: Table, folder: Path) -> Model | None:
    before = len(table.problems)
    factory = table.take("factory", _factory)
    arguments = table.take("arguments", fields.mapping, {})
    axes = table.take("axes", fields.text_mapping, {})
    label, classes = table.take("label", fields.text, ""), _classes(table, folder)
    preprocessing = _preprocessing(table.table("preprocessing"))
    checkpoints, layers = _checkpoints(table, folder), table.take("layers", fields.text_mapping, {})
    table.close()
    reserved = sorted(set(axes or ()) & _NOT_AN_AXIS)
    if reserved:
        table.note(
            "axes",
            f"{', '.join(reserved)} is a name the study uses",
            "Call the axis something else",
        )
    if factory and ":" not in factory and "weights" in (arguments or {}):
        table.note(
            "arguments", "weights are given", "Leave them out: they come from the checkpoints"
        )
    if len(table.problems) > before or preprocessing is None:
        return None
    return Model(
        name, axes, factory, arguments, preprocessing, label, classes, checkpoints, folder, layers
    )


def _factory(value: object) -> str:
    """Either "package.module:callable", or the name of a torchvision model."""
    if not isinstance(value, str) or not _FACTORY.fullmatch(value):
        raise ValueError
    return value


def _classes(table: Table, folder: Path) -> tuple[str, ...]:
    """A list of names, or a text file with one a line.

    Their order is that of the network's outputs.
    """
    given = table.take("classes", fields.text_or_texts, None)
    names: tuple[str, ...] = given if isinstance(given, tuple) else ()
    if isinstance(given, str):
        try:
            names = tuple((folder / given).read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            table.note(
                "classes",
                f"{given!r} cannot be read ({error})",
                "Name a text file with one class a line",
            )
    if len(names) < 2 or len(set(names)) < len(names):
        table.note(
            "classes",
            f"{len(names)} names, {len(set(names))} different",
            "Name 2 or more classes in the order of the network's outputs: a list, or a text file,"
            " one a line",
        )
    return names


def _preprocessing(table: Table) -> Preprocessing | None:
    mean, std = table.take("mean", fields.numbers), table.take("std", fields.numbers)
    scale = table.take("scale", fields.positive, 1.0)
    channels = table.take("channels", fields.one_of("rgb", "bgr", "grey"), "rgb")
    table.close()
    lengths = {1} if channels == "grey" else {1, 3}
    for key, values in (("mean", mean), ("std", std)):
        if values is not None and (
            len(values) not in lengths or (key == "std" and min(values) <= 0)
        ):
            table.note(
                key,
                f"is {fields.shown(values)}",
                f"Give {max(lengths)} number(s), one a channel{', above 0' * (key == 'std')}",
            )
    return Preprocessing(mean, std, scale, channels)


def _checkpoints(table: Table, folder: Path) -> dict[str, Path]:
    named = table.take("checkpoints", fields.text_mapping)
    if named is not None and not named:
        table.note(
            "checkpoints",
            "is empty",
            'Give a table of seeds: checkpoints = { "0" = "a.safetensors" }',
        )
    found = {seed: folder / path for seed, path in (named or {}).items()}
    for seed, path in found.items():
        if not path.is_file():
            do = f"Mend the path, relative to the study file.{near(path)}"
            table.note(f"checkpoints.{seed}", f"no such file: {str(path)!r}", do)
    return found


def _relevance(table: Table) -> RelevanceSettings:
    settings = RelevanceSettings(
        table.take("composite", fields.text),
        table.take("parameters", fields.mapping, {}),
        table.take("canonizers", fields.texts, ()),
        table.take("engine", fields.one_of("relstats", "zennit"), "relstats"),
        table.take("precision", fields.one_of("fp32", "mixed"), "fp32"),
        table.take("explained_class", _explained),
    )
    table.close()
    return settings


def _explained(value: object) -> str | int:
    """One of "true", "predicted", the index of a class or its name."""
    return fields.whole(value) if not isinstance(value, str) else fields.text(value)


def _features(table: Table) -> FeatureSettings:
    settings = FeatureSettings(
        table.take("layers", fields.texts),
        table.take("pool", fields.one_of("mean", "none"), "mean"),
    )
    table.close()
    wrong = [
        name
        for name in settings.layers or ()
        if name in _NOT_A_LAYER or "/" in name or not name.strip(".")
    ]
    if wrong or settings.layers == ():
        table.note(
            "layers",
            f"is {fields.shown(list(settings.layers))}",
            f"Name one layer or more, not with '/' and not as {', '.join(sorted(_NOT_A_LAYER))}",
        )
    return settings


def _transfer(table: Table) -> TransferSettings:
    settings = TransferSettings(
        table.take("fractions", fields.shares),
        table.take("operation", fields.one_of("keep", "remove"), "keep"),
        table.take("fill", fields.one_of("mean", "blur", "noise", "value", "linear"), "mean"),
        table.take("fill_value", _colour, ()),
        table.take("ranking", fields.one_of("positive", "absolute", "signed"), "positive"),
        table.take("control", fields.one_of("image_swap", "random"), "image_swap"),
        table.take("n_control", fields.count, 5),
        table.take("seed", fields.whole, 0),
    )
    table.close()
    if (settings.fill == "value") != bool(settings.fill_value):
        table.note(
            "fill_value",
            f"is {fields.shown(settings.fill_value)} with fill {settings.fill!r}",
            'Give fill = "value" with fill_value = [127, 127, 127], or neither',
        )
    return settings


def _colour(value: object) -> tuple[float, ...]:
    """One grey value or three of red, green, blue, from 0 to 255."""
    found = fields.numbers(value)
    if len(found) not in (1, 3) or not all(0 <= v <= 255 for v in found):
        raise ValueError
    return found
