"""One value of white per dataset, inferred from most files, stored with split and model, and used by `score`."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import tifffile
import torch
from helpers.files.deep import png16
from helpers.files.layouts import dicom, write_zhanglab
from PIL import Image

from anatpaste_aug.datasets import (
    DatasetError,
    Split,
    White,
    cached_images,
    find_white,
    load_images,
    phantom_batch,
    read_gray,
    zhanglab_task,
)
from anatpaste_aug.datasets.files import cache as cache_module
from anatpaste_aug.datasets.files import white

RNG = np.random.default_rng(0)
GRAY = phantom_batch(1, size=48).images[0, 0].numpy()


def deep(bits):
    return np.rint(GRAY / 255 * (2**bits - 1)).astype(np.uint16)


def files(folder, *depths, suffix="png"):
    paths = []
    for i, bits in enumerate(depths):
        paths.append(folder / f"{i:04d}.{suffix}")
        Image.fromarray(deep(bits)).save(paths[-1])
    return paths


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_depth_that_all_files_need(tmp_path, bits, suffix):
    paths = files(tmp_path, bits, bits, suffix=suffix)
    found = find_white(paths)
    assert found == White(2**bits - 1, 2, {bits: 2})
    for path in paths:
        np.testing.assert_allclose(read_gray(path, white=found.value).astype(int), GRAY, atol=1)


def test_a_single_pixel_changes_nothing(tmp_path):
    paths = files(tmp_path, 12, 12, 12)
    values = deep(12)
    values[0, 0] = 4096
    Image.fromarray(values).save(paths[1])
    assert find_white(paths).value == 4095


def test_dark_images_are_scaled_like_the_others(tmp_path):
    paths = files(tmp_path, 12, 12)
    Image.fromarray(deep(12) // 8).save(paths[1])
    found = find_white(paths)
    assert found == White(4095, 2, {10: 1, 12: 1})
    first, second = (read_gray(path, white=found.value).mean() for path in paths)
    assert second == pytest.approx(first / 8, rel=0.1)


@pytest.mark.parametrize(("others", "expected"), [(1, 4095), (2, 65535)])
def test_one_file_in_a_hundred_may_need_more(tmp_path, others, expected):
    depths = [12] * (100 - others) + [16] * others
    assert find_white(files(tmp_path, *depths)) == White(expected, 100, {12: 100 - others, 16: others})


def test_of_many_files_a_sample_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(white, "_SAMPLE", 4)
    paths = files(tmp_path, *[16, 12] * 6)
    assert find_white(paths) == White(65535, 12, {16: 2, 12: 2})  # 0, 3, 6 and 9
    monkeypatch.setattr(white, "_SAMPLE", 6)
    assert find_white(paths).needs == {16: 6}


def test_files_that_specify_white_do_not_count(tmp_path):
    paths = files(tmp_path, 12)
    Image.fromarray(GRAY).save(tmp_path / "eight.png")
    Image.fromarray(GRAY).save(tmp_path / "eight.jpeg")
    Image.fromarray(GRAY).save(tmp_path / "eight.tiff")
    png16(tmp_path / "told.png", deep(16), (b"sBIT", b"\x10"))
    (tmp_path / "a.dcm").write_bytes(b"II*\0" + dicom(GRAY)[4:])  # DICOM may begin as TIFF does
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:200])
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "page.tiff").write_bytes(b"II*\0<html>")
    everything = [*tmp_path.iterdir(), tmp_path / "missing.png"]
    others = [path for path in everything if path not in (paths[0], tmp_path / "cut.png")]
    with warnings.catch_warnings(action="ignore"):  # Pillow's, of the page
        assert find_white(everything) == White(4095, 2, {12: 1})  # the truncated one by its header only
        assert find_white(others) is None


def test_color_files_count(tmp_path):
    tifffile.imwrite(tmp_path / "a.tiff", np.stack([deep(12)] * 3, 2), photometric="rgb")
    paths = [tmp_path / "a.tiff", png16(tmp_path / "a.png", np.stack([deep(12)] * 3, 2))]
    assert find_white(paths) == White(4095, 2, {12: 2})
    for path in paths:
        np.testing.assert_allclose(read_gray(path, white=4095).astype(int), GRAY, atol=1)


def test_a_given_white_is_only_counted(tmp_path):
    assert find_white(files(tmp_path, 12, 12), white=1023) == White(1023, 2, {})
    assert find_white([], white=1023) is None
    with pytest.raises(ValueError, match="white=0: expected"):
        find_white([], white=0)


# tasks


@pytest.fixture
def root(tmp_path):
    """A Zhanglab layout of PNG with 12 bits in 16, in spite of the suffix; one training image has a hot pixel."""
    root = write_zhanglab(tmp_path / "chest_xray")
    for i, path in enumerate(sorted(root.rglob("*.jpeg"))):
        values = RNG.integers(0, 4096, (20, 20), dtype=np.uint16)
        if i == 30:
            values[3, 3] = 60000
        png16(path, values)
    return root


def test_a_task_infers_white_and_its_split_keeps_it(root, tmp_path):
    task = zhanglab_task(root, 16, progress=False)
    assert task.split.white == 4095
    assert task.note.endswith("White in 16-bit files that do not specify it: 4095.")
    expected = load_images(root, task.split.records(), 16, white=4095, progress=False)
    assert torch.equal(torch.cat([task.train.images, task.val.images, task.test.images]), expected)
    assert 100 < expected.float().mean() < 150
    task.split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == task.split
    again = zhanglab_task(root, 16, split=dataclasses.replace(task.split, white=1023), progress=False)
    assert again.split.white == 1023
    assert again.train.images.float().mean() > task.train.images.float().mean() * 1.3


def test_a_given_white_is_taken_before_that_of_the_split(root):
    split = zhanglab_task(root, 16, white=65535, progress=False).split
    assert split.white == 65535
    assert zhanglab_task(root, 16, split=split, progress=False).train.images.max() < 20
    assert zhanglab_task(root, 16, split=split, white=4095, progress=False).split.white == 4095
    with pytest.raises(ValueError, match="white=0: expected"):
        zhanglab_task(root, 16, white=0, progress=False)


def test_white_is_inferred_from_the_training_images(root):
    names = {record.path for record in zhanglab_task(root, 16, progress=False).split.train}
    for path in root.rglob("*.jpeg"):
        if path.relative_to(root).as_posix() not in names:
            png16(path, RNG.integers(0, 65536, (20, 20), dtype=np.uint16))
    assert zhanglab_task(root, 16, progress=False).split.white == 4095


def test_eight_bits_need_no_white(tmp_path):
    task = zhanglab_task(write_zhanglab(tmp_path), 16, progress=False)
    assert task.split.white is None
    assert "White" not in task.note
    task.split.save(tmp_path / "split.json")
    assert "white" not in json.loads((tmp_path / "split.json").read_text())


@pytest.mark.parametrize("wrong", [0, "4095", 70000, 1.5, True])
def test_a_split_file_with_another_white_is_refused(root, tmp_path, wrong):
    zhanglab_task(root, 16, progress=False).split.save(tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    (tmp_path / "split.json").write_text(json.dumps(content | {"white": wrong}))
    with pytest.raises(DatasetError, match=r"split file .*split\.json: white=.*Make the split again"):
        Split.load(tmp_path / "split.json")


# caches


def test_another_white_is_decoded_again(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = zhanglab_task(root, 16, cache=cache, progress=False)
    other = zhanglab_task(root, 16, cache=cache, white=8191, progress=False)
    assert other.train.images.float().mean() < first.train.images.float().mean() * 0.6
    monkeypatch.setattr(cache_module, "load_images", None)
    assert torch.equal(
        zhanglab_task(root, 16, cache=cache, white=8191, progress=False).train.images, other.train.images
    )


def test_a_cache_of_an_earlier_decoder_is_rebuilt(root, tmp_path, monkeypatch):
    """Version 2 guessed white per image and showed odd windows of DICOM as black."""
    records = zhanglab_task(root, 16, progress=False).split.records()
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_DECODER", 2)
        patch.setattr(
            cache_module, "load_images", lambda *args, out, **more: torch.from_numpy(np.copyto(out, 7) or out)
        )
        assert (cached_images(tmp_path, "a", root, records, 16, white=4095, progress=False) == 7).all()
    found = cached_images(tmp_path, "a", root, records, 16, white=4095, progress=False)
    assert torch.equal(found, load_images(root, records, 16, white=4095, progress=False))
