"""A run folder of an untrained network and images to score, for the tests of the command line."""

import pytest
from helpers.files.layouts import dicom
from PIL import Image

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import PretextConfig, PretextDetector
from anatpaste_aug.detection.models.pretrained import untrained_net
from anatpaste_aug.detection.training.result import TrainResult


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A run folder of an untrained network, which suffices to test scores."""
    folder = tmp_path_factory.mktemp("run")
    task = phantom_task(64, train=12, val=20, test=2)
    states = [untrained_net("test_byobnet", seed=seed).state_dict() for seed in (1, 2)]
    result = TrainResult(PretextConfig(image_size=64, backbone="test_byobnet"), *states, 1, 0.5, [])
    detector = PretextDetector.from_result(result, task.train.images, task.val.images, task.val.labels)
    detector.save(folder / "checkpoint.pt")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A JPEG, two PNGs, one in a subfolder with the JPEG's name, and a DICOM file; not of the network's size."""
    folder = tmp_path_factory.mktemp("images")
    pixels = phantom_task(96, train=1, val=2, test=4).test.images[:, 0].numpy()
    (folder / "below").mkdir()
    Image.fromarray(pixels[0]).save(folder / "a.jpeg")
    Image.fromarray(pixels[1]).convert("RGB").save(folder / "b$1.png")
    Image.fromarray(255 - pixels[2]).save(folder / "below" / "A.png")
    (folder / "c.dcm").write_bytes(dicom(pixels[3]))
    (folder / "readme.txt").write_text("no image")
    return folder
