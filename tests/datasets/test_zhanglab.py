"""Zhang Lab's downloads: every layout, every thing that may be wrong with one, and the paper's split."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anatpaste_aug.datasets import DatasetError, Record, Split, index_zhanglab, split_zhanglab

ROOT = Path(os.environ.get("ANATPASTE_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "zhanglab"
needs_data = pytest.mark.skipif(not ROOT.is_dir(), reason=f"no radiographs at {ROOT} (set ANATPASTE_DATA)")

NORMAL = ["IM-0115-0001.jpeg", "IM-0117-0001-0002.jpeg", "NORMAL2-IM-0115-0001.JPG", "NORMAL2-IM-0427-0001-0002.png"]
ILL = ["person1000_bacteria_2931.jpeg", "person1000_virus_1681.jpeg", "person7_virus_20.JPEG"]
NORMAL3 = ["NORMAL-28501-0001.jpeg", "NORMAL-28501-0002.jpeg", "NORMAL-7422-0001.jpeg"]
ILL3 = ["BACTERIA-7422-0001.jpeg", "VIRUS-3637528-0002.jpeg"]


def make(folder, names, content=b"never opened"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


def make_tree(folder, normal=NORMAL, ill=ILL, sources=("train", "test")):
    for source in sources:
        make(folder / source / "NORMAL", normal)
        make(folder / source / "PNEUMONIA", ill)
    return folder


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
    make_tree(tmp_path, sources=("train", "val", "test"))
    assert Counter(record.source for record in index_zhanglab(tmp_path)) == {"train": 7, "test": 7}
    make(tmp_path / "val" / "NORMAL", NORMAL[:1], b"another image of that name")
    assert Counter(record.source for record in index_zhanglab(tmp_path)) == {"train": 7, "test": 7, "val": 1}


def test_emptied_val_is_fine(tmp_path):
    make_tree(tmp_path)
    make_tree(tmp_path, [], [], sources=("val",))
    assert len(index_zhanglab(tmp_path)) == 14


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


def test_test_folder_missing(tmp_path):
    make_tree(tmp_path, sources=("train",))
    with pytest.raises(DatasetError, match="lacks test/NORMAL, test/PNEUMONIA"):
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
    with pytest.raises(DatasetError, match="give the folder that holds train and test"):
        index_zhanglab(tmp_path / "train")


def test_several_downloads(tmp_path):
    make_tree(tmp_path / "kaggle" / "chest_xray")
    make_tree(tmp_path / "v3" / "CellData" / "chest_xray", NORMAL3, ILL3)
    with pytest.raises(DatasetError, match=r"several downloads below .*kaggle.*v3.*Give one"):
        index_zhanglab(tmp_path)


def test_names_that_tell_no_patient(tmp_path):
    make_tree(tmp_path)
    make(tmp_path / "train" / "NORMAL", [f"image{i}.jpeg" for i in range(7)])
    make(
        tmp_path / "test" / "PNEUMONIA", ["IM-0001-0001.jpeg", "person7_virus_20 (1).jpeg", "person8_virus_1.jpeg.part"]
    )
    with pytest.raises(DatasetError, match=r"10 file\(s\)") as caught:
        index_zhanglab(tmp_path)
    assert "train/NORMAL/image0.jpeg" in str(caught.value)
    assert "image5" not in str(caught.value)


# the split


def make_records(normal, ill, tested=(5, 5), shared=0):
    """Records of patients with so many images each; the first ``shared`` of both classes are the same people."""
    records = []
    for label, sizes in ((0, normal), (1, ill)):
        for person, count in enumerate(sizes):
            name = f"both{person}" if person < shared else f"{'ni'[label]}{person}"
            records += [Record(f"train/{label}-{name}-{i}.png", label, f"train/{name}", "train") for i in range(count)]
    for label, count in enumerate(tested):
        records += [Record(f"test/{label}-{i}.png", label, f"test/{'ni'[label]}{i}", "test") for i in range(count)]
    return records


def totals(split):
    return [tuple(part.values()) for part in split.counts().values()]


def test_paper_protocol():
    records = make_records([1] * 150 + [2] * 80 + [3] * 20, [1] * 100 + [4] * 50, (60, 70))
    split = split_zhanglab(records)
    assert totals(split) == [(270, 0), (100, 100), (60, 70)]
    assert split.protocol.startswith("paper protocol: 100 normal + 100 pneumonia")
    assert "train 370 + 300, test 60 + 70 instead of train 1349 + 3883, test 234 + 390" in split.protocol
    assert (split.dataset, split.seed) == ("zhanglab", 0)


def test_complete_published_set_has_no_remark():
    split = split_zhanglab(make_records([1] * 1349, [1] * 3883, (234, 390)))
    assert totals(split) == [(1249, 0), (100, 100), (234, 390)]
    assert split.protocol == "paper protocol: 100 normal + 100 pneumonia images of train validate, by patient"


def test_val_folder_belongs_to_train():
    records = make_records([1] * 210, [1] * 120)
    moved = [Record(r.path, r.label, r.patient, "val") if i % 5 == 0 and r.source == "train" else r
             for i, r in enumerate(records)]  # fmt: skip
    strip = [
        [(r.path, r.patient) for r in part] for part in (split_zhanglab(records).train, split_zhanglab(moved).train)
    ]
    assert strip[0] == strip[1]


def test_seeds_differ_and_repeat():
    records = make_records([1] * 300, [1] * 300)
    assert split_zhanglab(records, 1) == split_zhanglab(records, 1)
    assert split_zhanglab(records, 1).val != split_zhanglab(records, 2).val


def test_the_draw_is_the_same_in_every_release():
    """A change of this list silently changes everybody's split: it needs a new protocol name."""
    split = split_zhanglab(make_records([1] * 12, [1] * 6), seed=3, val_normal=3, val_abnormal=2)
    assert [record.patient for record in split.val] == ["train/n5", "train/n6", "train/n7", "train/i0", "train/i5"]


