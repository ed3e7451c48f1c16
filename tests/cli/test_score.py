"""The score command: scores of the detector in the table, and a picture for each image."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.scores import table
from helpers.files.deep import png16
from helpers.files.layouts import write_zhanglab
from helpers.tiny.study import SHORT, train_one
from PIL import Image

from anatpaste_aug.cli import main
from anatpaste_aug.datasets import phantom_task, read_gray, zhanglab_task
from anatpaste_aug.detection import DISCLAIMER, PretextConfig, PretextDetector
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretrained import untrained_net
from anatpaste_aug.detection.training.result import TrainResult

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("weights", ["best", "last"])
def test_scores_and_decisions_are_those_of_the_detector(model, images, tmp_path, weights, capsys):
    out = tmp_path / "scores"
    arguments = ["score", "--model", str(model), str(images), "-o", str(out), "--weights", weights, "--no-cam"]
    assert main(arguments) == 0
    rows = table(out)
    names = ["a.jpeg", "b$1.png", "below/A.png", "c.dcm"]
    assert [row["image"] for row in rows] == [str(images / name) for name in names]
    detector = PretextDetector.load(model, weights)
    batch = torch.stack([torch.from_numpy(read_gray(images / name, 64)) for name in names]).unsqueeze(1)
    expected = detector.predict(batch)
    assert [float(row["score"]) for row in rows] == expected.scaled.tolist()
    assert {float(row["threshold"]) for row in rows} == {detector.calibration.scaled_threshold}
    assert [row["decision"] == "abnormal" for row in rows] == expected.abnormal.tolist()
    assert len({row["score"] for row in rows}) == 4
    assert {row["note"] for row in rows} == {DISCLAIMER}
    assert {row["picture"] for row in rows} == {""}
    assert [path.name for path in out.iterdir()] == ["scores.csv"]
    assert ["inverted" in row["warning"] for row in rows] == [False, False, True, False]
    printed, warned = capsys.readouterr()
    assert len(printed.splitlines()) == 4
    assert " of 4 images look unlike the training images, so their scores mean little" in warned
    assert "not a medical device" in warned


@pytest.mark.slow
def test_pictures_in_a_subprocess(model, images, tmp_path):
    command = [sys.executable, "-m", "anatpaste_aug", "score", "--model", model, images, images / "a.jpeg"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert DISCLAIMER in done.stderr
    rows = table(tmp_path / "scores")
    assert [row["picture"] for row in rows] == ["a.png", "b$1.png", "A-2.png", "c.png"]
    batch = torch.stack([torch.from_numpy(read_gray(row["image"], 64)) for row in rows]).unsqueeze(1)
    maps = grad_cam(PretextDetector.load(model).net, batch)
    assert maps.any()
    for row, heat in zip(rows, maps, strict=True):
        assert f"{row['image']}: {row['decision']}, score " in done.stdout
        with Image.open(tmp_path / "scores" / row["picture"]) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert pixels.std() > 20
        # Radiographs and all texts but the warning are gray; an empty map (this network is untrained) adds nothing.
        colorful = (pixels.max(2) - pixels.min(2) > 60).mean()
        assert (colorful > 0.02) == bool(heat.any())


def test_the_map_is_drawn_over_the_original_image(model, tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 90), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    drawn = []
    monkeypatch.setattr(
        "anatpaste_aug.detection.reporting.explanation_figures.cam_figure",
        lambda path, images, maps, **options: drawn.append((images, maps, options)),
    )
    assert main(["score", "--model", str(model), str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]) == 0
    ((images, maps, options),) = drawn
    assert np.array_equal(images[0][0], pixels)
    assert maps.shape == (1, 1, 64, 64)
    (row,) = table(tmp_path / "out")
    assert "no chest" in row["warning"]
    assert "unlike the training images: distance" in row["warning"]
    assert row["warning"] in options["note"]


@pytest.mark.slow
def test_a_lone_file_of_sixteen_bits_is_read_as_in_training(tmp_path, capsys):
    """The file does not specify that it has 12 bits; the trained model does."""
    rng, root = np.random.default_rng(0), write_zhanglab(tmp_path / "chest_xray")
    for path in root.rglob("*.jpeg"):
        png16(path, rng.integers(0, 4096, (20, 20)) // (1 + ("PNEUMONIA" in str(path))))
    task = zhanglab_task(root, 32, progress=False)
    assert task.split.white == 4095
    train_one(tmp_path / "run", "cutpaste-scar", SHORT, task)
    (tmp_path / "alone").mkdir()
    lone = tmp_path / "alone" / "dark.png"
    lone.write_bytes((root / task.test.names[-1]).read_bytes())
    options = ["score", "--model", str(tmp_path / "run"), str(lone), "--no-cam"]
    scores = []
    for given in ([], ["--white", "4095"], ["--white", "65535"]):
        out = tmp_path / f"out{len(scores)}"
        assert main([*options, "-o", str(out), *given]) == 0
        scores.append(float(table(out)[0]["score"]))
    expected = next(float(r["best_scaled"]) for r in table(tmp_path / "run") if r["name"] == task.test.names[-1])
    # float32 features depend on the batch in their last digits.
    assert scores[:2] == pytest.approx([expected] * 2, abs=1e-5)
    assert scores[2] != pytest.approx(expected, abs=1e-3)
    assert main([*options, "-o", str(tmp_path / "no"), "--white", "70000"]) == 2
    assert "--white 70000: expected" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_more_images_than_a_batch(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr("anatpaste_aug.cli.score._BATCH", 3)
    main(["score", "--model", str(model), str(images), "-o", str(tmp_path / "few"), "--no-cam"])
    monkeypatch.undo()
    main(["score", "--model", str(model), str(images), "-o", str(tmp_path / "all"), "--no-cam"])
    few, all_ = ([float(row["score"]) for row in table(tmp_path / name)] for name in ("few", "all"))
    np.testing.assert_allclose(few, all_, rtol=0, atol=1e-5)


def test_a_network_without_convolutions_is_scored_without_pictures(model, images, tmp_path, capsys):
    task = phantom_task(64, train=12, val=10, test=2)
    state = untrained_net("test_vit", image_size=64).state_dict()
    result = TrainResult(PretextConfig(image_size=64, backbone="test_vit"), state, state, 1, 0.5, [])
    detector = PretextDetector.from_result(result, task.train.images, task.val.images, task.val.labels)
    detector.save(tmp_path / "vit.pt")
    given = ["score", "--model", str(tmp_path / "vit.pt"), str(images / "a.jpeg"), "-o", str(tmp_path / "out")]
    assert main(given) == 2
    assert "score without pictures: --no-cam" in capsys.readouterr().err
    assert main([*given, "--no-cam"]) == 0
    assert len(table(tmp_path / "out")) == 1


def test_scores_compare_with_the_normal_images_of_another_source(model, images, tmp_path):
    normals = phantom_task(96, seed=5, train=12, val=2, test=2).train.images[:, 0].numpy()
    for i, pixels in enumerate(normals):
        (tmp_path / "normals").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "normals" / f"{i:02}.png")
    arguments = ["score", "--model", str(model), str(images / "a.jpeg"), "--no-cam", "-o", str(tmp_path / "scores")]
    assert main([*arguments, "--reference", str(tmp_path / "normals")]) == 0
    read = [torch.from_numpy(read_gray(path, 64)) for path in sorted((tmp_path / "normals").iterdir())]
    adapted = PretextDetector.load(model).adapt(torch.stack(read).unsqueeze(1))
    expected = adapted.predict(torch.from_numpy(read_gray(images / "a.jpeg", 64))[None, None])
    (row,) = table(tmp_path / "scores")
    assert float(row["score"]) == pytest.approx(expected.scaled.item(), abs=1e-6)
    assert float(row["threshold"]) == adapted.calibration.scaled_threshold


def test_a_reference_that_cannot_be_compared_with_is_one_line(model, images, tmp_path, capsys):
    arguments = ["score", "--model", str(model), str(images), "--no-cam", "-o", str(tmp_path / "scores")]
    for folder in ("few", "damaged"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "few" / "a.png")
    (tmp_path / "damaged" / "a.png").write_bytes(b"no image")
    for folder, message in (
        (tmp_path / "few", "--reference: adapt needs at least 10 normal images, got 1"),
        (tmp_path / "damaged", "repair or remove it"),
        (tmp_path / "none", "none is not a folder; give one with normal images"),
        (images, "is also among the images to score, and would be compared with itself"),
    ):
        assert main([*arguments, "--reference", str(folder)]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "scores").exists()
