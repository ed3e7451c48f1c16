"""Mask files: found by name, read in common formats."""

import numpy as np
import pytest
import torch
from helpers.files.own_images import write_images
from PIL import Image

from anatpaste_aug.datasets import DatasetError, folder_task, with_regions
from anatpaste_aug.datasets.folder.masks import masks_by_stem, read_mask

LEFT = np.zeros((64, 64), bool)
LEFT[:, :32] = True


@pytest.mark.parametrize("name", ["gray.png", "ones.png", "deep.png", "color.png", "palette.png", "bits.tif", "x.jpg"])
def test_a_mask_is_the_pixels_that_are_not_black(tmp_path, name):
    path = tmp_path / name
    image = {
        "gray.png": Image.fromarray(LEFT.astype(np.uint8) * 255),
        "ones.png": Image.fromarray(LEFT.astype(np.uint8)),
        "deep.png": Image.fromarray(LEFT.astype(np.uint16)),
        "color.png": Image.fromarray(np.stack([0 * LEFT, 0 * LEFT, LEFT], 2).astype(np.uint8) * 9),
        "palette.png": Image.fromarray(LEFT.astype(np.uint8)),
        "bits.tif": Image.fromarray(LEFT),
        "x.jpg": Image.fromarray(LEFT.astype(np.uint8) * 255),
    }[name]
    if name == "palette.png":
        image = image.convert("P")
        image.putpalette([7, 7, 7, 0, 0, 0] + [0] * 762)  # the index counts, not the color
    image.save(path)
    assert np.array_equal(read_mask(path, 64), LEFT)
    assert np.array_equal(read_mask(path, 32), LEFT[::2, ::2])


def test_damaged_and_missing_masks(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"mask .*a.png is not an image"):
        read_mask(tmp_path / "a.png", 8)
    with pytest.raises(DatasetError, match=r"mask .*b.png does not exist"):
        read_mask(tmp_path / "b.png", 8)


def test_masks_are_found_by_name_with_or_without_folders(tmp_path):
    for name, columns in (("a", 8), ("sub/b", 16), ("sub/c_mask", 24)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        mask = np.zeros((32, 32), np.uint8)
        mask[:, :columns] = 255
        Image.fromarray(mask).save(path)
    masks = masks_by_stem(tmp_path, ["train/good/a.dcm", "sub/b.jpg", "c.png"], 32)
    assert masks.shape == (3, 1, 32, 32)
    assert masks.sum((1, 2, 3)).tolist() == [8 * 32, 16 * 32, 24 * 32]
    with pytest.raises(DatasetError, match=r"1 of 2 images have no mask in .*, such as x/d.png: name each mask as its"):
        masks_by_stem(tmp_path, ["a.png", "x/d.png"], 32)
    assert not masks_by_stem(tmp_path, ["x/d.png"], 32, required=False).any()
    with pytest.raises(DatasetError, match=r"mask a.png in .* fits both x/a.png and y/a.png: repeat the images'"):
        masks_by_stem(tmp_path, ["x/a.png", "y/a.png"], 32)
    (tmp_path / "more").mkdir()
    Image.fromarray(mask).save(tmp_path / "more" / "b.png")
    with pytest.raises(DatasetError, match=r"several masks for b.png \(more/b, sub/b\)"):
        masks_by_stem(tmp_path, ["b.png"], 32)


def test_regions_of_a_task(tmp_path):
    task = folder_task(normal=write_images(tmp_path / "normal", 10), size=32, progress=False)
    assert with_regions(task, "lungs").train.regions is None
    everywhere = with_regions(task, "none")
    assert everywhere.train.regions.all()
    assert everywhere.protocol == f"{task.protocol}; pasted into the whole image"
    assert with_regions(task, "lung-field").train.regions.shape == (6, 1, 32, 32)
    assert torch.equal(with_regions(task, lambda images: images > 100).val.regions, task.val.images > 100)
    place = tmp_path / "masks"
    place.mkdir()
    for name in task.train.names:
        Image.fromarray(LEFT).save(place / name)
    found = with_regions(task, place)
    assert torch.equal(found.train.regions[3, 0], torch.from_numpy(LEFT[::2, ::2]))
    assert not found.val.regions.any()
    with pytest.raises(DatasetError, match="nowhere is not a folder of masks: give one, or lungs, lung-field, none"):
        with_regions(task, tmp_path / "nowhere")
