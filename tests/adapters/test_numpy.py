import copy
import pickle

import numpy as np
import pytest
import torch
from helpers.batches import raises
from helpers.oracles import smooth_images
from torch.utils.data import DataLoader, Dataset

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.adapters.numpy import NumpyPaste

DTYPES = [np.uint8, np.float16, np.float32, np.float64]


def batch(count=4, channels=1, dtype=np.uint8):
    """N×H×W×C arrays."""
    images = smooth_images(count, 72, 64, channels).permute(0, 2, 3, 1).numpy()
    return images if dtype == np.uint8 else (images / 255).astype(dtype)


def tensors(images):
    return torch.from_numpy(np.moveaxis(images, -1, 1).copy())


def expected(images, seed, **settings):
    """The result of `AnatPasteTransform` with the first number of a seed."""
    number = int(np.random.default_rng(seed).integers(2**63))
    result = AnatPasteTransform(**settings).augment(tensors(images), generator=torch.Generator().manual_seed(number))
    return np.moveaxis(result.image.numpy(), 1, -1), np.moveaxis(result.anomaly_mask.numpy(), 1, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_gives_the_pixels_of_the_transform(dtype, channels):
    images = batch(channels=channels, dtype=dtype)
    augmented, mask = NumpyPaste(rng=3)(images)
    pixels, changed = expected(images, 3)
    assert augmented.dtype == dtype
    assert mask.dtype == bool
    assert np.array_equal(augmented, pixels)
    assert np.array_equal(mask, changed)
    assert ((augmented != images) <= mask).all()
    assert mask.any((1, 2, 3)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_one_image_comes_back_as_it_was_given(channels, dtype):
    """0 channels stand for H×W."""
    images = batch(1, max(channels, 1), dtype)
    image = images[0] if channels else images[0, ..., 0]
    augmented, mask = NumpyPaste(rng=3)(image)
    pixels, changed = expected(images, 3)
    assert np.array_equal(augmented, pixels.reshape(image.shape))
    assert mask.shape == (image.shape if not channels else (72, 64, 1))
    assert np.array_equal(mask, changed.reshape(mask.shape))
    assert np.array_equal(augmented[~np.broadcast_to(mask, image.shape)], image[~np.broadcast_to(mask, image.shape)])


def test_the_input_is_neither_modified_nor_shared():
    images = batch(dtype=np.float32)
    kept = images.copy()
    for p in (0.0, 1.0):
        augmented, _ = NumpyPaste(AnatPasteTransform(p=p), rng=0)(images)
        assert not np.shares_memory(augmented, images)
        augmented[:] = 0
    assert np.array_equal(images, kept)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(4, 72, 64), (4, 72, 64, 1)])
def test_a_region_mask_takes_the_place_of_the_segmenter(shape, dtype):
    def never(images):
        raise AssertionError("called in spite of a mask")

    images = batch()
    lungs = LungSegmenter()(tensors(images)).numpy()
    result = NumpyPaste(AnatPasteTransform(segmenter=never), rng=0)(images, lungs.reshape(shape).astype(dtype))
    for ours, theirs in zip(result, NumpyPaste(rng=0)(images), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_seed_repeats_and_the_next_call_does_not():
    images = batch(dtype=np.float32)
    one, two = NumpyPaste(rng=5), NumpyPaste(rng=np.random.default_rng(5))
    first, second = one(images)[0], one(images)[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(two(images)[0], first)
    assert np.array_equal(two(images)[0], second)


def test_an_own_generator_leaves_the_global_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    NumpyPaste(rng=0)(batch())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_without_a_generator_the_global_one_is_used():
    images = batch()
    torch.manual_seed(7)
    augmented, _ = NumpyPaste()(images)
    torch.manual_seed(7)
    assert np.array_equal(augmented, np.moveaxis(AnatPasteTransform().augment(tensors(images)).image.numpy(), 1, -1))


class Same(Dataset):
    """The same image at every index, so that equal results mean equal random numbers."""

    def __init__(self, rng):
        self.image, self.paste = batch(1)[0], NumpyPaste(rng=rng)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.paste(self.image)[0]


@pytest.mark.parametrize("rng", [0, None])
@pytest.mark.parametrize("persistent", [False, True])
def test_loader_workers_and_epochs_differ_and_a_seed_repeats_them(persistent, rng):
    def epochs():
        torch.manual_seed(0)
        loader = DataLoader(Same(rng), batch_size=2, num_workers=2, timeout=60, persistent_workers=persistent)
        return torch.cat([images for _ in range(2) for images in loader])

    first = epochs()
    assert len({image.numpy().tobytes() for image in first}) == 16
    assert torch.equal(epochs(), first)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda paste: pickle.loads(pickle.dumps(paste))])
