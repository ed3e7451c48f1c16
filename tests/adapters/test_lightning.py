import pytest
import torch
from helpers.batches import raises
from helpers.guards import all_on_device, on_device
from helpers.oracles import smooth_images
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform, LungSegmenter

pytest.importorskip("lightning", reason='needs host: pip install "anatpaste_aug[hosts]"')

from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything

from anatpaste_aug.adapters.lightning import LightningPasteMixin


def images(count=4, channels=1):
    return smooth_images(count, 72, 64, channels).float() / 255


class Watching(LightningModule):
    """Records the batches of its steps, and trains on them."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.seen = {"training": [], "validation": []}

    def training_step(self, batch, batch_idx):
        self.seen["training"].append(batch)
        augmented = batch["image"] if isinstance(batch, dict) else batch[0]
        mask = batch["anomaly_mask"] if isinstance(batch, dict) else batch[-1]
        return torch.nn.functional.binary_cross_entropy_with_logits(self.net(augmented), mask.float())

    def validation_step(self, batch, batch_idx):
        self.seen["validation"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Module(LightningPasteMixin, Watching):
    def __init__(self, **settings):
        super().__init__()
        self.paste = AnatPasteTransform(**settings)


class MixinLast(Watching, LightningPasteMixin):
    def __init__(self):
        super().__init__()
        self.paste = AnatPasteTransform()


class Data(LightningDataModule):
    def __init__(self, samples):
        super().__init__()
        self.samples = samples

    def train_dataloader(self):
        return DataLoader(self.samples, batch_size=4)

    def val_dataloader(self):
        return DataLoader(self.samples, batch_size=4)


class AugmentingData(LightningPasteMixin, Data):
    def __init__(self, samples):
        super().__init__(samples)
        self.paste = AnatPasteTransform()


def fit(model, data, **settings):
    seed_everything(0)
    trainer = Trainer(fast_dev_run=True, accelerator="cpu", enable_progress_bar=False, **settings)
    trainer.fit(model, datamodule=data) if isinstance(data, LightningDataModule) else trainer.fit(model, *data)
    return model.seen


def loaders(samples):
    return [DataLoader(samples, batch_size=4)] * 2


def called(batch, model=None, **settings):
    model = model or Module(**settings)
    torch.manual_seed(0)
    return model.augment_batch(batch)


def expected(**settings):
    torch.manual_seed(0)
    return AnatPasteTransform(**settings).augment(images())


# a real training step


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [Module, MixinLast])
def test_only_training_batches_are_augmented(make):
    model = make()
    before = model.net.weight.clone()
    seen = fit(model, loaders(list(images())))
    (augmented, mask), validation = seen["training"][0], seen["validation"][0]
    assert torch.equal(validation, images())
    assert ((augmented != images()) <= mask).all()
    assert mask.flatten(1).any(1).all()
    assert not torch.equal(model.net.weight, before)


@pytest.mark.filterwarnings("ignore")
def test_a_data_module_augments_for_any_model():
    samples = [{"image": picture, "label": i} for i, picture in enumerate(images())]
    seen = fit(Watching(), AugmentingData(samples))
    batch, validation = seen["training"][0], seen["validation"][0]
    assert list(validation) == ["image", "label"]
    assert list(batch) == ["image", "label", "anomaly_mask"]
    assert ((batch["image"] != images()) <= batch["anomaly_mask"]).all()
    assert batch["anomaly_mask"].any()


# the kinds of batches


@pytest.mark.parametrize("kind", [tuple, list])
def test_the_mask_comes_last(kind):
    labels, names = torch.arange(4), ["a", "b", "c", "d"]
    batch = kind([images(), labels, names])
    result = called(batch)
    assert type(result) is kind
    assert len(result) == 4
    assert len(batch) == 3
    assert torch.equal(result[0], expected().image)
    assert result[1] is labels
    assert result[2] is names
    assert torch.equal(result[3], expected().anomaly_mask)


def test_a_dictionary_gets_a_key():
    batch = {"image": images(), "label": torch.arange(4)}
    result = called(batch)
    assert list(batch) == ["image", "label"]
    assert torch.equal(batch["image"], images())
    assert torch.equal(result["image"], expected().image)
    assert torch.equal(result["anomaly_mask"], expected().anomaly_mask)
    assert result["label"] is batch["label"]


def test_the_target_is_written_where_the_class_says_so():
    class WithTarget(Module):
        writes = "target"

    assert torch.equal(called(images(), WithTarget())[1], expected().target)
    earlier = {"image": images(), "anomaly_mask": torch.zeros(4, 1, 72, 64, dtype=torch.uint8)}
    with raises(ValueError, "writes='target' needs a floating-point mask", "got torch.uint8"):
        WithTarget().augment_batch(earlier)


def test_the_keys_of_a_dictionary_are_free():
    class Renamed(Module):
        image_key, anomaly_mask_key, region_mask_key = "x", "y", "lungs"

    def never(images):
        raise AssertionError("called in spite of a mask")

    result = called({"x": images(), "lungs": LungSegmenter()(images())}, Renamed(segmenter=never))
    assert torch.equal(result["x"], expected().image)
    assert torch.equal(result["y"], expected().anomaly_mask)


@pytest.mark.usefixtures("guarded")
def test_nothing_waits_for_an_accelerator():
    result = Module().augment_batch({"image": on_device(), "region_mask": on_device() > 0})
    assert all_on_device([result, Module().augment_batch(on_device())])


# errors


@pytest.mark.parametrize(
    ("batch", "kind", "parts"),
    [
        ("images", TypeError, ("a tensor of images, a tuple or list", "got str", "override augment_batch")),
        ([], TypeError, ("got a list of nothing",)),
        (("a", images()), TypeError, ("got a tuple of str, Tensor", "self.paste.augment")),
        ({"x": images()}, KeyError, ("no 'image' in a batch with the keys ['x']", "set image_key")),
        (
            {"image": images(), "anomaly_mask": 0},
            TypeError,
            ("'anomaly_mask' must be a tensor", "set anomaly_mask_key"),
        ),
        ({"image": images(), "anomaly_mask": torch.zeros(4)}, ValueError, ("(4, 1, 72, 64)", "set anomaly_mask_key")),
        ({"image": "a"}, TypeError, ("images must be a torch.Tensor", "got str")),
        ({"image": images(), "region_mask": torch.zeros(4, 8, 8) > 0}, ValueError, ("region_mask must have shape",)),
        (images()[0], ValueError, ("got (1, 72, 64)", "unsqueeze")),
        (images().permute(0, 2, 3, 1), ValueError, ("got (4, 72, 64, 1)", "permute")),
        (images() * 4 - 2, ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
    ],
)
def test_a_wrong_batch(batch, kind, parts):
    with raises(kind, *parts):
        Module().augment_batch(batch)


@pytest.mark.parametrize("base", [LightningModule, LightningDataModule])
def test_a_forgotten_transform(base):
    class Forgetful(LightningPasteMixin, base):
        pass

    with raises(TypeError, "Forgetful.paste must be", "self.paste = AnatPasteTransform() in __init__"):
        Forgetful().augment_batch(images())
