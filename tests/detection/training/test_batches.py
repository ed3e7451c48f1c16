"""The order of the images, and their jitter against torchvision's."""

import torch
from torchvision.transforms import v2

from anatpaste_aug.detection.training.batches import ShuffledBatches, jitter_images


def test_batches_are_shuffled_passes_without_remainders():
    def draw(count, size, updates):
        batches = ShuffledBatches(count, size, torch.Generator().manual_seed(0))
        return [batches.draw() for _ in range(updates)]

    first = torch.cat(draw(10, 4, 6)).reshape(3, 8)
    assert all(len(set(row.tolist())) == 8 for row in first)
    assert not torch.equal(first[0], first[1])
    assert sorted(draw(4, 4, 1)[0].tolist()) == [0, 1, 2, 3]
    small = draw(3, 8, 2)
    assert [len(batch) for batch in small] == [8, 8]
    assert sorted(small[0][:6].tolist()) == [0, 0, 1, 1, 2, 2]


def test_jitter_is_torchvisions_with_factors_and_order_per_image():
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = jitter_images(images, 0.5, torch.Generator().manual_seed(0))
    uniform = torch.rand(3, 64, 1, 1, 1, generator=torch.Generator().manual_seed(0)).reshape(3, 64)
    for image, result, (brightness, contrast, order) in zip(images, found, uniform.T.tolist(), strict=True):
        steps = [
            lambda x, f=0.5 + contrast: v2.functional.adjust_contrast(x, f),
            lambda x, f=0.5 + brightness: v2.functional.adjust_brightness(x, f),
        ]
        for step in steps if order < 0.5 else reversed(steps):
            image = step(image)
        torch.testing.assert_close(result, image, rtol=0, atol=1e-6)
    assert 10 < (uniform[2] < 0.5).sum() < 54
    torch.testing.assert_close(jitter_images(images, 0.0), images, rtol=0, atol=1e-6)
