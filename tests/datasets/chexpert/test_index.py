"""Index of CheXpert: labels of a raw download, and images of the full size in the folders of four archives."""

import shutil

import pytest
import torch
from helpers.files.layouts import BATCHES, unpack_batches, write_chexpert
from helpers.real_data import DATA, needs

from anatpaste_aug.datasets import DatasetError, Record, chexpert_task, index_chexpert, split_chexpert

ROOT = DATA / "chexpert_layout"

LABELS = [
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
]
HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]


def row(patient, source="train", view="PA", side="Frontal", study=1, folder="CheXpert-v1.0-small", **labels):
    path = f"{folder}/{source}/patient{patient:05d}/study{study}/view1_{side.lower()}.jpg"
    named = {name.replace("_", " "): value for name, value in labels.items()}
    assert named.keys() <= set(LABELS)
    return [path, "Female", "48", side, view, *(named.get(name, "") for name in LABELS)]


def write(folder, train, valid=(), end="\n", header=HEADER):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train", train), ("valid", valid)):
        (folder / f"{name}.csv").write_text(end.join(",".join(line) for line in [header, *lines]) + end, newline="")
    return folder


def labels_of(index):
    return {record.patient[-2:].lstrip("0"): record.label for record in index}


# the labels


@pytest.mark.parametrize("folder", ["CheXpert-v1.0", "CheXpert-v1.0-small"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels(tmp_path, folder, end):
    train = [
        row(1, No_Finding="1.0", folder=folder),
        row(2, No_Finding="1", Support_Devices="1.0", folder=folder, view="AP"),
        row(3, Edema="1.0", Cardiomegaly="-1.0", Lung_Opacity="1.0", folder=folder),
        row(4, Edema="-1.0", folder=folder),  # only uncertain: neither normal nor abnormal
        row(
            5, Pneumothorax="1.0", Fracture="1.0", folder=folder
        ),  # none of the five diseases: neither normal nor abnormal
        row(6, folder=folder),
        row(7, No_Finding="0.0", Edema="0.0", folder=folder),
        row(8, No_Finding="1.0", Edema="1.0", folder=folder),  # contradicts itself
        row(9, No_Finding="1.0", side="Lateral", view="", folder=folder),
        row(1, No_Finding="1.0", folder=folder),  # repeated
    ]
    valid = [row(10, "valid", Atelectasis="1.0", folder=folder)]
    index = index_chexpert(write(tmp_path / folder, train, valid, end).parent)
    assert index.root == tmp_path / folder
    assert labels_of(index) == {"1": 0, "2": 0, "3": 1, "10": 1}
    assert (index.rows, index.contradictory) == ({"train": 9, "valid": 1}, 1)
    assert list(index)[2] == Record(
        "train/patient00003/study1/view1_frontal.jpg",
        1,
        "patient00003",
        "train",
        view="PA",
        sex="Female",
        age=48,
        findings=("Lung Opacity", "Edema"),
    )
    assert list(index)[1].findings == ("Support Devices",)
    assert list(index)[1].view == "AP"


def changed(position, value):
    line = row(2, No_Finding="1.0")
    line[HEADER.index(position)] = value
    return line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed("Edema", "2"), r"train\.csv, line 3: label '2', expected 1, 0, -1 or blank"),
        (
            changed("Path", "CheXpert-v1.0-small/valid/patient00002/study1/a.jpg"),
            r"line 3: Path='CheXpert.*expected tr",
        ),
        (changed("Path", "train/images/1.jpg"), "line 3: Path="),
        (changed("Frontal/Lateral", "PA"), "line 3: Frontal/Lateral='PA'"),
        (row(1, No_Finding="1.0", Edema="1.0"), r"line 3: a second row about train/patient00001/.*other values"),
        (row(2, No_Finding="1.0")[:-3], "line 3: 16 instead of 19 values: download it again"),
    ],
)
def test_invalid_rows_are_errors(tmp_path, line, message):
    write(tmp_path, [row(1, No_Finding="1.0"), line])
    with pytest.raises(DatasetError, match=message):
        index_chexpert(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no train\.csv in .*expected train\.csv, valid\.csv"):
        index_chexpert(tmp_path)
    write(tmp_path, [], header=[name for name in HEADER if name not in ("Edema", "AP/PA")])
    with pytest.raises(DatasetError, match="no column AP/PA, Edema"):
        index_chexpert(tmp_path)
    write(tmp_path, [])
    (tmp_path / "valid.csv").unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*valid\.csv.*Complete the download"):
        index_chexpert(tmp_path)


# where the images lie


@pytest.fixture
def merged(tmp_path):
    return write_chexpert(tmp_path / "merged" / "CheXpert-v1.0-small")


def task_of(root, **options):
    return chexpert_task(root, 16, progress=False, **options)


def check_same(merged, root, place):
    """The download below ``root`` gives the images of the merged one, from paths below ``place``."""
    expected, task = task_of(merged), task_of(root)
    assert task.root == place
    assert index_chexpert(root).rows == index_chexpert(merged).rows
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(task, part).images, getattr(expected, part).images)
        assert [r.patient for r in getattr(task.split, part)] == [r.patient for r in getattr(expected.split, part)]
    task.split.verify(place)
    return task


