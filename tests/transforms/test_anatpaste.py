import pytest
import torch
from helpers.batches import augmented, batch, called
from helpers.oracles import bits
from torchvision import tv_tensors

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, LungSegmenter, PasteResult, PIITransform
from anatpaste_aug.functional import Intensities, paste

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def equal(first, second):
    """Two results of `augment`, bit for bit."""
    pairs = [
        (first.image, second.image),
        (first.soft_mask, second.soft_mask),
        *zip(first.params, second.params, strict=True),
    ]
    return all(torch.equal(bits(a), bits(b)) for a, b in pairs)


# augment


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_augment_returns_all_there_is_to_know(channels, dtype):
    images = batch(channels=channels, dtype=dtype)
    result = AnatPasteTransform().augment(images)
    assert isinstance(result, PasteResult)
    assert result.image.dtype == dtype
    assert result.image.shape == images.shape
    assert result.soft_mask.dtype == torch.float32
    assert result.anomaly_mask.dtype == result.region_mask.dtype == torch.bool
    assert result.soft_mask.shape == result.anomaly_mask.shape == result.region_mask.shape == (6, 1, 96, 80)
    assert torch.equal(result.anomaly_mask, result.soft_mask > 0)
    assert torch.equal(result.region_mask, LungSegmenter()(images))
    assert result.target is result.soft_mask
    assert torch.equal(result.mask(0.5), result.soft_mask > 0.5)
    assert result.label.dtype == torch.int64
    assert result.label.tolist() == [1] * 6


def test_each_image_of_a_batch_is_augmented_in_its_own_way():
    image = batch(1)
    result = augmented(image.expand(20, -1, -1, -1))
    assert len({tuple(changed.flatten().tolist()) for changed in result.image}) == 20


def test_a_call_is_repeated_bit_for_bit_by_its_parameters():
    images, transform = batch(channels=3, dtype=torch.float32), AnatPasteTransform(p=0.7)
    first = transform.augment(images)
    assert equal(first, transform.augment(images, params=first.params))
    rows = first.params.rows(slice(2, 4))
    assert torch.equal(transform.augment(images[2:4], params=rows).image, first.image[2:4])


def test_augment_is_paste_with_its_parameters():
    images = batch(channels=3)
    result = augmented(images)
    image, soft = paste(
        images, result.params, result.region_mask, Intensities(0.0, 255.0), rotated=False, resized=False
    )
    assert torch.equal(image, result.image)
    assert torch.equal(soft, result.soft_mask)


def test_earlier_random_numbers_take_the_place_of_fresh_ones():
    images, transform = batch(), AnatPasteTransform(p=0.7)
    uniforms = called(transform.draw_uniforms, 6)
    before = torch.get_rng_state()
    result = transform.augment(images, uniforms=uniforms)
    assert equal(result, augmented(images, p=0.7))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(transform.augment(images[3:], uniforms=uniforms[3:]).image, result.image[3:])


@pytest.mark.parametrize("p", [1.0, 0.5])
def test_a_choice_of_images_leaves_the_others_alone(p):
    images, apply = batch(), torch.tensor([True, False, True, True, False, True])
    everything = augmented(images, p=p)
    torch.manual_seed(0)
    result = AnatPasteTransform(p=p).augment(images, apply=apply)
    assert torch.equal(result.params.apply, everything.params.apply & apply.unsqueeze(1))
    assert torch.equal(result.image, torch.where(apply.view(6, 1, 1, 1), everything.image, images))
    assert not result.anomaly_mask[~apply].any()
    repeated = AnatPasteTransform(p=p).augment(images, params=everything.params, apply=apply)
    assert equal(repeated, result)


def test_a_batch_that_is_a_tv_tensor():
    result = called(AnatPasteTransform().augment, tv_tensors.Image(batch()))
    assert equal(result, augmented(batch()))


