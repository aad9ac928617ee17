"""The questions a study may answer, the answers that its results give, and why others are not
given.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import xarray as xr

from relstats.report.facts import Facts, Quality
from relstats.results.leads import leads
from relstats.results.sentences import Sentence, quantity, sentences
from relstats.results.text import number, safe
from relstats.results.wording import across, capital


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


_QUESTIONS = {
    "generalization": (
        "Do maps carry over to other models, and is one direction better than the other?"
    ),
    "stability": "Do maps agree across seeds of one model?",
    "shared": "Which pixels matter to nearly all networks?",
    "regions": "Which parts of the images carry the relevance?",
    "humans": "Do maps match what people say, look at or do?",
    "other": "What else was tested?",
}
_HOMES = {
    "compare": "generalization",
    "stability": "stability",
    "shared": "shared",
    "sufficiency": "shared",
    "regions": "regions",
    "strategies": "stability",
    "differences": "regions",
    "rsa": "humans",
    "rdm": "humans",
    "compare_human": "humans",
}
#: Of several analyses of one question, the one told first: chosen before the numbers are seen.
_SCORES, _SCALES = ("probability", "correct", "margin"), ("target", "none", "chance")
_RANKINGS, _MEASURES = (
    ("positive", "absolute", "signed"),
    ("transfer", "spearman", "density", "rho-a"),
)
_KINDS = (
    "compare",
    "stability",
    "strategies",
    "shared",
    "sufficiency",
    "regions",
    "differences",
    "rsa",
    "compare_human",
    "human_maps",
    "behaviour",
)
#: Sentences of one question that are told first, at most.
MOST_TOLD = 5
#: The rule by which results are told first, as the page states it.
RULE = (
    "Told first, by a fixed rule that does not look at what was found: for each question one"
    f" result of each kind and axis, at most {MOST_TOLD} sentences. Transfer comes before agreement"
    " of maps; of scores probability before correct before margin, on each target's scale before"
    " raw; shared pixels across most axes, then of the smallest share of the pixels; sufficiency"
    " over all networks before that at levels of an axis. Everything else is under “more"
    " findings”."
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
    asked = {key: Question(key, text) for key, text in _QUESTIONS.items()}
    grouped = families(results)
    told = _told(grouped, results)
    for names in grouped:
        question = asked[home(names[0], results[names[0]])]
        question.answers.append(_answer(names, results, told.get(names[0], ())))
    for key, why, command in _gaps(found, data, results):
        asked[key].missing.append((why, command))
    return [question for question in asked.values() if question.answers or question.missing]


def _told(
    grouped: list[list[str]], results: dict[str, xr.Dataset]
) -> dict[str, tuple[Sentence, ...]]:
    """What is told first of which result: of each question the first result of each kind and
    axis.
    """
    topics: dict[str, dict[tuple[str, str], str]] = {}
    for first, *_ in grouped:
        topics.setdefault(home(first, results[first]), {}).setdefault(
            _topic(first, results[first]), first
        )
    found = {}
    for names in (list(of.values()) for of in topics.values()):
        room = MOST_TOLD
        for k, name in enumerate(names):
            kept = leads(results[name], name)[: max(room - (len(names) - k - 1), min(room, 1))]
            room -= len(kept)
            if kept:
                found[name] = tuple(kept)
    return found


def _answer(names: list[str], results: dict[str, xr.Dataset], told: tuple[Sentence, ...]) -> Answer:
    """Sentences of the first result of a family, and a line on each of the others."""
    first = results[names[0]]
    every = (*sentences(first, names[0]), *(_also(results[name]) for name in names[1:]))
    held = {sentence.holds for sentence in (*told, *every) if sentence.holds}
    about = capital(quantity(first)) + "." if first.attrs.get("statistic") == "compare" else ""
    return Answer(names[0], about, held.pop() if len(held) == 1 else "", told, every)


def home(name: str, result: xr.Dataset) -> str:
    """The question that a result is about."""
    statistic = str(result.attrs.get("statistic", ""))
    if any(word in f"{statistic}_{name}" for word in ("human", "behaviour")):
        return "humans"
    return _HOMES.get(statistic, _HOMES.get(name.split("_")[0], "other"))


def families(results: dict[str, xr.Dataset]) -> list[list[str]]:
    """Names of results that analyse one thing with different scores, the one told first in front.

    Their order, and which comes first, do not depend on what was found: see `RULE`.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(results, key=lambda name: (_order(name, results[name]), name)):
        attrs = results[name].attrs
        is_transfer = attrs.get("statistic") == "compare" and attrs.get("measure") == "transfer"
        key = ("compare", str(attrs.get("axis")), "transfer") if is_transfer else (name,)
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _topic(name: str, result: xr.Dataset) -> tuple[str, str]:
    """What one result is told of: a kind of analysis, at one axis.

    Sufficiency is one, at whichever axis.
    """
    kind = str(result.attrs.get("statistic", name))
    return kind, "" if kind == "sufficiency" else str(result.attrs.get("axis", ""))


