"""Which files of a folder are images, other files, or ignored."""

import pytest
from helpers.files.layouts import dicom, pixels

from anatpaste_aug.datasets import DatasetError
from anatpaste_aug.datasets.files.filenames import is_image_name, is_leftover, is_leftover_folder
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


@pytest.mark.parametrize("name", ["a.jpeg", "a.JPG", "a (1).png", "a.tiff", "a.dcm", "a.b.png", "é.bmp", "a:b.png"])
def test_names_of_images(name):
    assert is_image_name(name)
    assert not is_leftover(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.png:Zone.Identifier",
        "a.png:zone.identifier",
        "a.pngZone.Identifier",
        "a.png\uf03aZone.Identifier",  # how WSL writes a colon
        "Thumbs.db",
        "ehthumbs.db",
        "DESKTOP.INI",
        "Icon\r",
        ".DS_Store",
        "._a.png",
        "~$a.png",
    ],
)
def test_names_of_leftovers(name):
    assert is_leftover(name)
    assert not is_image_name(name)


@pytest.mark.parametrize("name", ["a", "a.png.part", "a.txt", "Thumbs"])
def test_names_of_neither(name):
    assert not is_image_name(name)
    assert not is_leftover(name)


def test_names_of_folders():
    names = [".ipynb_checkpoints", "ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", ".git"]
    assert all(map(is_leftover_folder, names))
    assert not any(map(is_leftover_folder, ["NORMAL", "val", "CheXpert-v1.0 batch 1 (validate & csv)"]))