@pytest.mark.parametrize("shape", [(6, 96, 80), (6, 1, 96, 80)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_a_finished_region_mask_takes_the_place_of_the_segmenter(shape, dtype):
    def never(images):
        raise AssertionError("called in spite of a mask")

    mask = torch.zeros(shape, dtype=dtype)
    mask[..., 40:60, 30:50] = 1 if dtype == torch.bool else 9
    result = AnatPasteTransform(segmenter=never).augment(batch(), mask)
    assert torch.equal(result.region_mask, mask.view(6, 1, 96, 80) > 0)
    assert not (result.anomaly_mask & ~result.region_mask).any()


def test_any_callable_takes_the_place_of_the_segmenter():
    given_images = []

    def left_half(images):
        given_images.append(images)
        return (torch.arange(80) < 40).expand(len(images), 1, 96, 80)

    images = batch(dtype=torch.float32)
    result = AnatPasteTransform(segmenter=left_half, mean=[0.5], std=[0.5]).augment((images - 0.5) / 0.5)
    assert not result.anomaly_mask[..., 40:].any()
    # The normalisation is undone for it. Tolerance: 1e-6.
    torch.testing.assert_close(given_images[0], images, rtol=0, atol=1e-6)


def test_a_network_takes_the_place_of_the_segmenter_without_a_gradient():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, images):
            self.result = self.layer(images)
            return self.result > self.result.mean()

    network = Network()
    transform = AnatPasteTransform(segmenter=network)
    transform.augment(batch(dtype=torch.float32))
    assert not network.result.requires_grad
    assert "(segmenter): Network(" in repr(transform)


# p, ablations, images without lungs


def test_p_is_drawn_for_each_image():
    images = batch(8).repeat(50, 1, 1, 1)
    result = augmented(images, p=0.4)
    changed = (result.image != images).flatten(1).any(1)
    assert torch.equal(changed, result.params.apply[:, 0])
    assert torch.equal(changed, result.anomaly_mask.flatten(1).any(1))
    assert 120 < changed.sum() < 200


def test_without_segmentation_the_lungs_do_not_matter():
    result = augmented(batch(40), segmentation=False)
    lungs = LungSegmenter()(batch(40))
    assert result.region_mask is None
    assert result.params.anywhere.all()
    assert not result.params.fallback.any()
    assert (result.anomaly_mask & ~lungs).any()


def test_an_image_without_lungs_is_pasted_into_anywhere_and_says_so():
    images = batch(3)
    images[1] = torch.arange(96).view(96, 1)  # a ramp: its dark side touches the border
    result = augmented(images)
    assert result.params.fallback.tolist() == [[False], [True], [False]]
    assert result.anomaly_mask[1].any()
    assert (result.image[1] != images[1]).any()


def test_an_image_without_lungs_can_be_left_alone():
    images = batch(3)
    images[1] = torch.arange(96).view(96, 1)
    result = augmented(images, skip_without_region=True)
    assert result.params.fallback.tolist() == [[False], [True], [False]]
    assert torch.equal(result.image[1], images[1])
    assert not result.anomaly_mask[1].any()


@pytest.mark.parametrize("kind", [AnatPasteTransform, CutPasteTransform, PIITransform])
@pytest.mark.usefixtures("path")
def test_one_mean_and_std_serve_three_channels(kind):
    """As torchvision's ``Normalize`` lets them."""
    one, three = {"mean": [0.4], "std": [0.2]}, {"mean": [0.4] * 3, "std": [0.2] * 3}
    images = (batch(4, 3, torch.float32) - 0.4) / 0.2
    assert torch.equal(called(kind(**one), images), called(kind(**three), images))


# randomness


def test_a_seed_repeats_and_the_next_call_does_not():
    transform, images = AnatPasteTransform(), batch()
    first = called(transform, images)
    second = transform(images)
    assert torch.equal(called(transform, images), first)
    assert not torch.equal(second, first)


def test_a_generator_repeats_and_leaves_the_global_one_alone():
    transform, images = AnatPasteTransform(), batch()
    before = torch.get_rng_state()
    first, second = (transform.augment(images, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


# values and dtypes


@pytest.mark.parametrize("value_range", [(-1024.0, 3071.0), (-1.0, 1.0), (0.0, 255.0)])
def test_another_range_gives_the_same_image_in_that_range(value_range):
    """Tolerance: 1e-5 of the range."""
    black, white = value_range
    images = batch(channels=3, dtype=torch.float32)
    result = augmented(images * (white - black) + black, value_range=value_range).image
    expected = augmented(images).image * (white - black) + black
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5 * (white - black))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("path")
def test_autocast_keeps_the_dtype_and_the_pixels(dtype, channels):
    images = batch(2, channels, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augmented(images)
    assert inside.image.dtype == dtype
    assert equal(inside, augmented(images))
