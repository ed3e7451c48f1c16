import dataclasses

import numpy as np
import pytest
import torch
from helpers.oracles import smooth_images
from PIL import Image
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional import paste, soft_mask
from anatpaste_aug.paste import CUTPASTE, sample_params
from anatpaste_aug.paste.params import rotated_size

pytestmark = pytest.mark.usefixtures("path")

SIZES = {"normal": "area", "scar": "scar", "union": "area_or_scar"}


def case(channels=1, dtype=torch.uint8, count=60, size=(96, 80), variant="union", **config):
    """Images, and parameters as they are drawn in use; both kinds of patches unless said otherwise."""
    images = smooth_images(count, *size, channels)
    recipe = dataclasses.replace(CUTPASTE, size=SIZES[variant], **config)
    params = sample_params(recipe, images.shape)
    return images if dtype == torch.uint8 else (images.float() / 255).to(dtype), params


def pasted(images, params):
    image, mask = paste(images, params, hard=True, resized=False)
    return image, mask > 0


def without_jitter(params):
    one = torch.ones_like(params.brightness)
    return params._replace(brightness=one, contrast=one, saturation=one, hue=0 * one)


def by_pillow(image, params, index):
    """CutPaste without jitter as Pillow does it: the image, and the pasted pixels as boolean H×W."""
    row = {name: field[index, 0].tolist() for name, field in params._asdict().items()}
    picture = tvf.to_pil_image(image)
    left, top = row["source_left"], row["source_top"]
    patch = picture.crop((left, top, left + row["width"], top + row["height"])).convert("RGBA")
    patch = patch.rotate(row["angle"], expand=True)
    place = (row["left"], row["top"])
    result, mask = picture.copy(), Image.new("L", picture.size)
    if row["apply"]:
        result.paste(patch.convert(picture.mode), place, patch.getchannel("A"))
        mask.paste(patch.getchannel("A"), place)
    return tvf.pil_to_tensor(result), torch.from_numpy(np.asarray(mask) > 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(128, 128), (96, 81), (33, 150)])
@pytest.mark.parametrize("variant", ["normal", "scar", "union"])
def test_equals_pillow(channels, size, variant):
    """Tolerance: none, for the pixels and for the mask."""
    images, params = case(channels, size=size, variant=variant, p=0.9, count=25)
    params = without_jitter(params)
    result, mask = pasted(images, params)
    for index, image in enumerate(images):
        expected, changed = by_pillow(image, params, index)
        assert torch.equal(mask[index, 0], changed)
        assert torch.equal(result[index], expected)


def test_any_angle_and_any_size_equal_pillow():
    """Tolerance: none. Patches that are larger than the image after their rotation are cut off by both."""
    settings = {"scar_width": (2, 200), "scar_length": (2, 200), "rotation": (-180, 180)}
    images, params = case(size=(64, 48), variant="scar", count=300, **settings)
    params = without_jitter(params)
    high, wide = rotated_size(params.height, params.width, params.angle)
    assert ((high > 64) | (wide > 48)).any()
    result, mask = pasted(images, params)
    for index, image in enumerate(images):
        expected, changed = by_pillow(image, params, index)
        assert torch.equal(mask[index, 0], changed)
        assert torch.equal(result[index], expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", ["normal", "scar"])
def test_the_patch_is_jittered_as_torchvision_jitters_the_crop(channels, variant):
    """Tolerance: 1e-5."""
    images, params = case(channels, torch.float64, variant=variant, jitter=0.4)
    params = params._replace(angle=0 * params.angle)
    result, _ = pasted(images, params)
    for index, image in enumerate(images):
        row = {name: field[index, 0].tolist() for name, field in params._asdict().items()}
        high, wide = row["height"], row["width"]
        crop = tvf.crop(image, row["source_top"], row["source_left"], high, wide).contiguous()
        steps = [tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation, tvf.adjust_hue]
        factors = [row["brightness"], row["contrast"], row["saturation"], row["hue"]]
        for step in row["jitter_order"]:
            if step < 2 or channels == 3:
                crop = steps[step](crop, factors[step])
        found = tvf.crop(result[index], row["top"], row["left"], high, wide)
        torch.testing.assert_close(found, crop, rtol=0, atol=1e-5)


def test_gradients_flow_to_where_each_pixel_came_from():
    """Tolerance: 1e-9."""
    images, params = case(1, torch.float64, count=8)
    images = (images / 2 + 0.25).requires_grad_()  # away from where the jitter clips
    result, mask = pasted(images, without_jitter(params))
    result.sum().backward()
    copies = images.grad.round()
    torch.testing.assert_close(images.grad, copies, rtol=0, atol=1e-9)
    assert copies.sum() == result.numel()
    assert torch.equal(copies >= 1, ~mask | (copies > 0))
    assert (copies == 0).any()
    assert (copies == 2).any()


def test_the_mask_alone_is_the_same():
    images, params = case(p=0.7)
    assert torch.equal(soft_mask(params, 96, 80, hard=True) > 0, pasted(images, params)[1])


@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("place", [{"top": -200}, {"left": -200}, {"top": 96}, {"left": 300}])
def test_a_patch_that_lies_wholly_beyond_the_image_changes_nothing(angle, place):
    images, params = case(count=3)
    changes = place | {"angle": angle}
    params = params._replace(**{name: torch.full_like(getattr(params, name), value) for name, value in changes.items()})
    result, mask = pasted(images, params)
    assert torch.equal(result, images)
    assert not mask.any()
