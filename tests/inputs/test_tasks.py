"""Arrangements and odd ones out against slow definitions, numbers of a platform, and cases by
hand.
"""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from relstats.errors import ImpossibleAnalysis, InvalidData
from relstats.inputs import tasks
from relstats.inputs.arrangement_files import Trial

# two tasks of three images as the Meadows platform exports them: where each was put, and the RDM
# that the platform computed
PLATFORM = [
    (
        [
            {
                "river": (0.2795055243569555, 0.852190158852797),
                "beach": (-0.3210432312328404, 0.8496612781799198),
                "fireplace": (-0.00762821929698301, -0.9172827117277071),
            },
            {
                "river": (0.8581178540846921, 0.26755061735706315),
                "beach": (0.8391950341066315, -0.26235929301557387),
                "fireplace": (-0.9418460433365579, -0.09456830539608164),
            },
        ],
        [0.6856751985051518, 0.2181217316152998, 0.6944583733760173],
    ),
    (
        [
            {
                "fireplace": (0.35484567145692086, 0.8280813117808076),
                "river": (-0.2517302959008719, 0.8647293075999127),
                "beach": (-0.004614613412984546, -0.9413915587996963),
            },
            {
                "fireplace": (0.2915599478929497, 0.8401357353168024),
                "beach": (-0.055845913440961174, -0.9343934051472687),
                "river": (-0.24871669001687347, 0.8878672127874715),
            },
        ],
        [0.6858794891835531, 0.693779510294981, 0.219634508700624],
    ),
]


@pytest.mark.parametrize(("trials", "rdm"), PLATFORM)
def test_the_platforms_rdm_of_its_raw_trials(trials, rdm):
    number = {"beach": 0, "fireplace": 1, "river": 2}
    distances = [Trial("p", tuple(t), np.array(list(t.values()))).distances(number) for t in trials]
    assert tasks.arranged(distances) == pytest.approx(rdm, rel=1e-10)


def slow_arranged(distances):
    """Pair by pair, from the words of the method."""
    trials, pairs = distances.shape
    known = [[t for t in range(trials) if not np.isnan(distances[t, p])] for p in range(pairs)]
    estimate = [sum(distances[t, p] for t in known[p]) / len(known[p]) for p in range(pairs)]
    norm = sum(v**2 for v in estimate) ** 0.5
    estimate = [v / norm for v in estimate]
    while True:
        scaled = np.full(distances.shape, np.nan)
        for t in range(trials):
            mine = [p for p in range(pairs) if t in known[p]]
            ours = sum(distances[t, p] ** 2 for p in mine) ** 0.5
            theirs = sum(estimate[p] ** 2 for p in mine) ** 0.5
            for p in mine:
                scaled[t, p] = distances[t, p] / ours * theirs
        new = []
        for p in range(pairs):
            weights = [max(distances[t, p], 0.2) ** 2 for t in known[p]]
            new.append(
                sum(w * scaled[t, p] for w, t in zip(weights, known[p], strict=True)) / sum(weights)
            )
        norm = sum(v**2 for v in new) ** 0.5
        new = [v / norm for v in new]
        change = sum((a - b) ** 2 for a, b in zip(new, estimate, strict=True))
        estimate = new
        if change <= 1e-8:
            return estimate


def test_arrangements_from_the_definition():
    rng = np.random.default_rng(2)
    distances = rng.random((7, 15)) * 2
    distances[rng.random(distances.shape) < 0.4] = np.nan
    distances[0] = rng.random(15)
    distances[1, ~np.isnan(distances[1])] *= 0.05  # closer than a hand puts them
    assert tasks.arranged(distances) == pytest.approx(slow_arranged(distances), rel=1e-10)


def test_one_trial_is_its_distances_at_unit_norm():
    distances = pdist(np.random.default_rng(1).random((6, 2)))
    assert tasks.arranged(distances) == pytest.approx(
        distances / np.linalg.norm(distances), rel=1e-12
    )


def test_noise_free_trials_at_any_scale_give_the_true_rdm():
    points = np.random.default_rng(1).random((6, 2))
    first, second = np.triu_indices(6, 1)
    trials = []
    for chosen in itertools.combinations(range(6), 4):
        trial = pdist(points) * np.random.default_rng(len(trials)).uniform(0.5, 2)
        trial[~(np.isin(first, chosen) & np.isin(second, chosen))] = np.nan
        trials.append(trial)
    # it stops where the squares change by less than 1e-8
    assert tasks.arranged(trials) == pytest.approx(
        pdist(points) / np.linalg.norm(pdist(points)), rel=2e-3
    )


def test_pairs_of_no_trial_are_missing_and_trials_of_one_heap_say_nothing():
    found = tasks.arranged([[1.0, np.nan, 2.0], [0.0, np.nan, 0.0]])
    assert found == pytest.approx([1 / 5**0.5, np.nan, 2 / 5**0.5], nan_ok=True)


def test_what_cannot_be_arranged():
    with pytest.raises(ImpossibleAnalysis, match="no trial has two images at different places"):
        tasks.arranged([[0.0, np.nan, 0.0]])
    for wrong in (-1.0, np.inf):
        with pytest.raises(InvalidData, match="negative or infinite"):
            tasks.arranged([[1.0, wrong, 1.0]])


def test_odd_one_out_from_the_definition():
    rng = np.random.default_rng(3)
    triplets = np.array([rng.permutation(6)[:3] for _ in range(60)])
    odd = rng.integers(0, 3, 60)
    found, counts = tasks.odd_one_out(triplets, odd, 6)
    for k, (a, b) in enumerate(itertools.combinations(range(6), 2)):
        both = [(t, o) for t, o in zip(triplets, odd, strict=True) if a in t and b in t]
        together = [1 for t, o in both if t[o] not in (a, b)]
        assert counts[k] == len(both)
        assert found[k] == pytest.approx(1 - len(together) / len(both), rel=1e-12)


def test_odd_one_out_does_not_mind_the_order_within_a_triplet():
    one, _ = tasks.odd_one_out([[0, 1, 2], [3, 1, 0]], [2, 0], 4)
    other, _ = tasks.odd_one_out([[2, 0, 1], [1, 0, 3]], [0, 2], 4)
    np.testing.assert_array_equal(one, other)
    with pytest.raises(InvalidData, match="holds an image twice"):
        tasks.odd_one_out([[0, 1, 1]], [0], 2)


@pytest.mark.parametrize("n", [20, 100])
def test_similarities_and_dissimilarities_are_ordered_differently(n):
    distances = pdist(np.random.default_rng(n).random((n, 2)))[np.newaxis]
    share = tasks.ordered_as_dissimilarities(distances, n)
    assert share > 0.55
    assert tasks.ordered_as_dissimilarities(-distances, n) == pytest.approx(1 - share, abs=1e-12)
    noise = np.random.default_rng(n).random((20, distances.size))
    assert tasks.ordered_as_dissimilarities(noise, n) == pytest.approx(0.5, abs=0.03)
    half = np.where(np.arange(distances.size) % 2, distances, np.nan)
    assert tasks.ordered_as_dissimilarities(half, n) > 0.5
    assert np.isnan(tasks.ordered_as_dissimilarities(np.full(distances.shape, np.nan), n))
