"""Humans: RDMs of networks and of people, and how well they agree, for images and people like those measured."""

from relstats.human.comparisons import compare_rdms

__all__ = ["compare_rdms"]
