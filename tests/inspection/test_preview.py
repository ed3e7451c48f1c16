"""The preview: each panel against the augmentation, from files and tensors."""

import sys

import numpy as np
import pytest
import torch
from helpers.files.layouts import dicom
from PIL import Image

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.datasets import DatasetError, phantom_batch
from anatpaste_aug.functional import soft_mask
from anatpaste_aug.inspection import preview


@pytest.fixture(scope="module")
def phantoms():
    return phantom_batch(2, size=64).images


def panels(figure, lines):
    """The images of the panels, one row per seed: a list of arrays each."""
    axes = [each for each in figure.axes if each.get_label() != "<colorbar>"]
    assert len(axes) == 6 * lines
    return [
        [[np.asarray(image.get_array()) for image in each.images] for each in axes[6 * i : 6 * i + 6]]
        for i in range(lines)
    ]


def texts(figure):
    return [text for axes in figure.axes for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())]


def test_the_panels_are_the_steps_of_the_augmentation(phantoms):
    lines = panels(preview(phantoms, seeds=[3, 8]), 4)
    for i, image in enumerate(phantoms):
        for j, seed in enumerate([3, 8]):
            line, image = lines[2 * i + j], phantoms[i : i + 1]
            result = AnatPasteTransform().augment(image, generator=torch.Generator().manual_seed(seed))
            before, after = image[0, 0].numpy() / 255, result.image[0, 0].numpy() / 255
            if j == 0:
                np.testing.assert_allclose(line[0][0], before, atol=1e-6)
                np.testing.assert_allclose(line[1][0], before, atol=1e-6)
                assert np.array_equal(line[1][1][..., 3] > 0, LungSegmenter()(image)[0, 0].numpy())
            else:
                assert line[0] == line[1] == []
            np.testing.assert_array_equal(line[2][0], soft_mask(result.params, 64, 64)[0, 0])
            np.testing.assert_array_equal(line[3][0], result.soft_mask[0, 0])
            np.testing.assert_allclose(line[4][0], after, atol=1e-6)
            # Tolerance: 1e-4 gray levels, rounding.
            np.testing.assert_allclose(line[5][0], (after - before) * 255, atol=1e-4)


def test_all_differences_share_one_symmetric_scale(phantoms):
    figure = preview(phantoms, seeds=[3, 8])
    limits = {axes.images[0].get_clim() for axes in figure.axes[5:24:6]}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high <= -16


def test_titles_names_and_seeds_are_drawn(phantoms):
    drawn = texts(preview(phantoms, seeds=[3, 8], names=["first", "$second"]))
    for text in ("input", "lung mask", "soft shape", "soft mask", "result", "difference", "first", "$second"):
        assert text in drawn
    assert drawn.count("seed 3") == drawn.count("seed 8") == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_other_kinds_of_tensors(phantoms, channels):
    images = (phantoms[:1].expand(-1, channels, -1, -1).float() / 255 - 0.5) / 0.25
    mean, std = [0.5] * channels, [0.25] * channels
    line = panels(preview(images, seeds=[3], transform=AnatPasteTransform(mean=mean, std=std)), 1)[0]
    assert line[0][0].shape == ((64, 64) if channels == 1 else (64, 64, 3))
    drawn = line[0][0] if channels == 1 else line[0][0][..., 0]
    np.testing.assert_allclose(drawn, phantoms[0, 0] / 255, atol=1e-5)
    assert line[5][0].shape == (64, 64)


def test_ablations_and_images_left_alone(phantoms):
    without = preview(phantoms[:1], seeds=[0], transform=AnatPasteTransform(segmentation=False, blur=False))
    assert "not used" in texts(without)
    line = panels(without, 1)[0]
    assert len(line[1]) == 1
    np.testing.assert_array_equal(line[2][0], line[3][0])
    assert len(np.unique(line[2][0])) == 2
    assert "unchanged" in texts(preview(phantoms[:1], seeds=[0], transform=AnatPasteTransform(p=0)))
    flat = preview(torch.full((1, 1, 64, 64), 90, dtype=torch.uint8), seeds=[0])
    assert "none found" in texts(flat)


def test_files_of_all_kinds(tmp_path, phantoms):
    pixels = phantoms[0, 0].numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.jpeg", quality=100)
    (tmp_path / "c.dcm").write_bytes(dicom(255 - pixels, PhotometricInterpretation="MONOCHROME1"))
    figure = preview([tmp_path / "a.png", str(tmp_path / "b.jpeg"), tmp_path / "c.dcm"], seeds=[0], size=64)
    lines = panels(figure, 3)
    np.testing.assert_allclose(lines[0][0][0], pixels / 255, atol=1e-6)
    # Tolerance: 3 gray levels, the loss of JPEG.
    np.testing.assert_allclose(lines[1][0][0], pixels / 255, atol=3 / 255)
    np.testing.assert_allclose(lines[2][0][0], pixels / 255, atol=1e-6)
    assert {"a.png", "b.jpeg", "c.dcm"} <= set(texts(figure))
    assert panels(preview(tmp_path / "a.png", seeds=[0], size=32), 1)[0][0][0].shape == (32, 32)


def test_a_notebook_shows_it(phantoms):
    assert preview(phantoms[:1], seeds=[0])._repr_png_().startswith(b"\x89PNG")


def test_impossible_arguments_are_named(tmp_path, phantoms, monkeypatch):
    with pytest.raises(ValueError, match=r"seeds must be one or more integers of at least 0, got \[\]"):
        preview(phantoms, seeds=[])
    with pytest.raises(ValueError, match=r"got \[1, -1\]"):
        preview(phantoms, seeds=[1, -1])
    with pytest.raises(ValueError, match="size=16"):
        preview(phantoms, size=16)
    with pytest.raises(ValueError, match="pass at least one image and as many names, got 2 and 1"):
        preview(phantoms, names=["a"])
    with pytest.raises(ValueError, match="got 0 and 0"):
        preview([])
    with pytest.raises(DatasetError, match=r"missing\.png does not exist"):
        preview(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        preview(phantoms[0])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'drawing needs matplotlib: pip install "anatpaste_aug\[examples\]"'):
        preview(phantoms)
