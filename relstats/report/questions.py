"""The questions a study may answer, the answers that its results give, and why others are not
given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import xarray as xr

from relstats.errors import InvalidData
from relstats.report.facts import Facts, Quality
from relstats.report.gaps import gaps
from relstats.results.catalogue import BY_STATISTIC, analysis_of, setting_of
from relstats.results.entries import QUESTIONS
from relstats.results.sentences import Sentence, leads, sentences, variant
from relstats.results.wording import across, fields


@dataclass(frozen=True)
class Answer:
    """What one result answers: its sentences, what is compared, and what all of them hold for (""
    where they differ).

    `told` are those that come first, often several of `sentences` in one; of many answers there are
    none.
    """

    result: str
    about: str
    holds: str
    told: tuple[Sentence, ...]
    sentences: tuple[Sentence, ...]

    @property
    def folded(self) -> tuple[Sentence, ...]:
        """Sentences that are not told first."""
        return tuple(sentence for sentence in self.sentences if sentence not in self.told)


@dataclass
class Question:
    """One question, its answers, and what is missing: `(why, command or "")`."""

    key: str
    text: str
    answers: list[Answer] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def n_folded(self) -> int:
        """How many sentences are not told first."""
        return sum(len(answer.folded) for answer in self.answers)


#: Of several analyses of one question, the one told first: chosen before the numbers are seen.
_SCORES, _SCALES = ("probability", "correct", "margin"), ("target", "none", "chance")
_RANKINGS, _MEASURES = (
    ("positive", "absolute", "signed"),
    ("transfer", "spearman", "density", "rho-a"),
)
#: Sentences of one question that are told first, at most.
MOST_TOLD = 5
#: The rule by which results are told first, as the page states it.
RULE = (
    "Told first, by a fixed rule that does not look at what was found: for each question one"
    f" result of each kind and axis, at most {MOST_TOLD} sentences. Transfer comes before agreement"
    " of maps; of scores probability before correct before margin, on each target's scale before"
    " raw; shared pixels across most axes, then of the smallest share of the pixels; shared pixels"
    " tested over all networks before those tested at levels of an axis. Everything else is under"
    " “more findings”."
)


def questions(found: Facts, data: Quality, results: dict[str, xr.Dataset]) -> list[Question]:
    """Every question with its answers and what is missing.

    Parameters
    ----------
    found, data : Facts, Quality
        Of the study.
    results : dict of str to Dataset
        By name, in order.

    Returns
    -------
    list of Question
    """
    asked = {key: Question(key, text) for key, text in QUESTIONS.items()}
    grouped = families(results)
    told = _told(grouped, results)
    for names in grouped:
        question = asked[home(results[names[0]])]
        question.answers.append(_answer(names, results, told.get(names[0], ())))
    for gap in gaps(found, data, results):
        asked[gap.question].missing.append((gap.why, gap.command))
    return [question for question in asked.values() if question.answers or question.missing]


def _told(
    grouped: list[list[str]], results: dict[str, xr.Dataset]
) -> dict[str, tuple[Sentence, ...]]:
    """What is told first of which result: of each question the first result of each kind and
    axis.
    """
    topics: dict[str, dict[tuple[str, str], str]] = {}
    for first, *_ in grouped:
        topics.setdefault(home(results[first]), {}).setdefault(_topic(first, results[first]), first)
    found = {}
    for names in (list(of.values()) for of in topics.values()):
        room = MOST_TOLD
        for k, name in enumerate(names):
            most = max(room - (len(names) - k - 1), min(room, 1))
            kept = _safely(leads, results[name], name)[:most]
            room -= len(kept)
            if kept:
                found[name] = tuple(kept)
    return found


def _answer(names: list[str], results: dict[str, xr.Dataset], told: tuple[Sentence, ...]) -> Answer:
    """Sentences of the first result of a family, and a line on each of the others."""
    first, analysis = results[names[0]], analysis_of(results[names[0]].attrs)
    every = _safely(sentences, first, names[0])
    for name in names[1:]:
        every += _safely(variant, results[name], name)
    held = {sentence.holds for sentence in (*told, *every) if sentence.holds}
    about = analysis.about.format_map(fields(first)) if analysis else ""
    return Answer(names[0], about, held.pop() if len(held) == 1 else "", told, tuple(every))


def untold(result: xr.Dataset, name: str) -> str:
    """Why a result could not be told; empty where it was."""
    try:
        leads(result, name)
        sentences(result, name)
    except InvalidData as error:
        return str(error)
    return ""


def _safely(
    write: Callable[[xr.Dataset, str], list[Sentence]], result: xr.Dataset, name: str
) -> list[Sentence]:
    """Sentences of a result; where it lacks what they tell, one that says so."""
    try:
        return write(result, name)
    except InvalidData as error:
        return [Sentence("unsaid", f"{error}.")]


def home(result: xr.Dataset) -> str:
    """The question that a result is about."""
    analysis = analysis_of(result.attrs)
    return analysis.question if analysis else "other"


def families(results: dict[str, xr.Dataset]) -> list[list[str]]:
    """Names of results that analyse one thing with different scores, the one told first in front.

    Their order, and which comes first, do not depend on what was found: see `RULE`.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(results, key=lambda name: (_order(name, results[name]), name)):
        setting = setting_of(results[name].attrs)
        varied = setting is not None and bool(setting.variants)
        key = (home(results[name]), *_topic(name, results[name])) if varied else (name,)
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _topic(name: str, result: xr.Dataset) -> tuple[str, str]:
    """What one result is told of: a kind of analysis, at one axis.

    Those that are not done for each axis are one, at whichever axis.
    """
    analysis = analysis_of(result.attrs)
    axis = str(result.attrs.get("axis", "")) if analysis is None or analysis.per_axis else ""
    return str(result.attrs.get("statistic", name)), axis


def _order(name: str, result: xr.Dataset) -> tuple[float, ...]:
    attrs, analysis = result.attrs, analysis_of(result.attrs)
    fraction = attrs.get("fraction")
    return (
        list(QUESTIONS).index(home(result)),
        _place(tuple(BY_STATISTIC), attrs.get("statistic")),
        attrs.get("measure") != "transfer",
        analysis is not None and not analysis.per_axis and "axis" in attrs,
        -len(across(attrs)),
        _place(_SCORES, attrs.get("score")),
        _place(_SCALES, attrs.get("normalise")),
        _place(_MEASURES, attrs.get("comparison", attrs.get("measure"))),
        _place(_RANKINGS, attrs.get("ranking")),
        float(fraction) if isinstance(fraction, (int, float)) else 0.0,
    )


def _place(known: tuple[str, ...], value: object) -> int:
    return known.index(value) if isinstance(value, str) and value in known else len(known)