def _order(name: str, result: xr.Dataset) -> tuple[float, ...]:
    attrs = result.attrs
    of_maps = attrs.get("statistic") == "compare" and attrs.get("measure") != "transfer"
    fraction = attrs.get("fraction")
    return (
        list(_QUESTIONS).index(home(name, result)),
        _place(_KINDS, attrs.get("statistic")),
        of_maps,
        attrs.get("statistic") == "sufficiency" and attrs.get("axis") not in (None, "none"),
        -len(across(attrs)),
        _place(_SCORES, attrs.get("score")),
        _place(_SCALES, attrs.get("normalise")),
        _place(_MEASURES, attrs.get("comparison", attrs.get("measure"))),
        _place(_RANKINGS, attrs.get("ranking")),
        float(fraction) if isinstance(fraction, (int, float)) else 0.0,
    )


def _place(known: tuple[str, ...], value: object) -> int:
    return known.index(value) if isinstance(value, str) and value in known else len(known)


def _also(result: xr.Dataset) -> Sentence:
    """The estimates of another analysis of the same question, in one line: none is kept silent."""
    parts = []
    for contrast in result["contrast"].values:
        for effect in result["effect"].values:
            one = result.sel(contrast=contrast, effect=effect)
            lower, upper = one["ci"].values.tolist()
            parts.append(
                f"{safe(effect).replace('_', ' ')} {number(float(one['estimate']))}"
                f" [{number(lower)}, {number(upper)}]"
            )
    how = (
        f"score {safe(result.attrs.get('score'))}, normalised:"
        f" {safe(result.attrs.get('normalise'))}"
    )
    return Sentence("also", f"The same question with other scores ({how}): {'; '.join(parts)}.")


def _gaps(
    found: Facts, data: Quality, results: dict[str, xr.Dataset]
) -> Iterator[tuple[str, str, str]]:
    study = shlex.quote(found.file)
    if not found.networks:
        yield (
            "stability",
            "The study has no maps and no transfer scores: nothing can be said about networks.",
            "",
        )
    yield from _small(found, data)
    yield from _of_axes(found, results, study)
    yield from _of_maps(found, results, study)
    yield from _of_people(found, results, study)


def _small(found: Facts, data: Quality) -> Iterator[tuple[str, str, str]]:
    """What the size of the study forbids."""
    seeds = found.seeds_per_model
    if data.n_maps and data.n_zero == data.n_maps:
        yield (
            "stability",
            (
                f"All {data.n_maps} maps are zero everywhere: no pixel is more relevant than"
                " another, and no statistic of maps exists."
            ),
            "",
        )
    if seeds and max(seeds.values()) == 1:
        yield (
            "stability",
            (
                f"Each of the {len(seeds)} model(s) has one network: agreement across seeds cannot"
                " be measured, and nothing holds for other networks of these models. Train more"
                " seeds."
            ),
            "",
        )
    elif seeds and min(seeds.values()) == 1:
        alone = [model for model, n in seeds.items() if n == 1]
        yield (
            "stability",
            (
                f"{len(alone)} model(s) have one network ({', '.join(alone[:3])}): their agreement"
                " across seeds cannot be measured."
            ),
            "",
        )
    if len(found.images) == 1:
        yield (
            "generalization",
            "The study has one image: nothing can be said about images like it. Add images.",
            "",
        )


