import io
import json
import os
import random

import numpy as np
import pytest
import torch
from helpers.batches import raises
from helpers.oracles import smooth_images
from torch.utils.data import DataLoader, Dataset

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    LungSegmenter,
    NSATransform,
    PIITransform,
)

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version
A = pytest.importorskip("albumentations", reason='needs host: pip install "anatpaste_aug[hosts]"')

from anatpaste_aug.adapters.albumentations import AlbumentationsPaste  # noqa: E402

SETTINGS = {"p": 0.75, "blur": False, "area": (0.03, 0.05), "mean": (0.5,), "std": (0.5,)}


def image(channels=0, dtype=np.uint8, seed=0):
    """H×W, or H×W×C."""
    picture = smooth_images(1, 72, 64, max(channels, 1), seed)[0].permute(1, 2, 0).numpy()
    picture = picture if channels else picture[..., 0]
    return np.ascontiguousarray(picture if dtype == np.uint8 else (picture / 255).astype(dtype))


def empty(dtype=np.uint8):
    return np.zeros((72, 64), dtype)


def expected(picture, seed, **settings):
    """The pixels and the mask of `AnatPasteTransform` with the first number of a seed."""
    generator = torch.Generator().manual_seed(random.Random(seed).getrandbits(63))
    images = torch.from_numpy(picture.reshape(72, 64, -1).transpose(2, 0, 1).copy())[None]
    result = AnatPasteTransform(**settings).augment(images, generator=generator)
    return result.image[0].permute(1, 2, 0).numpy().reshape(picture.shape), result.anomaly_mask[0, 0].numpy()


def seeded(transform, seed=3):
    transform.set_random_seed(seed)
    return transform


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_image_gets_the_pixels_and_the_mask_of_the_transform(dtype, channels):
    given, kept = image(channels, dtype), image(channels, dtype)
    mask = empty()
    result = seeded(AlbumentationsPaste())(image=given, mask=mask)
    pixels, changed = expected(given, 3)
    assert result["image"].dtype == dtype
    assert np.array_equal(result["image"], pixels)
    assert result["mask"].dtype == np.uint8
    assert np.array_equal(result["mask"], changed)
    assert np.array_equal(given, kept)
    assert not mask.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, bool])
@pytest.mark.parametrize("shape", [(72, 64), (72, 64, 1)])
def test_the_mask_comes_back_in_its_dtype_and_shape(shape, dtype):
    result = seeded(AlbumentationsPaste())(image=image(), mask=np.zeros(shape, dtype))
    assert result["mask"].dtype == dtype
    assert np.array_equal(result["mask"], expected(image(), 3)[1].reshape(shape))


def test_every_other_target_passes_through():
    others = {
        "masks": [np.ones((72, 64), np.uint8)],
        "organ": np.full((72, 64), 7, np.uint8),
        "bboxes": np.array([[0.1, 0.1, 0.5, 0.5]], np.float32),
        "keypoints": np.array([[10.0, 20.0]], np.float32),
        "label": object(),
        "mask": None,
    }
    transform = AlbumentationsPaste()
    transform.add_targets({"organ": "mask"})
    result = transform(image=image(), **others)
    assert all(result[name] is value for name, value in others.items())


def test_boxes_and_keypoints_pass_through_a_compose():
    """Tolerance: 1e-4 pixels, for albumentations' conversion to and from fractions of the image."""
    pipeline = A.Compose(
        [AlbumentationsPaste(), A.HorizontalFlip(p=0)],  # without any transform for boxes, albumentations warns
        bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]),
        keypoint_params=A.KeypointParams("xy"),
        strict=True,
        seed=0,
    )
    result = pipeline(image=image(), mask=empty(), bboxes=[[5, 6, 20, 30]], labels=[1], keypoints=[(7, 8)])
    np.testing.assert_allclose(result["bboxes"], [[5, 6, 20, 30]], rtol=0, atol=1e-4)
    assert np.array_equal(result["keypoints"], [[7, 8]])
    assert result["mask"].any()


def test_another_target_can_take_the_anomaly_mask():
    transform = AlbumentationsPaste(anomaly_target="anomaly")
    pipeline = A.Compose([transform, A.HorizontalFlip(p=1)], additional_targets={"anomaly": "mask"}, seed=0)
    organ = np.tile(np.arange(64, dtype=np.uint8), (72, 1))
    result = pipeline(image=image(), mask=organ, anomaly=empty())
    assert np.array_equal(result["mask"], organ[:, ::-1])
    assert result["anomaly"].any()
    assert not (result["image"] != image()[:, ::-1])[result["anomaly"] == 0].any()


