"""The score command: scores of the detector in the table, a picture for each image, and clear errors."""

import csv
import io
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from deep_files import png16
from forks import finish, kill_self, limit_files, start
from layouts import dicom, write_zhanglab
from PIL import Image
from tiny_study import SHORT, train_one

from anatpaste_aug.cli import main
from anatpaste_aug.datasets import phantom_task, read_gray, zhanglab_task
from anatpaste_aug.detection import DISCLAIMER, PretextConfig, PretextDetector
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretrained import untrained_net
from anatpaste_aug.detection.training.result import TrainResult

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run folder of an untrained network, which suffices to test scores."""
    folder = tmp_path_factory.mktemp("run")
    task = phantom_task(64, train=12, val=10, test=2)
    states = [untrained_net("test_byobnet", seed=seed).state_dict() for seed in (1, 2)]
    result = TrainResult(PretextConfig(image_size=64, backbone="test_byobnet"), *states, 1, 0.5, [])
    detector = PretextDetector.from_result(result, task.train.images, task.val.images, task.val.labels)
    detector.save(folder / "checkpoint.pt")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A JPEG, PNGs, one of them of the JPEG's name in a folder below, and DICOM; of another size than the network's."""
    folder = tmp_path_factory.mktemp("images")
    pixels = phantom_task(96, train=1, val=2, test=4).test.images[:, 0].numpy()
    (folder / "below").mkdir()
    Image.fromarray(pixels[0]).save(folder / "a.jpeg")
    Image.fromarray(pixels[1]).convert("RGB").save(folder / "b$1.png")
    Image.fromarray(255 - pixels[2]).save(folder / "below" / "A.png")
    (folder / "c.dcm").write_bytes(dicom(pixels[3]))
    (folder / "readme.txt").write_text("no image")
    return folder


def table(folder, name="scores.csv"):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("weights", ["best", "last"])
def test_scores_and_decisions_are_the_detectors(model, images, tmp_path, weights, capsys):
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
    assert " of 4 images look unlike those that the detector was trained on" in warned
    assert "not a medical device" in warned


@pytest.mark.slow
def test_pictures_in_a_process_of_its_own(model, images, tmp_path):
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
        # Radiographs and all texts but the warning are grey; an empty map (this network is untrained) adds nothing.
        colourful = (pixels.max(2) - pixels.min(2) > 60).mean()
        assert (colourful > 0.02) == bool(heat.any())


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


