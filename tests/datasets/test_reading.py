"""Detection tasks from raw layouts: images, labels, findings and views in the order of the split."""

import re

import pytest
import torch
from helpers.files.layouts import write_chexpert, write_zhanglab
from helpers.real_data import DATA, needs

from anatpaste_aug.datasets import (
    DatasetError,
    Split,
    chexpert_task,
    load_images,
    rsna_task,
    zhanglab_task,
)
from anatpaste_aug.datasets.chexpert import index as chexpert_module
from anatpaste_aug.datasets.chexpert.index import DISEASES
from anatpaste_aug.datasets.files import cache as cache_module
from anatpaste_aug.datasets.zhanglab import index as zhanglab_module


@pytest.fixture
def root(tmp_path):
    return write_chexpert(tmp_path / "CheXpert-v1.0-small")


def task_of(root, **options):
    return chexpert_task(root, 16, progress=False, **options)


def test_images_are_those_of_the_split(root, tmp_path):
    plain, cached = task_of(root), task_of(root.parent, cache=tmp_path / "cache")
    again = task_of(root, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    assert re.fullmatch(r"chexpert-[0-9a-f]{8}-16\.npy", file.name)
    for task in (plain, cached, again):
        assert task.split == plain.split
        for part in ("train", "val", "test"):
            records, subset = getattr(task.split, part), getattr(task, part)
            assert torch.equal(subset.images, load_images(root, records, 16, progress=False))
            assert subset.labels.tolist() == [record.label for record in records]
            assert subset.names == tuple(record.path for record in records)
            assert subset.findings == tuple(record.findings for record in records)
            assert set(subset.views) == {"PA"}
    assert all(record.sha256 for record in plain.split.records())
    plain.split.verify(root)


def test_protocols_that_take_turns_are_decoded_once_each(root, tmp_path, monkeypatch):
    options = {"cache": tmp_path / "cache"}
    first, other = task_of(root, **options), task_of(root, protocol="diseases", **options)
    monkeypatch.setattr(cache_module, "load_images", None)
    assert torch.equal(task_of(root, **options).test.images, first.test.images)
    assert torch.equal(task_of(root, protocol="diseases", **options).test.images, other.test.images)


def test_names_and_notes(root, monkeypatch):
    task = task_of(root)
    assert task.name == "CheXpert (development split)"
    reduced = "Reduced protocol: fewer images than in the paper."
    missing = "60 of 223,414 images in train.csv, 4 of 234"
    assert task.note.startswith(f"{reduced} Not the complete published set ({missing}")
    assert task.protocol.startswith("reduced protocol")
    assert task_of(root, name="mine").name == "mine (development split)"
    monkeypatch.setattr(chexpert_module, "PUBLISHED_ROWS", {"train": 60, "valid": 4})
    task = task_of(root)
    assert task.name == "CheXpert (own protocol)"
    assert task.note.startswith(f"{reduced} Not the paper's protocol")


@pytest.mark.parametrize(
    ("published", "name", "start", "in_note"),
    [
        ({"train": (40, 20), "test": (5, 5)}, "own protocol", "Reduced protocol", "Not the paper's protocol"),
        (
            {"train": (41, 22), "test": (5, 5)},
            "own protocol",
            "Reduced protocol",
            "The official test set, but the training set",
        ),
        (
            {"train": (40, 20), "test": (5, 6)},
            "development split",
            "Reduced protocol",
            "Not the complete published set",
        ),
    ],
)
def test_the_note_on_the_official_test(tmp_path, monkeypatch, published, name, start, in_note):
    monkeypatch.setattr(zhanglab_module, "PUBLISHED_COUNTS", published)
    task = zhanglab_task(write_zhanglab(tmp_path), 16, progress=False)
    assert task.name == f"Zhanglab ({name})"
    assert task.note.startswith(start)
    assert in_note in task.note
    assert ("development" in task.note) == (name == "development split")


def test_the_official_test_beside_incomplete_training_keeps_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(zhanglab_module, "PUBLISHED_COUNTS", {"train": (241, 122), "test": (5, 5)})
    task = zhanglab_task(write_zhanglab(tmp_path, train=(240, 120)), 16, progress=False)
    assert task.name == "Zhanglab"
    difference = "train 240 + 120 images instead of 241 + 122"
    assert task.note == f"The official test set, but the training set differs from the published one: {difference}."


def test_groups_are_findings_against_all_normals_and_views(root):
    task = task_of(root, views="all")
    groups = task.groups()
    assert list(groups) == [*DISEASES, "AP", "PA"]
    labels, findings = task.test.labels, task.test.findings
    for disease in DISEASES:
        mask = groups[disease]
        assert torch.equal(mask & (labels == 0), labels == 0)
        assert int(labels[mask].sum()) == sum(disease in found for found in findings)
    assert groups["Edema"].sum() == (labels == 0).sum()  # no image has it
    assert [bool(x) for x in groups["AP"]] == [view == "AP" for view in task.test.views]
    assert "PA" not in task_of(root).groups()


def test_a_split_is_repeated_from_its_file(root, tmp_path):
    first = task_of(root, seed=4)
    first.split.save(tmp_path / "split.json")
    again = task_of(root, split=Split.load(tmp_path / "split.json"))
    assert again.split == first.split != task_of(root).split
    assert torch.equal(again.test.images, first.test.images)
    changed = root / first.split.test[0].path
    changed.write_bytes(changed.read_bytes() + b"x")
    with pytest.raises(DatasetError, match=r"1 of the split's .* not those that it was made with"):
        task_of(root, split=Split.load(tmp_path / "split.json"))
    with pytest.raises(DatasetError, match="the split is one of zhanglab, not of chexpert"):
        task_of(root, split=Split("zhanglab", "by hand", 0, (), (), ()))


def test_missing_images_are_named_before_any_is_decoded(root):
    for path in list(root.glob("train/patient0000*/*/*.jpg"))[:9]:
        path.unlink()
    with pytest.raises(DatasetError, match=r"\d of the split's \d+ images are missing in .*Complete the download"):
        task_of(root)


# real radiographs


@needs("zhanglab")
@pytest.mark.parametrize(
    ("build", "counts"),
    [
        (chexpert_task, (35, 24, 70)),
        (rsna_task, (39, 36, 36)),
        (zhanglab_task, (1041, 200, 500)),
    ],
)
def test_real_layouts(build, counts, tmp_path):
    task = build(DATA, 32, name="stand-in", cache=tmp_path, progress=False)
    assert (len(task.train), len(task.val), len(task.test)) == counts
    assert task.name == "stand-in (development split)"
    assert task.note
    for subset in (task.train, task.val, task.test):
        assert subset.images.flatten(1).float().std(1).min() > 5
    for mask in task.groups().values():
        assert mask.shape == task.test.labels.shape
