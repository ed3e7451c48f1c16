"""What all detectors that reconstruct have in common: their files, their trainings, and what they refuse."""

import dataclasses
import signal

import numpy as np
import pytest
import torch
from helpers.forks import count_calls, kill_at_call
from helpers.tiny.reconstruction import DETECTORS, SETTINGS
from helpers.tiny.task import TRAIN, VAL, VAL_LABELS

from anatpaste_aug.detection import METHODS, auroc, best_f1_threshold, load_detector
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.reconstruction.networks import map_batches
from anatpaste_aug.detection.training.result import load_result
from anatpaste_aug.detection.training.workers import Workers

each_kind = pytest.mark.parametrize("kind", DETECTORS)


@pytest.fixture(scope="module")
def trained():
    """Kind -> its detector, trained once."""
    return {kind: make(config).fit(TRAIN, VAL, VAL_LABELS) for kind, (make, config) in DETECTORS.items()}


def test_every_method_without_augmentations_is_here():
    assert DETECTORS.keys() == {name for name, method in METHODS.items() if not method.transforms}


@each_kind
@pytest.mark.parametrize("weights", ["best", "last"])
def test_the_file_gives_the_same_scores_maps_and_decisions(kind, weights, trained, tmp_path):
    detector = trained[kind].with_weights(weights)
    detector.save(tmp_path / "checkpoint.pt")
    loaded = load_detector(tmp_path, weights)
    assert type(loaded) is type(detector)
    assert loaded.config == detector.config
    assert torch.equal(loaded.score(VAL), detector.score(VAL))
    assert torch.equal(loaded.anomaly_map(VAL), detector.anomaly_map(VAL))
    predictions = loaded.predict(VAL)
    np.testing.assert_array_equal(predictions.raw, detector.score(VAL).numpy())
    assert loaded.calibration.threshold == best_f1_threshold(VAL_LABELS, detector.score(VAL))
    np.testing.assert_array_equal(predictions.abnormal, predictions.raw >= loaded.calibration.threshold)
    with pytest.raises(ValueError, match=f"holds a detector of the kind '{kind}', expected pretext"):
        load_result(tmp_path / "checkpoint.pt", PretextConfig)


@each_kind
def test_the_history_holds_the_aurocs_of_the_weights(kind, trained):
    result = trained[kind].result
    assert result.history[-1].val_auroc == pytest.approx(
        auroc(VAL_LABELS, trained[kind].with_weights("last").score(VAL))
    )
    assert result.best_auroc == pytest.approx(auroc(VAL_LABELS, trained[kind].score(VAL)))
    assert result.best_auroc == max(step.val_auroc for step in result.history)
    assert not all(torch.equal(value, result.last_state[name]) for name, value in start(kind).net.state_dict().items())


@each_kind
def test_maps_are_the_difference_to_the_reconstruction(kind, trained):
    maps = trained[kind].anomaly_map(VAL[:3])
    assert (maps.shape, maps.dtype) == ((3, 1, 32, 32), torch.float32)
    assert maps.min() >= 0
    assert maps.max() <= 1
    net, images = trained[kind]._net, VAL[:3].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(maps, (images - net.reconstruct(images)).abs())