def test_further_images_share_numbers_and_lungs():
    transform = AlbumentationsPaste(AnatPasteTransform(jitter=0))
    pipeline = A.Compose([transform], additional_targets={"color": "image", "lungs": "mask"}, seed=0)
    gray = image()
    result = pipeline(image=gray, color=np.repeat(gray[..., None], 3, 2), mask=empty())
    assert np.array_equal(result["color"], np.repeat(result["image"][..., None], 3, 2))
    assert (result["image"] != gray).any()


def test_a_region_target_takes_the_place_of_the_segmenter():
    def never(images):
        raise AssertionError("called in spite of a mask")

    lungs = LungSegmenter()(torch.from_numpy(image())[None, None])[0, 0].numpy()
    for mask in (lungs, lungs.astype(np.uint8), lungs[..., None]):
        transform = seeded(AlbumentationsPaste(AnatPasteTransform(segmenter=never), region_target="lungs"))
        result = transform(image=image(), lungs=mask, mask=empty())
        assert np.array_equal(result["image"], expected(image(), 3)[0])
        assert result["lungs"] is mask


# randomness


def test_a_seed_repeats_and_the_next_call_does_not():
    one, two = (A.Compose([A.RandomBrightnessContrast(), AlbumentationsPaste()], seed=5) for _ in range(2))
    first, second = (one(image=image())["image"] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(two(image=image())["image"], first)
    assert np.array_equal(two(image=image())["image"], second)


class Same(Dataset):
    def __init__(self):
        self.pipeline = A.Compose([AlbumentationsPaste()], seed=0)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.pipeline(image=image())["image"]


def reseed(worker):
    torch.utils.data.get_worker_info().dataset.pipeline.set_random_seed(torch.initial_seed() % 2**32)


def test_loader_workers_differ_once_they_are_seeded_as_the_docstring_says():
    assert "set_random_seed(torch.initial_seed() % 2**32)" in AlbumentationsPaste.__doc__
    loader = DataLoader(Same(), batch_size=2, num_workers=2, timeout=60, worker_init_fn=reseed)
    images = torch.cat([images for _ in range(2) for images in loader])
    assert len({picture.numpy().tobytes() for picture in images}) == 16


# serialization and replay


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_replay_repeats_bit_for_bit_and_can_be_stored():
    pipeline = A.ReplayCompose([AlbumentationsPaste(AnatPasteTransform(p=0.9)), A.HorizontalFlip()])
    given = {"image": image(3), "mask": empty()}
    for _ in range(5):
        result = pipeline(**given)
        stored = json.loads(json.dumps(result["replay"]))
        again = A.ReplayCompose.replay(stored, **given)
        assert np.array_equal(again["image"], result["image"])
        assert np.array_equal(again["mask"], result["mask"])


def test_a_replay_on_another_image_finds_its_lungs():
    pipeline = A.ReplayCompose([AlbumentationsPaste(AnatPasteTransform(segmenter=LungSegmenter(min_size=100)))])
    replay = pipeline(image=image())["replay"]
    other = image(seed=1)
    lungs = LungSegmenter(min_size=100)(torch.from_numpy(other)[None, None])[0, 0].numpy()
    result = A.ReplayCompose.replay(replay, image=other, mask=empty())
    assert result["mask"].any()
    assert not result["mask"][~lungs].any()


@pytest.mark.parametrize("store", ["dict", "json", "yaml"])
def test_a_pipeline_can_be_stored(store):
    pipeline = A.Compose([AlbumentationsPaste(AnatPasteTransform(**SETTINGS), anomaly_target="changed")])
    if store == "dict":
        loaded = A.from_dict(A.to_dict(pipeline))
    else:
        file = io.StringIO()
        A.save(pipeline, file, data_format=store)
        file.seek(0)
        loaded = A.load(file, data_format=store)
    normalized = image(1, np.float32) * 2 - 1
    assert loaded[0].transform.config.area in [(0.03, 0.05), [0.03, 0.05]]
    assert (loaded[0].transform.config.p, loaded[0].anomaly_target) == (0.75, "changed")
    for _ in range(3):
        assert np.array_equal(
            seeded(loaded)(image=normalized, changed=empty())["changed"],
            seeded(pipeline)(image=normalized, changed=empty())["changed"],
        )


@pytest.mark.parametrize("recipe", [CutPasteTransform, FPITransform, PIITransform, NSATransform])
def test_every_recipe_can_be_stored(recipe):
    pipeline = A.Compose([AlbumentationsPaste(recipe(p=0.3, margin=5))])
    loaded = A.from_dict(json.loads(json.dumps(A.to_dict(pipeline))))
    assert repr(loaded[0]) == repr(pipeline[0])
    assert type(loaded[0].transform) is recipe


@pytest.mark.parametrize(
    "transform",
    [
        AnatPasteTransform(segmenter=len),
        AnatPasteTransform(segmenter=LungSegmenter(min_size=9)),
        FPITransform(donors=torch.zeros(2, 1, 72, 64)),
    ],
)
def test_settings_that_cannot_be_serialized_are_an_error(transform):
    with raises(NotImplementedError, "can't be serialized with your own segmenter, donors or subclass"):
        A.to_dict(A.Compose([AlbumentationsPaste(transform)]))


def test_the_target_is_written_and_united():
    """Tolerance: 1e-6."""
    earlier = np.full((72, 64), 0.5, np.float32)
    alone = seeded(AlbumentationsPaste(writes="target"))(image=image(), mask=0 * earlier)["mask"]
    both = seeded(AlbumentationsPaste(writes="target"))(image=image(), mask=earlier)["mask"]
    assert np.array_equal(alone > 0, expected(image(), 3)[1])
    assert ((alone > 0) & (alone < 1)).any()
    np.testing.assert_allclose(both, 1 - (1 - alone) / 2, rtol=0, atol=1e-6)
    above = seeded(AlbumentationsPaste(writes=0.3))(image=image(), mask=empty())["mask"]
    assert np.array_equal(above, alone > 0.3)
    with raises(ValueError, "writes='target' needs a floating-point mask", "got torch.uint8"):
        AlbumentationsPaste(writes="target")(image=image(), mask=empty())


def test_repr_shows_the_transform():
    transform = AnatPasteTransform(**SETTINGS)
    text = repr(AlbumentationsPaste(transform))
    assert text == f"AlbumentationsPaste({transform!r}, anomaly_target='mask', region_target=None, writes='anomaly')"


# errors


def test_the_probability_is_set_in_the_transform():
    with raises(ValueError, "p must be 1, got 0.5", "AnatPasteTransform(p=0.5)"):
        AlbumentationsPaste(p=0.5)


def test_an_unknown_recipe_in_a_file():
    with raises(ValueError, "unknown recipe 'Nothing'"):
        AlbumentationsPaste({"Nothing": {}})


@pytest.mark.parametrize(
    ("given", "kind", "parts"),
    [
        ({"image": torch.zeros(64, 64)}, TypeError, ("numpy.ndarray, got Tensor",)),
        ({"image": np.zeros((3, 64, 64))}, ValueError, ("got (3, 64, 64)", "numpy.moveaxis")),
        ({"image": np.zeros((2, 64, 64, 3))}, ValueError, ("(H, W) or (H, W, C)", "got (2, 64, 64, 3)")),
        ({"image": np.zeros((64, 64), np.int16)}, TypeError, ("got int16", "scale other integers")),
        ({"image": np.full((64, 64), 200.0)}, ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
        ({"images": np.zeros((2, 64, 64))}, ValueError, ("needs image=", "['images']", "one at a time")),
        ({"image": image(), "mask": np.zeros((64, 64), bool)}, ValueError, ("'mask'", "(72, 64)", "got (64, 64)")),
        ({"image": image(), "mask": [[0]]}, TypeError, ("'mask' must be a numpy.ndarray, got list",)),
    ],
)
def test_a_wrong_target(given, kind, parts):
    with raises(kind, *parts):
        AlbumentationsPaste()(**given)


def test_a_wrong_region_target():
    for given, part in (({}, "needs the region mask lungs="), ({"lungs": np.zeros((9, 9), bool)}, "got (9, 9)")):
        with raises(ValueError, part):
            AlbumentationsPaste(region_target="lungs")(image=image(), **given)