def test_a_copy_does_the_same(duplicate):
    paste = NumpyPaste(AnatPasteTransform(p=0.8, sigma=(0, 5)), rng=2)
    paste(batch())
    twin = duplicate(paste)
    assert repr(twin) == repr(paste)
    assert "p=0.8" in repr(paste)
    assert "sigma=(0, 5)" in repr(paste)
    assert np.array_equal(twin(batch())[0], paste(batch())[0])


@pytest.mark.parametrize(
    ("image", "kind", "parts"),
    [
        (torch.zeros(64, 64), TypeError, ("got Tensor", "PasteTransform.augment takes tensors")),
        ([[0.0] * 64] * 64, TypeError, ("got list", "numpy.asarray")),
        (np.zeros(64), ValueError, ("(H, W), (H, W, C) or (N, H, W, C)", "got (64,)")),
        (np.zeros((3, 64, 64)), ValueError, ("got (3, 64, 64)", "numpy.moveaxis(image, -3, -1)")),
        (np.zeros((5, 1, 64, 64)), ValueError, ("got (5, 1, 64, 64)", "numpy.moveaxis(image, -3, -1)")),
        (np.zeros((5, 64, 64)), ValueError, ("got (5, 64, 64)", "images[..., None]")),
        (np.zeros((64, 64, 4)), ValueError, ("with 1 or 3 channels", "got (64, 64, 4)")),
        (np.zeros((64, 64), np.int16), TypeError, ("got int16", "scale other integers")),
        (np.zeros((16, 64)), ValueError, ("at least 32×32", "got 16×64")),
        (np.full((64, 64), 200.0), ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
        (np.full((64, 64), np.nan), ValueError, ("NaN",)),
    ],
)
def test_a_wrong_image(image, kind, parts):
    with raises(kind, *parts):
        NumpyPaste()(image)


@pytest.mark.parametrize(
    ("mask", "kind", "parts"),
    [
        (torch.zeros(64, 64), TypeError, ("region_mask must be a numpy.ndarray, got Tensor",)),
        (np.zeros((32, 64), bool), ValueError, ("(64, 64) or (64, 64, 1)", "got (32, 64)")),
        (np.zeros((64, 64)), TypeError, ("boolean or integer, got float64", "mask > 0.5")),
    ],
)
def test_a_wrong_region_mask(mask, kind, parts):
    for image in (np.zeros((64, 64)), np.zeros((64, 64, 3))):
        with raises(kind, *parts):
            NumpyPaste()(image, mask)


def test_something_else_as_a_transform_or_a_mask():
    with raises(TypeError, "transform must be a transform of this package", "got 0.5"):
        NumpyPaste(0.5)
    with raises(ValueError, "writes must be 'anomaly', 'target' or a threshold", "got 2"):
        NumpyPaste(writes=2)


def test_the_target_is_returned_and_united():
    """Tolerance: 1e-6."""
    images = batch(dtype=np.float32)
    number = int(np.random.default_rng(3).integers(2**63))
    result = AnatPasteTransform().augment(tensors(images), generator=torch.Generator().manual_seed(number))
    target = np.moveaxis(result.target.numpy(), 1, -1)
    earlier = np.full((4, 72, 64, 1), 0.5, np.float32)
    assert np.array_equal(NumpyPaste(rng=3, writes="target")(images)[1], target)
    both = NumpyPaste(rng=3, writes="target")(images, anomaly_mask=earlier)[1]
    np.testing.assert_allclose(both, 1 - (1 - target) / 2, rtol=0, atol=1e-6)
    assert np.array_equal(NumpyPaste(rng=3, writes=0.3)(images)[1], target > 0.3)
    with raises(ValueError, "writes='target' needs a floating-point mask", "got torch.bool"):
        NumpyPaste(writes="target")(images, anomaly_mask=earlier > 0)
