"""Slow definitions: a draw of images is expanded into a larger RDM, and every comparison is written
out.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats


def expand(rdm, count):
    """The RDM of a draw, copies of an image as images of their own, and NaN between them.

    With its pairs' ends.
    """
    n = len(count)
    square = np.full((n, n), np.nan)
    square[np.triu_indices(n, 1)] = rdm
    square = np.where(np.isnan(square), square.T, square)
    who = np.repeat(np.arange(n), np.asarray(count, int))
    first, second = np.triu_indices(len(who), 1)
    return square[who[first], who[second]], first, second


def covariance(first, second):
    """V = (CC') o (CC') of pairs, entry by entry."""
    images = max(second) + 1
    contrasts = np.zeros((len(first), images))
    contrasts[np.arange(len(first)), first], contrasts[np.arange(len(first)), second] = 1, -1
    return (contrasts @ contrasts.T) ** 2


def residuals(vector, first, second):
    design = np.zeros((len(first), max(second) + 1))
    design[np.arange(len(first)), first] = design[np.arange(len(first)), second] = 1
    return vector - design @ np.linalg.lstsq(design, vector)[0]


def tau_a(x, y):
    pairs = itertools.combinations(range(len(x)), 2)
    signs = [np.sign(x[p] - x[q]) * np.sign(y[p] - y[q]) for p, q in pairs]
    return np.mean(signs)


def slow_agreement(x, y, comparison, count):
    """One number for two RDMs with NaN where missing."""
    x, first, second = expand(x, count)
    y, _, _ = expand(y, count)
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y, first, second = x[known], y[known], first[known], second[known]
    n = len(x)
    if comparison in ("rho-a", "spearman"):
        x, y = stats.rankdata(x), stats.rankdata(y)
    if comparison == "rho-a":
        return 12 * np.sum((x - x.mean()) * (y - y.mean())) / (n**3 - n)
    if comparison == "tau-a":
        return tau_a(x, y)
    if comparison in ("spearman", "corr", "corr_cov"):
        x, y = x - x.mean(), y - y.mean()
    if comparison == "unbiased_cka":
        x, y = residuals(x, first, second), residuals(y, first, second)
    inner = np.linalg.pinv(covariance(first, second)) if comparison.endswith("_cov") else np.eye(n)
    if min(x @ inner @ x, y @ inner @ y) < 1e-20:  # values are of the order of 1: this is nothing
        return np.nan
    return x @ inner @ y / np.sqrt((x @ inner @ x) * (y @ inner @ y))


@pytest.fixture
def agreement():
    return slow_agreement
