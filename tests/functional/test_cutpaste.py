import dataclasses

import numpy as np
import pytest
import torch
from oracles import bits, smooth_images
from PIL import Image
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional import Intensities, _numba, paste, soft_mask
from anatpaste_aug.paste import CUTPASTE, sample_params
from anatpaste_aug.paste.params import rotated_size

SIZES = {"normal": "area", "scar": "scar", "union": "area_or_scar"}

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def case(channels=1, dtype=torch.uint8, count=60, size=(96, 80), seed=0, **config):
    """Images, and parameters as they are drawn in use; both kinds of patches unless said otherwise."""
    images = smooth_images(count, *size, channels, seed)
    generator = torch.Generator().manual_seed(seed)
    size_of_patches = SIZES[config.pop("variant", "union")]
    recipe = dataclasses.replace(CUTPASTE, size=size_of_patches, **config)
    params = sample_params(recipe, images.shape, generator=generator)
    return images if dtype == torch.uint8 else (images.float() / 255).to(dtype), params


def by_kernel(images, params, intensities=None):
    if not _numba.HAS_NUMBA:
        pytest.skip("needs numba")
    image, mask = paste(images, params, None, intensities, hard=True, resized=False)
    return image, mask > 0


def on_whole_frames(images, params, intensities=None):
    """What accelerators and compiled graphs run, computed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_numba, "HAS_NUMBA", False)
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        image, mask = paste(images, params, None, intensities, hard=True, resized=False)
    return image, mask > 0


def on_windows(images, params, intensities=None):
    """What the CPU runs without Numba."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_numba, "HAS_NUMBA", False)
        image, mask = paste(images, params, None, intensities, hard=True, resized=False)
    return image, mask > 0


every_path = pytest.mark.parametrize("path", [by_kernel, on_windows, on_whole_frames])


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
    pasted, mask = picture.copy(), Image.new("L", picture.size)
    if row["apply"]:
        pasted.paste(patch.convert(picture.mode), place, patch.getchannel("A"))
        mask.paste(patch.getchannel("A"), place)
    return tvf.pil_to_tensor(pasted), torch.from_numpy(np.asarray(mask) > 0)


# against Pillow


@every_path
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(128, 128), (96, 81), (33, 150)])
@pytest.mark.parametrize("variant", ["normal", "scar", "union"])
def test_equals_pillow(path, channels, size, variant):
    """Tolerance: none, for the pixels and for the mask."""
    images, params = case(channels, size=size, variant=variant, p=0.9, count=25)
    params = without_jitter(params)
    result, mask = path(images, params)
    for index, image in enumerate(images):
        expected, pasted = by_pillow(image, params, index)
        assert torch.equal(mask[index, 0], pasted)
        assert torch.equal(result[index], expected)


@every_path
def test_any_angle_and_any_size_equal_pillow(path):
    """Tolerance: none. Patches that are larger than the image after their rotation are cut off by both."""
    settings = {"scar_width": (2, 200), "scar_length": (2, 200), "rotation": (-180, 180)}
    images, params = case(size=(64, 48), variant="scar", count=300, **settings)
    params = without_jitter(params)
    high, wide = rotated_size(params.height, params.width, params.angle)
    assert ((high > 64) | (wide > 48)).any()
    result, mask = path(images, params)
    for index, image in enumerate(images):
        expected, pasted = by_pillow(image, params, index)
        assert torch.equal(mask[index, 0], pasted)
        assert torch.equal(result[index], expected)


@every_path
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", ["normal", "scar"])
def test_the_patch_is_jittered_as_torchvision_jitters_the_crop(path, channels, variant):
    """Tolerance: 1e-5."""
    images, params = case(channels, torch.float64, variant=variant, jitter=0.4)
    params = params._replace(angle=0 * params.angle)
    result, _ = path(images, params)
    for index, image in enumerate(images):
        row = {name: field[index, 0].tolist() for name, field in params._asdict().items()}
        high, wide = row["height"], row["width"]
        crop = tvf.crop(image, row["source_top"], row["source_left"], high, wide).contiguous()
        steps = [tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation, tvf.adjust_hue]
        factors = [row["brightness"], row["contrast"], row["saturation"], row["hue"]]
        for step in row["jitter_order"]:
            if step < 2 or channels == 3:
                crop = steps[step](crop, factors[step])
        pasted = tvf.crop(result[index], row["top"], row["left"], high, wide)
        torch.testing.assert_close(pasted, crop, rtol=0, atol=1e-5)


# both paths


@pytest.mark.parametrize("path", [by_kernel, on_windows])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_the_paths_agree(path, channels, dtype):
    """Tolerance: 1e-5, one level for uint8, two of the last place for half precision; none for the mask."""
    images, params = case(channels, dtype, p=0.8)
    one, mask = path(images, params)
    whole, whole_mask = on_whole_frames(images, params)
    atol = {torch.uint8: 1, torch.float16: 2**-10, torch.bfloat16: 2**-7}.get(dtype, 1e-5)
    torch.testing.assert_close(one.double(), whole.double(), rtol=0, atol=atol)
    assert torch.equal(mask, whole_mask)


