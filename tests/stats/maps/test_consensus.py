"""Arrays of shared pixels against definitions pixel by pixel, scipy, and cases by hand."""

import itertools

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from relstats.stats.maps import bits, consensus

DESIGNS = [([2], 7), ([5], 64), ([3, 1], 65), ([4, 2, 3], 130), ([20], 100)]


def draw(sizes, pixels, images=6, rate=0.4, seed=0):
    """Masks (network, image, pixel) that share a part, bool."""
    rng = np.random.default_rng(seed)
    common = rng.random((images, pixels)) < 0.3
    return (rng.random((sum(sizes), images, pixels)) < rate) | common


def slow_core(masks, sizes, wanted):
    """Pixels that `wanted` networks of each condition have, of masks (network, pixel): network by
    network.
    """
    core = []
    for pixel in range(masks.shape[1]):
        start, fine = 0, True
        for size, k in zip(sizes, wanted, strict=True):
            fine &= sum(bool(mask[pixel]) for mask in masks[start : start + size]) >= k
            start += size
        core.append(fine)
    return np.array(core)


@pytest.mark.parametrize("pixels", [1, 63, 64, 65, 200])
def test_packing_keeps_every_pixel_and_adds_none(pixels):
    masks = np.random.default_rng(1).random((3, 2, pixels)) < 0.5
    packed = bits.pack(masks)
    assert packed.shape == (3, 2, -(-pixels // 64))
    np.testing.assert_array_equal(bits.unpack(packed, pixels), masks)
    assert sum(int(word).bit_count() for word in packed.ravel()) == masks.sum()


def test_bit_k_of_a_word_is_pixel_k():
    masks = np.zeros(70, bool)
    masks[[3, 64]] = True
    assert bits.pack(masks).tolist() == [2**3, 1]


@given(st.integers(1, 300))
def test_all_ninety_percent_and_more_than_half(n):
    every, most, majority = consensus.needed(np.array([n]))[:, 0]
    assert every == n
    assert 10 * most >= 9 * n > 10 * (most - 1)
    assert 2 * majority > n >= 2 * (majority - 1)


@pytest.mark.parametrize(("sizes", "pixels"), DESIGNS)
def test_statistics_of_swaps_are_those_of_the_definition(sizes, pixels):
    masks = draw(sizes, pixels)
    sizes = np.array(sizes)
    rates = masks.mean(axis=1)
    donors = consensus.swaps(4, len(masks), masks.shape[1], np.random.default_rng(2))
    expected = consensus.layout(rates)
    largest, pixels_shared = consensus.swap_statistics(bits.pack(masks), donors, sizes, expected)
    for swap, image in itertools.product(range(5), range(masks.shape[1])):
        shown = np.array([masks[m, donors[swap, m, image]] for m in range(len(masks))])
        z = (shown.sum(axis=0) - rates.sum(axis=0)) / (
            np.sqrt((rates * (1 - rates)).sum(axis=0)) + 0.25
        )
        np.testing.assert_allclose(largest[swap, image], z.max(), rtol=1e-12)
        for level, wanted in enumerate(consensus.needed(sizes)):
            assert pixels_shared[swap, image, level] == slow_core(shown, sizes, wanted).sum()


@pytest.mark.parametrize("networks", [2, 3, 5, 7, 15])
def test_the_largest_z_of_many_swaps_is_that_of_all_pixels(networks):
    """Common pixels, rare ones, and some that every network always has: also where no pixel is as
    large as usual.
    """
    rng = np.random.default_rng(networks)
    masks = rng.random((networks, 12, 150)) < np.concatenate(
        [rng.random(100) ** 3, np.repeat([1.0, 0.0], 25)]
    )
    donors = consensus.swaps(600, networks, 12, rng)
    expected = consensus.layout(masks.mean(axis=1))
    largest, _ = consensus.swap_statistics(bits.pack(masks), donors, np.array([networks]), expected)
    count = sum(mask[donors[:, network]].astype(int) for network, mask in enumerate(masks))
    np.testing.assert_array_equal(largest, ((count - expected.mean) / expected.spread).max(axis=-1))


def test_the_largest_z_is_found_where_all_z_are_negative():
    masks = np.zeros((2, 1, 100), bool)
    expected = consensus.Layout(
        np.repeat([1.0, 2.0], (64, 36)), np.repeat([4.0, 1.0, 100.0], (64, 35, 1))
    )  # the last pixel: -0.02
    largest, _ = consensus.swap_statistics(
        bits.pack(masks), np.zeros((1, 2, 1), np.int16), np.array([2]), expected
    )
    assert largest.item() == (-expected.mean / expected.spread).max() < 0


def test_swaps_permute_the_images_of_each_network_alone():
    donors = consensus.swaps(200, 3, 5, np.random.default_rng(3))
    assert (donors[0] == np.arange(5)).all()
    assert (np.sort(donors, axis=-1) == np.arange(5)).all()
    other = (donors[1:, 0] == donors[1:, 1]).mean()
    assert abs(other - 0.2) < 4 * np.sqrt(0.16 / 1000)
    kept = (donors[1:] == np.arange(5)).mean(axis=(0, 1))  # the image itself takes part
    assert (abs(kept - 0.2) < 4 * np.sqrt(0.16 / 600)).all()


@pytest.mark.parametrize(("sizes", "pixels"), DESIGNS)
def test_agreement_is_the_mean_share_of_others_on_a_masks_pixels(sizes, pixels):
    masks = draw(sizes, pixels, rate=0.5)
    found = consensus.agreement_with_others(bits.pack(masks), np.array(sizes), pixels)
    condition = np.repeat(np.arange(len(sizes)), sizes)
    for m, donor, image in itertools.product(range(len(masks)), range(2), range(3)):
        shares = []
        for c in range(len(sizes)):
            others = [k for k in range(len(masks)) if condition[k] == c and k != m]
            if others:
                shares.append(np.mean([masks[k, image] for k in others], axis=0))
        expected = np.mean(shares, axis=0)[masks[m, donor]].mean()
        np.testing.assert_allclose(found[m, donor, image], expected, rtol=1e-12)


def test_agreement_is_exact_where_float32_would_not_be(monkeypatch):
    sizes, pixels = (
        np.array([13, 11, 7]),
        6500,
    )  # weights of 924 / 12, 924 / 11 and 924 / 7: sums beyond 2**24
    masks = np.ones((31, 1, pixels), bool)
    masks[30, 0, 0] = False
    found = consensus.agreement_with_others(bits.pack(masks), sizes, pixels)
    assert found[0, 0, 0] == (3 * 924 * pixels - 924 // 7) / (3 * 924 * pixels)
    monkeypatch.setattr(consensus, "_PIXELS", 1000)
    np.testing.assert_array_equal(
        consensus.agreement_with_others(bits.pack(masks), sizes, pixels), found
    )


@pytest.mark.parametrize(("sizes", "pixels"), DESIGNS)
def test_leaving_a_network_out_is_the_core_of_the_rest(sizes, pixels):
    masks, sizes = draw(sizes, pixels), np.array(sizes)
    both, either = consensus.leave_one_out(bits.pack(masks), sizes, range(3))
    condition = np.repeat(np.arange(len(sizes)), sizes)
    for m, image in itertools.product(range(len(masks)), range(3)):
        rest = sizes - (np.arange(len(sizes)) == condition[m])
        fewer = np.delete(masks[:, image], m, axis=0)
        for level in range(3):
            whole = slow_core(masks[:, image], sizes, consensus.needed(sizes)[level])
            left = slow_core(fewer, rest[rest > 0], consensus.needed(rest[rest > 0])[level])
            assert both[level, m, image] == (whole & left).sum()
            assert either[level, m, image] == (whole | left).sum()


def test_overlap_of_a_condition_that_sees_another_image():
    masks, sizes = draw([4, 2, 3], 130), np.array([4, 2, 3])
    found = consensus.condition_overlap(bits.pack(masks), sizes)
    parts = np.split(masks, np.cumsum(sizes)[:-1])
    for level, c, donor, image in itertools.product(range(3), range(3), range(2), range(4)):
        shown = np.concatenate(
            [part[:, donor if k == c else image] for k, part in enumerate(parts)]
        )
        assert (
            found[level, c, donor, image]
            == slow_core(shown, sizes, consensus.needed(sizes)[level]).sum()
        )


def test_chance_of_independent_networks_is_binomial():
    rate = np.array([0.0, 0.1, 1.0])
    found = consensus.share_by_chance(np.array([[3, 2]]), np.array([5, 2]), rate)[0]
    by_hand = sum(stats.binom.pmf(k, 5, 0.1) for k in (3, 4, 5)) * 0.01
    np.testing.assert_allclose(found, [0, by_hand, 1], rtol=1e-12)


@pytest.mark.parametrize(
    ("k", "n", "lower"),
    [(3, 3, 0.445), (5, 5, 0.586), (4, 5, 0.388), (10, 10, 0.749), (20, 20, 0.860)],
)
def test_prevalence_is_that_of_ince_et_al(k, n, lower):
    assert round(consensus.prevalence(k, n)[1], 3) == pytest.approx(lower, abs=1e-3)


def test_prevalence_bound_holds_its_share_of_the_posterior():
    """Numerically: posterior of the share g, uniform before, where a network is significant with
    probability .05 + .95 g.
    """
    share = np.linspace(0, 1, 200001)
    posterior = (0.05 + 0.95 * share) ** 7 * (0.95 - 0.95 * share) ** 3
    below = np.cumsum(posterior) / posterior.sum()
    most_likely, lower = consensus.prevalence(7, 10, confidence=0.9)
    assert below[np.searchsorted(share, lower)] == pytest.approx(0.1, abs=1e-4)
    assert share[posterior.argmax()] == pytest.approx(most_likely, abs=1e-4)
    assert consensus.prevalence(0, 5)[0] == 0


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 9), st.integers(1, 150))
def test_order_of_networks_and_of_images_does_not_matter(random, networks, pixels):
    masks = draw([networks], pixels, seed=random.randrange(100))
    rows, images = (
        np.array(random.sample(range(networks), networks)),
        np.array(random.sample(range(6), 6)),
    )
    sizes, donors = (
        np.array([networks]),
        np.broadcast_to(np.arange(6, dtype=np.int16), (1, networks, 6)),
    )
    one = consensus.swap_statistics(
        bits.pack(masks), donors, sizes, consensus.layout(masks.mean(axis=1))
    )
    moved = masks[rows][:, images]
    two = consensus.swap_statistics(
        bits.pack(moved), donors, sizes, consensus.layout(moved.mean(axis=1))
    )
    np.testing.assert_allclose(two[0], one[0][:, images], rtol=1e-12)
    np.testing.assert_array_equal(two[1], one[1][:, images])
    first = consensus.agreement_with_others(
        bits.pack(masks | (masks.sum(axis=-1, keepdims=True) == 0)), sizes, pixels
    )
    again = consensus.agreement_with_others(
        bits.pack(moved | (moved.sum(axis=-1, keepdims=True) == 0)), sizes, pixels
    )
    np.testing.assert_array_equal(again, first[rows][:, images][:, :, images])


@pytest.mark.parametrize("workers", [1, 4])
def test_the_number_of_workers_changes_no_bit(workers):
    masks, sizes = draw([3, 4], 200, images=40), np.array([3, 4])
    packed, donors = bits.pack(masks), consensus.swaps(99, 7, 40, np.random.default_rng(1))

    def all_of_it():
        z, pixels = consensus.swap_statistics(
            packed, donors, sizes, consensus.layout(masks.mean(axis=1))
        )
        return (
            z,
            pixels,
            consensus.agreement_with_others(packed, sizes, 200),
            *consensus.leave_one_out(packed, sizes, range(40)),
        )

    with dask.config.set(scheduler="synchronous"):
        expected = all_of_it()
    with dask.config.set(scheduler="threads", num_workers=workers):
        for one, two in zip(all_of_it(), expected, strict=True):
            np.testing.assert_array_equal(one, two)
