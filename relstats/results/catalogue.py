"""The one list of analyses.

Commands, `relstats run`, figures, report, public names and the pages of the docs follow from it.
Text and dotted names only, so that whoever reads it imports no statistic.

To add an analysis: a statistic (`relstats/stats`), its figures (`relstats/plots`), an entry here.
See `docs/developing.md`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Headings of the report, in its order.
QUESTIONS = {
    "generalization": (
        "Do maps carry over to other models, and is one direction better than the other?"
    ),
    "stability": "Do maps agree across seeds of one model?",
    "shared": "Which pixels matter to nearly all networks?",
    "regions": "Which parts of the images carry the relevance?",
    "humans": "Do maps match what people say, look at or do?",
    "other": "What else was tested?",
}

_NO_SCORES = "Masked images' scores (/transfer) are missing."
_TRANSFER = "relstats transfer STUDY.toml {study}"
_COMPUTE = "relstats compute STUDY.toml {study}"


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


_AGREEMENT = ("spearman", "pearson", "cosine", "iou", "dice", "capture")
_TESTED = ("estimate", "ci", "p_value", "p_adjusted", "p_swap", "random")

ANALYSES: tuple[Analysis, ...] = (
    Analysis(
        statistic="compare",
        run="relstats.stats.compare:compare",
        figures="relstats.plots.compare:figures",
        sentences="relstats.results.sentences.networks:compare",
        lead="relstats.results.sentences.first:compare",
        question="generalization",
        title="{quantity} over {axis} ({how})",
        reads=(),
        gap="Whether maps carry over {axis} was not tested.",
        settings=(
            Setting(
                options={"measure": "spearman"},
                reads=("relevance",),
                gap="Agreement of maps over {axis} was not compared.",
                supply=_COMPUTE,
                measures=_AGREEMENT,
            ),
            Setting(
                options={"score": "probability"},
                reads=("transfer",),
                gap="Transfer over {axis} was not compared.",
                supply=_TRANSFER,
                measures=("transfer",),
                variants=("score", "normalise"),
            ),
        ),
        per_axis=True,
        about="{measured}.",
        named=("axis", "measure", "score", "normalise", "ranking", "fraction"),
        columns=(*_TESTED, "cell_mean"),
        examples=(
            "compare study.zarr --axis pretrain",
            "compare study.zarr --axis pretrain --measure spearman --within task --json",
        ),
    ),
    Analysis(
        statistic="similarity",
        run="relstats.stats.similarity:similarity",
        figures="relstats.plots.networks:similarity_figures",
        sentences="relstats.results.sentences.networks:similarity",
        question="generalization",
        title="Similarity of all networks' maps ({measure})",
        reads=("relevance",),
        gap="How alike the maps of any two networks are was not measured.",
        supply=_COMPUTE,
        named=("measure", "ranking", "fraction"),
        columns=("estimate", "standard_deviation", "n_images"),
        examples=("similarity study.zarr", "similarity study.zarr --measure iou --fraction 0.1"),
    ),
    Analysis(
        statistic="stability",
        run="relstats.stats.stability:stability",
        figures="relstats.plots.stability:figures",
        sentences="relstats.results.sentences.networks:stability",
        question="stability",
        title="Agreement across seeds ({measure})",
        reads=("relevance",),
        gap="Agreement across seeds was not measured.",
        supply=_COMPUTE,
        seeds=True,
        named=("measure",),
        columns=(
            "n_networks",
            "estimate",
            "ci",
            "above_swapped",
            "above_swapped_ci",
            "p_swapped_adjusted",
            "above_baseline",
            "above_baseline_ci",
            "p_baseline_adjusted",
            "reliability",
            "seeds_needed",
            "seeds_needed_ci",
            "random",
        ),
        examples=(
            "stability study.zarr",
            "stability study.zarr --measure pearson --baseline vgg16-random --json",
        ),
    ),
    Analysis(
        statistic="strategies",
        run="relstats.stats.strategies:strategies",
        figures="relstats.plots.networks:strategy_figures",
        sentences="relstats.results.sentences.networks:strategies",
        question="stability",
        title="Clusters of maps over {axis}",
        reads=("relevance",),
        gap="Whether maps fall into clusters that go with {axis} was not looked at.",
        supply=_COMPUTE,
        per_axis=True,
        named=("axis",),
        columns=("share", "p_value"),
        examples=("strategies study.zarr --axis pretrain",),
    ),
    Analysis(
        statistic="shared",
        run="relstats.stats.shared:shared",
        figures="relstats.plots.shared:figures",
        sentences="relstats.results.sentences.pixels:shared",
        lead="relstats.results.sentences.first:shared",
        question="shared",
        title="Shared pixels, top {percent}{across}",
        reads=("relevance",),
        gap="Shared pixels were not looked for.",
        supply=_COMPUTE,
        named=("across", "fraction", "ranking"),
        columns=(
            "estimate",
            "ci",
            "expected",
            "p_value",
            "p_adjusted",
            "p_every_condition",
            "agreement",
            "agreement_swapped",
            "p_network",
            "n_images_beyond",
            "n_images_beyond_family",
            "n_sharing",
            "prevalence_lower",
        ),
        examples=(
            "shared study.zarr --fraction 0.1",
            "shared study.zarr --across pretrain,task --export masks",
        ),
        export="relstats.results.mask_folder:write_masks",
    ),
    Analysis(
        statistic="sufficiency",
        run="relstats.stats.sufficiency:sufficiency",
        figures="relstats.plots.sufficiency:figures",
        sentences="relstats.results.sentences.pixels:sufficiency",
        lead="relstats.results.sentences.first:sufficiency",
        question="shared",
        title="Shared pixels, top {percent}{across}: enough, and needed? ({score}, {at})",
        reads=("sufficiency",),
        gap="Whether the shared pixels are enough, and needed, was not tested.",
        supply="relstats transfer STUDY.toml {study} --masks shared",
        needs="shared",
        named=("masks", "score", "axis"),
        columns=(
            "score_mean",
            "score_ci",
            "loss_mean",
            "loss_ci",
            "whole_mean",
            "whole_ci",
            "estimate",
            "ci",
            "p_value",
            "p_adjusted",
            "random",
        ),
        examples=(
            "sufficiency study.zarr",
            "sufficiency study.zarr --axis pretrain --score correct",
        ),
    ),
    Analysis(
        statistic="regions",
        run="relstats.stats.regions:regions",
        figures="relstats.plots.regions:figures",
        sentences="relstats.results.sentences.pixels:regions",
        lead="relstats.results.sentences.first:regions",
        question="regions",
        title="Relevance of regions{over} ({measure}, {ranking})",
        reads=("relevance", "regions"),
        gap="Relevance of regions was not measured over {axis}.",
        supply="relstats add regions {study} landmarks.csv",
        per_axis=True,
        named=("axis", "measure", "ranking"),
        columns=(*_TESTED[:-1], "p_max_t", "random", "level_mean", "level_ci", "area", "n_images"),
        examples=(
            "regions study.zarr --axis pretrain",
            "regions study.zarr --axis task --measure mass --ranking absolute --json",
        ),
    ),
    Analysis(
        statistic="differences",
        run="relstats.stats.differences:differences",
        figures="relstats.plots.differences:figures",
        sentences="relstats.results.sentences.pixels:differences",
        question="regions",
        title="Where maps differ over {axis}",
        reads=("relevance",),
        gap="Where maps differ over {axis} was not looked at.",
        supply=_COMPUTE,
        per_axis=True,
        named=("axis", "ranking"),
        columns=(
            "n_networks",
            "min_p_swap",
            "peak_statistic",
            "peak_y",
            "peak_x",
            "largest_estimate",
            "largest_y",
            "largest_x",
            "n_pixels_max_t",
            "n_pixels_bh",
            "n_clusters",
            "area_clusters",
            "area_tfce",
        ),
        note="clusters and TFCE: levels differ somewhere in the cluster, not at each of its pixels",
        examples=(
            "differences study.zarr --axis pretrain",
            "differences study.zarr --axis task --correction bh --json",
        ),
    ),
    Analysis(
        statistic="rsa",
        run="relstats.human.rsa:rsa",
        figures="relstats.plots.human:figures",
        sentences="relstats.results.sentences.people:rsa",
        question="humans",
        title="Networks and people: representational similarity ({comparison})",
        reads=("relevance", "human"),
        gap="Maps were not compared with people's judgments.",
        supply="relstats add judgments {study} ratings.csv",
        named=("on", "layer", "ranking", "dissimilarity", "comparison", "by", "control"),
        columns=(
            "n_networks",
            "estimate",
            "ci",
            "p_value",
            "p_value_adjusted",
            "p_mantel",
            "p_mantel_adjusted",
            "random",
            "ceiling_difference",
            "ceiling_difference_ci",
            "ceiling_difference_p_value",
            "ceiling_difference_p_value_adjusted",
            "difference",
            "difference_ci",
            "difference_p_value",
            "difference_p_value_adjusted",
            "difference_random",
            "noise_ceiling",
            "n_images",
            "n_participants",
        ),
        examples=(
            "rsa study.zarr",
            "rsa study.zarr --on features --random images,participants,seeds --json",
        ),
    ),
    Analysis(
        statistic="compare_human",
        run="relstats.human.compare_human:compare_human",
        figures="relstats.plots.human:level_figures",
        sentences="relstats.results.sentences.people:compare_human",
        question="humans",
        title="Agreement with people over {axis} ({comparison})",
        reads=("relevance", "human"),
        gap="Whose maps are closer to people's judgments over {axis} was not tested.",
        supply="relstats add judgments {study} ratings.csv",
        per_axis=True,
        named=("axis", "on", "layer", "comparison"),
        columns=(*_TESTED, "level_mean", "level_ci", "noise_ceiling"),
        examples=(
            "compare-human study.zarr --axis pretrain",
            "compare-human study.zarr --axis pretrain --random images,participants",
        ),
    ),
    Analysis(
        statistic="human_maps",
        run="relstats.human.human_maps:human_maps",
        figures="relstats.plots.correspondence:figures",
        sentences="relstats.results.sentences.people:people",
        question="humans",
        title="Agreement with people's maps ({measure}, {at})",
        reads=("relevance", "human_maps"),
        gap="Maps were not compared with people's maps over {axis}.",
        supply="relstats add human-maps {study} fixations.csv",
        per_axis=True,
        named=("axis", "measure", "fraction", "ranking"),
        columns=(
            *_TESTED,
            "level_mean",
            "level_ci",
            "level_p_value",
            "level_random",
            "split_half",
            "split_half_corrected",
        ),
        examples=(
            "human-maps study.zarr --axis pretrain",
            "human-maps study.zarr --measure overlap --fraction 0.1 --json",
        ),
    ),
    Analysis(
        statistic="behaviour",
        run="relstats.human.behaviour:behaviour",
        figures="relstats.plots.correspondence:figures",
        sentences="relstats.results.sentences.people:people",
        question="humans",
        title="Agreement with people's {of} (kappa, {at})",
        reads=("relevance", "behaviour"),
        gap="Answers of networks were not compared with people's choices over {axis}.",
        supply="relstats add choices {study} choices.csv",
        per_axis=True,
        named=("label", "axis", "of"),
        columns=(
            *_TESTED,
            "level_mean",
            "level_ci",
            "level_p_value",
            "level_random",
            "people_kappa",
            "people_ci",
            "networks_kappa",
        ),
        examples=(
            "behaviour study.zarr --label gender --axis pretrain",
            "behaviour study.zarr --of choices --label identity --json",
        ),
    ),
    Analysis(
        statistic="rdm",
        run="relstats.human.rdm:rdm",
        figures="relstats.plots.rdms:figures",
        sentences="relstats.results.sentences.people:rdm",
        question="humans",
        title="Dissimilarity of images ({dissimilarity})",
        reads=("relevance",),
        gap="How alike images are to the networks was not measured.",
        supply=_COMPUTE,
        named=("on", "layer", "ranking", "dissimilarity"),
        columns=("stress",),
        examples=("rdm study.zarr", "rdm study.zarr --on weighted_images --dissimilarity spearman"),
    ),
)

BY_STATISTIC = {analysis.statistic: analysis for analysis in ANALYSES}
BY_COMMAND = {analysis.command: analysis for analysis in ANALYSES}


def analysis_of(attrs: Mapping[Any, Any]) -> Analysis | None:
    """The analysis that made a result; None for one that is not in the list.

    Examples
    --------
    >>> analysis_of({"statistic": "regions"}).question, analysis_of({"statistic": "mine"})
    ('regions', None)
    """
    return BY_STATISTIC.get(str(attrs.get("statistic", "")))


def setting_of(attrs: Mapping[Any, Any]) -> Setting | None:
    """The setting whose gap a result fills; None for one of no analysis in the list.

    Examples
    --------
    >>> setting_of({"statistic": "compare", "measure": "transfer"}).variants
    ('score', 'normalise')
    """
    analysis = analysis_of(attrs)
    for setting in analysis.planned if analysis else ():
        if not setting.measures or attrs.get("measure") in setting.measures:
            return setting
    return None


def load(name: str) -> Any:
    """What a dotted name "module:function" stands for.

    Examples
    --------
    >>> load("relstats.results.catalogue:load").__name__
    'load'
    """
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def result_name(attrs: Mapping[Any, Any], defaults: Mapping[str, Any]) -> str:
    """Under which name a result is saved: its statistic and axis, and each named parameter that is
    not the default.

    Parameters
    ----------
    attrs : mapping
        Attributes of the result: `statistic` and the parameters.
    defaults : mapping
        Of the parameters, as `relstats.results.signature.signature` reads them.

    Examples
    --------
    >>> attrs = {
    ...     "statistic": "compare",
    ...     "axis": "pretrain",
    ...     "measure": "transfer",
    ...     "score": "margin",
    ... }
    >>> result_name(attrs, {"measure": "transfer", "score": "correct"})
    'compare_pretrain_margin'
    """
    analysis = analysis_of(attrs)
    parts = [str(attrs["statistic"])]
    for parameter in analysis.named if analysis else ():
        value = attrs.get(parameter)
        if value in (None, "none") or _plain(value) == _plain(defaults.get(parameter)):
            continue
        parts += [_text(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    return "_".join(parts)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _text(value: object) -> str:
    """A value as part of a name: shares of pixels in percent."""
    return f"{100 * value:g}" if isinstance(value, float) else str(value)
