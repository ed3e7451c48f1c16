"""All errors are found before a folder is created, and are one line."""

import argparse
import dataclasses
import json
import os

import pytest
import torch
from helpers.files.layouts import write_chexpert, write_rsna, write_zhanglab
from helpers.tiny.paper import QUICK, TINY, make_tiny

from anatpaste_aug.cli import main
from anatpaste_aug.cli.command_line import CommandLine
from anatpaste_aug.cli.reproduce_arguments import add_options, complete
from anatpaste_aug.cli.reproduce_checks import method_settings, settings_of
from anatpaste_aug.detection import METHODS, PRESETS, PretextConfig

RAW = {"zhanglab": write_zhanglab, "chexpert": write_chexpert, "rsna": write_rsna}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """The error of reproduce in an empty folder, which must stay empty."""
    make_tiny(monkeypatch)
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)

    def run(*arguments, quick=QUICK):
        assert main(["reproduce", *map(str, arguments), *quick]) == 2
        *_, usage, error = capsys.readouterr().err.splitlines()  # after progress bars
        assert usage.startswith("usage: anatpaste-aug reproduce ")
        assert not list(place.iterdir())
        return error.removeprefix("anatpaste-aug reproduce: error: ")

    return run


def options(name, value):
    """QUICK without one of its options."""
    return [*QUICK[: QUICK.index(name)], name, value, *QUICK[QUICK.index(name) + 2 :]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "--backbone: timm knows no backbone 'resnet81': did you mean resnet18"),
        ("inception_v3", "--backbone: inception_v3 does not take images of 32×32 pixels: Calculated padded"),
    ],
)
def test_a_backbone(refused, name, message):
    assert message in refused(quick=options("--backbone", name))


def test_stages_of_the_backbone(refused):
    error = refused("--stages", 3, 9)
    assert (
        error
        == "--stages: the backbone has no stages 3 9: it has the stages 0 to 4; choose from these, or leave them out"
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_the_score_is_the_presets_unless_another_is_given(preset):
    def settings(*argv):
        parser = CommandLine("About.", prog="prog")
        add_options(parser)
        return settings_of(complete(parser, ["--preset", preset, "--device", "cpu", *argv]))

    chosen = settings()
    assert chosen.score == PRESETS[preset].get("score", "kde")
    assert chosen.backbone == PRESETS[preset].get("backbone", "resnet18")
    assert preset != "paper" or (chosen.score, chosen.stages, chosen.average_views) == ("kde", (), False)
    given = settings("--score", "mahalanobis", "--stages", "3", "4", "--average-views")
    assert (given.score, given.stages, given.average_views) == ("mahalanobis", (3, 4), True)
    assert dataclasses.replace(given, score=chosen.score, stages=chosen.stages, average_views=False) == chosen


@pytest.mark.parametrize("name", ["cudda", "meta", "mps:3"])
def test_a_device(refused, name):
    error = refused(quick=options("--device", name))
    assert error.startswith(f"--device {name}: ")
    assert error.endswith("; use cpu") or torch.cuda.is_available()


def test_an_unavailable_gpu(refused, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = refused(quick=options("--device", "cuda"))
    assert error.startswith("--device cuda: there is no GPU with a working driver")
    assert refused("--sync-bn").startswith("--sync-bn needs a CUDA device")


def test_processes_of_torchrun_that_cannot_share(refused, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "torchrun starts 3 processes, which cannot divide a batch of 4 evenly" in refused("--out", "run")


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if not each.transforms])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            ["--amp"],
            "--amp is not available for {}: leave it out, or choose methods with a pretext task, such as "
            "--method anatpaste cutpaste-scar",
        ),
        (
            ["--select", "pretext"],
            "--select pretext: {} has no pretext task; choose auroc or last, or train it separately",
        ),
        (
            ["--figure", 5],
            "--figure 5 shows Grad-CAM of the first method, which {} does not have; name another method first, in a "
            "new --out",
        ),
    ],
)
def test_options_that_do_not_fit_a_detector_without_a_pretext_task(refused, monkeypatch, method, option, message):
    monkeypatch.setitem(PRESETS, "smoke", TINY | {"image_size": 64})
    assert refused("--method", method, *option) == message.format(method, method)


