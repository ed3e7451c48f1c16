"""Reading images: formats, scaling to 8 bits, damaged files."""

import struct
import sys
import zlib

import numpy as np
import pytest
import torch
from helpers.real_data import DATA, needs
from PIL import Image

from anatpaste_aug.datasets import DatasetError, Record, index_zhanglab, load_images, read_gray, split_zhanglab

ROOT = DATA / "zhanglab"

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)


def save(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def noise(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# kinds of files


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_gray_is_untouched(tmp_path, suffix):
    gray = read_gray(str(save(tmp_path / f"a.{suffix}", RAMP)))
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray, RAMP)
    gray[0] = 0  # the caller's own


@pytest.mark.parametrize("kind", ["RGB", "P", "RGBA", "LA", "CMYK"])
def test_gray_content_stays(tmp_path, kind):
    path = save(tmp_path / ("a.tiff" if kind == "CMYK" else "a.png"), Image.fromarray(RAMP).convert(kind))
    np.testing.assert_array_equal(read_gray(path), RAMP)


def test_one_bit(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(RAMP > 127))
    np.testing.assert_array_equal(read_gray(path), np.where(RAMP > 127, 255, 0))


def test_color_is_converted_as_in_pillow(tmp_path):
    color = noise((9, 7, 3))
    expected = np.asarray(Image.fromarray(color).convert("L"))
    np.testing.assert_array_equal(read_gray(save(tmp_path / "a.png", color)), expected)
    palette = Image.fromarray(color).quantize(8)
    expected = np.asarray(palette.convert("RGB").convert("L"))
    np.testing.assert_array_equal(read_gray(save(tmp_path / "p.png", palette)), expected)


def test_transparent_is_black(tmp_path):
    image = Image.fromarray(np.full((2, 2), 200, np.uint8)).convert("LA")
    image.putpixel((0, 0), (200, 0))
    np.testing.assert_array_equal(read_gray(save(tmp_path / "a.png", image)), [[0, 200], [200, 200]])
    palette = Image.fromarray(RAMP).convert("P")
    np.testing.assert_array_equal(
        read_gray(save(tmp_path / "p.png", palette, transparency=200)), np.where(RAMP == 200, 0, RAMP)
    )


def test_floating_point_and_signed_pixels_are_errors(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.tiff is damaged or has an unsupported .*floating-point"):
        read_gray(save(tmp_path / "a.tiff", RAMP.astype(np.float32)))
    with pytest.raises(DatasetError, match=r"b\.tiff .*values from -5 to"):
        read_gray(save(tmp_path / "b.tiff", RAMP.astype(np.int32) - 5))


# size


def test_size(tmp_path):
    image = noise((90, 130))
    path = save(tmp_path / "a.png", image)
    expected = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_gray(path, 32), expected)
    assert read_gray(path).shape == (90, 130)
    with pytest.raises(ValueError, match="size=0"):
        read_gray(path, 0)


# damaged files


def damaged(folder):
    """File name -> the reason that has to be given."""
    image = noise((64, 64))
    for suffix in ("jpeg", "png"):
        whole = save(folder / f"whole.{suffix}", image).read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    (folder / "stub.jpeg").write_bytes(whole[:5])
    (folder / "empty.jpeg").touch()
    (folder / "page.jpeg").write_text("<html>404</html>")
    (folder / "folder.png").mkdir()
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (folder / "bomb.png").write_bytes(whole[:8] + chunk + whole[33:])
    return {
        "cut.jpeg": "is damaged",
        "cut.png": "is damaged",
        "stub.jpeg": "is not an image",
        "empty.jpeg": r"is empty \(0 bytes\)",
        "page.jpeg": "is not an image",
        "missing.jpeg": "does not exist",
        "folder.png": "is a folder",
        "bomb.png": "exceeds limit",
    }


def test_errors_name_the_file_and_the_reason(tmp_path):
    for name, reason in damaged(tmp_path).items():
        with pytest.raises(DatasetError, match=f"{name} .*{reason}|{name} {reason}"):
            read_gray(tmp_path / name, 32)


def test_load_lists_all_unreadable(tmp_path):
    names = ["whole.png", *damaged(tmp_path)]
    records = [Record(name, 0, name, "train") for name in names]
    with pytest.raises(DatasetError, match="8 of 9 images cannot be read") as caught:
        load_images(tmp_path, records, 32, progress=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    assert [name in line for name, line in zip(names[1:6], lines[1:6], strict=True)] == [True] * 5
    assert lines[6].strip() == "..."


# many


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_load_keeps_the_order(tmp_path, workers):
    names = [f"{i}.png" for i in range(20)]
    for i, name in enumerate(names):
        save(tmp_path / name, np.full((40 + i, 50), i * 10, np.uint8))
    records = [Record(name, 0, name, "train") for name in reversed(names)]
    images = load_images(str(tmp_path), iter(records), 33, workers=workers, progress=False)
    assert (images.shape, images.dtype) == ((20, 1, 33, 33), torch.uint8)
    assert images[:, 0, 0, 0].tolist() == [i * 10 for i in reversed(range(20))]
    assert images.flatten(1).float().std(1).max() == 0


def test_invalid_arguments_of_load(tmp_path):
    with pytest.raises(ValueError, match="size=0"):
        load_images(tmp_path, [], 0)
    with pytest.raises(ValueError, match="workers=0"):
        load_images(tmp_path, [], 32, workers=0)


def test_load_into_given_memory(tmp_path):
    save(tmp_path / "a.png", RAMP)
    out = np.zeros((1, 1, 8, 8), np.uint8)
    images = load_images(tmp_path, [Record("a.png", 0, "a", "train")], 8, progress=False, out=out)
    np.testing.assert_array_equal(out[0, 0], read_gray(tmp_path / "a.png", 8))
    assert images.data_ptr() == out.ctypes.data
    for wrong in (out[0], out.astype(np.int16)):
        with pytest.raises(ValueError, match=r"out is .*expected uint8 \(1, 1, 8, 8\)"):
            load_images(tmp_path, [Record("a.png", 0, "a", "train")], 8, progress=False, out=wrong)


def test_progress_bar_on_standard_error(tmp_path, capsys):
    save(tmp_path / "a.png", RAMP)
    load_images(tmp_path, [Record("a.png", 0, "a", "train")], 32)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading images" in err
    assert "1/1" in err


def test_missing_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", RAMP)
    for name in [name for name in sys.modules if name.split(".")[0] == "PIL"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "anatpaste_aug\[datasets\]"'):
        load_images(tmp_path, [Record("a.png", 0, "a", "train")], 32)
    with pytest.raises(ImportError, match=r"needs Pillow: pip install"):
        read_gray(path)


@needs("zhanglab")
def test_real_images():
    index = index_zhanglab(ROOT)
    records = split_zhanglab(index).val
    images = load_images(index.root, records, 64, progress=False)
    assert images.shape == (200, 1, 64, 64)
    assert images.flatten(1).float().std(1).min() > 10
    with Image.open(index.root / records[17].path) as image:
        expected = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(images[17, 0].numpy(), expected)
