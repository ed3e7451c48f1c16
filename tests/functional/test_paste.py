import numpy as np
import pytest
import torch
from oracles import bits, plain_params, smooth_images

from anatpaste_aug.functional import Intensities, _numba, segment_lungs
from anatpaste_aug.functional import paste as paste_patches
from anatpaste_aug.functional import soft_mask as soft_masks
from anatpaste_aug.paste import ANATPASTE, sample_params

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NORMAL = {1: ((0.5,), (0.5,)), 3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


def case(channels=1, dtype=torch.float32, count=24, size=(96, 80), seed=0):
    """Images, parameters as they are drawn in use, and lung masks."""
    images = smooth_images(count, *size, channels, seed)
    lungs = segment_lungs(images)
    generator = torch.Generator().manual_seed(seed)
    params = sample_params(ANATPASTE, images.shape, region_mask=lungs, generator=generator)
    return images.to(dtype) if dtype == torch.uint8 else (images.float() / 255).to(dtype), params, lungs


def paste(*arguments, **choices):
    """As AnatPaste pastes: nothing is rotated or resized."""
    return paste_patches(*arguments, rotated=False, resized=False, **choices)


def by_kernel(*arguments, **choices):
    if not _numba.HAS_NUMBA:
        pytest.skip("needs numba")
    return paste(*arguments, **choices)


def on_whole_frames(*arguments, **choices):
    """What accelerators run, computed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_numba, "HAS_NUMBA", False)
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        return paste(*arguments, **choices)


def on_windows(*arguments, **choices):
    """What the CPU runs without Numba."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_numba, "HAS_NUMBA", False)
        return paste(*arguments, **choices)


def soft_mask(params, height, width, region_mask=None):
    return soft_masks(params, height, width, region_mask, rotated=False)


every_path = pytest.mark.parametrize("path", [by_kernel, on_windows, on_whole_frames])


# against the published code


@every_path
def test_recorded_augmentations_are_repeated(radiographs, recordings, path):
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
    result, mask = path(images, params, lungs)
    theirs = torch.from_numpy(recordings.augmented).unsqueeze(1)
    difference = (result.int() - theirs.int()).abs()
    assert difference[theirs != images].float().mean() <= 0.6
    assert difference.max() <= 3
    assert torch.equal(result[mask == 0], images[mask == 0])
    assert torch.equal(theirs[mask == 0], images[mask == 0])


# the equation


@every_path
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("size", "source", "center", "sigma"),
    [((64, 64), (34, 43), (48, 5), 3.0), ((40, 90), (7, 0), (0, 80), 16.0), ((90, 40), (0, 12), (89, 20), 16.0)],
)
def test_is_the_equation_of_the_paper_with_the_patch_at_its_place(path, channels, dtype, size, source, center, sigma):
    """X (1 − X_mask) + X_paste X_mask, written out by index, edges included. Tolerance: 1e-6."""
    images = (smooth_images(1, *size, channels) / 255).to(dtype)
    place = {"source_top": source[0], "source_left": source[1], "center_y": center[0], "center_x": center[1]}
    params = plain_params(height=30, width=21, **place, margin=2, sigma=sigma)
    mask = soft_mask(params, *size).to(dtype)
    patch = torch.zeros_like(images)
    for row in range(30):
        for column in range(21):
            to_row, to_column = center[0] - 15 + row, center[1] - 10 + column
            if 0 <= to_row < size[0] and 0 <= to_column < size[1]:
                patch[..., to_row, to_column] = images[..., source[0] + row, source[1] + column]
    expected = images * (1 - mask) + patch * mask
    torch.testing.assert_close(path(images, params)[0], expected, rtol=0, atol=1e-6)


@every_path
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1024.0, 3071.0), (-1.0, 1.0)])
def test_outside_the_patch_the_pasted_image_is_black(path, value_range):
    """A shape without margin, whose blur reaches beyond its patch. Tolerance: 1e-6 of the range."""
    black, white = value_range
    image = torch.full((1, 1, 64, 64), white)
    params = plain_params(height=20, width=20, margin=0, sigma=3.0)
    result, mask = path(image, params, None, Intensities(black, white))
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[22:42, 22:42] = True
    expected = torch.where(inside, white, white * (1 - mask) + black * mask)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6 * (white - black))


@every_path
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_the_paths_agree(path, channels, dtype):
    """Tolerance: 1 level for uint8; 1e-5 for floats, and one step of the dtype where it is coarser."""
    images, params, lungs = case(channels, dtype)
    first, second = paste(images, params, lungs)[0], path(images, params, lungs)[0]
    steps = {torch.uint8: 1, torch.float16: 2**-10, torch.bfloat16: 2**-7}
    torch.testing.assert_close(first.double(), second.double(), rtol=0, atol=steps.get(dtype, 1e-5))


# what must not change


@every_path
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_outside_the_mask_changes_by_a_bit(path, channels, dtype):
    images, params, lungs = case(channels, dtype)
    if dtype in (torch.float16, torch.bfloat16):
        images.view(torch.int16)[:, :, 0, 0] = 0x7F81 if dtype == torch.bfloat16 else 0x7C01  # NaN, but not every NaN
    before = images.clone()
    result, mask = path(images, params, lungs)
    outside = (mask == 0).expand_as(images)
    assert result.dtype == dtype
    assert torch.equal(bits(result)[outside], bits(images)[outside])
    assert torch.equal(bits(images), bits(before))
    assert (bits(result) != bits(images)).flatten(1).any(1).all()


