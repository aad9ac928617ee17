"""A report as one HTML file: template, style and script are embedded, and nothing else may run or
load.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relstats.report.content import Content
from relstats.report.questions import RULE
from relstats.results.text import number, plain, safe


def html(found: Content) -> str:
    """The page. The same content gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("relstats", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"csv_uri": _csv_uri, "lines": _lines, "cell": _cell}
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        found=found,
        facts=found.facts,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        explorer=embedded(_explorer(found)),
        numbers={s.name: embedded(s.numbers) for s in found.sections},
        rule=RULE,
        explored=[(s, m) for s in found.sections for m in s.matrices],
    )


def _asset(name: str) -> str:
    return resources.files("relstats.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> Markup:
    """No network, no frames, no forms: this style and this script, pictures of the file itself, and
    nothing else.
    """
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return Markup(
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src"
        f" 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )


def _visible(value: Any) -> Any:
    """What a template puts out: characters that cannot be seen are spelled out, the rest is escaped
    by jinja2.
    """
    return value if isinstance(value, Markup) else safe(value)


def embedded(value: object) -> Markup:
    r"""JSON that is safe within a script element: nothing in it can end the element.

    Examples
    --------
    >>> print(embedded({"label": "</script>"}))
    {"label":"\u003c/script\u003e"}
    """
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


def _csv_uri(text: str) -> Markup:
    return Markup("data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode())


def _lines(text: str) -> Markup:
    """Text with its line ends, for a preformatted block."""
    return Markup("\n").join(Markup.escape(safe(line)) for line in text.split("\n"))


def _cell(value: str | float) -> str:
    return (
        value if isinstance(value, str) else str(value) if isinstance(value, int) else number(value)
    )


def _explorer(found: Content) -> dict[str, Any]:
    """What the script needs: networks, their place in the pictures, and their levels."""
    gallery = found.gallery
    rows = {model: k for k, model in enumerate(gallery.models)} if gallery else {}
    columns = {seed: k for k, seed in enumerate(gallery.seeds)} if gallery else {}
    networks = [
        {
            "name": safe(n.name),
            "axes": [safe(n.axes.get(axis, "")) for axis in found.facts.axes],
            "row": rows.get(n.model, -1),
            "column": columns.get(n.seed, -1),
        }
        for n in found.facts.networks
    ]
    size = {"height": gallery.height, "width": gallery.width, "gap": gallery.gap} if gallery else {}
    return {"networks": networks, "axes": [safe(axis) for axis in found.facts.axes], **size}
