"""A report as Markdown for a paper's draft, and as JSON for a pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from relstats.report.content import Content, Section
from relstats.report.questions import RULE, Answer, Question
from relstats.results.sentences import Sentence
from relstats.results.text import number, plain, safe


def markdown(found: Content) -> str:
    """The report without figures. Labels are shown as they are: nothing in them acts as markup."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Content) -> Iterator[str]:
    facts = found.facts
    yield f"# Report of {_escaped(facts.name or facts.file)}"
    yield (
        f"\n{len(facts.networks)} networks, {len(facts.images)} images; study of"
        f" {_escaped(facts.created)}."
    )
    yield "\n## Verdict"
    for question in found.questions:
        yield from _question(question, {section.name: section.title for section in found.sections})
    if found.sections:
        yield f"\n{_escaped(RULE)}"
    yield "\n## Results"
    for section in found.sections:
        yield from _section(section)
    yield "\n## Data quality\n"
    yield from _table(
        found.quality.columns, [[_cell(v) for v in row] for row in found.quality.rows]
    )
    yield from (f"- {_escaped(note)}" for note in found.quality.notes)
    yield "\n## Methods\n"
    yield "\n\n".join(_escaped(text) for text in found.methods)
    yield "\n### References\n"
    yield from (f"- {_escaped(name)}: https://doi.org/{doi}" for name, doi in found.references)
    yield "\n## Provenance\n"
    yield from _table(("attribute", "value"), found.provenance[0])
    yield ""
    yield from _table(
        ("result", "command", "seed", "created", "relstats", "sha256 of its numbers"),
        [[s.name, s.command, s.seed, s.created, s.version, s.digest] for s in found.sources],
    )
    if found.checkpoints:
        yield ""
        yield from _table(("network", "sha256 of its weights"), found.checkpoints)
    yield "\n## Warnings\n"
    yield from (
        f"- {_escaped(where)}: {_escaped(text)}" for where, text in found.warnings or [("", "none")]
    )


def _question(question: Question, titles: dict[str, str]) -> Iterator[str]:
    yield f"\n### {question.text}\n"
    for answer in question.answers:
        if answer.told:
            yield from _answer(answer, answer.told, titles[answer.result])
    yield ""
    for why, command in question.missing:
        yield f"- Not said: {_escaped(why)}{f' Run: {_code(command)}' if command else ''}"
    if question.n_folded:
        yield f"\n#### {question.n_folded} more finding{'' if question.n_folded == 1 else 's'}"
    for answer in question.answers:
        if answer.folded:
            yield from _answer(answer, answer.folded, titles[answer.result])


def _answer(answer: Answer, sentences: Sequence[Sentence], title: str) -> Iterator[str]:
    yield f"\n**{_escaped(title)}.** {_escaped(answer.about)} {_escaped(answer.holds)}\n"
    yield from (
        f"- {_escaped(s.text)}{'' if answer.holds else ' ' + _escaped(s.holds)}" for s in sentences
    )


def _section(section: Section) -> Iterator[str]:
    yield f"\n### {_escaped(section.title)}\n"
    for table in [table for table in section.tables if table.primary] or section.tables[:1]:
        yield from _table(table.columns, table.rows)
    yield (
        f"\n{_escaped(section.population)}. Parameters:"
        f" {_escaped('; '.join(f'{k} = {v}' for k, v in section.parameters))}."
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if columns:
        yield f"| {' | '.join(map(_escaped, columns))} |"
        yield f"|{' --- |' * len(columns)}"
    yield from (f"| {' | '.join(map(_escaped, row))} |" for row in rows)


def _cell(value: str | float) -> str:
    return (
        value
        if isinstance(value, str)
        else f"{value:d}"
        if isinstance(value, int)
        else number(value)
    )


def _escaped(text: str) -> str:
    r"""Text in which no character acts as Markdown, HTML or a formula.

    Examples
    --------
    >>> _escaped("[bold] $x$ <b>")
    '\\[bold\\] \\$x\\$ \\<b\\>'
    """
    return re.sub(r"([\\`*_{}\[\]<>|$~#&])", r"\\\1", safe(text))


def _code(text: str) -> str:
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {safe(text)} {fence}" if len(fence) > 1 else f"`{safe(text)}`"


def json_text(found: Content) -> str:
    """Everything in the report but pictures: sentences, gaps, all numbers, parameters, methods and
    provenance.
    """
    facts = found.facts
    whole = {
        "study": {
            "name": facts.name,
            "created": facts.created,
            "networks": [asdict(n) for n in facts.networks],
            "images": list(facts.images),
            "axes": facts.axes,
        },
        "verdict": [
            {
                "question": q.text,
                "answers": [asdict(answer) for answer in q.answers],
                "not_said": [{"why": why, "command": command} for why, command in q.missing],
            }
            for q in found.questions
        ],
        "results": {
            s.name: {
                "title": s.title,
                "parameters": dict(s.parameters),
                "left_out": s.left_out,
                **s.numbers,
            }
            for s in found.sections
        },
        "quality": asdict(found.quality),
        "methods": found.methods,
        "references": [{"cited": name, "doi": doi} for name, doi in found.references],
        "provenance": {
            "study": dict(found.provenance[0]),
            **dict(found.provenance[1]),
            "results": [asdict(s) for s in found.sources],
            "checkpoints": dict(found.checkpoints),
        },
        "warnings": [{"where": where, "text": text} for where, text in found.warnings],
    }
    return json.dumps(plain(whole), indent=1, allow_nan=False, ensure_ascii=True) + "\n"
