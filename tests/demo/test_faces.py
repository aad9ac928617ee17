"""The renderer: features change their own pixels and no others, and the label images say which."""

from __future__ import annotations

import numpy as np
import pytest

from relstats.demo import faces
from relstats.demo.faces import GENDER, IDENTITY, REGIONS, draw_faces, draw_objects, draw_people


def drawn(people: np.ndarray, gender: int, seed: int = 3) -> faces.Faces:
    """Each person once; the nuisances are those of the seed."""
    n = len(people)
    return draw_faces(people, np.arange(n), np.full(n, gender), rng=np.random.default_rng(seed))


@pytest.mark.parametrize("feature", range(len(IDENTITY)))
def test_a_feature_of_identity_changes_the_pixels_of_its_region(feature: int) -> None:
    people = np.zeros((1, len(IDENTITY)))
    low, high = people.copy(), people.copy()
    low[0, feature], high[0, feature] = -1, 1
    one, other = drawn(low, 0), drawn(high, 0)
    changed = (np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max(axis=-1) > 20)[0]
    where = REGIONS.index(list(IDENTITY.values())[feature]) + 1
    within = (one.regions[0] == where) | (other.regions[0] == where)
    assert changed.sum() > 5
    assert within[changed].mean() > 0.95


def test_gender_changes_brows_and_jaw_alone() -> None:
    people = np.zeros((1, len(IDENTITY)))
    one, other = drawn(people, 0), drawn(people, 1)
    changed = (np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max(axis=-1) > 20)[0]
    labels = [REGIONS.index(region) + 1 for region in GENDER.values()]
    within = np.isin(one.regions[0], labels) | np.isin(other.regions[0], labels)
    assert changed.sum() > 20
    assert within[changed].mean() > 0.95
    for label in labels:
        assert (changed & ((one.regions[0] == label) | (other.regions[0] == label))).sum() > 5


def test_every_region_is_in_every_face_and_small_parts_are_small() -> None:
    rng = np.random.default_rng(1)
    found = draw_faces(
        draw_people(10, rng), rng.integers(0, 10, 100), rng.integers(0, 2, 100), rng=rng
    )
    areas = (found.regions[..., np.newaxis] == np.arange(1, len(REGIONS) + 1)).mean(axis=(1, 2))
    assert (areas > 0.005).all()
    assert (areas[:, :4] < 0.06).all()
    assert found.pixels.dtype == found.regions.dtype == np.uint8


def test_many_faces_are_those_of_one_block_after_another() -> None:
    people, n = draw_people(3, np.random.default_rng(1)), faces._BLOCK + 3
    found = draw_faces(people, np.arange(n) % 3, np.arange(n) % 2, rng=np.random.default_rng(2))
    assert (found.pixels.reshape(n, -1).std(axis=1) > 10).all()  # none is left undrawn
    np.testing.assert_array_equal(found.features["eye_spacing"], people[np.arange(n) % 3, 0])


def test_genders_differ_by_more_than_they_spread() -> None:
    rng = np.random.default_rng(1)
    gender = np.arange(200) % 2
    found = draw_faces(draw_people(5, rng), np.arange(200) % 5, gender, rng=rng)
    for name in GENDER:
        low, high = (found.features[name][gender == g] for g in (0, 1))
        assert high.mean() - low.mean() > 4 * max(low.std(), high.std())


def test_people_spread_over_the_whole_range() -> None:
    people = draw_people(11, np.random.default_rng(1))
    np.testing.assert_allclose(
        np.sort(people, axis=0), np.linspace(-1, 1, 11)[:, np.newaxis].repeat(len(IDENTITY), axis=1)
    )
    assert draw_people(1, np.random.default_rng(1)).tolist() == [[0.0] * len(IDENTITY)]


def test_objects_are_of_all_kinds_and_no_two_alike() -> None:
    pixels, kinds = draw_objects(300, size=32, rng=np.random.default_rng(1))
    assert set(kinds.tolist()) == set(range(25))
    assert len({image.tobytes() for image in pixels}) == 300
    again, _ = draw_objects(300, size=32, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(pixels, again)
