"""Images with 16 bits per sample: their values, and their value of white."""

import numpy as np
import pytest
import tifffile
from helpers.files.deep import chunk, png16
from PIL import Image

from anatpaste_aug.datasets import DatasetError, read_gray
from anatpaste_aug.datasets.files.sixteen_bits import bits_needed

RNG = np.random.default_rng(0)
SHAPE = (9, 14)
RAMP = np.arange(252).reshape(18, 14)[::2] * 255 // 251  # levels 0 to 254


def scaled(values, white):
    """Levels of values on a scale up to ``white``."""
    return np.rint(np.clip(np.asarray(values, float) / white, 0, 1) * 255).astype(np.uint8)


def luma(color, white):
    return np.asarray(Image.fromarray(scaled(color, white)).convert("L"))


def values_of(bits, channels=()):
    return RNG.integers(0, 2**bits, (*SHAPE, *channels), dtype=np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_white_defaults_to_the_largest_value(tmp_path, bits, suffix):
    values = values_of(bits)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_gray(tmp_path / f"a.{suffix}"), scaled(values, 65535))
    white = 2**bits - 1
    np.testing.assert_array_equal(read_gray(tmp_path / f"a.{suffix}", white=white), scaled(values, white))


def test_values_above_white_are_white(tmp_path):
    values = np.array([[0, 4095, 4096, 65535]], np.uint16)
    assert read_gray(png16(tmp_path / "a.png", values), white=4095).tolist() == [[0, 255, 255, 255]]


@pytest.mark.parametrize("white", [0, -1, 65536, 4095.0, True, "4095"])
def test_an_invalid_white(tmp_path, white):
    path = png16(tmp_path / "a.png", values_of(12))
    with pytest.raises(ValueError, match=r"white=.*: expected the value that is white in 16 bits, 1 to 65535"):
        read_gray(path, white=white)


def test_eight_bit_images_do_not_use_white(tmp_path):
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png", white=100), RAMP)


# color and transparency: Pillow shows the upper 8 bits alone


@pytest.mark.parametrize("bits", [12, 16])
def test_color_keeps_16_bits(tmp_path, bits):
    color, white = values_of(bits, (3,)), 2**bits - 1
    np.testing.assert_array_equal(read_gray(png16(tmp_path / "a.png", color), white=white), luma(color, white))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiff_in_both_byte_orders(tmp_path, order, compression, channels):
    values = values_of(12, channels)
    tifffile.imwrite(
        tmp_path / "a.tiff",
        values,
        byteorder=order,
        compression=compression,
        photometric="rgb" if channels else "minisblack",
        rowsperstrip=4,
    )
    expected = luma(values, 4095) if channels else scaled(values, 4095)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tiff", white=4095), expected)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_black(tmp_path, channels):
    values = values_of(12, (channels,))
    values[..., -1] = RNG.integers(0, 65536, SHAPE)
    shown = np.rint(values[..., :-1] * (values[..., -1:] / 65535))
    expected = scaled(shown[..., 0], 4095) if channels == 2 else luma(shown, 4095)
    np.testing.assert_array_equal(read_gray(png16(tmp_path / "a.png", values), white=4095), expected)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_transparent_color_is_black(tmp_path, channels):
    values = values_of(12, channels)
    key = values[3, 5]
    path = png16(tmp_path / "a.png", values, (b"tRNS", np.array(key, ">u2").tobytes()))
    values[3, 5] = 0
    np.testing.assert_array_equal(read_gray(path, white=4095), luma(values, 4095) if channels else scaled(values, 4095))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_orientation(tmp_path, channels):
    values = values_of(16, channels)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown 90 degrees clockwise
    path = png16(tmp_path / "a.png", values, (b"eXIf", exif.tobytes()[6:]))
    expected = luma(values, 65535) if channels else scaled(values, 65535)
    np.testing.assert_array_equal(read_gray(path), np.rot90(expected, -1))


def test_truncated_color_is_an_error(tmp_path):
    path = png16(tmp_path / "a.png", RNG.integers(0, 65536, (64, 64, 3)))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DatasetError, match=r"a\.png is damaged"):
        read_gray(path)


# files that specify their depth


