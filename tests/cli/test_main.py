"""The command line: what is written and printed, exit codes, and errors in one line."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.cli import _COMMANDS, main
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
    """The transform that the arguments describe."""
    seen = {}

    def capture(*_, **options):
        seen.update(options)
        raise ValueError("captured")

    monkeypatch.setattr(f"anatpaste_aug.inspection.{module}", capture)
    assert main([str(argument) for argument in arguments]) == 2
    return seen


# preview


@pytest.mark.slow
def test_preview_imports_heavy_packages_only_when_it_runs(tmp_path, folder):
    code = (
        "import sys; from anatpaste_aug.cli import main;"
        "heavy = {'matplotlib', 'pydicom', 'anatpaste_aug.datasets'};"
        "assert not heavy & set(sys.modules); sys.exit(main())"
    )
    arguments = ["preview", folder / "1.png", "-o", "grid.png", "--seeds", 2, "--size", 64]
    done = in_a_process("-c", code, *arguments, cwd=tmp_path)
    errors = [line for line in done.stderr.splitlines() if "compiles its CPU kernels" not in line]
    assert (done.returncode, done.stdout, errors) == (0, "wrote grid.png\n", [])
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 250
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
    assert seen["transform"].config.needs_region
    assert seen["size"] == 128
    plain = settings_of(monkeypatch, name, command, "place", *output)
    assert plain["transform"].config == AnatPasteTransform().config


def test_preview_without_segmentation(monkeypatch, tmp_path):
    arguments = ["preview", "a.png", "-o", tmp_path / "a.png", "--no-segmentation"]
    assert not settings_of(monkeypatch, "preview", *arguments)["transform"].config.needs_region


@pytest.mark.parametrize("suffix", ["png", "svg", "PDF"])
def test_the_suffix_sets_the_format(tmp_path, folder, suffix):
    path = tmp_path / f"grid.{suffix}"
    assert main(["preview", str(folder / "1.png"), "-o", str(path), "--seeds", "1", "--size", "32"]) == 0
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(begins)


# check


@pytest.mark.slow
def test_check_in_a_subprocess(tmp_path, folder):
    done = in_a_process("-m", "anatpaste_aug", "check", folder, "--sheet", "sheet.png", "--size", 64, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 images checked\n")
    assert "1 × inverted" in done.stdout
    assert "not images: labels.csv" in done.stdout
    assert "4/4" in done.stderr
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 250


def test_check_prints_json_and_nothing_else(folder, capsys):
    assert main(["check", str(folder), "--json", "--limit", "2", "--size", "64", "--augmentations", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    report = check_folder(folder, size=64, limit=2, augmentations=3, progress=False)
    assert printed == json.loads(json.dumps(report.to_dict()))


def test_check_infers_white_or_takes_it(tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for i, image in enumerate(phantom_batch(2, size=64).images[:, 0].numpy()):
        Image.fromarray((255 - image).astype(np.uint16) * 16).save(images / f"{i}.png")  # suspicious: inverted
    sheets = []
    for given in ([], ["--white", "4095"], ["--white", "65535"]):
        sheets.append(tmp_path / f"{len(sheets)}.png")
        assert main(["check", str(images), "--size", "64", "--sheet", str(sheets[-1]), *given]) == 0
        message = (
            f"white; {given[1]} is used (given)" if given else "white; 4095 is used (inferred; bits needed: 12 in 2)"
        )
        assert message in capsys.readouterr().out
    looked, same, dark = (sheet.read_bytes() for sheet in sheets)
    assert looked == same
    assert looked != dark
    assert main(["check", str(images), "--white", "0"]) == 2
    assert "--white 0: expected" in capsys.readouterr().err


def test_preview_takes_a_white(tmp_path):
    image = phantom_batch(1, size=64).images[0, 0].numpy()
    Image.fromarray(image.astype(np.uint16) * 16).save(tmp_path / "twelve.png")
    Image.fromarray(np.rint(image * (16 * 255 / 4095)).astype(np.uint8)).save(tmp_path / "eight.png")
    pictures = []
    for name, given in (("twelve", ["--white", "4095"]), ("eight", []), ("twelve", [])):
        out = tmp_path / f"out{len(pictures)}.png"
        assert (
            main(["preview", str(tmp_path / f"{name}.png"), "-o", str(out), "--seeds", "1", "--size", "64", *given])
            == 0
        )
        with Image.open(out) as picture:
            pictures.append(np.asarray(picture.convert("L"), int)[80:])  # below the names
    assert np.abs(pictures[0] - pictures[1]).mean() < np.abs(pictures[2] - pictures[1]).mean() / 10


def test_unreadable_images_are_listed_and_change_the_exit_code(tmp_path, folder, capsys):
    (tmp_path / "a.png").write_bytes((folder / "1.png").read_bytes())
    (tmp_path / "b.png").write_bytes((folder / "1.png").read_bytes()[:300])
    (tmp_path / "c.dcm").write_bytes(b"no dicom")
    assert main(["check", str(tmp_path), "--size", "64", "--sheet", str(tmp_path / "s.png")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 image checked"
    assert lines[-3] == "2 could not be read"
    assert "b.png is damaged" in lines[-2]
    assert "c.dcm is not DICOM" in lines[-1]
    assert not (tmp_path / "s.png").exists()  # the image that was read is not suspicious


def test_without_readable_images_there_is_no_sheet(tmp_path):
    (tmp_path / "a.png").touch()
    assert main(["check", str(tmp_path), "--sheet", str(tmp_path / "s.png")]) == 2
    assert not (tmp_path / "s.png").exists()


# errors


def refused(capsys, *arguments):
    """The error message about these arguments."""
    assert main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    usage, error = err.splitlines()
    assert usage.startswith(f"usage: anatpaste-aug {arguments[0]} ")
    assert len(usage) < 120
    return error.removeprefix(f"anatpaste-aug {arguments[0]}: error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preview", "missing.png"], "missing.png does not exist"),
        (["preview", "."], ". is a folder, not an image"),
        (["preview", "cut.png"], "cut.png is damaged"),
        (
            ["preview", "a.png", "--area", "0", "2"],
            "--area must be (low, high) with low <= high in (0, 1], got (0.0, 2.0)",
        ),
        (["preview", "a.png", "-o", "nowhere/a.png"], "nowhere is not a folder"),
        (["preview", "a.png", "-o", "grid.doc"], "grid.doc has an unsupported suffix; use .png"),
        (["preview", "a.png", "--size", "8"], "--size: 8 is out of range, give a number from 32 to 4096"),
        (["preview", "a.png", "--seeds", "0"], "--seeds must be one or more integers"),
        (["preview", "a.png", "--seeds", "-1"], "--seeds: -1 is out of range, give a number of at least 0"),
        (["preview", "a.png", "--seeds", "1000"], "1000 rows, at most 300 can be drawn: give fewer"),
        (["preview", "a.png", "--area", "x", "y"], "argument --area: invalid float value: 'x'"),
        (["preview"], "the following arguments are required: IMAGE"),
        (["check", "missing"], "missing is not a folder; give the one that contains the images"),
        (["check", "cut.png"], "cut.png is not a folder; give the one that contains the images"),
        (["check", "empty"], "no image in empty"),
        (["check", ".", "--limit", "0"], "--limit: 0 is out of range, give a number of at least 1"),
        (["check", ".", "--size", "999999"], "--size: 999999 is out of range, give a number from 32 to 4096"),
        (["check", ".", "--augmentations", "0"], "--augmentations: 0 is out of range"),
        (["check", ".", "--seed", "1.5"], "--seed: '1.5' is not a whole number"),
        (["check", ".", "--jitter", "2"], "--jitter must be a number in [0, 0.5], got 2.0"),
        (["check", "missing", "--sheet", "nowhere/a.png"], "nowhere is not a folder"),
        (["score", "a.png"], "the following arguments are required: --model"),
        (["score", "--model", "run", "a.png", "--device", "cudda"], "--device: cudda: "),
    ],
)
def test_errors_are_one_line_after_the_usage(arguments, message, capsys, monkeypatch, tmp_path, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.png").write_bytes((folder / "1.png").read_bytes()[:300])
    (tmp_path / "empty").mkdir()
    assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.png", "empty"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "the following arguments are required: COMMAND"), (["scor"], "invalid choice: 'scor'")],
)
def test_a_missing_or_wrong_command_is_an_error(arguments, message, capsys):
    assert main(arguments) == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage == "usage: anatpaste-aug COMMAND ..."
    assert message in error


@pytest.mark.parametrize("name", _COMMANDS)
def test_help_names_the_options(name, capsys):
    module = import_module(f"anatpaste_aug.cli.{name}")
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert module.__doc__.splitlines()[0] in printed
    assert "--debug" in printed
    if name in ("preview", "check"):
        assert "Default: 0.02 0.15" in " ".join(printed.split())
    assert main(["--help"]) == 0
    assert f"  {name} " in capsys.readouterr().out


@pytest.mark.slow
def test_a_traceback_is_shown_only_with_debug(tmp_path):
    command = ["-m", "anatpaste_aug", "check", "missing"]
    done = in_a_process(*command, cwd=tmp_path)
    prog = "python -m anatpaste_aug check"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"usage: {prog} [--sheet PNG] [--limit N] [--json] [options] FOLDER",
        f"{prog}: error: missing is not a folder; give the one that contains the images",
    ]
    done = in_a_process(*command, "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("is not a folder; give the one that contains the images\n")


def test_help_does_not_import_torch(tmp_path):
    code = (
        "import sys; from anatpaste_aug.cli import _COMMANDS, main;"
        "codes = [main([*command, '--help']) for command in ([], *([name] for name in _COMMANDS))];"
        "heavy = {'torch', 'numpy', 'matplotlib', 'timm', 'pydicom', 'anatpaste_aug.detection'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else max(codes))"
    )
    done = in_a_process("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
