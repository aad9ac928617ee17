import numpy as np
import pytest
import torch
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from relstats.compute.perturb import fills
from relstats.compute.perturb.interpolate import interpolate

WEIGHTS = {
    (y, x): 1 / 6 if 0 in (y, x) else 1 / 12
    for y in (-1, 0, 1)
    for x in (-1, 0, 1)
    if (y, x) != (0, 0)
}


def solved_directly(picture, known):
    """ROAD's system from its definition: each removed pixel is the weighted mean of its neighbours
    in the picture.
    """
    number, holes = np.cumsum(~known).reshape(known.shape) - 1, np.argwhere(~known)
    matrix, right = sparse.lil_array((len(holes), len(holes))), np.zeros((len(holes), len(picture)))
    for k, (y, x) in enumerate(holes):
        for (dy, dx), weight in WEIGHTS.items():
            row, column = y + dy, x + dx
            if not (0 <= row < known.shape[0] and 0 <= column < known.shape[1]):
                continue
            matrix[k, k] += weight
            if known[row, column]:
                right[k] += weight * picture[:, row, column]
            else:
                matrix[k, number[row, column]] -= weight
    filled = picture.copy()
    filled[:, ~known] = spsolve(matrix.tocsc(), right).reshape(len(holes), -1).T
    return filled


def natural(count, height, width, rng):
    rough = ndimage.gaussian_filter(rng.standard_normal((count, 3, height, width)), (0, 0, 1, 1))
    smooth = ndimage.gaussian_filter(rng.standard_normal((count, 3, height, width)), (0, 0, 6, 6))
    values = rough / rough.std() + smooth / smooth.std()
    return np.clip(128 + 40 * values, 0, 255).round()


def some_masks(height, width, share, rng):
    """Scattered pixels, smooth regions, one pixel, all but one, a corner, and half."""
    noise = rng.random((height, width))
    smooth = ndimage.gaussian_filter(noise, 4)
    one, corner, half = (np.zeros((height, width), bool) for _ in range(3))
    one[height // 3, width // 4] = corner[:3, :3] = half[:, : width // 2] = True
    return np.array([noise < share, smooth < np.quantile(smooth, share), one, ~one, corner, half])


@pytest.mark.parametrize(
    ("height", "width", "share"), [(64, 64, 0.05), (50, 37, 0.3), (7, 90, 0.1), (9, 5, 0.4)]
)
def test_interpolation_solves_the_sparse_system_to_half_a_grey_level(height, width, share):
    rng = np.random.default_rng(1)
    known = some_masks(height, width, share, rng)
    known[:, 0, 0] = True
    pictures = natural(len(known), height, width, rng)
    found = interpolate(torch.from_numpy(pictures).float(), torch.from_numpy(known)).numpy()
    exact = np.array([solved_directly(p, k) for p, k in zip(pictures, known, strict=True)])
    np.testing.assert_allclose(found, exact, rtol=0, atol=0.5)
    assert np.array_equal(
        found[np.broadcast_to(known[:, None], found.shape)],
        pictures[np.broadcast_to(known[:, None], found.shape)],
    )


def test_interpolation_in_double_precision_reaches_the_direct_solution():
    rng = np.random.default_rng(2)
    known, pictures = some_masks(40, 48, 0.1, rng), natural(6, 40, 48, rng)
    found = interpolate(torch.from_numpy(pictures), torch.from_numpy(known), 1e-12).numpy()
    exact = np.array([solved_directly(p, k) for p, k in zip(pictures, known, strict=True)])
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-7)


def test_what_stands_in_removed_pixels_is_not_read():
    rng = np.random.default_rng(3)
    known, pictures = (
        torch.from_numpy(some_masks(32, 32, 0.1, rng)),
        torch.from_numpy(natural(6, 32, 32, rng)).float(),
    )
    other = torch.where(known[:, None], pictures, 255 - pictures)
    assert torch.equal(interpolate(pictures, known), interpolate(other, known))


def test_noise_of_linear_interpolation_is_of_the_image_and_small():
    pixels = np.full((2, 40, 40, 3), 100, np.uint8)
    noise = fills.backgrounds(pixels, ["a", "b"], fill="linear", colour=(0, 0, 0), seed=1)
    kept = torch.zeros(2, 40, 40, dtype=torch.bool)
    kept[:, ::7, ::7] = True
    shown = (
        fills.masked(torch.from_numpy(pixels), torch.from_numpy(noise), kept, (0, 0, 0))
        .numpy()
        .astype(float)
    )
    removed = shown[:, ~kept[0].numpy()]
    assert removed.mean() == pytest.approx(100, abs=0.1)
    assert removed.std() == pytest.approx(2.55, rel=0.05)
    assert not np.array_equal(shown[0], shown[1])
    assert (shown[:, kept[0].numpy()] == 100).all()


def test_where_nothing_is_kept_linear_interpolation_is_the_mean_colour():
    pixels = np.full((1, 16, 16, 3), 200, np.uint8)
    shown = fills.masked(
        torch.from_numpy(pixels),
        torch.zeros(1, 16, 16, 3, dtype=torch.float16),
        torch.zeros(1, 16, 16, dtype=torch.bool),
        (10, 20, 30),
    )
    assert shown.reshape(-1, 3).unique(dim=0).tolist() == [[10, 20, 30]]


@pytest.mark.parametrize("fill", ["noise", "linear"])
def test_random_fills_depend_on_seed_and_image_alone(fill):
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    three = fills.backgrounds(pixels, ["a", "b", "c"], fill=fill, colour=(), seed=1)
    assert np.array_equal(
        fills.backgrounds(pixels[:1], ["c"], fill=fill, colour=(), seed=1)[0], three[2]
    )
    assert not np.array_equal(
        fills.backgrounds(pixels[:1], ["c"], fill=fill, colour=(), seed=2)[0], three[2]
    )
    assert not np.array_equal(three[0], three[1])


def test_noise_covers_all_colours_evenly():
    noise = fills.backgrounds(
        np.zeros((1, 256, 256, 3), np.uint8), ["a"], fill="noise", colour=(), seed=1
    )
    counts = np.bincount(noise.ravel(), minlength=256)
    assert counts.min() > 0.8 * noise.size / 256
    assert abs(np.corrcoef(noise[0, ..., 0].ravel(), noise[0, ..., 1].ravel())[0, 1]) < 0.02


def test_blur_is_a_gaussian_over_space_and_not_over_channels():
    pixels = np.zeros((1, 60, 40, 3), np.uint8)
    pixels[0, 30, 20] = (255, 0, 0)
    pixels[0, :, :, 1] = 77
    blurred = fills.backgrounds(pixels, ["a"], fill="blur", colour=(), seed=0)
    y, x = np.mgrid[-30:30, -20:20]
    peak = 255 * np.exp(-(y**2 + x**2) / 8) / (8 * np.pi)
    np.testing.assert_allclose(blurred[0, ..., 0], peak, atol=0.8)
    assert (blurred[0, ..., 1] == 77).all()
    assert (blurred[0, ..., 2] == 0).all()


def test_removed_pixels_take_the_fill_and_kept_ones_stay():
    rng = np.random.default_rng(5)
    pixels, other = (rng.integers(0, 256, (3, 9, 7, 3), np.uint8) for _ in range(2))
    kept = rng.random((3, 9, 7)) < 0.4
    shown = fills.masked(
        torch.from_numpy(pixels), torch.from_numpy(other), torch.from_numpy(kept), ()
    ).numpy()
    assert np.array_equal(shown, np.where(kept[..., None], pixels, other))
