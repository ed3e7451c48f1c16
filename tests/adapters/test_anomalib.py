import re

import pytest
import torch
from helpers.batches import raises
from helpers.oracles import smooth_images
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import (
    AnatPasteTransform,
    AnomalyMask,
    LungSegmenter,
    RegionMask,
)
from anatpaste_aug.adapters.anomalib import AnomalibPaste, AnomalibPasteAugmentation

pytest.importorskip("anomalib", reason='needs host: pip install "anatpaste_aug[hosts]"')

from anomalib.data import Folder
from anomalib.data.utils.generators.perlin import PerlinAnomalyGenerator
from anomalib.engine import Engine
from anomalib.models import Draem, Dsr
from anomalib.models.image.draem.torch_model import (
    DiscriminativeSubNetwork,
    ReconstructiveSubNetwork,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # anomalib's and Lightning's advice about loaders and loggers


def images(count=4, channels=3):
    return smooth_images(count, 64, 64, channels).float() / 255


@pytest.fixture
def folder(tmp_path):
    """A folder of normal and abnormal pictures with masks, as anomalib's Folder reads it."""
    pictures = smooth_images(4, 64, 64)
    for kind, mask in (("normal", None), ("abnormal", "masks")):
        for i, picture in enumerate(pictures):
            path = tmp_path / kind / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            v2.functional.to_pil_image(picture).save(path)
            if mask:
                marked = torch.zeros(1, 64, 64, dtype=torch.uint8)
                marked[:, :5, :5] = 255
                (tmp_path / mask).mkdir(exist_ok=True)
                v2.functional.to_pil_image(marked).save(tmp_path / mask / f"{i}.png")
    return tmp_path


def data(folder, **settings):
    settings = {"mask_dir": "masks", "train_batch_size": 2, "eval_batch_size": 2, "num_workers": 0} | settings
    return Folder(name="chest", root=folder, normal_dir="normal", abnormal_dir="abnormal", **settings)


def fit(model, folder, **settings):
    """One real training step, and the generator's last call."""
    calls = []
    for part in model.children():
        if isinstance(part, AnomalibPaste):
            part.register_forward_hook(lambda module, inputs, outputs: calls.append((inputs[0], *outputs)))
    engine = Engine(fast_dev_run=True, accelerator="cpu", default_root_dir=folder, enable_progress_bar=False)
    engine.fit(model, datamodule=data(folder, **settings))
    return calls


# the generator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", [{"p": 1}, {"p": 0.5}, {"p": 1, "blur": False, "segmentation": False}])
def test_a_batch_gets_the_pixels_of_the_transform(channels, settings):
    torch.manual_seed(0)
    augmented, mask = AnomalibPaste(AnatPasteTransform(**settings))(images(channels=channels))
    torch.manual_seed(0)
    result = AnatPasteTransform(**settings).augment(images(channels=channels))
    assert torch.equal(augmented, result.image)
    assert torch.equal(mask, (result.target > 0.05).float())


def test_the_ground_truth_can_be_chosen():
    torch.manual_seed(0)
    result = AnatPasteTransform().augment(images())
    for writes, expected in (("anomaly", result.anomaly_mask.float()), ("target", result.target)):
        torch.manual_seed(0)
        assert torch.equal(AnomalibPaste(writes=writes)(images())[1], expected)
    assert result.anomaly_mask.sum() > (result.target > 0.05).sum() > 0


def test_one_image_is_a_batch_of_one():
    torch.manual_seed(0)
    augmented, mask = AnomalibPaste(AnatPasteTransform(p=1))(images()[0])
    torch.manual_seed(0)
    batch = AnomalibPaste(AnatPasteTransform(p=1))(images()[:1])
    assert torch.equal(augmented, batch[0][0])
    assert torch.equal(mask, batch[1][0])


@pytest.mark.parametrize("shape", [(3, 64, 64), (4, 3, 64, 64)])
def test_the_result_has_the_form_of_anomalibs_own_generator(shape):
    ours, theirs = (generator(torch.rand(shape)) for generator in (AnomalibPaste(), PerlinAnomalyGenerator()))
    assert [(part.shape, part.dtype) for part in ours] == [(part.shape, part.dtype) for part in theirs]
    assert set(ours[1].unique().tolist()) <= {0.0, 1.0}


def test_the_batch_is_not_modified():
    clean = images()
    AnomalibPaste(AnatPasteTransform(p=1))(clean)
    assert torch.equal(clean, images())


@pytest.mark.parametrize(
    ("wrong", "kind", "parts"),
    [
        ("image", TypeError, ("must be a float tensor in [0, 1]", "got str")),
        (torch.zeros(3, 64, 64, dtype=torch.uint8), TypeError, ("got torch.uint8", "images / 255")),
        (torch.zeros(64, 64), ValueError, ("(C, H, W) or (B, C, H, W)", "got (64, 64)")),
        (torch.zeros(2, 64, 64, 3), ValueError, ("got (2, 64, 64, 3)", "permute")),
        (images() * 4 - 2, ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
    ],
)
def test_a_wrong_batch(wrong, kind, parts):
    with raises(kind, *parts):
        AnomalibPaste()(wrong)


# real training steps


def small_draem(folder):
    """DRAEM with fewer channels; the model has no parameter for it."""
    model = Draem(dtd_dir=folder, pre_processor=Draem.configure_pre_processor((64, 64)))
    model.model.reconstructive_subnetwork = ReconstructiveSubNetwork(base_width=8)
    model.model.discriminative_subnetwork = DiscriminativeSubNetwork(in_channels=6, out_channels=2, base_width=8)
    return model


def test_draem_trains_on_it(folder):
    model = small_draem(folder)
    model.augmenter = AnomalibPaste(AnatPasteTransform(p=1))
    before = [weights.clone() for weights in model.parameters()]
    ((clean, augmented, mask),) = fit(model, folder)
    assert clean.shape == augmented.shape == (2, 3, 64, 64)
    assert mask.shape == (2, 1, 64, 64)
    assert (clean != augmented)[mask.expand_as(clean) > 0].any()
    assert mask.unique().tolist() == [0, 1]
    assert all(weights.isfinite().all() for weights in model.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_dsr_trains_its_upsampling_on_it(folder, monkeypatch):
    """The discrete model starts from a file of untrained weights, in place of the download."""
    model = Dsr(upsampling_train_ratio=0.0, pre_processor=Dsr.configure_pre_processor((64, 64)))
    weights = folder / "discrete.pckl"
    torch.save(model.model.discrete_latent_model.state_dict(), weights)
    monkeypatch.setattr(model, "prepare_pretrained_model", lambda: weights)
    model.perlin_generator = AnomalibPaste(AnatPasteTransform(p=1))
    before = [part.clone() for part in model.model.upsampling_module.parameters()]
    ((clean, augmented, mask),) = fit(model, folder)
    assert (clean != augmented)[mask.expand_as(clean) > 0].any()
    assert mask.unique().tolist() == [0, 1]
    after = list(model.model.upsampling_module.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


# in a data module


def first_items(folder, augmentation):
    """The first training item with an augmentation and without it."""
    items = []
    for train_augmentations in (augmentation, None):
        module = data(folder, train_augmentations=train_augmentations)
        module.setup()
        items.append(module.train_data[0])
    return items


def test_the_augmentation_of_a_data_module_writes_gt_mask(folder):
    item, plain = first_items(folder, AnomalibPasteAugmentation(writes="anomaly"))
    changed = (item.image != plain.image).any(0)
    assert changed.any()
    assert not (changed & (item.gt_mask == 0)).any()
    assert item.gt_mask.dtype == plain.gt_mask.dtype
    assert item.gt_mask.shape == plain.gt_mask.shape == (64, 64)
    assert item.gt_label == plain.gt_label == 0


def test_the_plain_transform_leaves_gt_mask_alone(folder):
    item, plain = first_items(folder, v2.Compose([AnatPasteTransform(), v2.RandomHorizontalFlip(0)]))
    assert (item.image != plain.image).any()
    assert not item.gt_mask.any()


def test_the_augmentation_works_without_masks(folder):
    module = data(folder, mask_dir=None, train_augmentations=AnomalibPasteAugmentation(writes="anomaly"))
    module.setup()
    item = module.train_data[0]
    assert item.gt_mask is None
    assert item.image.shape == (3, 64, 64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_gt_mask_keeps_its_pixels(order, dtype):
    marked = tv_tensors.Mask(torch.zeros(64, 64, dtype=dtype))
    marked[:5, :5] = 1
    kept = marked.clone()
    sample = [tv_tensors.Image(images()[0]), marked]
    torch.manual_seed(0)
    result = AnomalibPasteAugmentation(writes="anomaly")(*(sample[i] for i in order))
    image, mask = (result[order.index(i)] for i in range(2))
    torch.manual_seed(0)
    expected = AnatPasteTransform().augment(images()[:1])
    assert torch.equal(image, expected.image[0])
    assert type(mask) is tv_tensors.Mask
    assert mask.dtype == dtype
    assert torch.equal(mask != 0, expected.anomaly_mask[0, 0] | (kept != 0))
    assert torch.equal(marked, kept)


def test_the_masks_of_this_package_keep_their_meaning():
    lungs = RegionMask(LungSegmenter()(images()[:1])[0, 0])
    torch.manual_seed(0)
    image, anomaly, passed = AnomalibPasteAugmentation(writes="anomaly")(
        tv_tensors.Image(images()[0]), AnomalyMask(torch.zeros(64, 64, dtype=torch.bool)), lungs
    )
    torch.manual_seed(0)
    expected = AnatPasteTransform().augment(images()[:1])
    assert torch.equal(image, expected.image[0])
    assert torch.equal(anomaly, expected.anomaly_mask[0, 0])
    assert passed is lungs


def test_a_gt_mask_of_another_size():
    with raises(ValueError, "has shape (32, 64), which does not match"):
        AnomalibPasteAugmentation(writes="anomaly")(tv_tensors.Image(images()[0]), tv_tensors.Mask(torch.zeros(32, 64)))


# as a whole


def test_the_adapter_itself_does_not_need_the_host(import_without):
    assert import_without("anomalib", "anomalib").AnomalibPaste()


def test_the_example_trains(run_example, monkeypatch):
    monkeypatch.setattr("anomalib.models.Draem", SmallDraem)
    line = run_example("anomalib_draem", count=8).splitlines()[-1]
    assert re.fullmatch(r"DRAEM trained for \d steps with AnatPaste anomalies: loss \d+\.\d{3}", line)


class SmallDraem(Draem):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.model = small_draem(settings["dtd_dir"]).model
