"""Datasets with unreadable files: these are not used, and the others keep their order and labels."""

import numpy as np
import pytest
import torch
from helpers.files.layouts import write_chexpert, write_rsna, write_zhanglab

from anatpaste_aug.datasets import (
    DatasetError,
    Split,
    chexpert_task,
    read_gray,
    rsna_task,
    zhanglab_task,
)
from anatpaste_aug.datasets.files import cache, images

LAYOUTS = {
    "zhanglab": (write_zhanglab, zhanglab_task),
    "chexpert": (write_chexpert, chexpert_task),
    "rsna": (write_rsna, rsna_task),
}
PARTS = ("train", "val", "test")


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    """The folder of a download, and a function that makes its task."""
    write, build = LAYOUTS[request.param]
    root = write(tmp_path / "download")
    return root, lambda **options: build(root, 16, progress=False, **options)


def damage(root, split):
    """The paths of four files that cannot be read for different reasons."""
    bad = [split.train[2].path, split.val[0].path, split.test[0].path, split.test[-1].path]
    cut, empty, zeros, text = (root / path for path in bad)
    cut.write_bytes(cut.read_bytes()[:-200])
    if cut.suffix == ".dcm":  # the header with the view stays intact
        for path in (empty, zeros, text):
            path.write_bytes(path.read_bytes()[:-100])
        return bad
    empty.write_bytes(b"")
    zeros.write_bytes(zeros.read_bytes()[:200] + bytes(300))
    text.write_text("<html>404</html>")
    return bad


def check_aligned(task, root, full, bad):
    """The full split without the bad images, in its order, each with its own pixels, label, findings and view."""
    for part in PARTS:
        subset = getattr(task, part)
        records = [record for record in getattr(full.split, part) if record.path not in bad]
        assert list(getattr(task.split, part)) == records
        assert subset.names == tuple(record.path for record in records)
        assert subset.labels.tolist() == [record.label for record in records]
        assert subset.findings == tuple(record.findings for record in records)
        assert subset.views == tuple(record.view for record in records)
        expected = np.stack([read_gray(root / name, 16) for name in subset.names])
        np.testing.assert_array_equal(subset.images[:, 0].numpy(), expected)
    pixels = torch.cat([getattr(task, part).images for part in PARTS]).flatten(1)
    assert len(pixels.unique(dim=0)) == len(pixels)  # so that swapped images would be noticed


@pytest.mark.parametrize("cached", [False, True])
def test_unreadable_files_are_errors_or_left_out(layout, tmp_path, cached):
    root, build = layout
    options = {"cache": tmp_path / "cache"} if cached else {}
    full = build(**options)
    assert full.unreadable == ()
    bad = damage(root, full.split)

    with pytest.raises(DatasetError, match=r"^4 of \d+ images cannot be read") as caught:
        build(**options)
    assert all(path in str(caught.value) for path in bad)
    assert 'on_error="skip"' in str(caught.value)

    for _ in range(2):  # the second time perhaps from the cache
        task = build(on_error="skip", **options)
        check_aligned(task, root, full, bad)
        assert sorted(left.path for left in task.unreadable) == sorted(bad)
        reasons = {left.path: left.reason for left in task.unreadable}
        assert reasons[bad[1]].startswith("cannot be read" if bad[1].endswith(".dcm") else "is empty (0 bytes)")
        assert not any(str(root) in reason for reason in reasons.values())
        assert task.note.endswith("4 image(s) could not be read and are left out.")
        assert "4 unreadable image(s) left out: " in task.protocol

    with pytest.raises(DatasetError, match="cannot be read"):
        build(**options)


def test_a_split_records_what_was_left_out(layout, tmp_path):
    root, build = layout
    full = build()
    bad = damage(root, full.split)
    task = build(on_error="skip")
    task.split.save(tmp_path / "split.json")
    read = Split.load(tmp_path / "split.json")
    assert read == task.split
    text = (tmp_path / "split.json").read_text()
    assert text.count('"reason": ') == 4
    for options in ({}, {"on_error": "skip"}):
        again = build(split=read, **options)
        check_aligned(again, root, full, bad)
        assert (again.unreadable, again.note, again.protocol) == (task.unreadable, task.note, task.protocol)


def test_the_cache_decodes_again_only_unreadable_files(tmp_path, monkeypatch):
    root = write_zhanglab(tmp_path / "download")
    options = {"cache": tmp_path / "cache", "on_error": "skip", "progress": False}
    full = zhanglab_task(root, 16, progress=False)
    before = (root / full.split.train[2].path).read_bytes()
    bad = damage(root, full.split)
    zhanglab_task(root, 16, **options)
    (path,) = (tmp_path / "cache").glob("zhanglab-*-16.npy")
    file = np.load(path)  # an ordinary NumPy file
    assert file.shape == (len(full.split.records()) - 4, 1, 16, 16)

    read = []
    for module in (images, cache):
        monkeypatch.setattr(
            module, "read_gray", lambda path, *args, **more: read.append(path) or read_gray(path, *args, **more)
        )
    zhanglab_task(root, 16, **options)
    assert sorted(read) == sorted(root / path for path in bad)

    (root / bad[0]).write_bytes(before)  # repaired: used again
    task = zhanglab_task(root, 16, **options)
    assert len(task.unreadable) == 3
    check_aligned(task, root, full, bad[1:])


