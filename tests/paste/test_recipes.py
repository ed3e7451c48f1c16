"""The recipes with recorded parameters, against their public code in NumPy, SciPy and OpenCV."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.oracles import smooth_images
from paste.oracles import fpi, nsa, pii

from anatpaste_aug import FPITransform, NSATransform, PIITransform

COUNT = 24

pytestmark = pytest.mark.usefixtures("path")


def images_and_result(transform, dtype=torch.uint8, size=(96, 80)):
    images = smooth_images(COUNT, *size).clamp_min(30)
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    uniforms = transform.draw_uniforms(COUNT, generator=torch.Generator().manual_seed(0))
    return images, transform.augment(images, uniforms=uniforms), uniforms


def patches_of(params, index):
    """The applied patches of one image, as dictionaries."""
    rows = [{name: field[index, k].tolist() for name, field in params._asdict().items()} for k in range(params.patches)]
    return [row | {"number": k} for k, row in enumerate(rows) if row["apply"]]


def test_fpi_is_that_of_its_authors():
    """Tolerance: none for uint8, 1e-6 for the target. Where both images are equal, the authors' target is 0."""
    images, result, _ = images_and_result(FPITransform())
    for index, image in enumerate(images[:, 0].numpy()):
        (row,) = patches_of(result.params, index)
        assert (row["source_top"], row["source_left"]) == (row["top"], row["left"])
        assert row["donor"] != index
        donor, box = images[row["donor"], 0].numpy(), (row["top"], row["left"], row["height"], row["width"])
        expected, target = fpi(image, donor, box, row["opacity"])
        assert np.array_equal(result.image[index, 0].numpy(), np.round(expected))
        ours = result.target[index, 0].numpy()
        assert np.abs(ours - target)[image != donor].max() < 1e-6
        assert set(np.unique(ours)) == {0, np.float32(row["opacity"])}
        assert (ours > 0).sum() == row["height"] * row["width"]


def test_pii_is_that_of_its_authors():
    """Tolerance: 2 grey levels on 99 % of the changed pixels; 1e-6 for the target, where both call a pixel changed."""
    images, result, _ = images_and_result(PIITransform())
    differences = []
    for index, image in enumerate(images[:, 0].numpy()):
        (row,) = patches_of(result.params, index)
        donor, box = images[row["donor"], 0].numpy(), (row["top"], row["left"], row["height"], row["width"])
        expected, target = pii(image, donor, box, row["opacity"])
        ours = result.image[index, 0].numpy()
        differences.append(np.abs(ours - expected)[(ours != image) | (target > 0)])
        assert np.abs(result.target[index, 0].numpy() - target)[target > 0].max() < 1e-6
        top, left, height, width = box
        inside = np.zeros_like(image)
        inside[max(top, 1) : min(top + height, 95), max(left, 1) : min(left + width, 79)] = 1
        assert np.array_equal(result.target[index, 0].numpy() > 0, inside > 0)
    differences = np.concatenate(differences)
    assert len(differences) > 1000
    assert (differences <= 2).mean() >= 0.99


def test_pii_on_floats_is_exact():
    """Tolerance: 1e-4 of the range."""
    images, result, _ = images_and_result(PIITransform(), torch.float32)
    for index, image in enumerate(images[:, 0].numpy()):
        (row,) = patches_of(result.params, index)
        box = (row["top"], row["left"], row["height"], row["width"])
        expected, _ = pii(image, images[row["donor"], 0].numpy(), box, row["opacity"])
        assert np.abs(result.image[index, 0].numpy() - expected).max() < 1e-4


def test_nsa_is_that_of_its_authors():
    """Tolerance: 2 grey levels on 99 % of the changed pixels; 0.05 on 99 % of the target's pixels."""
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    images, result, uniforms = images_and_result(NSATransform(), size=(128, 120))
    factors = (1 + 0.5 * torch.special.ndtri(uniforms[..., 4])).clamp(0.7, 1.3)
    differences, targets, pasted = [], [], 0
    for index, image in enumerate(images[:, 0].numpy()):
        patches = []
        for row in patches_of(result.params, index):
            center = (row["top"] + row["scaled_height"] // 2, row["left"] + row["scaled_width"] // 2)
            box = (row["source_top"], row["source_left"], row["height"], row["width"])
            patches.append((box, float(factors[index, row["number"]]), [center]))
            donor = images[row["donor"], 0].numpy()
        if not patches:
            assert torch.equal(result.image[index], images[index])
            continue
        expected, target, places = nsa(image, donor, patches)
        assert None not in places
        for row, place in zip(patches_of(result.params, index), places, strict=True):
            assert place == (row["top"], row["left"], row["scaled_height"], row["scaled_width"])
        ours = result.image[index, 0].numpy().astype(int)
        changed = (ours != image) | (expected != image)
        differences.append(np.abs(ours - expected)[changed])
        targets.append(np.abs(result.target[index, 0].numpy() - target)[(target > 0) | changed])
        pasted += len(patches)
    assert pasted > COUNT
    assert (np.concatenate(differences) <= 2).mean() >= 0.99
    assert (np.concatenate(targets) <= 0.05).mean() >= 0.99


@pytest.mark.parametrize("transform", [FPITransform(), PIITransform(), NSATransform()])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_what_float32_gives(transform, dtype):
    """Tolerance: one step of the dtype at 1."""
    images, _, uniforms = images_and_result(transform)
    images = (images / 255).to(dtype)
    half, full = (transform.augment(given, uniforms=uniforms) for given in (images, images.float()))
    same = half.params.apply == full.params.apply
    rows = same.all(1)
    step = {torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    torch.testing.assert_close(half.image[rows].float(), full.image[rows], rtol=0, atol=step)
    assert rows.float().mean() > 0.9


@pytest.mark.parametrize("kind", [FPITransform, PIITransform, NSATransform])
def test_patches_come_from_donors(kind):
    images = smooth_images(4, 96, 80).clamp_min(30)
    donors = torch.full((3, 1, 96, 80), 99, dtype=torch.uint8)
    transform = kind(donors=donors)
    assert transform.config == dataclasses.replace(kind.recipe, source="donors")
    result = transform.augment(images)
    assert set(result.params.donor.unique().tolist()) <= {0, 1, 2}
    expected = kind(donors=lambda count: donors[:count]).augment(images, params=result.params)
    assert torch.equal(result.image, expected.image)
    again = kind(source="donors").augment(images, params=result.params, donors=donors)
    assert torch.equal(result.image, again.image)


@pytest.mark.parametrize("kind", [FPITransform, PIITransform, NSATransform])
def test_one_image_has_no_other_in_its_batch(kind):
    with pytest.raises(ValueError, match=r'source="batch" takes patches from another image .* donors='):
        kind().augment(smooth_images(1, 96, 80))
