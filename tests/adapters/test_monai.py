import copy
import pickle

import numpy as np
import pytest
import torch
from helpers.batches import raises
from helpers.oracles import smooth_images

from anatpaste_aug import AnatPasteTransform, LungSegmenter

monai = pytest.importorskip("monai", reason='needs host: pip install "anatpaste_aug[hosts]"')

from monai.data import DataLoader, Dataset, MetaTensor  # noqa: E402
from monai.transforms import Compose, RandAffined, Resized  # noqa: E402
from monai.utils import set_determinism  # noqa: E402

from anatpaste_aug.adapters.monai import MonaiPaste, MonaiPasted  # noqa: E402

AFFINE = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0]))
KINDS = {
    "array": lambda image: image.numpy(),
    "tensor": lambda image: image,
    "meta": lambda image: MetaTensor(image, affine=AFFINE, meta={"filename_or_obj": "chest.png"}),
}


def image(channels=1, dtype=torch.float32, seed=0):
    """C×H×W."""
    picture = smooth_images(1, 72, 64, channels, seed)[0]
    return picture if dtype == torch.uint8 else (picture.float() / 255).to(dtype)


@pytest.fixture(autouse=True)
def keep_the_state():
    state = torch.get_rng_state(), torch.backends.cudnn.deterministic
    yield
    set_determinism(None)
    torch.set_rng_state(state[0])
    torch.backends.cudnn.deterministic = state[1]


def expected(picture, seed, **settings):
    """The result of `AnatPasteTransform` with the first number of MONAI's random state."""
    number = int(np.random.RandomState(seed).randint(2**32, dtype=np.uint32))
    generator = torch.Generator().manual_seed(number)
    return AnatPasteTransform(**settings).augment(picture[None], generator=generator)


