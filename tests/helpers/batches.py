"""Image batches, seeded calls and error matching, as the tests of all adapters use them."""

import re
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from helpers.oracles import smooth_images

from anatpaste_aug import AnatPasteTransform, PasteTransform


def batch(count=6, channels=1, dtype=torch.uint8, size=(96, 80), seed=0):
    images = smooth_images(count, *size, channels, seed)
    return images if dtype == torch.uint8 else (images.float() / 255).to(dtype)


def called(function, *inputs, seed=0):
    torch.manual_seed(seed)
    return function(*inputs)


def augmented(images, *, seed=0, **settings):
    """The result of `augment` under the seed that `called` uses."""
    torch.manual_seed(seed)
    return AnatPasteTransform(**settings).augment(images)


@contextmanager
def recorded():
    """The results of all calls of `augment` in the block, which hosts do not return."""
    results, augment = [], PasteTransform.augment

    def spy(self, *arguments, **named):
        results.append(augment(self, *arguments, **named))
        return results[-1]

    with mock.patch.object(PasteTransform, "augment", spy):
        yield results


def raises(kind, *parts):
    """One error whose message has all the parts, in their order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(map(re.escape, parts)))