def _of_axes(
    found: Facts, results: dict[str, xr.Dataset], study: str
) -> Iterator[tuple[str, str, str]]:
    if found.networks and not found.axes:
        yield (
            "generalization",
            (
                "All networks have the same labels: there is no axis along which maps could carry"
                " over. Label the models (pretrain, task, ...)."
            ),
            "",
        )
    if found.axes and "transfer" not in found.groups:
        yield (
            "generalization",
            (
                "Transfer was not measured: how well a network does on the pixels that another"
                " finds relevant, and whether one direction is better, could not be said."
            ),
            f"relstats transfer STUDY.toml {study}",
        )
    done = {
        (r.attrs.get("axis"), "transfer" if r.attrs.get("measure") == "transfer" else "maps")
        for r in results.values()
        if r.attrs.get("statistic") == "compare"
    }
    for axis, levels in found.axes.items():
        alone = [level for level, n in levels.items() if n == 1]
        if alone:
            yield (
                "generalization",
                (
                    f"{', '.join(alone[:3])} ({axis}) has one network: nothing can be said about"
                    " networks like it."
                ),
                "",
            )
        if "transfer" in found.groups and (axis, "transfer") not in done:
            yield (
                "generalization",
                f"Transfer over {axis} was not compared.",
                f"relstats compare {study} --axis {shlex.quote(axis)} --score probability",
            )
        if "relevance" in found.groups and (axis, "maps") not in done:
            yield (
                "generalization",
                f"Agreement of maps over {axis} was not compared.",
                f"relstats compare {study} --axis {shlex.quote(axis)} --measure spearman",
            )


def _of_maps(
    found: Facts, results: dict[str, xr.Dataset], study: str
) -> Iterator[tuple[str, str, str]]:
    done = {str(r.attrs.get("statistic")) for r in results.values()}
    if not found.networks:
        return
    if "relevance" not in found.groups:
        yield (
            "stability",
            (
                "The study has no maps (/relevance): stability, shared pixels and regions could not"
                " be looked at."
            ),
            f"relstats compute STUDY.toml {study}",
        )
        return
    if "stability" not in done and max(found.seeds_per_model.values()) > 1:
        yield "stability", "Agreement across seeds was not measured.", f"relstats stability {study}"
    if "shared" not in done:
        yield "shared", "Shared pixels were not looked for.", f"relstats shared {study}"
    elif "sufficiency" not in done:
        name = min(name for name, r in results.items() if r.attrs.get("statistic") == "shared")
        scored = (
            ""
            if "sufficiency" in found.groups
            else f"relstats transfer STUDY.toml {study} --masks {shlex.quote(name)}"
        )
        yield (
            "shared",
            "Whether the shared pixels are enough, and needed, was not tested.",
            f"{scored}{' && ' if scored else ''}relstats sufficiency {study}",
        )
    for axis in found.axes:
        if not any(
            r.attrs.get("statistic") == "differences" and r.attrs.get("axis") == axis
            for r in results.values()
        ):
            yield (
                "regions",
                f"Where maps differ over {axis} was not looked at.",
                f"relstats differences {study} --axis {shlex.quote(axis)}",
            )
    if "regions" not in found.groups:
        yield (
            "regions",
            "The study has no masks of regions.",
            f"relstats regions add {study} landmarks.csv",
        )
    elif "regions" not in done:
        axis = next(iter(found.axes), "")
        yield (
            "regions",
            "Relevance of regions was not measured.",
            f"relstats regions {study}{f' --axis {shlex.quote(axis)}' if axis else ''}",
        )


#: Data of people, the statistic that compares maps with them, and what is not known without it.
_OF_PEOPLE = (
    ("human", "rsa", "Maps were not compared with the judgments in the study.", "rsa {study}"),
    (
        "human_maps",
        "human_maps",
        "Maps were not compared with people's maps.",
        "humanmaps compare {study}",
    ),
    (
        "behaviour",
        "behaviour",
        "Answers of networks were not compared with people's choices.",
        "behaviour measure {study}",
    ),
)


def _of_people(
    found: Facts, results: dict[str, xr.Dataset], study: str
) -> Iterator[tuple[str, str, str]]:
    done = {str(result.attrs.get("statistic")) for result in results.values()}
    if "compare_human" in done:
        done.add("rsa")
    for group, statistic, why, command in _OF_PEOPLE:
        if group in found.groups and statistic not in done:
            yield "humans", why, f"relstats {command.format(study=study)}"
    if not {group for group, *_ in _OF_PEOPLE} & found.groups and not done & {
        statistic for _, statistic, *_ in _OF_PEOPLE
    }:
        yield (
            "humans",
            "The study holds no human judgments: whether maps match people could not be said.",
            f"relstats judgments add {study} ratings.csv",
        )
