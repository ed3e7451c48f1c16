"""Which files of a folder are images, other files, or ignored."""

import pytest
from layouts import dicom, pixels

from anatpaste_aug.datasets import DatasetError
from anatpaste_aug.datasets.files.listing import list_images


def test_images_others_and_leftovers(tmp_path):
    images = ["a.jpeg", "b.JPG", "below/c (1).png", "below/d.tiff"]
    others = ["notes.txt", "below/e.jpeg.part"]
    leftovers = ["a.jpeg:Zone.Identifier", "a.jpegZone.Identifier", "Thumbs.db", "below/desktop.ini", "._a.jpeg"]
    leftovers += [".ipynb_checkpoints/a-checkpoint.jpeg", "below/__MACOSX/a.jpeg", "@eaDir/a.jpeg", ".hidden/a.jpeg"]
    for name in (*images, *others, *leftovers):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_images(tmp_path) == (sorted(images), sorted(others))


def test_dicom_is_known_by_its_content(tmp_path):
    pytest.importorskip("pydicom")
    (tmp_path / "IM000001").write_bytes(dicom(pixels(0)))
    (tmp_path / "IM000002").write_bytes(b"x")
    assert list_images(tmp_path) == (["IM000001"], ["IM000002"])


def test_no_such_folder(tmp_path):
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        list_images(tmp_path / "nowhere")