@every_path
def test_uint8_is_jittered_as_the_same_image_in_unit_range(path):
    """Tolerance: half a level, for the rounding; bright images, so that jitter reaches the upper end."""
    images, params = case(3)
    images = images // 2 + 128
    result = path(images, params)[0]
    expected = 255 * path(images.double() / 255, params)[0]
    assert (expected == 255).any()
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=0.501)


@every_path
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_outside_the_mask_no_bit_changes(path, channels, dtype):
    images, params = case(channels, dtype, p=0.8)
    if dtype != torch.uint8:
        images[:, :, ::7] = -0.0
    before = images.clone()
    result, mask = path(images, params)
    outside = ~mask.expand_as(images)
    assert result.dtype == dtype
    assert torch.equal(bits(result)[outside], bits(images)[outside])
    assert torch.equal(bits(images), bits(before))
    assert torch.equal(mask.flatten(1).any(1), params.apply[:, 0])


@every_path
def test_a_row_does_not_depend_on_the_rest_of_the_batch(path):
    images, params = case(3)
    result, mask = path(images, params)
    for index in range(0, 60, 9):
        one = slice(index, index + 1)
        alone, mask_alone = path(images[one], params.rows(one))
        assert torch.equal(alone[0], result[index])
        assert torch.equal(mask_alone[0], mask[index])


@every_path
def test_another_range_or_normalisation_gives_the_same_image_on_that_scale(path):
    """Tolerance: 1e-5 of the range."""
    images, params = case(3, torch.float32)
    expected, _ = path(images, params)
    wide, _ = path(images * 4000 - 1000, params, Intensities(-1000.0, 3000.0))
    torch.testing.assert_close(wide, expected * 4000 - 1000, rtol=0, atol=0.04)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    column_mean, column_std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    normalised, _ = path((images - column_mean) / column_std, params, Intensities(mean=mean, std=std))
    torch.testing.assert_close(normalised * column_std + column_mean, expected, rtol=0, atol=1e-5)


@every_path
def test_gradients_flow_to_where_each_pixel_came_from(path):
    """Tolerance: 1e-9."""
    images, params = case(1, torch.float64, count=8)
    images = (images / 2 + 0.25).requires_grad_()  # away from where the jitter clips
    result, mask = path(images, without_jitter(params))
    result.sum().backward()
    copies = images.grad.round()
    torch.testing.assert_close(images.grad, copies, rtol=0, atol=1e-9)
    assert copies.sum() == result.numel()
    assert torch.equal(copies >= 1, ~mask | (copies > 0))
    assert (copies == 0).any()
    assert (copies == 2).any()


def test_the_mask_alone_is_the_same():
    images, params = case(p=0.7)
    assert torch.equal(soft_mask(params, 96, 80, hard=True) > 0, by_kernel(images, params)[1])


@every_path
def test_an_empty_batch(path):
    images, params = case(count=2)
    result, mask = path(images[:0], params.rows(slice(0, 0)))
    assert result.shape == mask.shape == (0, 1, 96, 80)
    assert soft_mask(params.rows(slice(0, 0)), 96, 80, hard=True).shape == (0, 1, 96, 80)


def test_expanded_images_are_taken():
    images, params = case(1, count=6)
    expanded = images[:1].expand(6, 3, -1, -1)
    for path in (by_kernel, on_windows, on_whole_frames):
        assert torch.equal(path(expanded, params)[0], path(expanded.clone(), params)[0])


@every_path
@pytest.mark.parametrize("angle", [0.0, 1.0, -1.0, 30.0])
@pytest.mark.parametrize("place", [{"top": -3}, {"left": -3}, {"top": 90}, {"left": 75}])
def test_a_patch_across_an_edge_is_cut_off_there(path, angle, place):
    images, params = case(count=6, area=(0.05, 0.15), scar_width=(12, 16))
    changes = place | {"angle": angle}
    params = params._replace(**{name: torch.full_like(getattr(params, name), value) for name, value in changes.items()})
    params = without_jitter(params)
    result, mask = path(images, params)
    assert mask.flatten(1).any(1).all()
    for i, image in enumerate(images):
        expected, pasted = by_pillow(image, params, i)
        assert torch.equal(result[i], expected)
        assert torch.equal(mask[i, 0], pasted)


@every_path
@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("place", [{"top": -200}, {"left": -200}, {"top": 96}, {"left": 300}])
def test_a_patch_that_lies_wholly_beyond_the_image_changes_nothing(path, angle, place):
    images, params = case(count=3)
    changes = place | {"angle": angle}
    params = params._replace(**{name: torch.full_like(getattr(params, name), value) for name, value in changes.items()})
    result, mask = path(images, params)
    assert torch.equal(result, images)
    assert not mask.any()
