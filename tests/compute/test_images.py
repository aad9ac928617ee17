"""Pixels: exact where nothing has to be guessed, refused by name where something would."""

from __future__ import annotations

import hashlib
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from relstats.compute.images import bounds, load_images, resize_rule, to_input
from relstats.compute.study_file.settings import Images, Preprocessing
from relstats.errors import InvalidData

RGB = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def listed(paths, size=(6, 8), resize="none"):
    """A table of images by their file names."""
    rows = [(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]
    table = pd.DataFrame(
        rows, columns=["path", "sha256"], index=[p.stem for p in paths], dtype=object
    )
    return Images(table, size, resize, False)


def loaded(image, folder, name="a.png", size=(6, 8), resize="none", **options):
    image.save(folder / name, **options)
    return load_images(listed([folder / name], size, resize), ["a"])[0]


def refused(folder, name, **options):
    with pytest.raises(InvalidData) as caught:
        load_images(listed([folder / name], **options), [name.split(".")[0]])
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff"])
def test_lossless_files_come_back_as_they_were(tmp_path, name):
    np.testing.assert_array_equal(loaded(Image.fromarray(RGB), tmp_path, name), RGB)


def test_order_is_that_of_the_ids(tmp_path):
    for k in range(3):
        Image.fromarray(RGB + np.uint8(k)).save(tmp_path / f"i{k}.png")
    found = load_images(listed([tmp_path / f"i{k}.png" for k in range(3)]), ["i2", "i0"])
    np.testing.assert_array_equal(found, [RGB + np.uint8(2), RGB])


def test_grey_and_palette_become_rgb(tmp_path):
    grey = RGB[..., 0]
    np.testing.assert_array_equal(
        loaded(Image.fromarray(grey), tmp_path), np.repeat(grey[..., np.newaxis], 3, -1)
    )
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(loaded(palette, tmp_path), np.asarray(palette.convert("RGB")))
    black = Image.fromarray(grey > 100)
    np.testing.assert_array_equal(loaded(black, tmp_path)[..., 1], 255 * (grey > 100))


def test_opaque_alpha_is_dropped_and_transparent_refused(tmp_path):
    alpha = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(loaded(Image.fromarray(alpha), tmp_path), RGB)
    alpha[2, 3, 3] = 254
    Image.fromarray(alpha).save(tmp_path / "t.png")
    assert "'t' (" in refused(tmp_path, "t.png")
    assert "transparent pixels: what is behind them?" in refused(tmp_path, "t.png")
    Image.fromarray(RGB).save(tmp_path / "k.png", transparency=tuple(int(v) for v in RGB[0, 0]))
    assert "transparent pixels" in refused(tmp_path, "k.png")


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1)), (5, RGB.swapaxes(0, 1))],
)
def test_exif_orientation_is_applied(tmp_path, orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = loaded(Image.fromarray(RGB), tmp_path, size=expected.shape[:2], exif=exif)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_orientation_of_grey_images_too(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey = RGB[..., 0]
    expected = np.rot90(grey, -1) if orientation == 6 else grey
    found = loaded(Image.fromarray(grey), tmp_path, size=expected.shape, exif=exif)
    np.testing.assert_array_equal(found[..., 2], expected)


def png_of_16_bits():
    """A PNG with 16 bits a colour, which Pillow reads as one of 8 bits without a word."""

    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + RGB[y].astype(">u2").tobytes() for y in range(6))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_more_than_8_bits_are_refused(tmp_path):
    Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(tmp_path / "grey.png")
    assert "more than 8 bits a channel" in refused(tmp_path, "grey.png")
    (tmp_path / "rgb.png").write_bytes(png_of_16_bits())
    with Image.open(tmp_path / "rgb.png") as image:
        assert image.mode == "RGB"  # why it has to be looked for
    assert "more than 8 bits a channel" in refused(tmp_path, "rgb.png")
    Image.fromarray(RGB[..., 0].astype(np.float32)).save(tmp_path / "float.tiff")
    assert "more than 8 bits a channel" in refused(tmp_path, "float.tiff")


def test_cmyk_and_frames_are_refused(tmp_path):
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "print.jpg")
    assert "colours of mode CMYK. Convert it to RGB" in refused(tmp_path, "print.jpg")
    Image.fromarray(RGB).save(
        tmp_path / "film.png", save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())]
    )
    assert "2 frames" in refused(tmp_path, "film.png")


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg"])
def test_truncated_files_are_named(tmp_path, name):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    message = refused(tmp_path, name, size=(64, 64))
    assert "1 of 1 images cannot be used" in message
    assert f"'cut' ({tmp_path / name}): corrupt or truncated" in message