@each_kind
def test_images_are_scored_one_by_one(kind, trained):
    """BatchNorm is in evaluation mode: neither the batch nor the type of the images matters."""
    net = trained[kind]._net
    whole, one, floats = (
        map_batches(net, lambda net, batch: net.errors(batch), images) for images in (VAL, VAL[3:4], VAL.float() / 255)
    )
    torch.testing.assert_close(one, whole[3:4], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(floats, whole, rtol=1e-4, atol=1e-6)
    assert not net.training


@pytest.mark.slow
@each_kind
@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_training_ends_with_the_same_weights(kind, stop, trained, tmp_path):
    make, config = DETECTORS[kind]

    def interrupt(progress):
        torch.rand(3)  # what a callback draws counts as well
        if progress.update == stop and not resumed:
            raise KeyboardInterrupt

    resumed = False
    options = {"progress": interrupt, "checkpoint": tmp_path / "training.pt", "checkpoint_every": 1, "resume": True}
    with pytest.raises(KeyboardInterrupt):
        make(config).fit(TRAIN, VAL, VAL_LABELS, **options)
    resumed = True
    found = make(config).fit(TRAIN, VAL, VAL_LABELS, **options)
    expected = make(config).fit(TRAIN, VAL, VAL_LABELS, progress=interrupt)
    for name in ("best_state", "last_state"):
        states = getattr(found.result, name), getattr(expected.result, name)
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert [step.loss for step in found.result.history] == [step.loss for step in expected.result.history]
    assert torch.equal(found.score(VAL), expected.score(VAL))


@pytest.mark.slow
@pytest.mark.trains_in_forks
@each_kind
def test_a_killed_training_ends_with_the_same_weights(kind, trained, tmp_path):
    make, config = DETECTORS[kind]

    def run(name):
        options = {"checkpoint": tmp_path / name, "checkpoint_every": 1, "resume": True}
        return make(config).fit(TRAIN, VAL, VAL_LABELS, **options)

    calls = count_calls(lambda: run("counted.pt"))
    for part in (0.4, 0.8):
        path = tmp_path / f"{part}.pt"
        assert kill_at_call(int(part * calls), lambda path=path: run(path)) == -signal.SIGKILL
        found, expected = run(path).result, trained[kind].result
        for name in ("best_state", "last_state"):
            states = getattr(found, name), getattr(expected, name)
            assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@each_kind
def test_the_seed_decides_and_the_callers_generator_is_left_alone(kind, trained):
    make, config = DETECTORS[kind]
    before = torch.get_rng_state()
    again = make(config).fit(TRAIN, VAL, VAL_LABELS)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.score(VAL), trained[kind].score(VAL))
    other = make(dataclasses.replace(config, seed=4)).fit(TRAIN, VAL, VAL_LABELS)
    assert not torch.equal(other.score(VAL), trained[kind].score(VAL))


@each_kind
def test_without_abnormal_images_the_last_weights_are_the_best(kind):
    make, config = DETECTORS[kind]
    detector = make(config).fit(TRAIN, VAL[:10])
    assert (detector.result.best_update, detector.result.best_auroc) == (config.updates, None)
    assert detector.predict(VAL).abnormal.shape == (20,)


@each_kind
def test_the_networks_see_reduced_images(kind):
    make, config = DETECTORS[kind]
    config = dataclasses.replace(config, image_size=64, reduction=2, updates=2)
    images = TRAIN.repeat_interleave(2, 2).repeat_interleave(2, 3)
    detector = make(config).fit(images, images[:4])
    small = make(dataclasses.replace(config, image_size=32, reduction=1)).fit(TRAIN, TRAIN[:4])
    torch.testing.assert_close(detector.score(images), small.score(TRAIN))
    assert detector.anomaly_map(images).shape == images.shape


@each_kind
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 96}, "image_size must be a power of two from 32 up, got 96"),
        ({"reduction": 2}, "reduction must be a power of two that leaves at least 32 of 32 pixels, got 2"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_impossible_settings(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        type(DETECTORS[kind][1])(**SETTINGS | changes)


@each_kind
def test_impossible_calls(kind, trained, monkeypatch):
    make, config = DETECTORS[kind]
    with pytest.raises(RuntimeError, match="not trained yet"):
        make(config).score(VAL)
    with pytest.raises(ValueError, match=r"images must be N×1×32×32, as in training, got shape \(20, 1, 16, 32\)"):
        trained[kind].score(VAL[:, :, :16])
    with pytest.raises(ValueError, match="select='pretext' needs a pretext task"):
        make(dataclasses.replace(config, select="pretext")).fit(TRAIN, VAL, VAL_LABELS)
    with pytest.raises(ValueError, match="select='auroc' needs abnormal validation images"):
        make(dataclasses.replace(config, select="auroc")).fit(TRAIN, VAL[:10])
    with pytest.raises(TypeError, match="images must be a uint8 tensor"):
        make(config).fit(TRAIN.float(), VAL)
    monkeypatch.setattr(Workers, "current", classmethod(lambda cls: cls(0, 2)))
    with pytest.raises(ValueError, match=f"2 processes cannot share a {kind} training"):
        make(config).fit(TRAIN, VAL, VAL_LABELS)


@each_kind
def test_divergence_stops_with_a_remedy(kind, monkeypatch):
    make, config = DETECTORS[kind]
    nan = torch.tensor(float("nan"))
    monkeypatch.setattr(make.trainer_type, "step", lambda trainer: nan)
    with pytest.raises(
        FloatingPointError, match=r"the loss became NaN or infinite by update 1 .*lower the learning rate"
    ):
        make(config).fit(TRAIN, VAL, VAL_LABELS)


def start(kind):
    """The trainer of a kind before its first update."""
    make, config = DETECTORS[kind]
    torch.manual_seed(config.seed)
    return make.trainer_type(config, TRAIN, Workers())
