"""Index of Zhang Lab's downloads: all layouts and all errors."""

import warnings
from collections import Counter

import pytest
from helpers.files.layouts import published_zhanglab_names, write_files
from helpers.files.zhanglab_trees import ILL, ILL3, NORMAL, NORMAL3, make, make_tree
from helpers.real_data import DATA, needs

from anatpaste_aug.datasets import DatasetError, Record, ZhanglabIndex, index_zhanglab, split_zhanglab

ROOT = DATA / "zhanglab"

# layouts


def test_kaggle(tmp_path):
    tree = make_tree(tmp_path / "chest_xray")
    make(tree / "val" / "NORMAL", ["NORMAL2-IM-1427-0001.jpeg"])
    make(tree / "val" / "PNEUMONIA", ["person1946_bacteria_4874.jpeg"])
    make_tree(tree / "chest_xray")  # the second copy, and what macOS adds
    make_tree(tree / "__MACOSX" / "chest_xray", ["._IM-0115-0001.jpeg"], ["._person7_virus_20.jpeg"])
    make(tree / "train" / "NORMAL", [".DS_Store", "._IM-0115-0001.jpeg", "Thumbs.db"])
    index = index_zhanglab(tmp_path)
    assert index.root == tree
    assert len(index) == 16
    assert [record.path for record in index] == sorted(record.path for record in index)
    assert Counter((record.source, record.label) for record in index) == {
        ("train", 0): 4,
        ("train", 1): 3,
        ("val", 0): 1,
        ("val", 1): 1,
        ("test", 0): 4,
        ("test", 1): 3,
    }
    by_path = {record.path: record for record in index}
    assert by_path["test/PNEUMONIA/person1000_virus_1681.jpeg"] == Record(
        "test/PNEUMONIA/person1000_virus_1681.jpeg", 1, "test/person1000", "test", findings=("virus",)
    )
    assert by_path["val/PNEUMONIA/person1946_bacteria_4874.jpeg"].patient == "train/person1946"
    patients = [by_path[f"train/NORMAL/{name}"].patient for name in NORMAL]
    assert patients == ["train/IM-0115", "train/IM-0117", "train/NORMAL2-IM-0115", "train/NORMAL2-IM-0427"]


@pytest.mark.parametrize(
    "below",
    [
        "",
        "chest_xray",
        "chest_xray/chest_xray",
        "CellData/chest_xray",
        "ZhangLabData/CellData/chest_xray",
        "ChestXRay2017/chest_xray",
        "downloads/ZhangLabData/CellData/chest_xray",
    ],
)
def test_any_folder_above(tmp_path, below):
    (tmp_path / "read me.txt").write_text("beside it")
    tree = make_tree(tmp_path / below)
    index = index_zhanglab(str(tmp_path))
    assert (index.root, len(index.records)) == (tree, 14)


def test_mendeley_3(tmp_path):
    index = index_zhanglab(make_tree(tmp_path / "CellData" / "chest_xray", NORMAL3, ILL3).parents[1])
    train = {record.path.rpartition("/")[2]: record for record in index if record.source == "train"}
    assert train["NORMAL-28501-0001.jpeg"].patient == train["NORMAL-28501-0002.jpeg"].patient == "train/28501"
    # one patient with a normal and an abnormal image is one patient
    assert train["NORMAL-7422-0001.jpeg"].patient == train["BACTERIA-7422-0001.jpeg"].patient
    assert train["BACTERIA-7422-0001.jpeg"].findings == ("bacteria",)
    assert train["VIRUS-3637528-0002.jpeg"].label == 1


def test_image_both_in_train_and_val_counts_once(tmp_path):
    make_tree(tmp_path)
    for kind, names in (("NORMAL", NORMAL), ("PNEUMONIA", ILL)):
        for name in names:
            make(tmp_path / "val" / kind, [name], (tmp_path / "train" / kind / name).read_bytes())
    assert Counter(record.source for record in index_zhanglab(tmp_path)) == {"train": 7, "test": 7}
    make(tmp_path / "val" / "NORMAL", NORMAL[:1], b"another image of that name")
    assert Counter(record.source for record in index_zhanglab(tmp_path)) == {"train": 7, "test": 7, "val": 1}


def test_an_empty_val_is_allowed(tmp_path):
    make_tree(tmp_path)
    make_tree(tmp_path, [], [], sources=("val",))
    assert len(index_zhanglab(tmp_path)) == 14


# the complete published set


@pytest.mark.slow
@pytest.mark.parametrize(("version", "val"), [(2, False), (2, True), (3, False)])
def test_the_complete_set(tmp_path, version, val):
    paths = published_zhanglab_names(version, val)
    assert len(set(paths)) == len(paths) == 1349 + 3883 + 234 + 390
    write_files(tmp_path / "chest_xray", paths)
    with warnings.catch_warnings(action="error"):
        index = index_zhanglab(tmp_path)
    assert sorted(record.path for record in index) == sorted(paths)
    assert index.is_complete
    counts = Counter((record.source, record.label) for record in index)
    assert (counts["train", 0], counts["train", 1]) == ((1341, 3875) if val else (1349, 3883))
    assert (counts["val", 0], counts["val", 1]) == ((8, 8) if val else (0, 0))
    assert {len(record.findings) for record in index if record.label} == {1}
    split = split_zhanglab(index)
    assert [tuple(part.values()) for part in split.counts().values()] == [(1249, 0), (100, 100), (234, 390)]
    assert split.protocol == "paper protocol: 100 normal + 100 pneumonia images of train validate, by patient"


