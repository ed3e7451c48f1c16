"""Index of Zhang Lab's downloads with copies, renamed files, leftovers and images in both train and test."""

import warnings

import pytest
from helpers.files.zhanglab_trees import ILL, NORMAL, make, make_tree

from anatpaste_aug.datasets import DatasetError, index_zhanglab


def patients(index):
    return {record.path: record.patient for record in index}


def test_copies_belong_to_the_patient_of_the_original(tmp_path):
    copies = ["IM-0115-0001 (1).jpeg", "IM-0115-0001 copy.jpeg", "Copy of IM-0115-0001.jpeg", "IM-0115-0001.PNG"]
    copies += ["im-0115-0001.jpg", "IM-0115-0001_1.jpeg", "IM-0115-0001-checkpoint.jpeg", "IM-0115-0001.jpeg.png"]
    make_tree(tmp_path, [*NORMAL, *copies], [*ILL, "person447_virus_921_1.jpeg", "PERSON447_virus_922 - Copy.JPG"])
    with warnings.catch_warnings(action="error"):
        index = index_zhanglab(tmp_path)
    found = patients(index)
    assert {found[f"train/NORMAL/{name}"] for name in ("IM-0115-0001.jpeg", *copies)} == {"train/IM-0115"}
    ill = {record.path: record for record in index}["test/PNEUMONIA/person447_virus_921_1.jpeg"]
    assert (ill.patient, ill.findings) == ("test/person447", ("virus",))
    assert found["test/PNEUMONIA/PERSON447_virus_922 - Copy.JPG"] == "test/person447"


def test_a_name_without_a_patient_is_one_patient(tmp_path):
    make_tree(tmp_path)
    make(tmp_path / "train" / "NORMAL", [f"image{i}.jpeg" for i in range(7)] + ["image0.png"])
    make(tmp_path / "val" / "NORMAL", ["image0.jpeg"])
    make(tmp_path / "val" / "PNEUMONIA", ["image0.jpeg"])
    with pytest.warns(UserWarning, match=r"^10 file\(s\) in .* have no patient in their names, and") as caught:
        index = index_zhanglab(tmp_path)
    (warning,) = caught
    assert "train/NORMAL/image0.jpeg" in str(warning.message)
    assert "image5" not in str(warning.message)
    found = patients(index)
    assert found["train/NORMAL/image0.jpeg"] == found["train/NORMAL/image0.png"]  # the same, encoded again
    others = {patient for path, patient in found.items() if "image" in path}
    assert len(others) == 9
    assert others.isdisjoint(patient for path, patient in found.items() if "image" not in path)


LEFTOVERS = ["IM-0115-0001.jpeg:Zone.Identifier", "IM-0115-0001.jpegZone.Identifier", "Thumbs.db", "desktop.ini"]
LEFTOVERS += ["._IM-0115-0001.jpeg", ".DS_Store"]


def test_leftovers_are_skipped_without_a_warning(tmp_path):
    make_tree(tmp_path / "chest_xray")
    for folder in list(tmp_path.glob("chest_xray/*/*")):
        make(folder, LEFTOVERS)
        for name in (".ipynb_checkpoints", "@eaDir"):
            make(folder / name, ["IM-0115-0001-checkpoint.jpeg"])
    with warnings.catch_warnings(action="error"):
        assert len(index_zhanglab(tmp_path)) == 14


def test_other_files_are_skipped_with_a_warning(tmp_path):
    make_tree(tmp_path)
    make(tmp_path / "train" / "PNEUMONIA", ["person8_virus_1.jpeg.part", "read me.txt"])
    with pytest.warns(
        UserWarning,
        match=r"2 file\(s\) in .* do not have the name of an image, .*: train/PNEUMONIA/person8.*, .*read me",
    ):
        assert len(index_zhanglab(tmp_path)) == 14


# images in both train and test


def test_an_image_in_train_and_test_is_an_error(tmp_path):
    make_tree(tmp_path)
    again = tmp_path / "test" / "NORMAL" / NORMAL[0]
    make(again.parent, NORMAL[:1], (tmp_path / "train" / "NORMAL" / NORMAL[0]).read_bytes())
    with pytest.raises(DatasetError, match=r"1 image\(s\) in .* under one name: train/NORMAL/IM-0115.*Delete one"):
        index_zhanglab(tmp_path)
    again.unlink()
    assert len(index_zhanglab(tmp_path)) == 13


def test_twins_under_different_names_are_counted(tmp_path):
    make_tree(tmp_path)
    for name, twin in ((NORMAL[0], "IM-0700-0001.jpeg"), (NORMAL[1], "IM-0701-0001.jpeg")):
        make(tmp_path / "test" / "NORMAL", [twin], (tmp_path / "train" / "NORMAL" / name).read_bytes())
    with pytest.warns(UserWarning, match=r"2 image\(s\) in .*different names: train/NORMAL/IM-0115-0001\.jpeg = test"):
        assert len(index_zhanglab(tmp_path)) == 16


def test_empty_files_are_no_twins(tmp_path):
    make_tree(tmp_path)
    make(tmp_path / "train" / "NORMAL", NORMAL[:1], b"")
    make(tmp_path / "test" / "NORMAL", NORMAL[:1], b"")
    with warnings.catch_warnings(action="error"):
        assert len(index_zhanglab(tmp_path)) == 14
