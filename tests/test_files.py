"""All files that the package writes, with a writer that is killed at every file operation, and on a full disk."""

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.files.layouts import write_rsna
from helpers.forks import count_file_calls, finish, kill_at_file_call, limit_files, start
from matplotlib.figure import Figure
from PIL import Image

from anatpaste_aug.datasets import Record, Split, cached_images, index_rsna
from anatpaste_aug.detection import Metrics, PretextConfig
from anatpaste_aug.detection.evaluation.results import ResultRow
from anatpaste_aug.detection.reporting import canvas
from anatpaste_aug.detection.reporting.output_files import write_metrics_json, write_scores_csv
from anatpaste_aug.detection.reporting.report import write_report
from anatpaste_aug.detection.training.result import TrainResult, save_result
from anatpaste_aug.files import atomic_path, check_writable, shown, spreadsheet_safe, take_space

pytestmark = pytest.mark.trains_in_forks  # that is, before a fake accelerator forbids to fork

METRICS = {new: Metrics(0.5 + new / 8, 0.5, 0.5, 0.1, 0.5, 0.5, 3, 3) for new in (False, True)}
ROWS = {new: [ResultRow("mine", "best", metrics)] for new, metrics in METRICS.items()}
COUNTS = {False: 300, True: 500}  # larger than a buffer, so that there are several writes


def split(folder, new):
    records = tuple(Record(f"{i}.png", 0, str(i), "train") for i in range(COUNTS[new]))
    Split("mine", "by hand", 0, records, (), ()).save(folder / "split.json")
    return folder / "split.json"


def checkpoint(folder, new):
    state = {"weight": torch.arange(COUNTS[new])}
    save_result(folder / "checkpoint.pt", TrainResult(PretextConfig(), state, state, 1, 0.5, []))
    return folder / "checkpoint.pt"


def scores(folder, new):
    count = COUNTS[new]
    return write_scores_csv(folder / "scores.csv", [f"{i:040d}" for i in range(count)], [0] * count, {})


def metrics(folder, new):
    return write_metrics_json(folder / "metrics.json", ROWS[new], {"values": list(range(COUNTS[new]))})


def report(folder, new):
    return write_report(folder, title=str(new), config={}, data={}, rows=ROWS[new], figures={}, environment={})


def picture(folder, new):
    figure = Figure(figsize=(1, 1))
    figure.text(0.5, 0.5, str(new))
    return canvas.save(figure, folder / "roc.png")


def images(folder, new):
    place = folder / "images"
    place.mkdir(exist_ok=True)
    records = [Record(f"{i}.png", 0, str(i), "train") for i in range(3 + new)]
    for i, record in enumerate(records):
        if not (place / record.path).exists():
            Image.fromarray(np.full((40, 40), 10 * i, np.uint8)).save(place / record.path)
    found = cached_images(folder, "mine", place, records, 32, progress=False)
    assert found[:, 0, 0, 0].tolist() == [10 * i for i in range(3 + new)]
    return folder / "mine-32.npy"


def headers(folder, new):
    place = folder / "rsna"
    if not place.exists():
        write_rsna(place)
    touched = place / "stage_2_train_images" / "p00.dcm"
    os.utime(touched, ns=(1 + new, 1 + new))  # so that one header is read again
    index_rsna(place, cache=folder, progress=False)
    return folder / "rsna-headers.json"


WRITERS = [split, checkpoint, scores, metrics, report, picture, images, headers]


@pytest.fixture(params=WRITERS, ids=lambda write: write.__name__)
def written(request, tmp_path):
    """A function that writes a file, the file, and its content before and after."""
    write = request.param
    path = write(tmp_path, True)
    new = path.read_bytes()
    assert write(tmp_path, False) == path
    old = path.read_bytes()
    assert old != new
    return lambda: write(tmp_path, True), path, old, new