def same_kind(ours, given):
    assert type(ours) is type(given)
    if isinstance(given, MetaTensor):
        assert torch.equal(ours.affine, given.affine)
        assert ours.meta["filename_or_obj"] == "chest.png"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_an_image_comes_back_as_it_was_given_with_the_pixels_of_the_transform(dtype, channels, kind):
    given = KINDS[kind](image(channels, dtype))
    result = MonaiPaste().set_random_state(4)(given)
    same_kind(result, given)
    assert result.dtype == given.dtype
    assert torch.equal(torch.as_tensor(result), expected(image(channels, dtype), 4).image[0])
    assert torch.equal(torch.as_tensor(given), image(channels, dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_sample_gets_the_anomaly_mask_under_its_own_key(dtype, kind):
    given = {"image": KINDS[kind](image(dtype=dtype)), "mask": object(), "label": 3}
    result = MonaiPasted("image", anomaly_mask_key="changed").set_random_state(4)(given)
    right = expected(image(dtype=dtype), 4)
    assert list(result) == ["image", "mask", "label", "changed"]
    assert list(given) == ["image", "mask", "label"]
    assert result["mask"] is given["mask"]
    assert result["label"] == 3
    same_kind(result["image"], given["image"])
    same_kind(result["changed"], given["image"])
    assert torch.equal(torch.as_tensor(result["image"]), right.image[0])
    assert torch.equal(torch.as_tensor(result["changed"]), right.anomaly_mask[0])
    assert torch.equal(torch.as_tensor(given["image"]), image(dtype=dtype))


def test_the_images_of_a_sample_share_numbers_and_lungs():
    given = {"a": image(), "b": image(3, torch.uint8, seed=1).numpy(), "c": "no image"}
    transform = MonaiPasted(("a", "b"), AnatPasteTransform(jitter=0)).set_random_state(4)
    result = transform(given)
    first = expected(image(), 4, jitter=0)
    second = AnatPasteTransform(jitter=0).augment(
        image(3, torch.uint8, seed=1)[None], first.region_mask, params=first.params
    )
    assert torch.equal(result["a"], first.image[0])
    assert np.array_equal(result["b"], second.image[0].numpy())
    assert isinstance(result["anomaly_mask"], torch.Tensor)


@pytest.mark.parametrize("wrap", [*KINDS.values(), lambda mask: mask[0], lambda mask: mask.int()])
def test_a_region_mask_takes_the_place_of_the_segmenter(wrap):
    def never(images):
        raise AssertionError("called in spite of a mask")

    lungs = wrap(LungSegmenter()(image()[None])[0])
    result = MonaiPasted("image", AnatPasteTransform(segmenter=never), region_mask_key="lungs").set_random_state(4)(
        {"image": image(), "lungs": lungs}
    )
    assert torch.equal(result["image"], expected(image(), 4).image[0])
    assert result["lungs"] is lungs
    array = MonaiPaste(AnatPasteTransform(segmenter=never)).set_random_state(4)(image(), lungs)
    assert torch.equal(array, result["image"])


def test_randomize_false_repeats_the_last_call():
    transform = MonaiPaste()
    first = transform(image())
    assert torch.equal(transform(image(), randomize=False), first)
    assert not torch.equal(transform(image()), first)


# determinism


def test_a_random_state_repeats_and_the_next_call_does_not():
    for transform in (MonaiPasted("image"), Compose([MonaiPasted("image")])):
        first, second = (transform.set_random_state(7)({"image": image()})["image"] for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.equal(transform({"image": image()})["image"], first)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_workers_and_epochs_differ_and_set_determinism_repeats_them(workers):
    def epochs():
        set_determinism(3)
        dataset = Dataset([{"image": image()}] * 8, Compose([MonaiPasted("image")]))
        loader = DataLoader(dataset, batch_size=2, num_workers=workers, timeout=60 if workers else 0)
        return torch.cat([batch["image"] for _ in range(2) for batch in loader])

    first = epochs()
    assert len({picture.numpy().tobytes() for picture in first}) == 16
    assert torch.equal(epochs(), first)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_a_copy_does_the_same(duplicate):
    transform = MonaiPasted("image", AnatPasteTransform(p=0.9)).set_random_state(1)
    transform({"image": image()})
    twin = duplicate(transform)
    assert torch.equal(twin({"image": image()})["image"], transform({"image": image()})["image"])


# in a pipeline


def test_the_mask_follows_the_image_through_spatial_transforms():
    """The mask covers exactly the difference from the same pipeline without AnatPaste."""
    keys = ["image", "anomaly_mask"]

    def run(prob):
        affine = RandAffined(keys, prob=1, rotate_range=0.5, mode="nearest", padding_mode="zeros")
        pipeline = Compose(
            [MonaiPasted("image", AnatPasteTransform(p=prob)), affine, Resized(keys, (40, 48), mode="nearest")]
        )
        return pipeline.set_random_state(2)({"image": MetaTensor(image(), affine=AFFINE)})

    pasted, plain = run(prob=1), run(prob=0)
    changed, mask = pasted["image"] != plain["image"], pasted["anomaly_mask"] != 0
    assert mask.shape == (1, 40, 48)
    assert not plain["anomaly_mask"].any()
    assert not (changed & ~mask).any()
    assert changed.sum() > 0.8 * mask.sum()  # a pasted pixel may happen to be equal


# errors


@pytest.mark.parametrize(
    ("given", "kind", "parts"),
    [
        ("chest.png", TypeError, ("numpy.ndarray, torch.Tensor or MetaTensor, got str",)),
        (torch.zeros(64, 64), ValueError, ("channel-first", "got (64, 64)", "EnsureChannelFirst")),
        (np.zeros((64, 64, 3)), ValueError, ("got (64, 64, 3)", "EnsureChannelFirst")),
        (torch.zeros(1, 64, 64, 64), ValueError, ("got (1, 64, 64, 64)", "one slice at a time")),
        (torch.zeros(1, 64, 64, dtype=torch.int16), TypeError, ("got torch.int16", "scale other integers")),
        (torch.full((1, 64, 64), 200.0), ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
    ],
)
def test_a_wrong_image(given, kind, parts):
    with raises(kind, *parts):
        MonaiPaste()(given)
    with raises(kind, *parts):
        MonaiPasted("image")({"image": given})


@pytest.mark.parametrize(
    ("sample", "kind", "parts"),
    [
        ({"picture": 3}, KeyError, ("image",)),
        ({"image": image(), "anomaly_mask": 1}, TypeError, ("'anomaly_mask' must be a tensor", "set anomaly_mask_key")),
        ({"image": image(), "anomaly_mask": torch.zeros(2)}, ValueError, ("(1, 72, 64)", "set anomaly_mask_key")),
        ({"image": image()}, KeyError, ("no region mask 'lungs'", "['image']")),
        ({"image": image(), "lungs": torch.zeros(1, 64, 64) > 0}, ValueError, ("region_mask", "got (1, 1, 64, 64)")),
        ({"image": image(), "lungs": torch.zeros(1, 72, 64)}, TypeError, ("boolean or integer", "mask > 0.5")),
    ],
)
def test_a_wrong_sample(sample, kind, parts):
    with raises(kind, *parts):
        MonaiPasted("image", region_mask_key="lungs")(sample)


def test_images_of_different_size():
    with raises(ValueError, "must have the same size", "(1, 32, 64)"):
        MonaiPasted(["a", "b"])({"a": image(), "b": torch.zeros(1, 32, 64)})


def test_missing_keys_can_be_allowed():
    transform = MonaiPasted(["image", "other"], region_mask_key="lungs", allow_missing_keys=True)
    assert "anomaly_mask" in transform({"image": image()})
    assert transform({"label": 1}) == {"label": 1}


def test_something_else_as_a_transform_or_a_mask():
    with raises(TypeError, "transform must be a transform of this package", "got 0.5"):
        MonaiPasted("image", 0.5)
    with raises(ValueError, "writes must be 'anomaly', 'target' or a threshold", "got 'all'"):
        MonaiPasted("image", writes="all")


def test_the_target_is_written_and_united():
    """Tolerance: 1e-6."""
    sample = {"image": image()}
    result = MonaiPasted("image", writes="target").set_random_state(4)(sample)
    target = expected(image(), 4).target[0]
    assert torch.equal(result["anomaly_mask"], target)
    earlier = torch.full((1, 72, 64), 0.5)
    result = MonaiPasted("image", writes="target").set_random_state(4)(sample | {"anomaly_mask": earlier})
    torch.testing.assert_close(result["anomaly_mask"], 1 - (1 - target) / 2, rtol=0, atol=1e-6)
    with raises(ValueError, "writes='target' needs a floating-point mask", "got torch.uint8"):
        MonaiPasted("image", writes="target")(sample | {"anomaly_mask": earlier.byte()})


def test_repr_shows_the_transform():
    transform = AnatPasteTransform(p=0.25, blur=False)
    assert repr(MonaiPaste(transform)) == f"MonaiPaste({transform!r})"
    assert repr(MonaiPasted("image", transform)).startswith(f"MonaiPasted(('image',), {transform!r}, anomaly_mask_key=")


def test_augment_before_any_number_is_drawn():
    with raises(RuntimeError, "randomize()"):
        MonaiPaste().augment(image())
