"""Your own images as a task: pixels, labels, masks and names in the order of the split."""

import pytest
import torch
from helpers.files.layouts import dicom, pixels
from helpers.files.own_images import write_images, write_layout
from helpers.real_data import DATA, needs

from anatpaste_aug.datasets import DatasetError, Split, folder_task, load_images


def test_images_are_those_of_the_split(tmp_path):
    root = write_layout(tmp_path / "mine")
    task = folder_task(root, 32, cache=tmp_path / "cache", progress=False)
    assert (task.name, task.note, task.findings) == ("mine", "", ("edema", "nodule"))
    assert [len(task.train), len(task.val), len(task.test)] == [8, 6, 12]
    for part in ("train", "val", "test"):
        records, subset = getattr(task.split, part), getattr(task, part)
        assert torch.equal(subset.images, load_images(root, records, 32, progress=False))
        assert subset.labels.tolist() == [record.label for record in records]
    assert {name: int(mask.sum()) for name, mask in task.groups().items()} == {"edema": 8, "nodule": 8}
    assert task.test.truth is None


def test_a_split_is_repeated_from_its_file(tmp_path):
    root = write_layout(tmp_path / "mine", val=False, masks=True)
    task = folder_task(root, 32, seed=3, progress=False)
    task.split.save(tmp_path / "split.json")
    again = folder_task(root, 32, split=Split.load(tmp_path / "split.json"), progress=False)
    assert again.split == task.split
    assert torch.equal(again.test.truth, task.test.truth)
    assert folder_task(root, 32, seed=4, progress=False).split.test != task.split.test


def test_ground_truth_belongs_to_its_image(tmp_path):
    root = write_layout(tmp_path, masks=True)
    next((root / "ground_truth" / "nodule").iterdir()).unlink()
    test = folder_task(root, 32, progress=False).test
    assert int(test.has_truth.sum()) == 11
    ill = test.labels.bool() & test.has_truth
    assert test.truth[ill][..., :16].all()
    assert not test.truth[ill][..., 16:].any()
    assert not test.truth[~ill].any()


def test_png_jpeg_tiff_and_dicom(tmp_path):
    pytest.importorskip("pydicom")
    for i, suffix in enumerate(("png", "jpg", "tif")):
        write_images(tmp_path, 3, 10 * i, suffix)
    (tmp_path / "IM0001").write_bytes(dicom(pixels(50)))
    task = folder_task(normal=tmp_path, size=32, progress=False)
    assert len(task.split.records()) == 10
    assert task.note.startswith("Normal images only: no AUROC")


def test_unreadable_images_are_errors_or_left_out(tmp_path):
    paths = write_images(tmp_path / "normal", 20)
    paths[0].write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"1 of 20 images cannot be read"):
        folder_task(normal=paths, size=32, progress=False)
    task = folder_task(normal=paths, size=32, on_error="skip", progress=False)
    assert len(task.split.records()) == 19
    assert [bad.path for bad in task.unreadable] == ["000.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no images: give root="),
        ({"root": "x", "normal": "y"}, "leave out root= and manifest="),
        ({"abnormal": "x"}, "abnormal= needs normal="),
    ],
)
def test_arguments_that_do_not_fit_together(options, message):
    with pytest.raises(ValueError, match=message):
        folder_task(size=32, **options)


@pytest.mark.slow
@needs("adult")
def test_adult_radiographs():
    task = folder_task(DATA / "adult", 32, manifest=DATA / "adult" / "views.csv", progress=False)
    assert [len(task.train), len(task.val), len(task.test)] == [2000, 152, 340]
    assert sorted(task.groups()) == ["AP", "PA"]
