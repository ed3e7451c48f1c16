"""A trained detector: the same scores and decisions from its file as from its definition."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.tiny.task import CONFIG as TINY
from helpers.tiny.task import TRAIN, VAL, VAL_LABELS, score_images, squares

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import PretextConfig, PretextDetector, auroc, best_f1_threshold, load_detector
from anatpaste_aug.detection.models.distances import fit_score, validation_scores
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretext_net import extract_features
from anatpaste_aug.detection.models.pretext_training import train_pretext_net, trained_net
from anatpaste_aug.detection.models.pretrained import untrained_net
from anatpaste_aug.detection.training.result import TrainResult, save_result

TASK = phantom_task(64, train=12, val=10, test=8)
CONFIG = PretextConfig(image_size=64, backbone="test_byobnet", bandwidth=0.5)
PARTS = TASK.train.images, TASK.val.images, TASK.val.labels
QUICK = dataclasses.replace(TINY, updates=4, updates_per_epoch=2)


@pytest.fixture(scope="module")
def result():
    best, last = (untrained_net("test_byobnet", seed=seed).state_dict() for seed in (1, 2))
    return TrainResult(CONFIG, best, last, 1, 0.5, [])


@pytest.fixture
def run(tmp_path, result):
    PretextDetector.from_result(result, *PARTS).save(tmp_path / "checkpoint.pt")
    return tmp_path


@pytest.mark.parametrize("weights", ["best", "last"])
def test_scores_from_the_file_are_those_of_the_definition(run, result, weights):
    detector = PretextDetector.load(run, weights)
    net = trained_net(result, weights)
    expected = score_images(net, TASK.train.images, TASK.test.images, bandwidth=0.5)
    val = score_images(net, TASK.train.images, TASK.val.images, bandwidth=0.5)
    predictions = detector.predict(TASK.test.images)
    assert torch.equal(detector.score(TASK.test.images), expected)
    np.testing.assert_array_equal(predictions.raw, expected.numpy())
    low, high = val.min().item(), val.max().item()
    scaled = (expected.double() - low) / (high - low)
    np.testing.assert_allclose(predictions.scaled, scaled, rtol=0, atol=1e-12)
    threshold = best_f1_threshold(TASK.val.labels, val)
    assert detector.calibration.threshold == threshold
    np.testing.assert_array_equal(predictions.abnormal, expected.numpy() >= threshold)
    assert detector.calibration.scaled_threshold == pytest.approx((threshold - low) / (high - low))
    assert PretextDetector.load(run / "checkpoint.pt", weights).calibration.threshold == threshold


def test_fit_trains_the_network_and_reports_the_progress(tmp_path):
    """With a checkpoint, a run that was interrupted ends with the weights and scores of one that was not."""
    expected = train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares)
    updates = []

    def stop(progress):
        updates.append(progress.update)
        if len(updates) == 3:
            raise KeyboardInterrupt

    options = {"progress": stop, "checkpoint": tmp_path / "training.pt", "checkpoint_every": 1, "resume": True}
    with pytest.raises(KeyboardInterrupt):
        PretextDetector(QUICK, squares).fit(TRAIN, VAL, VAL_LABELS, **options)
    detector = PretextDetector(QUICK, squares).fit(TRAIN, VAL, VAL_LABELS, **options)
    assert updates == [1, 2, 3, 3, 4]
    for weights in ("best", "last"):
        net = trained_net(expected, weights)
        assert torch.equal(detector.with_weights(weights).score(VAL), score_images(net, TRAIN, VAL))
    assert detector.weights == "best"


def test_best_and_last_weights_are_kept_apart(run):
    best, last = PretextDetector.load(run), PretextDetector.load(run, "last")
    assert best.calibration.threshold != last.calibration.threshold
    assert torch.equal(best.with_weights("last").score(TASK.test.images), last.score(TASK.test.images))
    assert best.weights == "best"


def test_a_saved_detector_is_saved_again_alike(run, tmp_path):
    PretextDetector.load(run).save(tmp_path / "again.pt")
    for weights in ("best", "last"):
        scores = (PretextDetector.load(path, weights).score(TASK.test.images) for path in (run, tmp_path / "again.pt"))
        assert torch.equal(*scores)


def test_the_anomaly_map_is_grad_cam(run, result):
    images = TASK.test.images[:2]
    found = PretextDetector.load(run).anomaly_map(images)
    assert torch.equal(found, grad_cam(trained_net(result), images))
    assert found.shape == images.shape


@pytest.mark.parametrize("white", [None, 4095])
def test_white_and_the_domain_of_the_training_images_are_kept(result, tmp_path, white):
    detector = PretextDetector.from_result(result, *PARTS, white=white)
    detector.save(tmp_path / "checkpoint.pt")
    loaded = PretextDetector.load(tmp_path, "last")
    assert loaded.white == white
    assert torch.equal(loaded.domain.distances(PARTS[0]), detector.domain.distances(PARTS[0]))
    assert loaded.domain.limit == detector.domain.limit


def test_impossible_inputs(run, result, tmp_path):
    with pytest.raises(FileNotFoundError, match="give the run folder of a training"):
        PretextDetector.load(tmp_path / "nowhere")
    for call in (PretextDetector.load(run).predict, PretextDetector.load(run).anomaly_map):
        with pytest.raises(ValueError, match=r"images must be N×1×64×64, as in training, got shape \(8, 1, 32, 64\)"):
            call(TASK.test.images[:, :, ::2])
    with pytest.raises(ValueError, match="weights must be 'best' or 'last'"):
        PretextDetector.load(run, "first")
    save_result(run / "checkpoint.pt", result, {"best": {"threshold": 1.0, "low": 0.0, "high": 1.0}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt does not hold the networks and the calibration.*train again"):
        PretextDetector.load(run)


def test_what_a_detector_cannot_do_yet_is_named_with_the_remedy(run, tmp_path):
    fresh = PretextDetector(QUICK, squares)
    for call in (lambda: fresh.score(TRAIN), lambda: fresh.calibration, lambda: fresh.with_weights("last")):
        with pytest.raises(RuntimeError, match=r"call fit|fit the detector first"):
            call()
    with pytest.raises(RuntimeError, match="create a new PretextDetector"):
        PretextDetector.load(run).fit(*PARTS)
    untrained = PretextDetector.from_net(untrained_net("test_byobnet"), *PARTS)
    assert untrained.score(TASK.test.images).shape == (8,)
    with pytest.raises(RuntimeError, match="only a detector that fit has trained can be saved"):
        untrained.save(tmp_path / "x.pt")


def test_a_file_that_names_no_kind_is_a_pretext_detector_s(run):
    """As earlier versions wrote them, when there was no other detector."""
    expected = PretextDetector.load(run).score(TASK.test.images)
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    del content["kind"]
    torch.save(content, run / "checkpoint.pt")
    found = load_detector(run)
    assert isinstance(found, PretextDetector)
    assert torch.equal(found.score(TASK.test.images), expected)


def test_a_file_of_an_unknown_kind_is_refused_in_one_line(run):
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save(content | {"kind": "oracle"}, run / "checkpoint.pt")
    with pytest.raises(
        ValueError, match=r"checkpoint\.pt holds a detector of the kind 'oracle', expected pretext"
    ) as error:
        load_detector(run)
    assert "\n" not in str(error.value)


def test_the_file_has_the_parts_that_runs_of_version_0_2_wrote(run):
    """So that their detectors are read; whoever changes them must change the name of the format."""
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    assert content.pop("kind") == "pretext"
    parts = {"config", "best_state", "last_state", "best_update", "best_auroc", "history", "extra"}
    assert content.keys() == parts | {"format"}
    assert content["format"] == "anatpaste_aug.detection.checkpoint/1"
    for weights in ("best", "last"):
        kept = {"threshold", "scaled_threshold", "low", "high", "white", "domain", "reference"}
        assert content["extra"][weights].keys() == kept
    assert content["config"].keys() == {
        *("image_size", "batch_size", "updates", "updates_per_epoch", "learning_rate", "momentum", "weight_decay"),
        *("jitter", "backbone", "in_chans", "num_classes", "bandwidth", "seed", "device", "amp", "sync_bn"),
        *("score", "reference", "stages", "average_views", "select", "false_positive_rate"),
    }
    # Without these four and the domain it scores as before they existed.
    for name in ("score", "reference", "stages", "average_views"):
        del content["config"][name]
    for weights in ("best", "last"):
        del content["extra"][weights]["domain"]
    torch.save(content, run / "old.pt")
    old, new = PretextDetector.load(run / "old.pt"), PretextDetector.load(run)
    assert (old.config.score, old.domain) == ("kde", None)
    assert torch.equal(old.score(TASK.test.images), new.score(TASK.test.images))


@pytest.mark.parametrize(
    "settings",
    [
        {"score": "knn"},
        {"score": "mahalanobis"},
        {"stages": (3, 4)},
        {"score": "knn", "stages": (2, 4), "average_views": True},
    ],
)
def test_the_score_of_a_file_is_the_one_that_was_chosen(result, tmp_path, settings):
    config = dataclasses.replace(CONFIG, **settings)
    detector = PretextDetector.from_result(dataclasses.replace(result, config=config), *PARTS)
    detector.save(tmp_path / "checkpoint.pt")
    loaded = PretextDetector.load(tmp_path)
    assert loaded.config == config
    found = loaded.score(TASK.test.images)
    assert torch.equal(found, detector.score(TASK.test.images))
    options = {name: value for name, value in settings.items() if name != "score"}
    reference, queries = (extract_features(loaded.net, part.images, **options) for part in (TASK.train, TASK.test))
    expected = fit_score(config.score, reference, bandwidth=0.5).score(queries)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(found, PretextDetector.from_result(result, *PARTS).score(TASK.test.images))
    given = PretextDetector.from_net(loaded.net, *PARTS, config=config)
    assert torch.equal(given.score(TASK.test.images), found)


@pytest.mark.parametrize("score", ["knn", "mahalanobis"])
def test_the_best_weights_are_chosen_by_the_score(score):
    config = dataclasses.replace(QUICK, score=score, stages=(3, 4))
    result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    net = trained_net(result)
    reference, queries = (extract_features(net, images, stages=(3, 4)) for images in (TRAIN, VAL))
    scores = fit_score(score, reference).score(queries)
    assert result.best_auroc == pytest.approx(auroc(VAL_LABELS, scores), abs=0.011)  # one pair of images


@pytest.mark.parametrize("score", ["kde", "mahalanobis"])
def test_the_score_compares_with_the_normal_validation_images_if_they_are_the_reference(result, tmp_path, score):
    config = dataclasses.replace(CONFIG, score=score, reference="val")
    task = phantom_task(64, train=2, val=24, test=8)
    parts = task.train.images, task.val.images, task.val.labels
    detector = PretextDetector.from_result(dataclasses.replace(result, config=config), *parts)
    detector.save(tmp_path / "checkpoint.pt")
    normals = task.val.images[task.val.labels == 0]
    for weights in ("best", "last"):
        loaded = PretextDetector.load(tmp_path, weights)
        reference, val, queries = (
            extract_features(loaded.net, images) for images in (normals, task.val.images, task.test.images)
        )
        assert torch.equal(loaded.score(task.test.images), fit_score(score, reference, bandwidth=0.5).score(queries))
        scores = loaded.score_validation(task.val.images, task.val.labels)
        assert torch.equal(scores, validation_scores(score, None, val, task.val.labels, bandwidth=0.5))
        # The threshold would be of no use for other images if normal images had been compared with themselves.
        assert loaded.calibration.threshold == best_f1_threshold(task.val.labels, scores)
    plain = PretextDetector.from_result(result, *parts)
    assert torch.equal(plain.score_validation(task.val.images, task.val.labels), plain.score(task.val.images))
    with pytest.raises(ValueError, match="needs at least 10, got 5"):
        PretextDetector.from_net(plain.net, *PARTS, config=config)


def test_the_best_weights_are_chosen_with_the_reference():
    config = dataclasses.replace(QUICK, score="knn", reference="val")
    result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    scores = validation_scores("knn", None, extract_features(trained_net(result, "last"), VAL), VAL_LABELS)
    assert result.history[-1].val_auroc == pytest.approx(auroc(VAL_LABELS, scores), abs=1e-9)
    with pytest.raises(ValueError, match="needs at least 10, got 1"):
        train_pretext_net(config, TRAIN, VAL[:2], torch.tensor([0, 1]), squares)


def test_a_detector_adapts_to_the_normal_images_of_another_source(run):
    detector = PretextDetector.load(run)
    others = phantom_task(64, seed=5, train=30, val=2, test=2).train.images
    adapted = detector.adapt(others)
    assert adapted.domain is not None
    assert (adapted.domain.distances(others) <= adapted.domain.limit).all()
    reference, queries = (extract_features(detector.net, images) for images in (others, TASK.test.images))
    expected = fit_score(CONFIG.score, reference, bandwidth=0.5).score(queries)
    assert torch.equal(adapted.score(TASK.test.images), expected)
    scores = validation_scores(CONFIG.score, None, reference, torch.zeros(30), bandwidth=0.5)
    assert int((scores.double() >= adapted.calibration.threshold).sum()) == 1  # 5 % of 30
    assert not torch.equal(adapted.domain.mean, detector.domain.mean)
    assert (adapted.weights, detector.config.reference) == ("best", "train")
    with pytest.raises(ValueError, match="adapt needs at least 10 normal images, got 9"):
        detector.adapt(others[:9])
    with pytest.raises(ValueError, match="images must be N×1×64×64"):
        detector.adapt(others[..., ::2])
    with pytest.raises(RuntimeError, match="only a detector that fit has trained can be saved"):
        adapted.save(run / "adapted.pt")
