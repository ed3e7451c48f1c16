"""The cache returns the same pixels without decoding again, and never those of other files."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from anatpaste_aug.datasets import DatasetError, Record, cached_images, load_images
from anatpaste_aug.datasets.files import cache


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(5):
        noise = np.random.default_rng(i).integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """How many images each call decodes."""
    counts = []

    def load(root, records, size, **more):
        counts.append(len(records))
        return load_images(root, records, size, **more)

    monkeypatch.setattr(cache, "load_images", load)
    return counts


RECORDS = [Record(f"{i}.png", 0, f"{i}", "train") for i in (3, 0, 4, 1, 2)]


def run(folder, data, records=RECORDS, size=32):
    return cached_images(folder, "mine", data, records, size, progress=False)


def test_the_second_time_nothing_is_decoded(tmp_path, data, decoded):
    images = [run(tmp_path / "new" / "cache", str(data)) for _ in range(3)]
    expected = load_images(data, RECORDS, 32, progress=False)
    assert all(torch.equal(image, expected) for image in images)
    assert decoded == [5]
    assert (images[1].dtype, images[1].shape) == (torch.uint8, (5, 1, 32, 32))
    assert [path.name for path in (tmp_path / "new" / "cache").iterdir()] == ["mine-32.npy"]
    # It is also an ordinary NumPy file.
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "cache" / "mine-32.npy"), expected.numpy())


def test_writing_to_the_images_leaves_the_file_alone(tmp_path, data):
    expected = run(tmp_path, data).clone()
    images = run(tmp_path, data)
    images.zero_()
    assert torch.equal(run(tmp_path, data), expected)


def change_content(data):
    Image.fromarray(np.full((40, 50), 200, np.uint8)).save(data / "4.png")


def change_time(data):
    os.utime(data / "4.png", ns=(1, 1))


@pytest.mark.parametrize("change", [change_content, change_time])
def test_a_changed_file_is_decoded_again(tmp_path, data, decoded, change):
    run(tmp_path, data)
    change(data)
    assert torch.equal(run(tmp_path, data), load_images(data, RECORDS, 32, progress=False))
    assert decoded == [5, 5]


def test_other_records_and_sizes(tmp_path, data, decoded):
    for records, size in ((RECORDS, 32), (RECORDS[::-1], 32), (RECORDS[:3], 32), (RECORDS[:3], 33), (RECORDS[:3], 32)):
        expected = load_images(data, records, size, progress=False)
        assert torch.equal(run(tmp_path, data, records, size), expected)
    assert decoded == [5, 5, 3, 3]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine-32.npy", "mine-33.npy"]


def test_images_stay_what_they_were_while_another_run_replaces_the_file(tmp_path, data):
    run(tmp_path, data)
    mapped = run(tmp_path, data)
    expected = mapped.clone()
    run(tmp_path, data, RECORDS[:2])
    assert torch.equal(mapped, expected)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:-1], lambda b: b[:-40] + b[-32:], lambda b: b"x" + b[1:]]
)
def test_a_damaged_file_is_rebuilt(tmp_path, data, decoded, damage):
    expected = run(tmp_path, data).clone()
    file = tmp_path / "mine-32.npy"
    file.write_bytes(damage(file.read_bytes()))
    assert torch.equal(run(tmp_path, data), expected)
    assert decoded == [5, 5]


def test_a_failed_read_keeps_nothing(tmp_path, data):
    (data / "4.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="1 of 5 images"):
        run(tmp_path / "cache", data)
    assert list((tmp_path / "cache").iterdir()) == []
    (data / "4.png").unlink()
    with pytest.raises(DatasetError, match=r"4\.png does not exist"):
        run(tmp_path / "cache", data)


def test_no_records(tmp_path):
    assert run(tmp_path, tmp_path, []).shape == (0, 1, 32, 32)
    assert list(tmp_path.iterdir()) == []
