"""What there is to know of one analysis: the form of an entry in `relstats.results.entries`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Setting:
    """One way in which `relstats run` does an analysis, where that is not with its defaults alone.

    Attributes
    ----------
    options : mapping of str to str
        Parameters that differ from their defaults.
    reads : tuple of str
        Groups that it cannot do without.
    gap, supply : str
        As those of `Analysis`.
    measures : tuple of str
        A result whose attribute `measure` is one of these fills the gap. Empty: any result.
    variants : tuple of str
        Parameters of which other values ask the same question again: of results that differ in
        these, the report tells one, and of the others a line each.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    gap: str = ""
    supply: str = ""
    measures: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """What there is to know of one analysis.

    Attributes
    ----------
    statistic : str
        `attrs["statistic"]` of its results; the names of its function, its file and, with hyphens,
        its command.
    run : str
        "module:function". Its signature and docstring make the command.
    figures : str
        "module:function", from a result (and `/images` or None) to a list of drawings.
    sentences : str
        "module:function", from a result and its name to sentences.
    question : str
        Key of `QUESTIONS`: the heading under which the report tells it.
    title : str
        Of one result; braces hold its attributes and what `relstats.results.wording.fields` makes
        of them.
    reads : tuple of str
        Groups that it cannot do without.
    gap : str
        What is not known without it; `{axis}` is the axis.
    supply : str
        The command that adds what it reads, where that is missing; `{study}` is the study.
    per_axis : bool
        `relstats run` does it for each axis with two levels.
    named : tuple of str
        Parameters whose values are part of a result's name, where they are not the defaults.
    columns : tuple of str
        Variables that tables show first, in the terminal and in the report. Variables of the same
        dims share a table; tables come in the order in which their first variable is named here.
    settings : tuple of Setting
        How `relstats run` does it; empty: once, with its defaults.
    needs : str
        An analysis whose result it needs.
    seeds : bool
        It compares networks of one model, and needs a model with two.
    about : str
        Filled as `title`: what its numbers are. Told above its sentences.
    lead : str
        "module:function" as `sentences`: what is told first. Default: all sentences.
    examples : tuple of str
        Command lines without `relstats`, for its help.
    options : mapping of str to str
        Names of command-line options where a parameter's is no good one.
    note : str
        What a reader of its tables must know.
    export : str
        "module:function" that writes a result's own files into a new folder.
    """

    statistic: str
    run: str
    figures: str
    sentences: str
    question: str
    title: str
    reads: tuple[str, ...]
    gap: str
    supply: str = ""
    per_axis: bool = False
    named: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    needs: str = ""
    seeds: bool = False
    about: str = ""
    lead: str = ""
    examples: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    export: str = ""

    @property
    def command(self) -> str:
        """The name of its command."""
        return self.statistic.replace("_", "-")

    @property
    def planned(self) -> tuple[Setting, ...]:
        """How `relstats run` does it: each setting with the groups, gap and supply that it has."""
        own = Setting(reads=self.reads, gap=self.gap, supply=self.supply)
        return self.settings or (own,)
