"""TensorBoard logs, read back with TensorBoard's own reader."""

import sys

import pytest
from helpers.tiny.task import CONFIG

from anatpaste_aug.detection import Progress, TensorBoardLog

tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def progress(update, loss):
    validated = update % 4 == 0
    auroc = update / 10 if update >= 4 else None
    return Progress(update, CONFIG.updates, loss, 0.03 / update, auroc, auroc, 1.0, 1.0, validated)


def read(folder):
    events = tensorboard.EventAccumulator(str(folder)).Reload()
    return {
        name: {event.step: pytest.approx(event.value) for event in events.Scalars(name)}
        for name in events.Tags()["scalars"]
    }


def test_what_is_logged_reads_back_and_a_resumed_run_replaces_what_lies_beyond_its_checkpoint(tmp_path):
    with TensorBoardLog(tmp_path / "log") as log:
        assert not (tmp_path / "log").exists()
        for update in range(1, 7):
            log(progress(update, loss=1.0))
    expected = {"loss": dict.fromkeys(range(1, 7), 1.0), "validation AUROC": {4: 0.4}}
    expected["learning rate"] = {update: 0.03 / update for update in range(1, 7)}
    assert read(tmp_path / "log") == expected
    with TensorBoardLog(tmp_path / "log") as log:
        for update in range(5, 9):
            log(progress(update, loss=0.5))
    found = read(tmp_path / "log")
    assert found["loss"] == dict.fromkeys(range(1, 5), 1.0) | dict.fromkeys(range(5, 9), 0.5)
    assert found["validation AUROC"] == {4: 0.4, 8: 0.8}


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'anatpaste_aug\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
