import numpy as np
import pytest
import torch
from helpers.oracles import plain_params, smooth_images

from anatpaste_aug.functional import Intensities, segment_lungs, soft_mask
from anatpaste_aug.functional import paste as paste_patches
from anatpaste_aug.paste import ANATPASTE, sample_params

pytestmark = pytest.mark.usefixtures("path")


def paste(*arguments):
    """As AnatPaste pastes: nothing is rotated or resized."""
    return paste_patches(*arguments, rotated=False, resized=False)


def case():
    """Color images, parameters as they are drawn in use, and lung masks."""
    images = smooth_images(24, 96, 80, channels=3)
    lungs = segment_lungs(images)
    return images, sample_params(ANATPASTE, images.shape, region_mask=lungs), lungs


def test_recorded_augmentations_are_repeated(radiographs, recordings):
    """Tolerance: 0.6 grey levels in the mean over the changed pixels, 3 at most, none outside the mask."""
    records = recordings.records
    images = radiographs.images[[radiographs.names.index(record["name"]) for record in records]]
    lungs = torch.from_numpy(np.stack([recordings.masks[record["name"]] for record in records])).unsqueeze(1)
    params = plain_params(
        len(records),
        height=[record["cut_height"] for record in records],
        width=[record["cut_width"] for record in records],
        source_top=[record["source_top"] for record in records],
        source_left=[record["source_left"] for record in records],
        center_y=[record["center_y"] for record in records],
        center_x=[record["center_x"] for record in records],
        ellipse=[record["shape"] == "ellipse" for record in records],
        margin=[record["margin"] for record in records],
        opacity=[record["mask_value"] / 255 for record in records],
        sigma=[record["blur_radius"] for record in records],
    )
    result, mask = paste(images, params, lungs)
    theirs = torch.from_numpy(recordings.augmented).unsqueeze(1)
    difference = (result.int() - theirs.int()).abs()
    assert difference[theirs != images].float().mean() <= 0.6
    assert difference.max() <= 3
    assert torch.equal(result[mask == 0], images[mask == 0])
    assert torch.equal(theirs[mask == 0], images[mask == 0])


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1024.0, 3071.0), (-1.0, 1.0)])
def test_outside_the_patch_the_pasted_image_is_black(value_range):
    """A shape without margin, whose blur reaches beyond its patch. Tolerance: 1e-6 of the range."""
    black, white = value_range
    image = torch.full((1, 1, 64, 64), white)
    params = plain_params(height=20, width=20, margin=0, sigma=3.0)
    result, mask = paste(image, params, None, Intensities(black, white))
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[22:42, 22:42] = True
    expected = torch.where(inside, white, white * (1 - mask) + black * mask)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6 * (white - black))


def test_double_precision_is_kept():
    """Tolerance: 1e-13, where float32 would leave 1e-8."""
    images, params, lungs = case()
    images = images.double() / 255
    intensities = Intensities(-0.1, 1.3, (0.3, 0.4, 0.5), (0.7, 0.2, 0.3))
    expected = intensities.from_unit(paste(images, params, lungs)[0])
    result = paste(intensities.from_unit(images), params, lungs, intensities)[0]
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-13)


def test_the_range_of_uint8_and_of_floats_stretched_to_it_agree():
    """Tolerance: half a level, which uint8 rounds away, and 1e-3 of float rounding."""
    images, params, lungs = case()
    as_bytes = paste(images, params, lungs)[0].float()
    as_floats = paste(images.float() / 255, params, lungs)[0] * 255
    torch.testing.assert_close(as_bytes, as_floats, rtol=0, atol=0.501)


@pytest.mark.parametrize(
    "call", [lambda p, m: soft_mask(p, 48, 40, m), lambda p, m: paste(torch.zeros(2, 1, 48, 40), p, m)]
)
def test_lungs_that_are_not_boolean_are_an_error(call):
    """Their bytes would be read as pixels."""
    with pytest.raises(TypeError, match=r"masks must be boolean, got torch\.int64; pass masks != 0"):
        call(plain_params(2), torch.ones(2, 1, 48, 40, dtype=torch.int64))
