"""What any stage of the engine does as a setting of another recipe."""

import pytest
import torch
from helpers.oracles import bits, plain_params, smooth_images

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, NSATransform
from anatpaste_aug.functional import paste, soft_mask


def left_half(images):
    return (torch.arange(images.shape[-1]) < images.shape[-1] // 2).expand(len(images), 1, *images.shape[-2:])


# beyond the patch


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("center", [(30, 34), (2, 60), (61, 1)])
@pytest.mark.parametrize("beyond", ["black", "source", "edge"])
def test_what_lies_beyond_the_patch(beyond, center, channels):
    """By index, edges of the image and of the source included. Tolerance: 1e-6."""
    images = smooth_images(1, 64, 64, channels).float() / 255
    place = {"source_top": 3, "source_left": 40, "center_y": center[0], "center_x": center[1]}
    params = plain_params(height=20, width=16, **place, margin=0, sigma=5.0)
    image, mask = paste(images, params, beyond=beyond, rotated=False, resized=False)
    moved = torch.zeros_like(images)
    for y in range(64):
        for x in range(64):
            row, column = y - (center[0] - 10), x - (center[1] - 8)
            if beyond == "edge":
                row, column = min(max(row, 0), 19), min(max(column, 0), 15)
            if beyond == "source" or (0 <= row < 20 and 0 <= column < 16):
                moved[..., y, x] = images[..., min(max(row + 3, 0), 63), min(max(column + 40, 0), 63)]
    torch.testing.assert_close(image, images * (1 - mask) + moved * mask, rtol=0, atol=1e-6)
    assert torch.equal(mask, soft_mask(params, 64, 64, rotated=False))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("beyond", ["source", "edge"])
def test_the_contrast_of_what_lies_beyond_is_that_of_the_patch(beyond):
    """A patch of a constant image stays constant under any contrast; black beyond it would not. Tolerance: 1e-6."""
    images = torch.full((1, 1, 64, 64), 0.4)
    params = plain_params(height=20, width=16, margin=0, sigma=5.0, contrast=1.7, brightness=1.2)
    image, mask = paste(images, params, beyond=beyond, rotated=False, resized=False)
    torch.testing.assert_close(image, 0.4 + (0.48 - 0.4) * mask.expand_as(image), rtol=0, atol=1e-6)


# several patches


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("settings", [{}, {"blend": "poisson"}, {"source": "batch", "beyond": "source"}])
def test_several_patches_are_pasted_one_after_the_other(settings):
    """Tolerance: 1e-6 for the mask; none for the pixels."""
    images = smooth_images(6, 96, 80)
    transform = AnatPasteTransform(patches=(1, 3), segmenter=left_half, **settings)
    result = transform.augment(images)
    donors = images if "source" in settings else None
    choices = {"beyond": settings.get("beyond", "black"), "blend": settings.get("blend", "alpha")}
    step, left = images, torch.ones(6, 1, 96, 80)
    for k in range(3):
        one = type(result.params)(*(field[:, k : k + 1] for field in result.params))
        sources = images if donors is None else donors
        step, mask = paste(step, one, result.region_mask, sources=sources, rotated=False, resized=False, **choices)
        left = left * (1 - mask)
    assert torch.equal(result.image, step)
    torch.testing.assert_close(result.soft_mask, 1 - left, rtol=0, atol=1e-6)
    assert not (result.anomaly_mask & ~result.region_mask).any()


def test_a_patch_that_is_left_out_changes_nothing():
    images = smooth_images(6, 96, 80)
    transform = AnatPasteTransform(patches=(1, 2), segmenter=left_half)
    result = transform.augment(images)
    off = result.params.apply & torch.tensor([True, False])
    first = transform.augment(images, params=result.params._replace(apply=off))
    alone = ~result.params.apply[:, 1]
    assert alone.any()
    assert torch.equal(first.image[alone], result.image[alone])
    assert not torch.equal(first.image[~alone], result.image[~alone])


# blends


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("blend", ["poisson", "poisson_stronger", "poisson_mixed"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_poisson_blending_changes_the_mask_and_the_region_alone(blend, dtype):
    images = smooth_images(8, 96, 80, 3)
    images = images if dtype == torch.uint8 else images / 255
    result = AnatPasteTransform(blend=blend, source="batch", segmenter=left_half).augment(images)
    outside = ~result.anomaly_mask.expand_as(images)
    assert torch.equal(bits(result.image)[outside], bits(images)[outside])
    assert not (result.anomaly_mask & ~result.region_mask).any()
    assert (result.image != images).flatten(1).any(1).sum() >= 7


@pytest.mark.usefixtures("path")
def test_a_patch_of_the_image_itself_blended_where_it_lies_is_the_image():
    """Tolerance: 1e-5."""
    images = smooth_images(4, 96, 80) / 255
    result = AnatPasteTransform(blend="poisson", beyond="source", cut="same", jitter=0.0, segmentation=False).augment(
        images
    )
    torch.testing.assert_close(result.image, images, rtol=0, atol=1e-5)


def test_gradients_flow_to_the_image_and_to_the_donor():
    for settings in ({}, {"blend": "poisson"}, {"blend": "poisson_stronger"}, {"resize": (1.0, 0.5, 0.7, 1.3)}):
        images = (smooth_images(2, 64, 64) / 255).double().requires_grad_()
        donors = (smooth_images(2, 64, 64, seed=1) / 255).double().requires_grad_()
        transform = AnatPasteTransform(segmentation=False, beyond="source", donors=donors, **settings)
        transform.augment(images).image.sum().backward()
        assert images.grad.isfinite().all()
        assert donors.grad.isfinite().all()
        assert images.grad.any()
        if "blend" not in settings:
            assert donors.grad.any()


# targets and thresholds


def test_the_target_is_the_soft_mask_or_the_change_in_intensity():
    images = smooth_images(6, 96, 80)
    soft = AnatPasteTransform(segmentation=False).augment(images)
    assert soft.target is soft.soft_mask
    transform = AnatPasteTransform(segmentation=False, target="intensity")
    change = transform.augment(images, params=soft.params)
    assert torch.equal(change.image, soft.image)
    difference = (change.image.int() - images.int()).abs()
    assert (change.target > 0)[difference > 30].float().mean() > 0.9
    assert not change.target[change.soft_mask == 0].any()
    assert 0 <= change.target.min() <= change.target.max() <= 1


def test_the_target_of_nsa_is_at_least_that_of_no_change_where_there_is_one():
    images = smooth_images(6, 96, 80).clamp_min(30)
    target = NSATransform().augment(images).target
    least = 1 / (1 + torch.e**2)
    assert target[target > 0].min() >= least - 1e-6
    assert (target > 0).any()


def test_a_threshold_makes_a_mask():
    result = AnatPasteTransform(segmentation=False).augment(smooth_images(6, 96, 80))
    assert torch.equal(result.mask(0.0), result.anomaly_mask)
    assert torch.equal(result.mask(0.5), result.soft_mask > 0.5)
    assert result.mask(0.5).sum() < result.anomaly_mask.sum()


# any stage of one is a setting of the others


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "make",
    [
        lambda: AnatPasteTransform(blend="poisson", source="batch", patches=(1, 3)),
        lambda: AnatPasteTransform(size="scar", shape="ellipse", margin=0, beyond="edge"),
        lambda: AnatPasteTransform(size="gamma", resize=(1.0, 0.5, 0.7, 1.3), beyond="source"),
        lambda: AnatPasteTransform(place="inside", shape="patch"),
        lambda: CutPasteTransform(variant="union", anatomy=True, patches=(2, 2), resize=(1.0, 0.2, 0.5, 2.0)),
        lambda: CutPasteTransform(variant="union", blend="poisson_mixed"),
        lambda: NSATransform(place="region", anatomy=True),
    ],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_nothing_outside_the_mask_changes_by_a_bit(make, dtype):
    images = smooth_images(8, 96, 80).clamp_min(30)
    images = images if dtype == torch.uint8 else images / 255
    result = make().augment(images)
    outside = ~result.anomaly_mask.expand_as(images)
    assert torch.equal(bits(result.image)[outside], bits(images)[outside])
    assert torch.equal(result.label, result.anomaly_mask.flatten(1).any(1).long())
    assert result.label.sum() >= 4
    again = make().augment(images, result.region_mask, params=result.params)
    assert torch.equal(bits(again.image), bits(result.image))