@pytest.mark.slow
def test_kaggle_without_val_has_the_official_test(tmp_path):
    paths = [path for path in published_zhanglab_names() if not path.startswith("val/")]
    index = index_zhanglab(write_files(tmp_path, paths))
    assert index.has_official_test
    assert index.missing == "train 1341 + 3875 images instead of 1349 + 3883"
    assert not ZhanglabIndex(tmp_path, index.records[1:]).has_official_test


# what may be wrong


def test_root_missing_file_or_empty(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere does not exist: give the folder"):
        index_zhanglab(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="is empty: unpack"):
        index_zhanglab(tmp_path)
    (tmp_path / "ChestXRay2017.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="is a file: unpack it"):
        index_zhanglab(tmp_path / "ChestXRay2017.zip")
    with pytest.raises(DatasetError, match="no Zhang Lab download in"):
        index_zhanglab(tmp_path)


def test_class_folder_missing_or_empty(tmp_path):
    make(tmp_path / "train" / "NORMAL", NORMAL)
    make(tmp_path / "test" / "NORMAL", NORMAL)
    make(tmp_path / "test" / "PNEUMONIA", [".DS_Store"])
    with pytest.raises(DatasetError, match="lacks train/PNEUMONIA: unpack"):
        index_zhanglab(tmp_path)
    make(tmp_path / "train" / "PNEUMONIA", ILL)
    with pytest.raises(DatasetError, match="no images in test/PNEUMONIA of"):
        index_zhanglab(tmp_path)


def test_no_class_folder_at_all(tmp_path):
    make(tmp_path / "chest_xray" / "train", NORMAL)
    with pytest.raises(DatasetError, match="lacks train/NORMAL, train/PNEUMONIA, test/NORMAL"):
        index_zhanglab(tmp_path)


def test_another_dataset_beside(tmp_path):
    make(tmp_path / "CheXpert-v1.0-small" / "train" / "patient00001" / "study1", ["view1_frontal.jpg"])
    with pytest.raises(DatasetError, match="no Zhang Lab download in"):
        index_zhanglab(tmp_path)
    make_tree(tmp_path / "zhanglab" / "chest_xray")
    assert len(index_zhanglab(tmp_path)) == 14


def test_half_empty_val(tmp_path):
    make_tree(tmp_path)
    make_tree(tmp_path, [], ["person1946_bacteria_4874.jpeg"], sources=("val",))
    with pytest.raises(DatasetError, match="no images in val/NORMAL"):
        index_zhanglab(tmp_path)


def test_one_level_too_deep(tmp_path):
    make_tree(tmp_path)
    with pytest.raises(DatasetError, match="give the folder that contains train and test"):
        index_zhanglab(tmp_path / "train")


def test_several_downloads(tmp_path):
    make_tree(tmp_path / "kaggle" / "chest_xray")
    make_tree(tmp_path / "v3" / "CellData" / "chest_xray", NORMAL3, ILL3)
    with pytest.raises(DatasetError, match=r"several downloads below .*kaggle.*v3.*Give one"):
        index_zhanglab(tmp_path)


def test_names_of_the_other_class(tmp_path):
    make_tree(tmp_path)
    make(tmp_path / "test" / "PNEUMONIA", ["IM-0001-0001.jpeg"])
    make(tmp_path / "train" / "NORMAL", ["VIRUS-3637528-0002.jpeg", "person7_virus_21.jpeg"])
    with pytest.raises(DatasetError, match=r"3 file\(s\) in .* have a name of the other class: .*Move them") as caught:
        index_zhanglab(tmp_path)
    for path in ("test/PNEUMONIA/IM-0001-0001.jpeg", "train/NORMAL/VIRUS-3637528-0002.jpeg"):
        assert path in str(caught.value)
    # the remedies, one each
    for name in ("VIRUS-3637528-0002.jpeg", "person7_virus_21.jpeg"):
        (tmp_path / "train" / "NORMAL" / name).rename(tmp_path / "train" / "PNEUMONIA" / name)
    (tmp_path / "test" / "PNEUMONIA" / "IM-0001-0001.jpeg").rename(tmp_path / "test" / "PNEUMONIA" / "1.jpeg")
    with pytest.warns(UserWarning, match=r"1 file\(s\) in .*: test/PNEUMONIA/1\.jpeg$"):
        assert len(index_zhanglab(tmp_path)) == 17


# real radiographs


@needs("zhanglab")
def test_real_index():
    index = index_zhanglab(ROOT)
    assert Counter((record.source, record.label) for record in index) == {
        ("train", 0): 1133,
        ("train", 1): 600,
        ("val", 0): 8,
        ("val", 1): 8,
        ("test", 0): 200,
        ("test", 1): 300,
    }
    assert index_zhanglab(ROOT.parent) == index
    assert all((index.root / record.path).is_file() for record in index)