def test_detectors_that_several_processes_cannot_train(refused, monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", TINY | {"image_size": 64})
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    error = refused("--method", "squid", "--out", "run")
    assert error == "torchrun starts 2 processes, which cannot share a squid training; start it without torchrun"


def test_a_size_that_a_detector_cannot_take(refused, monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", TINY | {"image_size": 96})
    assert refused("--method", "squid") == "--method squid: image_size must be a power of two from 32 up, got 96"


def test_settings_of_a_detector_are_those_of_its_preset_or_of_the_resumed_run():
    found = {}
    for name in ("ganomaly", "f-anogan", "squid"):
        arguments = argparse.Namespace(methods=[name], preset="demo", detectors={})
        config = PretextConfig(image_size=64, seed=7, false_positive_rate=0.1, updates=5)
        found[name] = method_settings(arguments, config)[name]
        preset = METHODS[name].detector.config_type.presets["demo"]
        assert (found[name].seed, found[name].image_size, found[name].false_positive_rate) == (7, 64, 0.1)
        assert {key: getattr(found[name], key) for key in preset} == preset
    recorded = json.loads(json.dumps(dataclasses.asdict(found["squid"]) | {"updates": 99, "device": "cuda"}))
    arguments = argparse.Namespace(methods=["squid", "cutpaste-3way"], preset="demo", detectors={"squid": recorded})
    again = method_settings(arguments, config)
    assert again["squid"] == dataclasses.replace(found["squid"], updates=99)
    assert again["cutpaste-3way"] == dataclasses.replace(config, num_classes=3)


def test_places_that_cannot_be_written(refused, tmp_path):
    file = tmp_path / "file"
    file.touch()
    error = refused("--out", file / "run")
    assert error.startswith(f"--out: nothing can be written to {file / 'run'} ({file}: Not a directory)")
    real = ["--dataset", "zhanglab", "--root", write_zhanglab(tmp_path / "download")]
    assert refused(*real, "--cache", file / "cache").startswith("--cache: nothing can be written to")
    if os.name == "posix" and os.geteuid():
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        assert "Permission denied" in refused("--out", closed / "run")


def test_weights_of_a_baseline(refused, tmp_path):
    table = ("--table", 1, "--method", "anatpaste")
    assert refused(*table, "--pretrained", "nowhere.pth").startswith("--pretrained: nowhere.pth does not exist")
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"nothing")
    assert refused(*table, "--pretrained", weights).startswith(f"--pretrained: {weights} is no readable state")


def test_grad_cam_of_a_backbone_without_convolutions(refused):
    assert refused("--figure", 5, quick=options("--backbone", "test_vit")).startswith("--figure: ")


def test_a_missing_package(refused, monkeypatch):
    monkeypatch.setattr("anatpaste_aug.cli.reproduce_checks.find_spec", lambda name: None)
    assert refused("--tensorboard").startswith("--tensorboard needs tensorboard: pip install")
    assert refused().startswith("the progress bar needs tqdm: pip install")


@pytest.mark.parametrize("dataset", RAW)
def test_a_missing_download(refused, dataset, tmp_path):
    given = ["--dataset", dataset, "--root"]
    assert refused(*given, "nowhere") == "--root: nowhere does not exist; give the folder of the raw download"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert str(empty) in refused(*given, empty)
    file = tmp_path / "file.zip"
    file.touch()
    assert str(file) in refused(*given, file)


@pytest.mark.parametrize("dataset", RAW)
def test_a_split_file(refused, dataset, tmp_path):
    given = ["--dataset", dataset, "--root", RAW[dataset](tmp_path / "download"), "--split"]
    assert "cannot read the split file missing.json: No such file" in refused(*given, "missing.json")
    file = tmp_path / "split.json"
    file.write_text("{}")
    assert str(file) in refused(*given, file)


@pytest.mark.parametrize("dataset", RAW)
def test_a_damaged_image_and_its_remedy(refused, dataset, tmp_path):
    root = RAW[dataset](tmp_path / "download")
    images = [path for path in sorted(root.rglob("*")) if path.suffix in (".jpeg", ".jpg", ".dcm")]
    for image in images:
        image.write_bytes(image.read_bytes()[:-40])
    error = refused("--dataset", dataset, "--root", root)
    assert str(root) in error
    assert "--skip-unreadable" in error
    assert "on_error" not in error
