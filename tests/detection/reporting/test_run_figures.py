"""The figures of a run."""

import threading

import pytest
import torch
from helpers.run_pictures import LABELS, SCORES, draw
from matplotlib.image import imread

from anatpaste_aug.detection import Interval
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, gallery_figure, history_figure, roc_figure


@pytest.mark.parametrize("name", ["roc", "history", "gallery", "extremes"])
def test_figures_are_pictures(name, tmp_path):
    path = draw(name, tmp_path / f"{name}.png", note="synthetic phantoms, $1")
    picture = imread(path)
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 0.02
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.png"]


def test_figures_off_the_main_thread(tmp_path):
    worker = threading.Thread(target=draw, args=("history", tmp_path / "a.png"))
    worker.start()
    worker.join()
    assert (tmp_path / "a.png").exists()


def test_invalid_arguments_of_figures(tmp_path):
    images = torch.zeros(2, 1, 32, 32)
    with pytest.raises(ValueError, match="no curves"):
        roc_figure(tmp_path / "a.png", {})
    with pytest.raises(ValueError, match="no validation"):
        history_figure(tmp_path / "a.png", [])
    with pytest.raises(ValueError, match="one non-empty shape"):
        gallery_figure(tmp_path / "a.png", images, images, images, images[:1])
    with pytest.raises(ValueError, match="got 2 images"):
        extremes_figure(tmp_path / "a.png", images, LABELS, SCORES, 0.5)
    assert not list(tmp_path.iterdir())


def test_galleries_name_their_images(tmp_path):
    images = torch.zeros(2, 1, 32, 32)
    with pytest.raises(ValueError, match="2 images need as many names, got 1"):
        gallery_figure(tmp_path / "a.png", images, None, images, images, names=["a"])
    plain = imread(gallery_figure(tmp_path / "a.png", images, None, images, images))
    named = imread(gallery_figure(tmp_path / "b.png", images, None, images, images, names=["a.png", "$b.png"]))
    assert named.shape[0] > plain.shape[0]  # there is room for the names


def test_gallery_of_an_augmentation_without_lungs_has_a_column_less(tmp_path):
    images = torch.randint(0, 256, (2, 1, 40, 40), dtype=torch.uint8)
    masks = images > 128
    with_lungs = imread(gallery_figure(tmp_path / "a.png", images, masks, masks, images))
    without = imread(gallery_figure(tmp_path / "b.png", images, None, masks, images))
    assert without.shape[1] == pytest.approx(with_lungs.shape[1] * 3 / 4, abs=2)


def test_long_names_stand_above_the_curves(tmp_path):
    name = "AnatPaste without segmentation, ensemble of 5 seeds"
    intervals = {name: Interval(0.5, 0.25, 0.75)}
    picture = imread(roc_figure(tmp_path / "a.png", {name: (LABELS, SCORES)}, intervals=intervals))
    assert (picture[:8] == 1).all()  # nothing is cut off at the top or on either side
    assert (picture[:, [0, 1, 2, -3, -2, -1]] == 1).all()