@pytest.mark.parametrize("given", [None, 65535, 1023])
@pytest.mark.parametrize(("bits", "channels"), [(10, ()), (12, ()), (14, ()), (12, (2,)), (12, (3,)), (12, (4,))])
def test_significant_bits_of_png(tmp_path, bits, channels, given):
    values, white = values_of(bits, channels), 2**bits - 1
    if channels and channels[0] % 2 == 0:
        values[..., -1] = 65535
    own = bytes([bits] * (channels[0] if channels else 1))
    path = png16(tmp_path / "a.png", values, (b"gAMA", bytes(4)), (b"sBIT", own))
    gray = {(): values, (2,): values[..., 0]}.get(channels)
    expected = scaled(gray, white) if gray is not None else luma(values[..., :3], white)
    np.testing.assert_array_equal(read_gray(path, white=given), expected)


@pytest.mark.parametrize("way", ["zeros", "repeated", "multiplied"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_scaled_up_as_in_the_standard(tmp_path, way, bits):
    values = values_of(bits).astype(np.uint32)
    values[0, 0] = 2**bits - 1
    stored = {
        "zeros": values << (16 - bits),
        "repeated": values << (16 - bits) | values >> (2 * bits - 16),
        "multiplied": np.rint(values * (65535 / (2**bits - 1))),
    }[way].astype(np.uint16)
    path = png16(tmp_path / "a.png", stored, (b"sBIT", bytes([bits])))
    np.testing.assert_array_equal(read_gray(path), scaled(stored, 65535))


def test_one_value_above_the_significant_bits_does_not_change_the_others(tmp_path):
    values = values_of(12)
    values[0, 0] = 4096
    path = png16(tmp_path / "a.png", values, (b"sBIT", b"\x0c"))
    np.testing.assert_array_equal(read_gray(path), scaled(values, 4095))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x11"])
def test_invalid_significant_bits_are_ignored(tmp_path, data):
    values = values_of(12)
    path = png16(tmp_path / "a.png", values, (b"sBIT", data))
    np.testing.assert_array_equal(read_gray(path, white=4095), scaled(values, 4095))


def test_significant_bits_with_a_wrong_checksum_are_an_error(tmp_path):
    path = png16(tmp_path / "a.png", values_of(12), (b"sBIT", b"\x0a"))
    whole = chunk(b"sBIT", b"\x0a")
    path.write_bytes(path.read_bytes().replace(whole, whole[:-1] + bytes([whole[-1] ^ 1])))
    with pytest.raises(DatasetError, match=r"a\.png is not an image, or is damaged"):
        read_gray(path)


@pytest.mark.parametrize("given", [None, 1023])
def test_tiff_of_twelve_bits(tmp_path, given):
    """Two values in three bytes."""
    values = values_of(12).astype(np.uint32)
    first, second = values.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()
    tags = {256: SHAPE[1], 257: SHAPE[0], 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: SHAPE[0], 279: len(packed)}
    content = b"II*\0" + (8 + len(packed)).to_bytes(4, "little") + packed + len(tags).to_bytes(2, "little")
    for tag, value in tags.items():
        content += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    (tmp_path / "a.tiff").write_bytes(content + bytes(4))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tiff", white=given), scaled(values, 4095))


@pytest.mark.parametrize("most", [1023, 4095, 65535])
def test_pgm_specifies_white(tmp_path, most):
    values = RNG.integers(0, most + 1, SHAPE)
    head = f"P5 {SHAPE[1]} {SHAPE[0]} {most}\n".encode()
    (tmp_path / "a.pgm").write_bytes(head + values.astype(">u2").tobytes())
    # Tolerance: one level, since Pillow rounds to 16 bits first.
    np.testing.assert_allclose(read_gray(tmp_path / "a.pgm", white=255).astype(int), scaled(values, most), atol=1)


def test_jpeg_2000_specifies_white(tmp_path):
    values = values_of(16)
    Image.fromarray(values).save(tmp_path / "a.jp2", irreversible=False)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.jp2", white=255), scaled(values, 65535))


# the depth that values need


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        ([255], 8),
        ([256], 10),
        ([65535], 16),
        ([4095] * 995 + [65535] * 5, 12),
        ([4095] * 994 + [65535] * 6, 16),
    ],
)
def test_a_depth_is_what_all_but_half_a_percent_of_the_pixels_need(values, bits):
    assert bits_needed(np.array(values, np.uint16)) == bits
