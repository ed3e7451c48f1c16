"""Unusual and damaged files are read as they were written, or reported in one line with the reason."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from anatpaste_aug.datasets import DatasetError, read_gray
from anatpaste_aug.datasets.files.listing import list_images

ROWS, COLUMNS = np.mgrid[:64, :48]
SMOOTH = ((np.sin(COLUMNS / 7) + np.cos(ROWS / 9)) * 50 + 120).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def encoded(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def refused(path, reason):
    """The message, which is one line that begins with the file's name."""
    with pytest.raises(DatasetError, match=reason) as caught:
        read_gray(path)
    message = str(caught.value)
    assert message.startswith(str(path.parent))
    assert message.isprintable()
    return message


# truncated files

FORMATS = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive.jpeg": ("JPEG", {"progressive": True}),
    "tiff": ("TIFF", {}),
    "lzw.tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "jp2": ("JPEG2000", {}),
    "webp": ("WEBP", {"lossless": True}),
    "pgm": ("PPM", {}),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File:UserWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_is_never_another_image(tmp_path, name):
    kind, options = FORMATS[name]
    whole = encoded(SMOOTH, kind, **options)
    path = tmp_path / name
    path.write_bytes(whole)
    expected = read_gray(path)
    read, messages = 0, []
    # Every seventh length, and each one near the beginning and the end, where the markers are.
    for length in sorted({*range(0, len(whole), 7), *range(190, 260), *range(len(whole) - 30, len(whole))}):
        path.write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(read_gray(path), expected)
            assert length > len(whole) - 30  # except for data after the pixels
            read += 1
        except DatasetError as error:
            messages.append(str(error))
    assert read < 30
    assert all(message.startswith(f"{path} is ") for message in messages)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("pixels", [SMOOTH, NOISE])
def test_zeros_in_place_of_the_end_are_an_error(tmp_path, kind, pixels):
    """As after a power failure; decoders accept zeros as data."""
    whole = encoded(pixels, kind)
    for part in (0.4, 0.7, 0.95):
        cut = int(len(whole) * part)
        (tmp_path / "a").write_bytes(whole[:cut] + bytes(len(whole) - cut))
        refused(tmp_path / "a", "is damaged or has an unsupported|is not an image, or is damaged")  # as Pillow takes it


def test_a_thumbnail_in_the_header_is_not_the_end(tmp_path):
    exif = Image.Exif()
    exif[0x9286] = encoded(NOISE, "JPEG")  # as cameras keep a thumbnail
    whole = encoded(NOISE, "JPEG", exif=exif, quality=90)
    (tmp_path / "a").write_bytes(whole + b"\xff\xda appended by a camera")
    expected = np.asarray(Image.open(io.BytesIO(encoded(NOISE, "JPEG", quality=90))))
    np.testing.assert_array_equal(read_gray(tmp_path / "a"), expected)
    cut = len(whole) - 1000
    (tmp_path / "a").write_bytes(whole[:cut] + bytes(1000))
    refused(tmp_path / "a", "it is truncated")


def test_a_changed_byte_of_a_png_is_detected(tmp_path):
    whole = encoded(NOISE, "PNG")
    for place in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (tmp_path / "a.png").write_bytes(changed)
        try:
            np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), NOISE)
        except DatasetError:
            continue


def test_load_truncated_images_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(NOISE, "PNG"))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ValueError, match=r"LOAD_TRUNCATED_IMAGES is set.*set it to False") as caught:
        read_gray(tmp_path / "a.png")
    assert not isinstance(caught.value, DatasetError)  # the file is not at fault


# kinds of pictures