def test_own_counts():
    split = split_zhanglab(make_records([1] * 50, [1] * 50), val_normal=10, val_abnormal=20)
    assert totals(split)[:2] == [(40, 0), (10, 20)]
    assert split.protocol.startswith("own protocol")


def test_shrinks_in_proportion():
    split = split_zhanglab(make_records([1] * 60, [1] * 500))
    assert totals(split)[:2] == [(30, 0), (30, 30)]
    assert split.protocol.startswith("reduced protocol (100 + 100 asked for): 30 normal + 30 pneumonia")
    assert totals(split_zhanglab(make_records([1] * 500, [1] * 40)))[:2] == [(460, 0), (40, 40)]
    assert totals(split_zhanglab(make_records([1] * 60, [1] * 500), val_abnormal=50))[:2] == [(30, 0), (30, 15)]


def test_part_of_a_patient_is_lost_to_both_sides():
    split = split_zhanglab(make_records([3] * 100, [3] * 100))
    assert totals(split)[:2] == [(300 - 102, 0), (100, 100)]


def test_pneumonia_first_from_numbers_that_test_lacks():
    records = make_records([1] * 20, [1] * 20, (5, 8))
    split = split_zhanglab(records, val_normal=5, val_abnormal=12)
    numbers = {record.patient.partition("/")[2] for record in split.val if record.label}
    assert numbers.isdisjoint(record.patient.partition("/")[2] for record in split.test)


@pytest.mark.parametrize(
    "records",
    [
        [],
        make_records([1] * 3, [1] * 10),
        make_records([1] * 10, [1]),
        make_records([1] * 10, [1] * 10, (0, 5)),
        make_records([1] * 10, [1] * 10, (5, 0)),
    ],
)
def test_too_small(records):
    with pytest.raises(DatasetError, match=r"cannot split train \d+ \+ \d+, test \d+ \+ \d+.*Complete the download"):
        split_zhanglab(records)


def test_too_few_patients():
    with pytest.raises(DatasetError, match="too few patients"):
        split_zhanglab(make_records([50], [1] * 50))


def test_foreign_source_and_counts():
    with pytest.raises(DatasetError, match="source valid"):
        split_zhanglab([*make_records([1] * 9, [1] * 9), Record("a.png", 0, "a", "valid")])
    with pytest.raises(ValueError, match="val_normal=0"):
        split_zhanglab(make_records([1] * 9, [1] * 9), val_normal=0)


sizes = st.lists(st.integers(1, 6), min_size=1, max_size=40)


@hypothesis_settings(max_examples=150, deadline=None)
@given(sizes, sizes, st.integers(0, 8), st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.randoms())
def test_split_properties(normal, ill, shared, seed, val_normal, val_abnormal, shuffle: random.Random):
    records = make_records(normal, ill, shared=shared)
    try:
        split = split_zhanglab(records, seed, val_normal, val_abnormal)
    except DatasetError:
        assert sum(normal) < 4 or sum(ill) < 2 or len(normal) < 2 or shared
        return
    shuffle.shuffle(records)
    assert split_zhanglab(records, seed, val_normal, val_abnormal) == split
    (train, nothing), (normals, abnormals), tested = totals(split)
    assert nothing == 0
    assert tested == (5, 5)
    assert train >= (sum(normal) + 1) // 2
    assert 1 <= normals <= val_normal
    assert 1 <= abnormals <= val_abnormal
    assert ("reduced protocol" in split.protocol) == ((normals, abnormals) != (val_normal, val_abnormal))
    assert {r.patient for r in split.train}.isdisjoint(r.patient for r in split.val)
    if 2 * val_normal <= sum(normal) - 10 and not shared:  # room for whole patients, or a part of one
        assert normals == max(1, min(val_normal, val_normal * sum(ill) // val_abnormal))


# real radiographs


@needs_data
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


@needs_data
@pytest.mark.parametrize("seed", range(5))
def test_real_split(tmp_path, seed):
    index = index_zhanglab(ROOT)
    split = split_zhanglab(index, seed)
    assert totals(split) == [(1041, 0), (100, 100), (200, 300)]
    assert "not the complete published set" in split.protocol
    # This copy's val and test were cut out of one folder and share a person.
    tested = {record.patient.partition("/")[2] for record in split.test}
    assert tested.isdisjoint(r.patient.partition("/")[2] for r in split.train + split.val)
    split.verify(index.root)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
