import numpy as np
import pytest
import torch
from helpers.oracles import iou, lungs_of_batch, resized, smooth_images

from anatpaste_aug.functional import segment_lungs
from anatpaste_aug.functional.lungs import blocks

SIZES = [(256, 256), (224, 224), (192, 320), (301, 257)]


def masks_of(images, **settings):
    mask, converged = segment_lungs(images, **settings, return_converged=True)
    assert converged.all()
    assert mask.dtype == converged.dtype == torch.bool
    return mask


@pytest.fixture(scope="module")
def expected(radiographs):
    """The masks of the paper's wording, by scikit-image, at 256 px."""
    return lungs_of_batch(radiographs.images)


# against scikit-image, the published code and people


def test_radiographs_at_256_px_give_the_masks_of_scikit_image(radiographs, expected):
    """Tolerance: IoU >= 0.9999 in the mean, >= 0.999 for each image."""
    agreement = iou(masks_of(radiographs.images), expected)
    assert agreement.mean() >= 0.9999
    assert agreement.min() >= 0.999


@pytest.mark.parametrize(
    ("size", "every"), [((224, 224), 2), ((192, 320), 3), ((301, 257), 3), ((512, 512), 10), ((1024, 1024), 40)]
)
def test_radiographs_at_other_sizes_give_the_masks_of_scikit_image(radiographs, size, every):
    """Tolerance: IoU >= 0.999 in the mean."""
    images = resized(radiographs.images[::every], *size)
    assert iou(masks_of(images), lungs_of_batch(images)).mean() >= 0.999


def test_radiographs_agree_with_the_published_code(radiographs, recordings):
    """Tolerance: IoU >= 0.99 in the mean; that code zeroes whole bounding boxes and pixels of value 0."""
    golden = np.stack([recordings.masks[name] for name in radiographs.names])
    assert iou(masks_of(radiographs.images), torch.from_numpy(golden)).mean() >= 0.99


def test_precision_on_human_masks_is_that_of_scikit_image(radiographs, expected):
    """Tolerance: 0.002 of scikit-image's mean precision, which is 0.92."""

    def precision(masks):
        found = masks.flatten(1).sum(1)
        return ((masks & radiographs.human).flatten(1).sum(1)[found > 0] / found[found > 0]).mean().item()

    ours, theirs = precision(masks_of(radiographs.images)), precision(expected)
    assert ours == pytest.approx(theirs, abs=0.002)
    assert ours == pytest.approx(0.92, abs=0.01)


@pytest.mark.parametrize("size", [*SIZES, (32, 32), (33, 57), (64, 64), (250, 250)])
def test_smooth_images_give_the_masks_of_scikit_image(size):
    """Tolerance: IoU >= 0.999 in the mean; bit for bit at 256 and 64 px, where CLAHE has no rounding."""
    images = smooth_images(6, *size)
    ours, theirs = masks_of(images), lungs_of_batch(images)
    if size in ((256, 256), (64, 64), (32, 32)):
        assert torch.equal(ours, theirs)
    assert iou(ours, theirs).mean() >= 0.999
    assert theirs.any()


# intensities and dtypes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_radiographs_as_floats_give_the_masks_of_uint8(radiographs, dtype):
    """Tolerance: none; the bins of CLAHE are the same."""
    images = radiographs.images[::3]
    assert torch.equal(masks_of(images.to(dtype) / 255), masks_of(images))


@pytest.mark.parametrize(("scale", "shift"), [(2 / 255, -1), (4 / 255, -2), (16, 0), (1e-3, 5), (1e4, -3e5)])
def test_a_positive_affine_map_changes_nothing(scale, shift):
    """Tolerance: IoU >= 0.999, for the rounding of the mapped values."""
    images = smooth_images(6, 128, 96)
    mapped = (images.double() * scale + shift).float()
    assert iou(masks_of(mapped), masks_of(images)).min() >= 0.999


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_8_bit_levels_give_the_same_masks_in_every_dtype_that_holds_them(dtype):
    images = smooth_images(6, 96, 128)
    assert torch.equal(masks_of(images.to(dtype)), masks_of(images))


def test_colour_gives_the_mask_of_pillows_grey():
    images = smooth_images(4, 96, 80, channels=3)
    weights = torch.tensor([19595, 38470, 7471]).view(3, 1, 1)
    gray = ((images.int() * weights).sum(1, keepdim=True) + 2**15 >> 16).to(torch.uint8)
    assert torch.equal(masks_of(images), masks_of(gray))


# batches and odd inputs


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_a_constant_image_has_no_lungs(value, dtype):
    assert not masks_of(torch.full((2, 1, 64, 64), value).to(dtype)).any()


def test_radiographs_get_the_same_masks_from_the_algorithm_for_accelerators(radiographs, monkeypatch):
    images = radiographs.images[::10]
    expected = masks_of(images)
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
    assert torch.equal(masks_of(images), expected)


@pytest.mark.parametrize("has_numba", [True, False])
def test_autocast_changes_no_mask(has_numba, monkeypatch):
    if not has_numba:
        monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
    images = smooth_images(3, 96, 80)
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float32):
        given = images.to(dtype)
        expected = masks_of(given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(masks_of(given), expected)


def test_an_image_whose_labels_have_not_converged_has_an_empty_mask_and_says_so(monkeypatch):
    images = torch.full((2, 1, 256, 256), 200, dtype=torch.uint8)
    for row in range(30, 222, 16):  # a snake
        images[0, 0, row : row + 6, 20:236] = 20
        images[0, 0, row : row + 22, slice(230, 236) if row % 32 == 30 else slice(20, 26)] = 20
    images[1, 0, 100:108, 100:108] = 20
    assert masks_of(images, min_size=50).flatten(1).any(1).all()
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
    monkeypatch.setattr(blocks, "may_wait", lambda device: False)
    assert masks_of(images, min_size=50).flatten(1).any(1).all()
    monkeypatch.setattr(blocks, "label_rounds", lambda rows, columns: 1)
    mask, converged = segment_lungs(images, min_size=50, return_converged=True)
    assert converged.tolist() == [False, True]
    assert mask.flatten(1).any(1).tolist() == [False, True]