def test_all_that_are_no_images_are_named(tmp_path):
    for k in range(7):
        (tmp_path / f"n{k}.png").write_bytes(b"<html>404</html>" if k else b"")
    images = listed([tmp_path / f"n{k}.png" for k in range(7)])
    with pytest.raises(InvalidData) as caught:
        load_images(images, images.table.index)
    message = str(caught.value)
    assert message.startswith("7 of 7 images cannot be used")
    assert "not an image of JPEG, PNG, BMP, TIFF, WEBP (it begins with b'<html>40')" in message
    assert message.endswith("and 2 more")


def test_a_file_that_changed_meanwhile_is_refused(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    images = listed([tmp_path / "a.png"])
    Image.fromarray(RGB[::-1].copy()).save(tmp_path / "a.png")
    with pytest.raises(InvalidData, match="changed since its sha256 was taken"):
        load_images(images, ["a"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(InvalidData, match="changed since its sha256 was taken"):
        load_images(images, ["a"])


def test_another_size_is_refused_or_resized_by_the_stated_rule(tmp_path):
    image = Image.fromarray(RGB)
    image.save(tmp_path / "b.png")
    assert '6 x 8 pixels, not 4 x 4. Resize it, or give resize = "squash" or "crop"' in refused(
        tmp_path, "b.png", size=(4, 4)
    )
    squashed = loaded(image, tmp_path, size=(3, 4), resize="squash")
    np.testing.assert_allclose(
        squashed.mean((0, 1)), RGB.mean((0, 1)), atol=3
    )  # of 255: an average keeps the mean
    assert squashed.shape == (3, 4, 3)
    cropped = loaded(image, tmp_path, size=(6, 6), resize="crop")
    np.testing.assert_array_equal(cropped, RGB[:, 1:7])
    assert "bilinear" in resize_rule(Images(pd.DataFrame(), (6, 6), "crop", False))


def test_halving_averages_blocks(tmp_path):
    """Antialiased: no pixel is dropped.

    Checked on blocks of equal colours, where any average is exact.
    """
    blocks = np.repeat(np.repeat(RGB[:, :6], 8, 0), 8, 1)
    found = loaded(Image.fromarray(blocks), tmp_path, size=(6, 6), resize="squash")
    weights = np.array(
        [1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1], dtype=float
    )  # a triangle over two blocks
    rows = blocks[4 * 8 - 4 : 4 * 8 + 12, :, 1].astype(float)
    inner = (weights / weights.sum()) @ rows @ np.pad(weights / weights.sum(), (2 * 8 - 4, 48 - 28))
    assert abs(found[4, 2, 1] - inner) <= 1


def test_input_is_scaled_and_ordered_by_hand():
    pixels = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
    rgb = to_input(
        pixels, Preprocessing((0.1, 0.2, 0.3), (0.5, 1.0, 2.0), 1.0, "rgb"), torch.float64
    )
    expected = [(10 / 255 - 0.1) / 0.5, (20 / 255 - 0.2) / 1.0, (30 / 255 - 0.3) / 2.0]
    np.testing.assert_allclose(rgb.flatten().numpy(), expected, rtol=1e-12)
    bgr = to_input(pixels, Preprocessing((1.0, 2.0, 3.0), (1.0,), 255.0, "bgr"), torch.float64)
    np.testing.assert_allclose(bgr.flatten().numpy(), [29, 18, 7], rtol=1e-12)
    grey = to_input(pixels, Preprocessing((0.0,), (1.0,), 255.0, "grey"), torch.float64)
    np.testing.assert_allclose(
        grey.flatten().numpy(), [0.299 * 10 + 0.587 * 20 + 0.114 * 30], rtol=1e-12
    )


def test_input_has_channels_before_places():
    pixels = torch.from_numpy(RGB[np.newaxis].copy())
    found = to_input(pixels, Preprocessing((0.0,), (1.0,), 255.0, "rgb"), torch.float32)
    assert found.shape == (1, 3, 6, 8)
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), RGB, rtol=1e-6)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0, "rgb"),
        Preprocessing((91.0, 104.0, 129.0), (1.0,), 255.0, "bgr"),
    ],
)
def test_bounds_are_the_inputs_of_black_and_white(preprocessing):
    ends = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 1, 3)
    low, high = to_input(ends, preprocessing, torch.float64)[..., 0, 0].numpy()
    np.testing.assert_allclose(bounds(preprocessing)["low"], low, rtol=1e-12)
    np.testing.assert_allclose(bounds(preprocessing)["high"], high, rtol=1e-12)


def test_nothing_warns(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = loaded(Image.fromarray(RGB).quantize(4), tmp_path)
    np.testing.assert_array_equal(
        found, np.asarray(Image.fromarray(RGB).quantize(4).convert("RGB"))
    )
