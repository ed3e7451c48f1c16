"""The layout of MVTec AD and two folders; errors are one line."""

import shutil

import pytest
from helpers.files.own_images import write_images, write_layout

from anatpaste_aug.datasets import DatasetError, index_folder, index_images
from anatpaste_aug.datasets.folder.index import LAYOUT


def test_folders_give_label_source_and_finding(tmp_path):
    index = index_folder(write_layout(tmp_path, masks=True))
    assert len(index) == 8 + 6 + 12
    by_path = {record.path: record for record in index}
    record = by_path["train/good/000.png"]
    assert (record.label, record.source, record.findings, record.mask) == (0, "train", (), None)
    record = by_path["test/nodule/022.png"]
    assert (record.label, record.source, record.findings) == (1, "test", ("nodule",))
    assert record.mask == "ground_truth/nodule/022_mask.png"
    assert by_path["val/edema/011.png"].mask is None


def test_masks_of_any_name_and_suffix_are_found(tmp_path):
    root = write_layout(tmp_path, masks=True)
    place = root / "ground_truth" / "edema"
    (place / "018_mask.png").rename(place / "018.tif")
    masks = {record.path: record.mask for record in index_folder(root)}
    assert masks["test/edema/018.png"] == "ground_truth/edema/018.tif"


def test_other_files_are_skipped(tmp_path):
    root = write_layout(tmp_path)
    count = len(index_folder(root))
    (root / "views.csv").write_text("x")
    (root / "train" / "Thumbs.db").write_text("x")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "test" / "good" / "notes.txt").write_text("x")
    assert len(index_folder(root)) == count


def wrong(tmp_path, kind):
    root = write_layout(tmp_path / "data")
    if kind == "missing":
        return root / "nowhere"
    if kind == "above":
        return tmp_path
    if kind == "flat":
        shutil.rmtree(root)
        write_images(root, 3)
    elif kind == "named otherwise":
        (root / "train" / "good").rename(root / "train" / "normal")
    elif kind == "abnormal in train":
        write_images(root / "train" / "edema", 1, 90)
    elif kind == "loose":
        write_images(root / "test", 1, 90)
    elif kind == "part":
        (root / "val").rename(root / "Validation")
    elif kind == "masks":
        write_images(root / "ground_truth" / "Edema", 1)
    elif kind == "empty":
        shutil.rmtree(root / "train" / "good")
        (root / "train" / "good").mkdir()
    return root


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "is not a folder: give one with"),
        ("above", r"has no train/good, but data below it: give that: expected"),
        ("flat", r"has no train/good \(it contains no folders\): expected"),
        ("named otherwise", r"has no train/good \(train contains normal\): expected"),
        ("abnormal in train", r"train has edema beside good, .* move the others to test; expected"),
        (
            "loose",
            r"test has 1 image\(s\) outside of a class, such as 090.png: move them to test/good or ",
        ),
        ("part", r"has Validation: rename it to val; expected"),
        ("masks", r"ground_truth has masks of Edema, which test does not have: give the folders one name; expected"),
        ("empty", r"train/good contains no images: expected"),
    ],
)
def test_a_wrong_layout_is_an_error_of_one_line(tmp_path, kind, message):
    with pytest.raises(DatasetError, match=message) as caught:
        index_folder(wrong(tmp_path, kind))
    assert LAYOUT in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_folders_and_two_lists(tmp_path):
    normal = write_images(tmp_path / "normal", 3)
    abnormal = write_images(tmp_path / "ill" / "edema", 2, 10)
    index = index_images(tmp_path / "normal", tmp_path / "ill")
    assert index.root == tmp_path
    found = [(record.path, record.label, record.findings) for record in index]
    assert found[0] == ("normal/000.png", 0, ())
    assert found[-1] == ("ill/edema/011.png", 1, ("edema",))
    assert [record.path for record in index_images(normal, abnormal)] == [path for path, _, _ in found]
    assert [record.path for record in index_images(normal)] == ["000.png", "001.png", "002.png"]


def test_wrong_folders_are_errors_of_one_line(tmp_path):
    normal = write_images(tmp_path / "normal", 2)
    (tmp_path / "empty").mkdir()
    remedy = "give two folders of images, --normal DIR --abnormal DIR, or --normal DIR alone"
    for arguments, message in (
        ((tmp_path / "nowhere",), f"nowhere, does not exist: {remedy}"),
        ((tmp_path / "normal", tmp_path / "empty"), f"empty, contains no images: {remedy}"),
        ((tmp_path, tmp_path / "normal"), r"2 image\(s\) are normal and abnormal at once, such as .*000.png"),
        (([],), "the list of normal images is empty"),
        ((["nowhere.png", *normal],), "1 of 3 normal images are missing: .*nowhere.png does not exist"),
        ((normal, []), "the list of abnormal images is empty"),
    ):
        with pytest.raises(DatasetError, match=message):
            index_images(*arguments)