@pytest.mark.skipif(os.name != "posix", reason="such names are for POSIX file systems")
def test_file_names_as_only_an_attacker_gives_them(model, images, tmp_path, capsys, monkeypatch):
    """No name ends the run, moves the cursor, or is a formula in the table."""
    folder, content = tmp_path / "images", (images / "a.jpeg").read_bytes()
    folder.mkdir()
    names = ["=1+1.png", "\x1b[2J.png", "a\nb.png", 'a,b".png', "<script>.png", "$(touch x).png"]
    for name in names:
        (folder / name).write_bytes(content)
    monkeypatch.chdir(folder)
    assert main(["score", "--model", str(model), *names, "-o", str(tmp_path / "scores")]) == 0
    rows = table(tmp_path / "scores")
    assert [row["image"] for row in rows] == ["./=1+1.png", *names[1:]]
    assert len({row["score"] for row in rows}) == 1
    assert {path.name for path in (tmp_path / "scores").iterdir()} == {"scores.csv", *names}
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(names)
    assert "\\x1b[2J.png: " in printed.out
    assert "a\\nb.png: " in printed.out
    assert "\x1b" not in printed.out + printed.err
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert main(["score", "--model", "\x1b[2J", names[0], "-o", str(tmp_path / "again")]) == 2
    assert "\\x1b[2J" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_rest_is_scored(model, images, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    out = tmp_path / "out"
    given = [str(broken), str(images / "a.jpeg"), str(tmp_path / "missing.png")]
    assert main(["score", "--model", str(model), *given, "-o", str(out), "--no-cam"]) == 1
    assert [row["image"] for row in table(out)] == [str(images / "a.jpeg")]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-3:-2] == ["2 could not be read"]
    assert "broken.png is not an image" in lines[-2]
    assert "missing.png does not exist" in lines[-1]
    assert main(["score", "--model", str(model), str(broken), "-o", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none" / "scores.csv").exists()


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


def test_more_images_than_a_portion(model, images, tmp_path, monkeypatch):
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


@pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")  # the picture shows a box for it
def test_names_that_no_terminal_shows_are_scored_like_any_other(model, images, tmp_path, monkeypatch):
    """Line breaks, other alphabets, and bytes that are not text, on an ASCII terminal."""
    place = tmp_path / "named"
    place.mkdir()
    names = ["line\nbreak.png", os.fsdecode(b"\xff.png"), "胸 é.png", "ordinary.png"]
    for name in names:
        (place / name).write_bytes((images / "b$1.png").read_bytes())
    (place / "cut\n.png").write_bytes((images / "b$1.png").read_bytes()[:300])
    terminal, complaints = (io.TextIOWrapper(io.BytesIO(), "ascii", "strict") for _ in range(2))
    complaints.reconfigure(errors="backslashreplace")  # as Python opens standard error
    command = ["anatpaste_aug", "score", "--model", model, place, "-o", tmp_path / "out"]
    with monkeypatch.context() as patch:
        for name, value in (("argv", [*map(str, command)]), ("stdout", terminal), ("stderr", complaints)):
            patch.setattr(sys, name, value)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("anatpaste_aug", run_name="__main__")
    for stream in (terminal, complaints):
        stream.seek(0)
    assert ended.value.code == 1
    *_, count, last = complaints.read().splitlines()
    assert count == "1 could not be read"
    assert last.startswith(rf"  {place}/cut\n.png is damaged or has an unsupported format: ")
    lines = terminal.read().splitlines()
    assert len(lines) == len(names)
    assert any(line.startswith(rf"{place}/line\nbreak.png: ") for line in lines)
    rows = table(tmp_path / "out")
    assert {row["image"] for row in rows} == {f"{place}/{name}".replace("\udcff", r"\udcff") for name in names}
    assert len({row["score"] for row in rows}) == 1  # they are one picture
    for name in names:
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.format == "PNG"


@pytest.mark.trains_in_forks
def test_what_was_scored_before_a_kill_stays_and_is_not_taken_for_all(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr("anatpaste_aug.cli.score._BATCH", 1)
    portions = []

    def read(path, size, **options):
        portions.append(path)
        if len(portions) == 3:
            kill_self()
        return read_gray(path, size, **options)

    given = ["score", "--model", str(model), str(images), "-o", str(tmp_path / "out"), "--no-cam"]
    with monkeypatch.context() as patch:
        patch.setattr("anatpaste_aug.datasets.read_gray", read)
        assert finish(start(main, given)) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scores.partial.csv"]
    rows = table(tmp_path / "out", "scores.partial.csv")
    assert main([*given[:-2], str(tmp_path / "all"), "--no-cam"]) == 0
    assert rows == table(tmp_path / "all")[:2]


@pytest.mark.trains_in_forks
def test_a_full_disk_is_one_line_and_keeps_what_was_written(model, images, tmp_path, capfd):
    out = tmp_path / "out"

    def limited():
        limit_files(6000)  # the table fits, a picture does not
        os._exit(main(["score", "--model", str(model), str(images), "-o", str(out)]))

    assert finish(start(limited)) == 2
    message = f"{out}/a.png could not be written: File too large; nothing was written. Free disk space"
    assert message in capfd.readouterr().err
    assert len(table(out, "scores.partial.csv")) == 4


BAD = {
    "cut.jpeg": lambda whole: whole[:-300],
    "zeros.jpeg": lambda whole: whole[: len(whole) // 2] + bytes(len(whole) // 2),
    "empty.png": lambda whole: b"",
    "page.jpeg": lambda whole: b"<html>404</html>",
    "page.dcm": lambda whole: b"<html>404</html>" * 20,
}


@pytest.mark.parametrize("command", ["score", "check", "preview"])
def test_every_command_names_what_it_cannot_read(command, model, images, tmp_path, capsys):
    place, out = tmp_path / "mixed", str(tmp_path / "out")
    place.mkdir()
    whole = (images / "a.jpeg").read_bytes()
    (place / "good.jpeg").write_bytes(whole)
    for name, spoil in BAD.items():
        (place / name).write_bytes(spoil(whole))
    (place / "loop.png").symlink_to("loop.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(place / "pipe.png")
    bad = sorted({path.name for path in place.iterdir()} - {"good.jpeg"})
    if command == "preview":  # of few images that were named one by one: the first bad one is an error
        for name in bad:
            assert main(["preview", str(place / "good.jpeg"), str(place / name), "-o", f"{out}.png"]) == 2
            assert f"error: {place}/{name} " in capsys.readouterr().err
        assert not Path(f"{out}.png").exists()
        return
    options = ["--model", str(model), "-o", out, "--no-cam"] if command == "score" else ["--size", "64"]
    assert main([command, str(place), *options]) == 1
    printed = capsys.readouterr()
    lines = (printed.err if command == "score" else printed.out).splitlines()
    assert lines[-len(bad) - 1] == f"{len(bad)} could not be read"
    assert [line.startswith(f"  {place}/{name} ") for name, line in zip(bad, lines[-len(bad) :], strict=True)] == [
        True
    ] * 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere", "a.png", "-o", "empty/../full/checkpoint.pt/x"], "nothing can be written to empty"),
        (["--model", "nowhere", "a.png"], "--model: nowhere does not exist; give the run folder of a training"),
        (["--model", "empty", "a.png"], "--model: empty holds no checkpoint.pt; give the run folder of a training"),
        (
            ["--model", "begun", "a.png"],
            "--model: the training in begun is not finished (no checkpoint.pt); continue it",
        ),
        (["--model", "study", "a.png"], "--model: study is a study of 2 trainings; give one of its run folders: a, b"),
        (["--model", "full", "a.png", "-o", "full"], "full exists and is not an empty folder; name a new one with -o"),
        (["--model", "full", "empty"], "empty contains no images"),
        (["--model", "full", "a.png"], "checkpoint.pt is not a readable checkpoint"),
    ],
)
def test_errors_are_one_line_and_write_nothing(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("full/checkpoint.pt", "study/a/checkpoint.pt", "study/b/checkpoint.pt", "begun/config.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"nothing")
    assert main(["score", *arguments]) == 2
    _, error = capsys.readouterr().err.splitlines()  # after the usage
    assert message in error
    assert not (tmp_path / "scores").exists()
