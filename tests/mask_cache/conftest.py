"""A dataset of small images, a fast segmenter, and caches for them."""

import pytest
import torch

from anatpaste_aug.mask_cache import MaskCache

SIZE = (33, 35)  # 1155 pixels, which no byte divides


def bright(images):
    """Brighter than the middle: boolean B×1×H×W."""
    return images[:, :1] > 127


@pytest.fixture(scope="session")
def images():
    """uint8 40×1×33×35."""
    return torch.randint(0, 256, (40, 1, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def expected(images):
    """The segmenter's masks of these images."""
    return bright(images)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lungs.sqlite"


@pytest.fixture
def opened(path):
    """Opens a cache in the same file each time; other settings are passed by name."""

    def opened(**changes):
        return MaskCache(path, **{"segmenter": bright, "fingerprint": "brighter than 127", **changes})

    return opened


@pytest.fixture
def cache(opened):
    """An empty cache."""
    return opened()
