"""The command line: what is written and printed, exit codes, and errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.commands import check as check_command
from anatpaste_aug.commands import main
from anatpaste_aug.commands import preview as preview_command
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.inspection import check_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("images")
    for i, image in enumerate(phantom_batch(4, size=64).images[:, 0].numpy()):
        Image.fromarray(image if i else 255 - image).save(place / f"{i}.png")
    (place / "labels.csv").write_text("a,b")
    return place


def in_a_process(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def settings_of(monkeypatch, module, *arguments):
    """The transform that a command line describes."""
    seen = {}

    def capture(*_, **options):
        seen.update(options)
        raise ValueError("captured")

    monkeypatch.setattr(f"anatpaste_aug.inspection.{module}", capture)
    assert main([str(argument) for argument in arguments]) == 2
    return seen


# preview


@pytest.mark.slow
def test_preview_in_a_process_of_its_own_loads_what_is_heavy_only_when_it_runs(tmp_path, folder):
    code = (
        "import sys; from anatpaste_aug.commands import main;"
        "heavy = {'matplotlib', 'pydicom', 'anatpaste_aug.datasets'};"
        "assert not heavy & set(sys.modules); sys.exit(main())"
    )
    arguments = ["preview", folder / "1.png", "-o", "grid.png", "--seeds", 2, "--size", 64]
    done = in_a_process("-c", code, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote grid.png\n", "")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert np.asarray(picture.convert("L")).std() > 20


@pytest.mark.parametrize(("given", "seeds"), [([], [0, 1, 2]), (["4"], [0, 1, 2, 3]), (["7", "2"], [7, 2])])
def test_one_number_counts_seeds_and_several_are_the_seeds(monkeypatch, given, seeds, tmp_path):
    arguments = ["preview", "a.png", "-o", tmp_path / "a.png", *(["--seeds", *given] if given else [])]
    assert list(settings_of(monkeypatch, "preview", *arguments)["seeds"]) == seeds


@pytest.mark.parametrize("command", ["preview", "check"])
def test_every_setting_reaches_the_transform(monkeypatch, command, tmp_path):
    options = "--area 0.1 0.2 --aspect-ratio 0.5 2 --opacity 0.3 0.4 --sigma 1 2 --jitter 0.2 --margin 4 --no-blur"
    name = "preview" if command == "preview" else "check_folder"
    output = ["-o", tmp_path / "a.png"] if command == "preview" else []
    seen = settings_of(monkeypatch, name, command, "place", *output, *options.split(), "--size", 128)
    expected = AnatPasteTransform(
        area=(0.1, 0.2), aspect_ratio=(0.5, 2), opacity=(0.3, 0.4), sigma=(1, 2), jitter=0.2, margin=4, blur=False
    )
    assert seen["transform"].config == expected.config
    assert seen["transform"].segmentation
    assert seen["size"] == 128
    plain = settings_of(monkeypatch, name, command, "place", *output)
    assert plain["transform"].config == AnatPasteTransform().config


def test_preview_without_segmentation(monkeypatch, tmp_path):
    arguments = ["preview", "a.png", "-o", tmp_path / "a.png", "--no-segmentation"]
    assert not settings_of(monkeypatch, "preview", *arguments)["transform"].segmentation


@pytest.mark.parametrize("suffix", ["png", "svg", "PDF"])
def test_the_suffix_tells_the_format(tmp_path, folder, suffix):
    path = tmp_path / f"grid.{suffix}"
    assert main(["preview", str(folder / "1.png"), "-o", str(path), "--seeds", "1", "--size", "32"]) == 0
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(begins)


# check


@pytest.mark.slow
def test_check_in_a_process_of_its_own(tmp_path, folder):
    done = in_a_process("-m", "anatpaste_aug", "check", folder, "--sheet", "sheet.png", "--size", 64, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 images checked\n")
    assert "1 × inverted" in done.stdout
    assert "not images: labels.csv" in done.stdout
    assert "4/4" in done.stderr
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 1000


def test_check_prints_json_and_nothing_else(folder, capsys):
    assert main(["check", str(folder), "--json", "--limit", "2", "--size", "64", "--augmentations", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    report = check_folder(folder, size=64, limit=2, augmentations=3, progress=False)
    assert printed == json.loads(json.dumps(report.to_dict()))


def test_images_that_cannot_be_read_are_named_at_the_end_and_in_the_exit_code(tmp_path, folder, capsys):
    (tmp_path / "a.png").write_bytes((folder / "1.png").read_bytes())
    (tmp_path / "b.png").write_bytes((folder / "1.png").read_bytes()[:300])
    (tmp_path / "c.dcm").write_bytes(b"no dicom")
    assert main(["check", str(tmp_path), "--size", "64", "--sheet", str(tmp_path / "s.png")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 image checked"
    assert lines[-3] == "2 could not be read"
    assert "b.png is damaged" in lines[-2]
    assert "c.dcm is not DICOM" in lines[-1]
    assert (tmp_path / "s.png").is_file()


def test_nothing_readable_makes_no_sheet(tmp_path):
    (tmp_path / "a.png").touch()
    assert main(["check", str(tmp_path), "--sheet", str(tmp_path / "s.png")]) == 2
    assert not (tmp_path / "s.png").exists()


# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preview", "missing.png"], "missing.png does not exist"),
        (
            ["preview", "a.png", "--area", "0", "2"],
            "area must be (low, high) with low <= high in (0, 1], got (0.0, 2.0)",
        ),
        (["preview", "a.png", "-o", "nowhere/a.png"], "nowhere is not a folder"),
        (["preview", "a.png", "-o", "grid.doc"], "grid.doc has no suffix of a picture; use .png"),
        (["preview", "a.png", "--size", "8"], "size=8: expected at least 32"),
        (["preview", "a.png", "--seeds", "0"], "seeds must be one integer or more"),
        (["check", "missing"], "missing is not a folder; give the one that holds the images"),
        (["check", ".", "--limit", "0"], "limit=0: expected at least 1"),
        (["check", ".", "--jitter", "2"], "jitter must be a number in [0, 0.5], got 2.0"),
        (["check", "missing", "--sheet", "nowhere/a.png"], "nowhere is not a folder"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"python -m anatpaste_aug {arguments[0]}: error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["score"], ["preview"], ["preview", "a.png", "--area", "x", "y"]])
def test_wrong_usage_ends_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m anatpaste_aug" in capsys.readouterr().err


@pytest.mark.parametrize("module", [preview_command, check_command])
def test_help_shows_the_defaults(module, capsys):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert module.__doc__.splitlines()[0] in shown
    assert "default 0.02 0.15" in " ".join(shown.split())
