"""Pixel metrics against scikit-learn's, image by image and pixel by pixel."""

import pytest
import torch
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from anatpaste_aug.detection.evaluation.pixels import pixel_metrics


def test_all_pixels_count_alike():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(3, 1, 16, 16, generator=generator) > 0.9
    masks[0] = False
    maps = torch.rand(3, 1, 16, 16, generator=generator) + 0.5 * masks
    found = pixel_metrics(masks, maps)
    truth = [bool(value) for image in masks for value in image.flatten()]
    scores = [float(value) for image in maps for value in image.flatten()]
    assert found.auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(truth, scores)
    steps = sum((a - b) * p for a, b, p in zip(recall, recall[1:], precision, strict=False))
    assert found.average_precision == pytest.approx(steps, abs=1e-12)
    assert found.average_precision == pytest.approx(auc(recall, precision), abs=0.02)
    assert (found.images, found.share) == (3, pytest.approx(sum(truth) / 768))
    assert str(found).startswith(f"pixel AUROC {found.auroc:.3f}, average precision ")


@pytest.mark.parametrize(
    ("masks", "maps", "message"),
    [
        (torch.zeros(1, 1, 2, 2, dtype=torch.bool), torch.zeros(1, 1, 2, 2), "normal and abnormal pixels"),
        (torch.eye(2).bool().view(1, 1, 2, 2), torch.zeros(1, 1, 2, 3), r"one shape, got \(1, 1, 2, 2\)"),
        (torch.eye(2).bool().view(1, 1, 2, 2), torch.full((1, 1, 2, 2), torch.nan), "NaN"),
    ],
)
def test_impossible_inputs(masks, maps, message):
    with pytest.raises(ValueError, match=message):
        pixel_metrics(masks, maps)