def test_files_that_became_readable_are_read(tmp_path, monkeypatch):
    """A decoder was installed, or a permission was granted."""
    root = write_zhanglab(tmp_path / "download")
    options = {"cache": tmp_path / "cache", "on_error": "skip", "progress": False}
    full = zhanglab_task(root, 16, progress=False)
    lost = full.split.train[0].path

    def without_decoder(path, size, **more):
        if path == root / lost:
            raise DatasetError(f"{path} is compressed")
        return read_gray(path, size, **more)

    with monkeypatch.context() as patch:
        for module in (images, cache):
            patch.setattr(module, "read_gray", without_decoder)
        assert [str(bad) for bad in zhanglab_task(root, 16, **options).unreadable] == [f"{lost} is compressed"]
    task = zhanglab_task(root, 16, **options)
    assert task.unreadable == ()
    check_aligned(task, root, full, [])


def test_without_a_header_an_image_is_left_out_before_the_split(tmp_path):
    """Its view is unknown."""
    root = write_rsna(tmp_path / "download")
    for name in ("p03", "p44"):
        (root / "stage_2_train_images" / f"{name}.dcm").write_bytes(b"<html>404</html>")
    for _ in range(2):  # the second time with headers from the cache
        with pytest.raises(DatasetError, match=r"2 of 60 DICOM headers cannot be read"):
            rsna_task(root, 16, cache=tmp_path / "cache", progress=False)
        task = rsna_task(root, 16, cache=tmp_path / "cache", on_error="skip", progress=False)
        assert {bad.path[-7:] for bad in task.unreadable} == {"p03.dcm", "p44.dcm"}
        assert "2 unreadable image(s) left out: 2 of no set" in task.protocol
        check_aligned(task, root, task, [])
    for path in (root / "stage_2_train_images").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="60 of 60 DICOM headers cannot be read"):
        rsna_task(root, 16, on_error="skip", progress=False)


def test_missing_files_are_left_out_too(tmp_path):
    for write, build in (LAYOUTS["chexpert"], LAYOUTS["rsna"]):
        root = write(tmp_path / build.__name__)
        full = build(root, 16, progress=False)
        gone = full.split.train[1].path
        (root / gone).unlink()
        task = build(root, 16, on_error="skip", progress=False)
        assert [(bad.path, bad.reason) for bad in task.unreadable] == [(gone, "does not exist")]
        names = {name for part in PARTS for name in getattr(task, part).names}
        assert gone not in names
        with pytest.raises(DatasetError, match="are missing"):
            build(root, 16, progress=False)


def test_a_changed_file_is_an_error(tmp_path):
    """It can be read, but is not the image of the split."""
    root = write_chexpert(tmp_path / "download")
    split = chexpert_task(root, 16, progress=False).split
    (root / split.test[0].path).write_bytes((root / split.test[1].path).read_bytes())
    with pytest.raises(DatasetError, match="not those that it was made with"):
        chexpert_task(root, 16, split=split, on_error="skip", progress=False)


def test_too_few_readable_images_are_an_error(tmp_path):
    root = write_zhanglab(tmp_path / "download")
    for path in (root / "test" / "PNEUMONIA").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"without the 5 images that cannot be read, test has no abnormal image left"
    ):
        zhanglab_task(root, 16, on_error="skip", progress=False)
    for path in root.rglob("*.jpeg"):
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"(\d+) of \1 images cannot be read"):
        zhanglab_task(root, 16, on_error="skip", progress=False)
    with pytest.raises(ValueError, match=r"on_error='ignore': expected \"raise\" or \"skip\""):
        zhanglab_task(root, 16, on_error="ignore", progress=False)


def test_links_to_themselves_are_skipped(tmp_path):
    for write, build in LAYOUTS.values():
        root = write(tmp_path / build.__name__ / "download")
        (root.parent / "loop").symlink_to("loop")
        (root / "loop").symlink_to("loop")
        assert len(build(root.parent, 16, progress=False).train)
    root = write_zhanglab(tmp_path / "with")
    (root / "train" / "NORMAL" / "IM-9999-0001.jpeg").symlink_to("IM-9999-0001.jpeg")
    with pytest.raises(DatasetError, match=r"IM-9999-0001\.jpeg"):
        zhanglab_task(root, 16, progress=False)
    task = zhanglab_task(root, 16, on_error="skip", progress=False)
    assert [bad.path for bad in task.unreadable] == ["train/NORMAL/IM-9999-0001.jpeg"]
