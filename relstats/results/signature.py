"""A function's parameters and docstring, read from its source.

Importing a statistic takes a second, reading it a few milliseconds, and a help needs no more.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
#: Simple annotations, and what they are called here.
_KINDS = {"str": "text", "int": "whole", "float": "number", "bool": "flag"}
_COLLECTIONS = ("Sequence", "Collection", "list", "tuple")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes
    ----------
    name : str
    kind : str
        "text", "whole", "number", "flag", "rng", "progress", "study" (one more study), or "other".
    several : bool
        Whether it takes several values.
    choices : tuple of str
        All values there are, where they can be listed.
    default : object
        `REQUIRED` where there is none.
    help : str
        The first sentence of its description, with what its default means.
    """

    name: str
    kind: str
    several: bool
    choices: tuple[str, ...]
    default: Any
    help: str


@dataclass(frozen=True)
class Signature:
    """A function: its summary and its parameters."""

    summary: str
    parameters: tuple[Parameter, ...]

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each parameter that has one."""
        return {p.name: p.default for p in self.parameters if p.default is not REQUIRED}

    @property
    def required(self) -> tuple[str, ...]:
        """Parameters that must be given."""
        return tuple(p.name for p in self.parameters if p.default is REQUIRED)


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


#: The default of a parameter that must be given.
REQUIRED = _Required()


@cache
def signature(name: str) -> Signature:
    """Parameters and docstring of a function of relstats.

    Parameters
    ----------
    name : str
        "module:function".

    Examples
    --------
    >>> models = signature("relstats.stats.planning.simulate:simulate").parameters[1]
    >>> models.name, models.default
    ('models', '2x2')
    """
    module, _, function = name.partition(":")
    node = next(
        node
        for node in _tree(module).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    text = ast.get_docstring(node) or ""
    summary = " ".join(text.partition("\n\n")[0].split())
    described = _described(text)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    no_default = [None] * (len(node.args.args) - len(node.args.defaults))
    defaults = [*no_default, *node.args.defaults, *node.args.kw_defaults]
    parameters = tuple(
        _parameter(module, argument, default, described.get(argument.arg, ""))
        for argument, default in zip(arguments, defaults, strict=True)
    )
    return Signature(summary, parameters)


@cache
def summary(name: str) -> str:
    """The first sentence of a function's docstring, without parsing its module."""
    module, _, function = name.partition(":")
    source = _path(module).read_text(encoding="utf-8")
    start = re.search(rf"^def {function}\(.*?\"\"\"", source, re.DOTALL | re.MULTILINE)
    text = source[start.end() : start.end() + 600] if start else ""
    return " ".join(re.split(r"\n\s*\n|\"\"\"", text)[0].split())


def _path(module: str) -> Path:
    path = _ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _parameter(module: str, argument: ast.arg, default: ast.expr | None, text: str) -> Parameter:
    kind, several, choices = _kind(module, argument.annotation)
    value = REQUIRED if default is None else _value(module, default)
    return Parameter(argument.arg, kind, several, choices, value, text)


def _kind(module: str, annotation: ast.expr | None) -> tuple[str, bool, tuple[str, ...]]:
    """Kind, whether there are several values, and the choices of an annotation."""
    parts = _union(annotation)
    texts = [ast.unparse(part) for part in parts]
    for part in parts:
        if isinstance(part, ast.Subscript):
            outer = ast.unparse(part.value)
            if outer == "Literal":
                return "text", False, tuple(ast.literal_eval(v) for v in _elements(part.slice))
            if outer == "Annotated":
                return _kind(module, _elements(part.slice)[0])
            if outer in _COLLECTIONS:
                kind, _, choices = _kind(module, _elements(part.slice)[0])
                return kind, True, choices
        if isinstance(part, (ast.Name, ast.Attribute)) and ast.unparse(part) not in _KINDS:
            alias = _alias(module, part)
            if alias:
                return _kind(*alias)
    for text in texts:
        if text in _KINDS:
            return _KINDS[text], False, ()
        if text.endswith("Generator"):
            return "rng", False, ()
        if text.startswith("Callable"):
            return "progress", False, ()
    return ("study" if any("DataTree" in text for text in texts) else "other"), False, ()


def _union(annotation: ast.expr | None) -> list[ast.expr]:
    """The members of `a | b | None`, those that take several values first."""
    if isinstance(annotation, ast.BinOp):
        parts = _union(annotation.left) + _union(annotation.right)
        return sorted(parts, key=lambda part: not isinstance(part, ast.Subscript))
    if annotation is None or (isinstance(annotation, ast.Constant) and annotation.value is None):
        return []
    return [annotation]


def _elements(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _alias(module: str, node: ast.Name | ast.Attribute) -> tuple[str, ast.expr] | None:
    """What a name, or a name in another module of relstats, stands for."""
    if isinstance(node, ast.Name):
        return _assigned(module, node.id)
    for statement in _tree(module).body:
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("relstats"):
            for alias in statement.names:
                if (alias.asname or alias.name) == ast.unparse(node.value):
                    return _assigned(f"{statement.module}.{alias.name}", node.attr)
    return None


def _assigned(module: str, name: str) -> tuple[str, ast.expr] | None:
    """The module and expression in which a name gets its value; imports are followed."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return module, node.value
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name and node.value:
            return module, node.value
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("relstats"):
            for alias in node.names:
                if (alias.asname or alias.name) == name and _path(str(node.module)).exists():
                    return _assigned(str(node.module), alias.name)
    return None


def _value(module: str, node: ast.expr) -> Any:
    """The value of a default: a literal, or a name that stands for one."""
    named = _assigned(module, node.id) if isinstance(node, ast.Name) else None
    if named:
        return _value(*named)
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_args"):
        return _kind(module, node.args[0])[2]  # all values that a parameter may have
    return ast.literal_eval(node)


def _described(text: str) -> dict[str, str]:
    """Of each parameter in a numpydoc section: the first sentence, and what the default means."""
    section = re.search(r"\nParameters\n-+\n(.*?)(\n\n\w[\w ]*\n-{3,}\n|\Z)", text, re.DOTALL)
    found = {}
    for entry in re.split(r"\n(?=\S)", section[1] if section else ""):
        head, _, body = entry.partition("\n")
        sentences = re.split(r"(?<=[.?])(?<!e\.g\.)\s+(?=[A-Z`\"])", " ".join(body.split()))
        default = [s for s in sentences[1:] if s.startswith("Default")]
        for name in head.partition(" : ")[0].split(", "):
            found[name] = " ".join(sentences[:1] + default[:1])
    return found