@every_path
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_outside_the_mask_of_a_normalised_image_changes_by_a_bit(path, channels, dtype):
    images, params, lungs = case(channels)
    mean, std = NORMAL[channels]
    intensities = Intensities(0.0, 1.0, mean, std)
    images = intensities.from_unit(images).to(dtype)
    images[:, :, 40] = -0.0  # equal to 0, but not the same bits
    result, mask = path(images, params, lungs, intensities)
    outside = (mask == 0).expand_as(images)
    assert torch.equal(bits(result)[outside], bits(images)[outside])


@every_path
def test_an_image_that_is_left_alone_comes_back_bit_for_bit(path):
    images, params, lungs = case(3)
    params = params._replace(apply=(torch.arange(24) % 3 > 0).unsqueeze(1))
    result, mask = path(images, params, lungs)
    assert torch.equal(bits(result[::3]), bits(images[::3]))
    assert not mask[::3].any()


@every_path
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_replay_gives_the_same_bits(path, dtype):
    images, params, lungs = case(3, dtype)
    first, second = path(images, params, lungs), path(images.clone(), params, lungs.clone())
    assert torch.equal(bits(first[0]), bits(second[0]))
    assert torch.equal(bits(first[1]), bits(second[1]))


@every_path
def test_a_batch_equals_its_images(path):
    """Tolerance: 1e-6, and none by the kernels."""
    images, params, lungs = case(3)
    result, mask = path(images, params, lungs)
    for index in range(len(images)):
        one = slice(index, index + 1)
        alone, alone_mask = path(images[one], params.rows(one), lungs[one])
        atol = 1e-6 if path in (on_whole_frames, on_windows) else 0
        torch.testing.assert_close(alone, result[one], rtol=0, atol=atol)
        torch.testing.assert_close(alone_mask, mask[one], rtol=0, atol=atol)


# normalisation, range, gradients


@every_path
@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_and_pasting_commute(path, channels):
    """Tolerance: 1e-5."""
    images, params, lungs = case(channels)
    mean, std = NORMAL[channels]
    normal = Intensities(0.0, 1.0, mean, std)
    normalised_last = normal.from_unit(path(images, params, lungs)[0])
    normalised_first = path(normal.from_unit(images), params, lungs, normal)[0]
    torch.testing.assert_close(normalised_first, normalised_last, rtol=0, atol=1e-5)


@every_path
def test_double_precision_is_kept(path):
    """Tolerance: 1e-13, where float32 would leave 1e-8."""
    images, params, lungs = case(3, torch.float64)
    intensities = Intensities(-0.1, 1.3, (0.3, 0.4, 0.5), (0.7, 0.2, 0.3))
    expected = intensities.from_unit(path(images, params, lungs)[0])
    result = path(intensities.from_unit(images), params, lungs, intensities)[0]
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-13)


@every_path
def test_the_range_of_uint8_and_of_floats_stretched_to_it_agree(path):
    """Tolerance: half a level, which uint8 rounds away, and 1e-3 of float rounding."""
    images, params, lungs = case(3, torch.uint8)
    as_bytes = path(images, params, lungs)[0].float()
    as_floats = path(images.float() / 255, params, lungs)[0] * 255
    torch.testing.assert_close(as_bytes, as_floats, rtol=0, atol=0.501)


@every_path
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_flow_to_the_image_and_its_patch(path, channels):
    images, params, lungs = case(channels, torch.float64, count=6)
    images.requires_grad_()
    result, mask = path(images, params, lungs)
    (gradient,) = torch.autograd.grad(result.sum(), images)
    assert gradient.isfinite().all()
    assert not torch.equal(gradient, torch.ones_like(gradient))
    cut = torch.zeros_like(mask, dtype=torch.bool)
    for index, (top, left, height, width) in enumerate(
        zip(
            *(getattr(params, name)[:, 0].tolist() for name in ("source_top", "source_left", "height", "width")),
            strict=True,
        )
    ):
        cut[index, 0, top : top + height, left : left + width] = True
    untouched = (~cut & (mask == 0)).expand_as(gradient)
    assert torch.equal(gradient[untouched], torch.ones_like(gradient[untouched]))


@every_path
def test_an_empty_batch_gives_an_empty_one(path):
    image, mask = path(torch.zeros(0, 3, 64, 48), plain_params(0))
    assert image.shape == (0, 3, 64, 48)
    assert mask.shape == (0, 1, 64, 48)


def test_views_that_are_not_contiguous_are_taken():
    """Tolerance: 1e-6, for another order of summation in the patch's mean."""
    images, params, lungs = case(3, size=(80, 80))
    for view in (images.transpose(2, 3), images.to(memory_format=torch.channels_last), images.flip(0)[::2]):
        rows = params.rows(slice(len(view)))
        mask = lungs[: len(view)]
        expected = paste(view.contiguous(), rows, mask)[0]
        torch.testing.assert_close(paste(view, rows, mask)[0], expected, rtol=0, atol=1e-6)


def test_raw_undoes_normalized():
    """Tolerance: 1e-6. Without mean and std both return the very same tensor."""
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    normal = Intensities(0.0, 1.0, *NORMAL[3])
    torch.testing.assert_close(normal.to_unit(normal.from_unit(images)), images, rtol=0, atol=1e-6)
    assert Intensities().to_unit(images) is images
    assert Intensities().from_unit(images) is images


@pytest.mark.parametrize(
    "call", [lambda p, m: soft_masks(p, 48, 40, m), lambda p, m: paste(torch.zeros(2, 1, 48, 40), p, m)]
)
def test_lungs_that_are_not_boolean_are_an_error(call):
    """Their bytes would be read as pixels."""
    with pytest.raises(TypeError, match=r"masks must be boolean, got torch\.int64; pass masks != 0"):
        call(plain_params(2), torch.ones(2, 1, 48, 40, dtype=torch.int64))
