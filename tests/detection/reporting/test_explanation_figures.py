"""Figures show the given data, as read back before they are saved."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection import Interval
from anatpaste_aug.detection.reporting import explanation_figures, run_figures
from anatpaste_aug.detection.reporting.explanation_figures import augmentations_figure, cam_figure
from anatpaste_aug.detection.reporting.run_figures import roc_figure
from anatpaste_aug.transforms import CutPasteTransform

IMAGES = phantom_batch(3, size=64).images
NAMES = ["a$1.png", "<b>.png", "c_\\frac.png"]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    seen = []
    for module in (explanation_figures, run_figures):
        real = module.save
        monkeypatch.setattr(
            module, "save", lambda figure, path, real=real: (seen.append(figure), real(figure, path))[1]
        )
    return seen


def pictures(axes):
    return [np.asarray(image.get_array()) for image in axes.images]


def test_augmentations_beside_their_originals_with_a_magnified_place(tmp_path, drawn):
    torch.manual_seed(0)
    pasted, cut = AnatPasteTransform().augment(IMAGES), CutPasteTransform().augment(IMAGES)
    augmented = {"CutPaste": (cut.image, cut.anomaly_mask), "AnatPaste": (pasted.image, pasted.anomaly_mask)}
    path = augmentations_figure(tmp_path / "a.png", IMAGES, augmented, note="phantoms")
    assert imread(path)[..., :3].std() > 0.05
    axes = drawn[0].axes
    assert [each.get_title() for each in axes[:3]] == ["original", "CutPaste", "AnatPaste"]
    for row in range(3):
        expected = (IMAGES, cut.image, pasted.image)
        for each, images in zip(axes[3 * row : 3 * row + 3], expected, strict=True):
            np.testing.assert_array_equal(pictures(each)[0], images[row, 0])
        for each, result, mask in zip(
            axes[3 * row + 1 : 3 * row + 3], expected[1:], (cut.anomaly_mask, pasted.anomaly_mask), strict=True
        ):
            (frame,), (inset,) = each.patches, each.child_axes
            left, top, side = round(frame.get_x() + 0.5), round(frame.get_y() + 0.5), frame.get_width()
            part = slice(top, top + side), slice(left, left + side)
            np.testing.assert_array_equal(pictures(inset)[0], result[row, 0][part])
            assert frame.get_width() == frame.get_height() <= 0.3 * 64 + 0.5
            shown = mask[row, 0][part].sum()
            extent = 1 + max(int(where.max() - where.min()) for where in torch.nonzero(mask[row, 0], as_tuple=True))
            assert shown == mask[row, 0].sum() if 1.1 * extent < side else shown > 0


def test_nothing_pasted_nothing_magnified(tmp_path, drawn):
    nothing = torch.zeros_like(IMAGES, dtype=torch.bool)
    augmentations_figure(tmp_path / "a.png", IMAGES, {"none": (IMAGES, nothing)})
    assert not any(each.patches or each.child_axes for each in drawn[0].axes)


def test_the_inset_is_away_from_the_anomaly(tmp_path, drawn):
    masks = torch.zeros(4, 1, 64, 64, dtype=torch.bool)
    corners = [(0, 0), (0, 54), (54, 0), (54, 54)]
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[:, top : top + 10, left : left + 10] = True
    images = phantom_batch(4, size=64).images
    augmentations_figure(tmp_path / "a.png", images, {"x": (images, masks)})
    drawn[0].draw_without_rendering()
    for each in drawn[0].axes[1::2]:
        (frame,), (inset,) = each.patches, each.child_axes
        assert not frame.get_window_extent().overlaps(inset.get_window_extent())


def test_cam_overlays(tmp_path, drawn):
    maps = torch.rand(3, 1, 64, 64)
    maps[1] *= 0.1  # each is shown relative to its own maximum
    titles = ["0.9 abnormal", "0.1 normal", "0.2 normal"]
    path = cam_figure(tmp_path / "c.png", IMAGES, maps, titles=titles, names=NAMES, columns=2, note="research only")
    assert imread(path)[..., :3].std() > 0.05
    axes = drawn[0].axes
    assert len(axes) == 8 + 1
    assert axes[-1].get_ylabel() == "Grad-CAM, relative to the image's maximum"
    for i in range(3):
        plain, heated = axes[2 * i : 2 * i + 2]
        assert plain.get_title(loc="left") == titles[i]
        np.testing.assert_array_equal(pictures(plain)[0], IMAGES[i, 0])
        image, heat = pictures(heated)
        np.testing.assert_array_equal(image, IMAGES[i, 0])
        relative = maps[i, 0] / maps[i].max()
        np.testing.assert_allclose(heat, relative, rtol=1e-6)
        np.testing.assert_allclose(heated.images[1].get_alpha(), 0.7 * relative, rtol=1e-6)


def test_maps_cover_images_of_any_size(tmp_path, drawn):
    images = [torch.rand(1, 90, 60), torch.randint(0, 256, (1, 200, 300), dtype=torch.uint8)]
    maps = torch.rand(2, 1, 64, 64)
    maps[1] = 0
    cam_figure(tmp_path / "c.png", images, maps, titles=["abnormal: score 10.000 ≥ threshold 10.000"] * 2)
    axes = drawn[0].axes
    for plain, heated in (axes[:2], axes[2:4]):
        image, heat = heated.images
        assert image.get_extent() == heat.get_extent()
        assert plain.images[0].get_array().shape == image.get_array().shape
        title = plain.texts or plain._left_title  # which has no public name
        assert title.get_window_extent().x1 <= heated.get_window_extent().x1
    assert [heated.get_xlabel() for heated in axes[1:4:2]] == ["", "empty map"]


def test_many_roc_curves_with_their_intervals(tmp_path, drawn):
    labels, scores = np.repeat([0, 1], 20), np.random.default_rng(0).normal(size=40)
    curves = {f"method {i}": (labels, scores + 0.2 * i * labels) for i in range(7)}
    roc_figure(tmp_path / "roc.png", curves, intervals={"method 2": Interval(0.6, 0.5, 0.7)})
    texts = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert len(texts) == 7
    assert texts[2] == "method 2: AUROC 0.600 [0.500, 0.700]"
    assert "[" not in texts[1]
    styles = {(line.get_color(), line.get_linestyle()) for line in drawn[0].axes[0].lines[1:]}
    assert len(styles) == 7


def test_invalid_arguments(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(ValueError, match="at least one augmentation"):
        augmentations_figure(path, IMAGES, {})
    with pytest.raises(ValueError, match="x has shapes"):
        augmentations_figure(path, IMAGES, {"x": (IMAGES, IMAGES[:1])})
    with pytest.raises(ValueError, match="expected N images 1×H×W and N×1×h×w maps"):
        cam_figure(path, IMAGES, torch.zeros(2, 1, 64, 64))
    with pytest.raises(ValueError, match="3 images need as many titles, got 1"):
        cam_figure(path, IMAGES, torch.zeros(3, 1, 64, 64), titles=["a"])
    with pytest.raises(ValueError, match="3 images need as many names, got 1"):
        augmentations_figure(path, IMAGES, {"x": (IMAGES, IMAGES)}, names=["a"])
    assert not list(tmp_path.iterdir())
