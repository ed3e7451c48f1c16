"""Untrusted files: no reader of the package runs code in them; each raises an error that names the file."""

import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, squares
from PIL import Image

from anatpaste_aug.cli import main
from anatpaste_aug.datasets import DatasetError, Record, Split, cached_images, load_images, read_gray
from anatpaste_aug.datasets.files import cache, tables
from anatpaste_aug.detection import PretextConfig, PretextDetector
from anatpaste_aug.detection.models.pretext_training import train_pretext_net
from anatpaste_aug.detection.models.pretrained import pretrained_net
from anatpaste_aug.detection.training.result import load_result
from anatpaste_aug.mask_cache import MaskCache, MaskCacheError

CHECKPOINT, RUN = "anatpaste_aug.detection.checkpoint/1", "anatpaste_aug.detection.run/1"


class Mine:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def mine(tmp_path):
    """The folder that appears when a pickle is loaded."""
    yield tmp_path / "exploded"
    assert not (tmp_path / "exploded").exists()


def raw(content):
    return pickle.dumps(content, 2)  # torch warns of later protocols


def zipped(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def legacy(content):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def array(content):
    buffer = io.BytesIO()
    np.save(buffer, np.array([content], dtype=object))
    return buffer.getvalue()


def archive(content):
    buffer = io.BytesIO()
    np.savez(buffer, format=np.array([content], dtype=object))
    return buffer.getvalue()


every_form = pytest.mark.parametrize("form", [raw, zipped, legacy, array, archive])


@pytest.mark.parametrize("form", [raw, zipped, legacy, array, archive])
def test_the_test_pickles_would_run_code(tmp_path, form):
    content = form(Mine(tmp_path / "exploded"))
    if form in (raw, legacy, zipped):
        loaded = torch.load(io.BytesIO(content), weights_only=False) if form is not raw else pickle.loads(content)
    else:
        loaded = np.load(io.BytesIO(content), allow_pickle=True)
        loaded = loaded["format"] if form is archive else loaded
    assert loaded is None or loaded.dtype == object
    assert (tmp_path / "exploded").is_dir()


READERS = {
    "checkpoint": lambda path: load_result(path, PretextConfig),
    "detector": PretextDetector.load,
    "resume": lambda path: train_pretext_net(CONFIG, TRAIN, VAL, VAL_LABELS, squares, checkpoint=path, resume=True),
    "weights": lambda path: pretrained_net(path, "test_byobnet"),
    "masks": MaskCache,
    "split": Split.load,
    "table": lambda path: list(tables.read_rows(path, ["name"])),
    "image": read_gray,
}


@every_form
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("forced", [False, True])
def test_a_pickle_instead_of_a_file_is_an_error(tmp_path, mine, form, reader, forced, monkeypatch):
    """Even if the user has changed torch's default to unsafe loading."""
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "file.bin"
    path.write_bytes(form(Mine(mine)))
    with pytest.raises((ValueError, MaskCacheError), match=re.escape(str(path))) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(("reader", "kind"), [("checkpoint", CHECKPOINT), ("resume", RUN)])
@pytest.mark.parametrize("place", ["config", "fingerprint", "state", "extra"])
def test_a_pickle_inside_a_checkpoint_is_an_error(tmp_path, mine, reader, kind, place):
    path = tmp_path / "file.pt"
    path.write_bytes(zipped({"format": kind, "config": {}, place: {"weights": [torch.ones(2), Mine(mine)]}}))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is not a readable checkpoint"):
        READERS[reader](path)


def test_the_score_command_reports_a_pickle_in_one_line(tmp_path, mine, capsys):
    (tmp_path / "checkpoint.pt").write_bytes(zipped({"format": CHECKPOINT, "config": Mine(mine)}))
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    out = tmp_path / "scores"
    assert main(["score", "--model", str(tmp_path), str(tmp_path / "a.png"), "-o", str(out)]) == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: ")
    assert str(tmp_path / "checkpoint.pt") in error
    assert not out.exists()


@every_form
def test_an_image_cache_with_a_pickle_is_rebuilt(tmp_path, mine, form):
    """Even with the digest of these images at its end."""
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "a.png")
    records = [Record("a.png", 0, "a", "train")]
    digest = cache._digest(tmp_path, records, 32, None)
    (tmp_path / "mine-32.npy").write_bytes(form(Mine(mine)) + digest)
    found = cached_images(tmp_path, "mine", tmp_path, records, 32, progress=False)
    assert torch.equal(found, load_images(tmp_path, records, 32, progress=False))


def test_a_compressed_checkpoint_is_an_error(tmp_path):
    """torch does not compress its records; compressed ones may be a decompression bomb."""
    path, bomb = tmp_path / "checkpoint.pt", tmp_path / "bomb.pt"
    path.write_bytes(zipped({"format": CHECKPOINT, "zeros": torch.zeros(2**18)}))
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    assert bomb.stat().st_size < path.stat().st_size / 100
    with pytest.raises(ValueError, match=f"{re.escape(str(bomb))} is not a readable checkpoint"):
        load_result(bomb, PretextConfig)
    many = path.read_bytes().replace((2**20).to_bytes(4, "little"), (2**21).to_bytes(4, "little"))
    bomb.write_bytes(many)  # a record of more bytes than the file has
    with pytest.raises(ValueError, match=f"{re.escape(str(bomb))} is not a readable checkpoint"):
        load_result(bomb, PretextConfig)


@pytest.mark.parametrize("name", ["a.png", "a.jpeg", "a.eps", "a"])
def test_an_image_that_is_a_program_is_not_run(tmp_path, name, monkeypatch):
    """Pillow runs PostScript in Ghostscript, whatever the file's suffix."""
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **options: started.append(arguments))
    path = tmp_path / name
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n")
    with pytest.raises(
        DatasetError, match=rf"{re.escape(str(path))} is .*PostScript files are programs and are not run"
    ):
        read_gray(path, 32)
    assert not started