@pytest.mark.parametrize(
    "options", [{"format": "TIFF"}, {"format": "TIFF", "compression": "tiff_lzw"}, {"format": "PNG"}]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_orientation_is_applied_once(tmp_path, options, dtype):
    image = Image.fromarray(SMOOTH.astype(dtype) * (257 if dtype is np.uint16 else 1))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(tmp_path / "a", exif=exif, **options)
        turned = Image.fromarray(SMOOTH)
        if orientation in TURNS:
            turned = turned.transpose(TURNS[orientation])
        np.testing.assert_array_equal(read_gray(tmp_path / "a"), np.asarray(turned))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_may_be_zero_in_a_tiff(tmp_path, dtype, compression):
    tifffile = pytest.importorskip("tifffile")
    stored = (255 - SMOOTH).astype(dtype) * (257 if dtype is np.uint16 else 1)
    tifffile.imwrite(tmp_path / "a.tiff", stored, photometric="miniswhite", compression=compression)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tiff"), SMOOTH)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_frames_the_first_is_read(tmp_path, kind):
    more = {"save_all": True, "append_images": [Image.fromarray(255 - SMOOTH)]}
    Image.fromarray(SMOOTH).save(tmp_path / "a", kind, **more, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(tmp_path / "a") as image:
        assert image.n_frames == 2
    np.testing.assert_array_equal(read_gray(tmp_path / "a"), SMOOTH)


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpegs_are_light_without_ink(tmp_path, adobe):
    """Adobe's are stored inverted, and have a segment that says so."""
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).convert("RGB").convert("CMYK").save(buffer, "JPEG", quality=98)
    data = buffer.getvalue()
    assert b"Adobe" in data
    if not adobe:
        start = data.index(b"Adobe") - 4
        data = data[:start] + data[start + 2 + struct.unpack(">H", data[start + 2 : start + 4])[0] :]
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image.convert("RGB").convert("L"))
    else:
        expected = SMOOTH
    (tmp_path / "a.jpeg").write_bytes(data)
    np.testing.assert_allclose(read_gray(tmp_path / "a.jpeg").astype(int), expected, atol=1)  # JPEG's own loss


def test_the_format_follows_from_the_content(tmp_path):
    (tmp_path / "a.jpeg").write_bytes(encoded(NOISE, "PNG"))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.jpeg"), NOISE)
    (tmp_path / "b.jpeg").write_text("Table of contents")
    refused(tmp_path / "b.jpeg", "is not an image")
    (tmp_path / "c.dcm").write_bytes(encoded(NOISE, "PNG"))
    refused(tmp_path / "c.dcm", "is not DICOM: no DICM at byte 128; restore the file, or rename it")


# sizes


def announced(width, height):
    """A PNG that claims this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    whole = encoded(NOISE, "PNG")
    return (
        whole[:8]
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        + whole[33:]
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "size"), [(10_000, "10000×10000 pixels"), (60_000, r"\(3600000000 pixels\)")])
def test_images_that_are_too_large_are_an_error(tmp_path, side, size):
    """From the first pixel above Pillow's limit, which only warns up to twice of it."""
    (tmp_path / "a.png").write_bytes(announced(side, side))
    refused(
        tmp_path / "a.png",
        rf"is too large .*{size}.*smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file",
    )


def test_the_limit_can_be_raised(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(NOISE, "PNG"))
    for limit, error in ((64 * 48, False), (64 * 48 - 1, True), (None, False)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        if error:
            with pytest.warns(Image.DecompressionBombWarning):
                refused(tmp_path / "a.png", "48×64 pixels exceed limit of 3071")
        else:
            np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), NOISE)


# places and names


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no pipes with names")
def test_pipes_links_and_folders_are_errors(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    reasons = {
        "loop.png": "cannot be opened: Too many levels of symbolic links",
        "dangling.png": "is a link to a file that does not exist",
        "folder.png": "is a folder",
        "empty.png": "is empty",
        "pipe.png": "is a pipe or a device",
        "missing.png": "does not exist",
        "empty.png/below.png": "does not exist",
        f"{'x' * 300}.png": "cannot be opened: File name too long",
    }
    for name, reason in reasons.items():
        refused(tmp_path / name, reason)
    assert list_images(tmp_path) == (["dangling.png", "empty.png", "loop.png", "pipe.png"], ["pipe"])


def test_a_file_without_permission_is_an_error(tmp_path, monkeypatch):
    """Root can open everything, so the error is simulated."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded(NOISE, "PNG"))

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    refused(path, r"a\.png cannot be read \(permission denied\)")


@pytest.mark.parametrize(
    "name", ["a b.png", "é 漢字.png", "-o.png", "%s{x}$1.png", "line\nbreak.png", os.fsdecode(b"\xff.png")]
)
def test_unprintable_names_are_escaped_in_errors(tmp_path, name):
    (tmp_path / name).write_bytes(encoded(NOISE, "PNG"))
    np.testing.assert_array_equal(read_gray(tmp_path / name), NOISE)
    (tmp_path / name).write_bytes(b"nothing")
    message = refused(tmp_path / name, "is not an image")
    assert message.encode()
    escaped = name.replace("\n", r"\n").replace("\udcff", r"\udcff")
    assert message == f"{tmp_path}/{escaped} is not an image, or is damaged at its beginning"
