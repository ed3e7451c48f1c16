"""Images and leftovers, distinguished by their names."""

import pytest

from anatpaste_aug.datasets.files import filenames


@pytest.mark.parametrize("name", ["a.jpeg", "a.JPG", "a (1).png", "a.tiff", "a.dcm", "a.b.png", "é.bmp", "a:b.png"])
def test_images(name):
    assert filenames.is_image_name(name)
    assert not filenames.is_leftover(name)


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
def test_leftovers(name):
    assert filenames.is_leftover(name)
    assert not filenames.is_image_name(name)


@pytest.mark.parametrize("name", ["a", "a.png.part", "a.txt", "Thumbs"])
def test_neither(name):
    assert not filenames.is_image_name(name)
    assert not filenames.is_leftover(name)


def test_folders():
    names = [".ipynb_checkpoints", "ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", ".git"]
    assert all(map(filenames.is_leftover_folder, names))
    assert not any(map(filenames.is_leftover_folder, ["NORMAL", "val", "CheXpert-v1.0 batch 1 (validate & csv)"]))
