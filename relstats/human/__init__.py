"""Humans: RDMs of networks and of people, and how well they agree, for images and people like those
measured.
"""

from relstats.human.compare_human import compare_human
from relstats.human.controls import controls
from relstats.human.points import points
from relstats.human.rdm import rdm
from relstats.human.rdms.comparisons import compare_rdms
from relstats.human.rsa import correct, rsa
from relstats.inputs.judgments import add_judgments, read_judgments

__all__ = [
    "add_judgments",
    "compare_human",
    "compare_rdms",
    "controls",
    "correct",
    "points",
    "rdm",
    "read_judgments",
    "rsa",
]
