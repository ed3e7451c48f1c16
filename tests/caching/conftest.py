"""A dataset of small images, a segmenter that costs nothing, and processes to kill."""

import multiprocessing

import pytest
import torch

from anatpaste_aug.caching import MaskCache

SIZE = (33, 35)  # 1155 pixels, which no byte divides


def bright(images):
    """Brighter than the middle: boolean B×1×H×W."""
    return images[:, :1] > 127


@pytest.fixture
def size():
    return SIZE


@pytest.fixture(scope="session")
def images():
    """uint8 40×1×33×35."""
    return torch.randint(0, 256, (40, 1, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def expected(images):
    """What the segmenter gives for them."""
    return bright(images)


@pytest.fixture
def settings():
    """The settings of a cache for these images."""
    return {"count": 40, "size": SIZE, "segmenter": bright, "fingerprint": "brighter than 127"}


@pytest.fixture
def opened(tmp_path, settings):
    """Opens caches in one file; changed settings are given by name."""
    caches = []

    def opened(path=tmp_path / "lungs.masks", **changes):
        caches.append(MaskCache.open(path, **{**settings, **changes}))
        return caches[-1]

    yield opened
    for cache in caches:
        cache.close()


@pytest.fixture(params=["file", "memory"])
def cache(request, opened, settings):
    """An empty cache of either kind."""
    if request.param == "file":
        return opened()
    return MaskCache.in_memory(**{name: value for name, value in settings.items() if name != "fingerprint"})


@pytest.fixture
def fork():
    """Starts functions in processes that share this one's memory; those that still run at the end are killed."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform cannot fork")
    context, started = multiprocessing.get_context("fork"), []

    def start(function, *args):
        started.append(context.Process(target=function, args=args, daemon=False))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()
