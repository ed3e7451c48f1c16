"""The score command with unreadable files, unusual names, interruptions and invalid arguments."""

import io
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
from cli.scores import table
from helpers.forks import finish, kill_self, limit_files, start
from PIL import Image

from anatpaste_aug.cli import main
from anatpaste_aug.datasets import read_gray


@pytest.mark.skipif(os.name != "posix", reason="such names are for POSIX file systems")
def test_malicious_file_names(model, images, tmp_path, capsys, monkeypatch):
    """No name makes the run fail, moves the cursor, or is a formula in the table."""
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


def test_unreadable_files_are_listed_and_the_others_are_scored(model, images, tmp_path, capsys):
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


@pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")  # the picture shows a box for it
def test_unprintable_file_names(model, images, tmp_path, monkeypatch):
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
def test_scores_before_a_kill_are_kept_in_a_partial_table(model, images, tmp_path, monkeypatch):
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
def test_a_full_disk_is_one_line_and_keeps_the_partial_table(model, images, tmp_path, capfd):
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
def test_every_command_lists_unreadable_files(command, model, images, tmp_path, capsys):
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