@pytest.mark.parametrize("below", ["", "chexpertchestxrays-u20210408"])
def test_the_archives_side_by_side_under_any_parent(tmp_path, merged, below):
    place = unpack_batches(merged, tmp_path / "downloads" / below)
    for extra in ("train_cheXbert.csv", "train_visualCheXbert.csv", "README.md", "CheXpert-v1.0 batch 2 (train 1).zip"):
        (place / extra).write_text("Path,No Finding\n")
    (place / BATCHES[0] / "train_visualCheXbert.csv").write_text("Path\n")
    task = check_same(merged, tmp_path / "downloads", place)
    assert {path.split("/")[0] for path in task.train.names + task.test.names} == set(BATCHES[1:])
    assert all(path.startswith(f"{BATCHES[0]}/valid/patient") for path in task.val.names)


def test_the_folder_of_the_lists_is_enough(tmp_path, merged, monkeypatch):
    place = unpack_batches(merged, tmp_path / "full")
    check_same(merged, place / BATCHES[0], place)
    monkeypatch.chdir(place / BATCHES[0])
    check_same(merged, ".", place)


def test_each_archive_in_a_folder_of_its_own_name(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    for name in BATCHES:
        (place / name).rename(place / "moving")
        (place / name).mkdir()
        (place / "moving").rename(place / name / name)
    check_same(merged, place, place)


def test_lists_copied_or_moved_beside_the_archives(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    for name in ("train.csv", "valid.csv"):
        shutil.copy(place / BATCHES[0] / name, place / name)
    check_same(merged, place, place)
    for name in ("train.csv", "valid.csv"):
        (place / BATCHES[0] / name).unlink()
    check_same(merged, place, place)
    (place / "lists").mkdir()
    for name in ("train.csv", "valid.csv"):
        (place / name).rename(place / "lists" / name)
    check_same(merged, place, place)


def test_archives_that_are_half_merged_into_train(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    for name in ("train.csv", "valid.csv", "valid"):
        (place / BATCHES[0] / name).rename(place / name)
    (place / BATCHES[1]).rename(place / "train")
    check_same(merged, place, place)
    # one patient lies in both, with a study in each
    patient = next((place / BATCHES[2]).iterdir())
    (place / "train" / patient.name / "study9").mkdir(parents=True)
    check_same(merged, place, place)


def test_missing_patients_are_named(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    shutil.rmtree(place / BATCHES[1])
    with pytest.raises(
        DatasetError, match=r"\d of the split's \d+ images are missing in .*: train/patient000\d\d/study1"
    ):
        task_of(place)
    task = task_of(place, on_error="skip")
    assert {bad.reason for bad in task.unreadable} == {"does not exist"}


def test_the_small_download_beside_the_full_one(tmp_path, merged):
    unpack_batches(merged, tmp_path / "merged")
    with pytest.raises(DatasetError, match=r"several downloads below .*Give one of them"):
        index_chexpert(tmp_path / "merged")
    index_chexpert(merged)
    assert index_chexpert(tmp_path / "merged" / BATCHES[0]).root == tmp_path / "merged"


def test_a_split_is_repeated_in_another_layout(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    for first, second in ((merged, place), (place, merged)):
        split = task_of(first, seed=3).split
        task = task_of(second, split=split)
        assert torch.equal(task.train.images, task_of(first, split=split).train.images)
        assert [r.sha256 for r in task.split.records()] == [r.sha256 for r in split.records()]
        task.split.verify(second)


def test_leftovers_in_the_download(tmp_path, merged):
    place = unpack_batches(merged, tmp_path / "full")
    for folder in (place, place / BATCHES[0], place / BATCHES[1], next((place / BATCHES[1]).iterdir())):
        for name in ("train.csv:Zone.Identifier", "._train.csv", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"x")
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "train.csv").write_bytes(b"x")
    (place.parent / "__MACOSX" / place.name).mkdir(parents=True)
    (place.parent / "__MACOSX" / place.name / "train.csv").write_bytes(b"x")
    check_same(merged, place.parent / "full", place)


# real radiographs


@needs("chexpert_layout")
def test_real_layout():
    index = index_chexpert(ROOT.parent)
    assert index.root == ROOT / "CheXpert-v1.0-small"
    assert index.missing == "425 of 223,414 images in train.csv, 67 of 234 images in valid.csv"


@needs("chexpert_layout")
def test_real_archives(tmp_path):
    place = unpack_batches(ROOT / "CheXpert-v1.0-small", tmp_path / "chexpertchestxrays-u20210408")
    expected, index = index_chexpert(ROOT), index_chexpert(tmp_path)
    assert (index.root, index.rows, index.contradictory) == (place, expected.rows, expected.contradictory)
    assert [(r.patient, r.label, r.view) for r in index] == [(r.patient, r.label, r.view) for r in expected]
    split_chexpert(index).verify(place)
