import functools
import hashlib
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.oracles import lungs_of_batch

from anatpaste_aug import LungSegmenter
from anatpaste_aug.mask_cache.identity import ALGORITHM, fingerprint_of, image_keys


@dataclass
class Threshold:
    level: float = 0.5

    def __call__(self, images):
        return images > self.level

    def above(self, images):
        return images > self.level


@dataclass
class Table:
    values: torch.Tensor


class Silent:
    def __call__(self, images):
        return images > 0


class Subclass(LungSegmenter):
    pass


def test_the_default_segmenter_is_described_by_settings_and_version():
    assert fingerprint_of(LungSegmenter()) == f"LungSegmenter(min_size=400.0), algorithm {ALGORITHM}"
    assert fingerprint_of(LungSegmenter(min_size=400)) == fingerprint_of(LungSegmenter())
    assert fingerprint_of(LungSegmenter(min_size=300)) != fingerprint_of(LungSegmenter())


def test_the_version_belongs_to_these_masks():
    """If this fails because masks have changed on purpose, raise ALGORITHM: cached masks are out of date."""
    y, x, k = torch.meshgrid(torch.arange(128), torch.arange(128), torch.arange(6), indexing="ij")
    fields = (((y - 64) // 4) ** 2 + (((x - 64).abs() - 30 + k) // 2) ** 2 < 90 + 6 * k) * 90
    images = (160 + (y * 7 + x * x * (k + 3)) % 61 - fields).permute(2, 0, 1).unsqueeze(1).to(torch.uint8)
    masks = LungSegmenter()(images)
    assert torch.equal(masks, lungs_of_batch(images))
    digest = hashlib.sha256(np.packbits(masks.flatten(1).numpy(), axis=1).tobytes()).hexdigest()
    assert (ALGORITHM, digest[:16]) == (1, "2270ae7eb46f4b24")


def test_a_dataclass_is_described_by_its_settings():
    assert fingerprint_of(Threshold()).endswith("test_identity.Threshold: Threshold(level=0.5)")
    assert fingerprint_of(Threshold(0.25)) != fingerprint_of(Threshold())
    assert "level=0.5" in fingerprint_of(Threshold().above)


@pytest.mark.parametrize(
    ("segmenter", "name"),
    [
        (lambda images: images > 0, "<lambda>"),
        (functools.partial(lambda images, level: images > level, level=3), "partial"),
        (Silent(), "Silent"),
        (Silent().__call__, "__call__"),
        (Subclass(), "Subclass"),
        (torch.nn.Conv2d(1, 1, 3), "Conv2d"),
        (Table(torch.zeros(5000)), "Table"),
    ],
)
def test_an_incomplete_repr_needs_a_fingerprint(segmenter, name):
    with pytest.raises(ValueError, match=re.escape(f'fingerprint="{name}, threshold 0.5')):
        fingerprint_of(segmenter)


# images


def random(shape, dtype=torch.uint8):
    return (torch.rand(shape) * 255).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_key_is_a_hash_of_the_image_bytes(dtype, channels):
    images = random((5, channels, 33, 35), dtype)
    keys = image_keys(images)
    kind = f"{dtype} ({channels}, 33, 35)".encode()
    for image, key in zip(images, keys, strict=True):
        raw = bytes(image.contiguous().view(torch.uint8).flatten().tolist())
        assert hashlib.blake2b(raw, digest_size=16, key=kind).digest() == key
    assert len(set(keys)) == 5


def test_one_bit_another_dtype_or_shape_is_another_image():
    image = random((1, 1, 64, 32))
    others = [image.clone(), image.view(1, 1, 32, 64), image.float(), image.half(), image.expand(-1, 3, -1, -1)]
    others[0][0, 0, 5, 5] ^= 1
    keys = {image_keys(other)[0] for other in [image, *others]}
    assert len(keys) == 6


def test_the_layout_in_memory_does_not_matter():
    images = random((4, 3, 40, 36), torch.float32)
    for same in (images.contiguous(memory_format=torch.channels_last), images.clone().requires_grad_()):
        assert image_keys(same) == image_keys(images)
    assert image_keys(images[:0]) == []


def test_images_that_are_invalid_or_on_a_device_are_an_error():
    with pytest.raises(TypeError, match=re.escape("images must be a torch.Tensor")):
        image_keys(np.zeros((2, 1, 33, 35)))
    on_device = torch.zeros(2, 1, 33, 35, device="meta")
    with pytest.raises(ValueError, match=r"on the CPU, got images on meta; use indices: .*cache\[indices\]"):
        image_keys(on_device)
