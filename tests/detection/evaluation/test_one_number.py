"""One-number scores against NumPy, and on real radiographs."""

import sys

import numpy as np
import pytest
import torch
from helpers.files.layouts import dicom
from helpers.real_data import DATA, needs
from PIL import Image
from sklearn.metrics import roc_auc_score

from anatpaste_aug.datasets import DatasetError, load_images
from anatpaste_aug.detection.evaluation.one_number import image_statistics, one_number_methods, original_sizes
from anatpaste_aug.detection.evaluation.results import result_row

IMAGES = torch.randint(0, 256, (9, 1, 40, 33), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_statistics_are_numpys(monkeypatch):
    monkeypatch.setattr("anatpaste_aug.detection.evaluation.one_number._BATCH", 4)
    found = image_statistics(IMAGES)
    pixels = IMAGES[:, 0].numpy() / 255
    down, across = (np.abs(np.diff(pixels, axis=axis)).mean((1, 2)) for axis in (1, 2))
    expected = {
        "mean gradient": (down + across) / 2,
        "mean vertical gradient": down,
        "mean intensity": pixels.mean((1, 2)),
        "intensity spread": pixels.std((1, 2)),
    }
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
    torch.testing.assert_close(image_statistics(IMAGES.double() / 255), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 1, 32), (0, 1, 32, 32), (1, 32, 32)])
def test_statistics_of_other_shapes(shape):
    with pytest.raises(ValueError, match=r"N×1×H×W, .*got shape"):
        image_statistics(torch.zeros(shape))


def test_the_direction_comes_from_the_validation_images_alone():
    labels = [0, 0, 1, 1]
    val = {"up": torch.tensor([1.0, 2.0, 3.0, 4.0]), "down": torch.tensor([4.0, 3.0, 2.0, 1.0]), "flat": torch.ones(4)}
    test = {"up": torch.tensor([4.0, 3.0, 2.0, 1.0]), "down": torch.tensor([4.0, 3.0, 1.0, 2.0]), "flat": torch.ones(4)}
    up, down = one_number_methods(val, labels, test)
    assert [method.name for method in (up, down)] == ["up (high)", "down (low)"]
    assert [roc_auc_score(labels, method.test) for method in (up, down)] == [0.0, 1.0]
    with pytest.raises(ValueError, match="validation has the scores"):
        one_number_methods({"a": torch.ones(2)}, [0, 1], {})


def test_sizes_are_read_from_headers(tmp_path, monkeypatch):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    Image.new("RGB", (7, 5)).save(tmp_path / "b.jpeg")
    (tmp_path / "c.dcm").write_bytes(dicom(np.zeros((11, 13), np.uint8)))
    assert original_sizes(tmp_path, ["a.png", "b.jpeg", "c.dcm"]).tolist() == [600, 35, 143]
    (tmp_path / "d.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"the size of .*d\.png cannot be read"):
        original_sizes(tmp_path, ["d.png"])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"anatpaste_aug\[datasets\]"):
        original_sizes(tmp_path, ["c.dcm"])


@pytest.mark.slow
@needs("zhanglab")
def test_sharpness_alone_separates_real_classes():
    (val, val_labels), (test, test_labels) = _without_training_images(DATA / "zhanglab")
    methods = one_number_methods(image_statistics(val), val_labels, image_statistics(test))
    rows = {method.name: result_row(method, val_labels, test_labels, dataset="Zhanglab") for method in methods}
    vertical = rows["mean vertical gradient (low)"]
    # 0.927 on these 200 + 300 images at 224 px: a development figure, of a split of the training set.
    assert 0.90 < vertical.interval.low < vertical.metrics.auroc < vertical.interval.high < 0.96
    assert rows["mean gradient (low)"].metrics.auroc > 0.88
    assert rows["intensity spread (low)"].metrics.auroc < 0.8


def _without_training_images(root):
    from anatpaste_aug.datasets import index_zhanglab, split_zhanglab

    index = index_zhanglab(root)
    split = split_zhanglab(index, 0)
    return [
        (
            load_images(index.root, records, 224, progress=False),
            torch.tensor([record.label for record in records]),
        )
        for records in (split.val, split.test)
    ]
