import itertools

import numpy as np
import pytest

from relstats.compute.perturb.others import DONORS, Marks, by_preference, donors, require_others
from relstats.errors import ImpossibleAnalysis

NEEDED = {"all": lambda n: n, "most": lambda n: -(-9 * n // 10), "majority": lambda n: n // 2 + 1}


def slow_others(masks, conditions, consensus, without):
    """Pixel by pixel, network by network: the set that all networks but one share, and how many of
    them have each pixel.
    """
    sets, counts = np.zeros(masks.shape[1:], bool), np.zeros(masks.shape[1:], int)
    for image, pixel in np.ndindex(*sets.shape):
        enough = []
        for condition in set(conditions):
            members = [m for m, c in enumerate(conditions) if c == condition and m != without]
            having = sum(bool(masks[m, image, pixel]) for m in members)
            counts[image, pixel] += having
            enough.append(having >= NEEDED[consensus](len(members)))
        sets[image, pixel] = all(enough)
    return sets, counts


@pytest.mark.parametrize("consensus", list(NEEDED))
@pytest.mark.parametrize("conditions", [[0, 0, 0], [0] * 11, [0, 0, 0, 1, 1], [1, 0, 1, 0, 0, 1]])
def test_sets_of_the_others_are_those_of_the_definition(consensus, conditions):
    rng = np.random.default_rng(1)
    masks = rng.random((len(conditions), 5, 13)) < 0.8
    marks = Marks.empty(np.array(conditions), 5, 13, consensus)
    for images in ([0, 3], [4, 1, 2]):  # block by block, in any order
        marks.fill(np.array(images), masks[:, images])
    for network in range(len(conditions)):
        sets, counts = marks.of_others(network, np.array([3, 0, 3, 4]))
        expected = slow_others(masks, conditions, consensus, network)
        np.testing.assert_array_equal(sets, expected[0][[3, 0, 3, 4]])
        np.testing.assert_array_equal(counts, expected[1][[3, 0, 3, 4]])
    np.testing.assert_array_equal(
        marks.of_all(np.arange(5))[0], slow_others(masks, conditions, consensus, None)[0]
    )


def test_asking_for_sets_changes_no_mark():
    marks = Marks.empty(np.zeros(3, int), 2, 9, "all")
    marks.fill(np.arange(2), np.random.default_rng(1).random((3, 2, 9)) < 0.7)
    before = [marks.of_others(m, np.arange(2))[0] for m in range(3)]
    again = [marks.of_others(m, np.arange(2))[0] for m in range(3)]
    np.testing.assert_array_equal(before, again)


def test_pixels_of_a_set_come_before_those_outside_it():
    rng = np.random.default_rng(2)
    sets, counts = rng.random(50) < 0.3, rng.integers(0, 7, 50)
    order = by_preference(sets, counts, 7)
    for a, b in itertools.permutations(range(50), 2):
        if (sets[a], counts[a]) > (sets[b], counts[b]):
            assert order[a] > order[b]


def test_donors_are_the_images_whose_areas_are_nearest():
    areas = np.random.default_rng(3).integers(1, 1000, (2, 40))
    near = donors(areas)
    distance = np.abs(areas.sum(0)[:, np.newaxis] - areas.sum(0))
    for image, chosen in enumerate(near):
        rest = np.setdiff1d(np.arange(40), [*chosen, image])
        assert image not in chosen
        assert len(set(chosen)) == DONORS
        assert distance[image, chosen].max() <= distance[image, rest].min()
    assert donors(np.full((3, 4), 5)).shape == (4, 3)


def test_two_others_are_the_fewest_and_no_condition_is_left_empty():
    require_others(np.array([3]), ["all networks"], "x")
    require_others(np.array([2, 2]), ["a", "b"], "x")
    with pytest.raises(ImpossibleAnalysis, match=r"x is of 2 networks: .*1 is left"):
        require_others(np.array([2]), ["all networks"], "x")
    with pytest.raises(ImpossibleAnalysis, match=r"1 condition\(s\) of one network \(b\)"):
        require_others(np.array([5, 1]), ["a", "b"], "x")
