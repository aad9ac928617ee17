"""Humans: RDMs of networks and of people, and how well they agree, for images and people like those measured."""

from relstats.human.comparisons import compare_rdms
from relstats.human.levels import compare_human
from relstats.human.rdm import rdm
from relstats.human.rsa import correct, rsa

__all__ = ["compare_human", "compare_rdms", "correct", "rdm", "rsa"]
