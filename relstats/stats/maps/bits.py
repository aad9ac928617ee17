"""Masks of pixels as bits, 64 to a word, and what is counted over networks from them.

Counts of networks are kept as binary numbers spread over planes, one bit of 64 pixels at a time, so
that a swap of all networks costs a few operations for each word.
"""

from __future__ import annotations

import numpy as np

from relstats.stats.maps.agreement import _popcount
from relstats.stats.maps.single import compiled

WORD = 64


def pack(masks: np.ndarray) -> np.ndarray:
    """64 pixels to a word, the first in the lowest bit: bool (..., pixel) to uint64 (..., word),
    filled up with zeros.

    Examples
    --------
    >>> pack(np.array([True, False, True]))
    array([5], dtype=uint64)
    """
    packed = np.packbits(masks, axis=-1, bitorder="little")
    words = np.zeros((*masks.shape[:-1], -(-masks.shape[-1] // WORD) * 8), np.uint8)
    words[..., : packed.shape[-1]] = packed
    return words.view("<u8").astype(np.uint64, copy=False)


def unpack(words: np.ndarray, pixels: int) -> np.ndarray:
    """What `pack` packed: uint64 (..., word) to uint8 (..., pixel), 0 or 1.

    Examples
    --------
    >>> unpack(np.array([5], np.uint64), 4)
    array([1, 0, 1, 0], dtype=uint8)
    """
    rows = np.ascontiguousarray(words.astype("<u8", copy=False))
    return np.unpackbits(rows.view(np.uint8), axis=-1, count=pixels, bitorder="little")


@compiled
def statistics(
    masks: np.ndarray,
    sizes: np.ndarray,
    wanted: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    exceeding: np.ndarray,
    donors: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The largest z (swap, image) and the sizes of the shared sets (swap, image, consensus).

    See `consensus.swap_statistics`.

    `exceeding` (bit, word) are the counts with which pixels exceed some z. Any will do: it says
    where to look first.
    """
    words, images = masks.shape[2], donors.shape[2]
    largest = np.empty((donors.shape[0], images))
    found = np.zeros((donors.shape[0], images, len(wanted)), np.int64)
    together, one = np.empty((2, words), np.uint64)
    everyone = np.array([len(masks)])
    planes, total = _no_planes(sizes, words), _no_planes(everyone, words)
    for swap in range(donors.shape[0]):
        for image in range(images):
            _count(masks, donors[swap, :, image], sizes, planes)
            if sizes.size > 1:
                _count(masks, donors[swap, :, image], everyone, total)
            counted = (total if sizes.size > 1 else planes)[0]
            largest[swap, image] = _largest_z(counted, exceeding, mean, spread)
            for level in range(len(wanted)):
                _shared(planes, wanted[level], together, one)
                found[swap, image, level] = _bits(together)
    return largest, found


@compiled
def _no_planes(sizes: np.ndarray, words: int) -> np.ndarray:
    """Bits of the counts of each condition, and of one more: (condition, bit, word)."""
    bits = 0
    while (sizes.max() + 1) >> bits:
        bits += 1
    return np.zeros((sizes.size, bits, words), np.uint64)


@compiled
def _count(masks: np.ndarray, images: np.ndarray, sizes: np.ndarray, planes: np.ndarray) -> None:
    """Count the networks that have each pixel, 64 pixels at a time: an adder of one bit for each
    bit of the count.
    """
    planes[:] = 0
    network = 0
    for condition in range(sizes.size):
        for added in range(sizes[condition]):
            rest = masks[network, images[network]].copy()
            bit = 0
            while (added + 1) >> bit:
                plane = planes[condition, bit]
                for word in range(rest.size):
                    carry = plane[word] & rest[word]
                    plane[word] ^= rest[word]
                    rest[word] = carry
                bit += 1
            network += 1


@compiled
def _shared(planes: np.ndarray, wanted: np.ndarray, together: np.ndarray, one: np.ndarray) -> None:
    """Which pixels at least `wanted` networks of each condition have."""
    _at_least(planes[0], wanted[0], together)
    for condition in range(1, len(wanted)):
        _at_least(planes[condition], wanted[condition], one)
        together &= one


@compiled
def _at_least(planes: np.ndarray, count: int, out: np.ndarray) -> None:
    """Compare counts with a number, from the highest bit down."""
    equal = np.full(out.size, ~np.uint64(0))
    out[:] = 0
    for bit in range(len(planes) - 1, -1, -1):
        plane = planes[bit]
        if (count >> bit) & 1:
            for word in range(out.size):
                equal[word] &= plane[word]
        else:
            for word in range(out.size):
                out[word] |= equal[word] & plane[word]
                equal[word] &= ~plane[word]
    out |= equal


@compiled
def _bits(words: np.ndarray) -> np.int64:
    total = np.uint64(0)
    for word in words:
        total += _popcount(word)  # type: ignore[call-arg]
    return np.int64(total)


@compiled
def _largest_z(
    planes: np.ndarray, exceeding: np.ndarray, mean: np.ndarray, spread: np.ndarray
) -> float:
    """Among the pixels that exceed some z, if there is one: the others are smaller.

    Else among all.
    """
    best = -np.inf
    for word in range(planes.shape[1]):
        left = _at_least_each(planes, exceeding, word)
        while left:
            pixel = 64 * word + _lowest(left)
            best = max(best, (_count_of(planes, word, pixel) - mean[pixel]) / spread[pixel])
            left &= left - np.uint64(1)
    if best == -np.inf:
        for each in range(mean.size):
            best = max(best, (_count_of(planes, each // 64, each) - mean[each]) / spread[each])
    return best


@compiled
def _lowest(word: np.uint64) -> np.int64:
    """Which bit is the lowest that is set."""
    return np.int64(_popcount(~word & (word - np.uint64(1))))  # type: ignore[call-arg]


@compiled
def _at_least_each(planes: np.ndarray, counts: np.ndarray, word: int) -> np.uint64:
    """Compare the counts of 64 pixels with a number for each, from the highest bit down."""
    more, equal = np.uint64(0), ~np.uint64(0)
    for bit in range(len(counts) - 1, -1, -1):
        more |= equal & planes[bit, word] & ~counts[bit, word]
        equal &= ~(planes[bit, word] ^ counts[bit, word])
    return more | equal


@compiled
def _count_of(planes: np.ndarray, word: int, pixel: int) -> np.int64:
    count = np.int64(0)
    for bit in range(len(planes)):
        count += np.int64((planes[bit, word] >> np.uint64(pixel - 64 * word)) & np.uint64(1)) << bit
    return count


@compiled
def left_out(
    masks: np.ndarray, sizes: np.ndarray, wanted: np.ndarray, fewer: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the shared sets with and without a network, both and either: (consensus, network,
    image).
    """
    both = np.zeros((len(wanted), len(masks), images.size), np.int64)
    either, planes = np.zeros_like(both), _no_planes(sizes, masks.shape[2])
    whole, rest, one = np.empty((3, masks.shape[2]), np.uint64)
    for at in range(images.size):
        _count(masks, np.full(len(masks), images[at]), sizes, planes)
        for level in range(len(wanted)):
            _shared(planes, wanted[level], whole, one)
            for network in range(len(masks)):
                mask = masks[network, images[at]]
                _shared_without(planes, sizes, wanted[level], fewer[level], network, mask, rest)
                both[level, network, at] = _bits(whole & rest)
                either[level, network, at] = _bits(whole | rest)
    return both, either


@compiled
def _shared_without(
    planes: np.ndarray,
    sizes: np.ndarray,
    wanted: np.ndarray,
    fewer: np.ndarray,
    network: int,
    mask: np.ndarray,
    out: np.ndarray,
) -> None:
    one, more = np.empty(out.size, np.uint64), np.empty(out.size, np.uint64)
    out[:] = ~np.uint64(0)
    first = 0
    for condition in range(sizes.size):
        if first <= network < first + sizes[condition]:
            if sizes[condition] > 1:  # a condition of this network alone goes with it
                _at_least(planes[condition], fewer[condition], one)
                _at_least(planes[condition], fewer[condition] + 1, more)
                out &= more | (one & ~mask)
        else:
            _at_least(planes[condition], wanted[condition], one)
            out &= one
        first += sizes[condition]


@compiled
def condition_sets(masks: np.ndarray, sizes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which pixels at least `wanted` networks of each condition have: (condition, image, word)."""
    planes = _no_planes(sizes, masks.shape[2])
    sets = np.empty((sizes.size, masks.shape[1], masks.shape[2]), np.uint64)
    for image in range(masks.shape[1]):
        _count(masks, np.full(len(masks), image), sizes, planes)
        for condition in range(sizes.size):
            _at_least(planes[condition], wanted[condition], sets[condition, image])
    return sets


@compiled
def overlaps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pixels in both sets, of every pair: (one, word) and (other, word) to (one, other)."""
    out = np.empty((len(left), len(right)), np.int64)
    for one in range(len(left)):
        for other in range(len(right)):
            out[one, other] = _bits(left[one] & right[other])
    return out