@pytest.mark.slow
def test_a_writer_may_be_killed_at_any_file_operation(written):
    write, path, old, new = written
    moments = count_file_calls(write)
    assert moments > 8
    found = []
    # All of them, or 16 that are spread over the many of a picture or of headers.
    for moment in sorted({round(i) for i in np.linspace(1, moments, 16)}):
        path.write_bytes(old)
        assert kill_at_file_call(moment, write) == -signal.SIGKILL
        found.append(path.read_bytes())
        assert found[-1] in (old, new)
    assert found[0] == old
    path.write_bytes(old)
    write()  # what the killed ones left does not matter
    assert path.read_bytes() == new


def test_a_full_disk_is_an_error_and_keeps_the_earlier_file(written):
    write, path, old, new = written

    def limited():
        limit_files(len(new) // 2)
        message = f"{path} could not be written: File too large; the existing file is unchanged"
        with pytest.raises(OSError, match=message):
            write()

    before = {other.name for other in path.parent.iterdir()}
    assert finish(start(limited)) == 0
    assert path.read_bytes() == old
    assert {other.name for other in path.parent.iterdir()} == before


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "run").write_text("mine")
    for write in (checkpoint, scores, metrics, picture):
        with pytest.raises(OSError, match=r"run/[a-z.]+ could not be written: Not a directory; nothing was written"):
            write(tmp_path / "run", True)
    assert (tmp_path / "run").read_text() == "mine"


def test_errors_of_other_files_keep_their_names(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*other"), atomic_path(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    with pytest.raises(KeyError), atomic_path(tmp_path / "a") as temporary:
        raise KeyError(temporary.write_text("half"))
    assert list(tmp_path.iterdir()) == []


# before any work


def test_a_writable_folder_is_unchanged(tmp_path):
    check_writable(tmp_path)
    check_writable(tmp_path / "not" / "there")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_writable_is_an_error_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, reason in (("file", "Not a directory"), ("file/below/it", "Not a directory"), ("link", "No such file")):
        message = rf"nothing can be written to {tmp_path}/{name} \(.*: {reason}.*another folder"
        with pytest.raises(OSError, match=message):
            check_writable(tmp_path / name)

    def refuse(*arguments, **options):  # as a read-only folder does, but not to root
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        check_writable(tmp_path)


def test_a_full_disk_is_an_error_before_any_work(tmp_path):
    def limited():
        limit_files(100)
        with pytest.raises(OSError, match="File too large"):
            check_writable(tmp_path)

    assert finish(start(limited)) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("allocates", [True, False])
def test_take_space_keeps_the_content(tmp_path, monkeypatch, allocates):
    if not allocates:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with (tmp_path / "a").open("wb") as file:
        file.write(b"header")
        take_space(file, 3 * 2**20)
    assert (tmp_path / "a").read_bytes() == b"header" + bytes(3 * 2**20 - 6)


def test_two_writers_have_different_temporary_files(tmp_path):
    """The file of the last writer stays, complete."""
    path = tmp_path / "file"
    with atomic_path(path) as first:
        first.write_text("first")
        with atomic_path(path) as second:
            assert second != first
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["a.png", "Thorax seitlich ü.jpeg", "胸部/1.dcm", "a b&<c>'\"$.png", ""])
def test_ordinary_names_stay_as_they_are(name):
    assert shown(name) == spreadsheet_safe(name) == name


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\udcff", "\x00"])
def test_control_characters_are_escaped(sign):
    text = shown(f"a{sign}b.png")
    assert text.isprintable()
    assert text.encode().decode("unicode_escape") == f"a{sign}b.png"


@pytest.mark.parametrize("first", "=+-@\t\r\n＝＋－＠")
def test_no_cell_begins_as_a_formula_and_all_name_the_same_file(first, tmp_path, monkeypatch):
    name = f"{first}1+1.png"
    (tmp_path / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert spreadsheet_safe(name) == f"./{name}"
    assert Path(spreadsheet_safe(name)).read_text() == "mine"
