"""Manifests: the meaning of each column; errors are one line."""

import pytest
from helpers.files.own_images import write_layout, write_manifest

from anatpaste_aug.datasets import DatasetError, folder_task, index_folder, index_manifest
from anatpaste_aug.datasets.folder.manifest import annotated


def test_every_column_is_read(tmp_path):
    rows = ["a/1.png,Training,normal,p1,PA,", "a/2.png,valid,0,p2,,", '"b/3, 4.png",test,Abnormal,p3,AP,edema; nodule']
    file = write_manifest(tmp_path / "images.csv", rows)
    index = index_manifest(file)
    assert index.root == tmp_path
    first, second, third = index
    assert (first.path, first.source, first.label, first.patient, first.view) == ("a/1.png", "train", 0, "p1", "PA")
    assert (second.source, second.view) == ("val", None)
    assert (third.path, third.label, third.findings) == ("b/3, 4.png", 1, ("edema", "nodule"))


def test_two_columns_suffice_and_paths_may_be_of_any_form(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rows = [r"sub\1.png,0,x", f"{folder / '2.png'},1,y", "./3.png,0,"]
    index = index_manifest(write_manifest(tmp_path / "images.csv", rows, "Path, Label ,note"), folder)
    assert [record.path for record in index] == ["sub/1.png", "2.png", "3.png"]
    assert {record.source for record in index} == {"all"}
    assert all(record.patient == record.path for record in index)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (
            "file,label",
            ["a.png,0"],
            "has no column path: expected a CSV file with the columns path,split,label,",
        ),
        ("path", ["a.png"], "has no column label: expected a CSV file with the columns path,split,label,patient"),
        ("path,label", [], "lists no images: expected a CSV file"),
        ("path,label", ["a.png,2"], "line 2: label='2', expected 0 or normal, 1 or abnormal"),
        ("path,label", ["a.png"], "line 2: 1 instead of 2 values"),
        ("path,label", ["a.png,0", "", "./a.png,0"], "line 4: a.png is listed a second time"),
        ("path,label", [",0"], "line 2: the path is empty"),
        ("path,label", ["../a.png,0"], r"leaves the dataset's root: write it without '\.\.'"),
        ("path,label", ["/elsewhere/a.png,0"], "line 2: /elsewhere/a.png is not below"),
        ("path,label,split", ["a.png,0,first"], "line 2: split='first', expected train, val or test"),
        ("path,label,split", ["a.png,0,train", "b.png,0,"], "line 3: some lines have a split and others have none"),
        ("path,label,split", ["a.png,1,train"], "line 2: an abnormal image in train"),
    ],
)
def test_a_wrong_manifest_is_an_error_of_one_line(tmp_path, header, rows, message):
    with pytest.raises(DatasetError, match=message) as caught:
        index_manifest(write_manifest(tmp_path / "images.csv", rows, header))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_manifest(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*nowhere.csv: No such file or directory; expected a"):
        index_manifest(tmp_path / "nowhere.csv")
    (tmp_path / "images.csv").write_bytes(b"path,label\n\xff\xfe,0\n")
    with pytest.raises(DatasetError, match="is not a CSV file in UTF-8"):
        index_manifest(tmp_path / "images.csv")


def test_a_patient_in_two_parts_is_named(tmp_path):
    rows = [
        f"{i}.png,{split},0,p{patient}" for i, (split, patient) in enumerate([("train", 7), ("test", 7), ("val", 8)])
    ]
    file = write_manifest(tmp_path / "images.csv", rows, "path,split,label,patient")
    message = r"1 patient\(s\) are in several parts: p7 \(the first in train and test\); change the split column of"
    with pytest.raises(DatasetError, match=message):
        folder_task(manifest=file, size=32)


def test_without_labels_it_describes_the_images_of_a_layout(tmp_path):
    root = write_layout(tmp_path)
    rows = ["test/good/014.png,p1,AP", "test/nodule/022.png,p1,PA"]
    file = write_manifest(root / "views.csv", rows, "path,patient,view")
    task = folder_task(root, 32, manifest=file, progress=False)
    assert sum(view is not None for view in task.test.views) == 2
    assert task.test.views[task.test.names.index("test/good/014.png")] == "AP"
    assert {record.patient for record in task.split.test if record.view} == {"p1"}
    with pytest.raises(DatasetError, match=r"lists 1 image\(s\) that .* does not have: test/good/999.png"):
        annotated(index_folder(root), write_manifest(file, ["test/good/999.png,p1,AP"], "path,patient,view"))
