"""The blocks of code for each host, run from the text that shows them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from batches import batch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms.v2.functional import to_pil_image

TEXT = Path(__file__).parents[2] / "README.md"
SECTION = "## In whatever you train with"
NEEDS = {"timm": "timm", "anomalib": "anomalib", "Lightning": "lightning", "MONAI": "monai"} | {
    "albumentations": "albumentations",
    "kornia": "kornia",
}


def blocks():
    """(heading, code) of every block of Python in the section."""
    section = TEXT.read_text(encoding="utf-8").split(SECTION, 1)[1].split("\n## ", 1)[0]
    for part in section.split("\n### ")[1:]:
        heading = part.split("\n", 1)[0]
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", part, flags=re.DOTALL)):
            yield f"{heading}, {number}" if number else heading, code


BLOCKS = dict(blocks())


class Pictures(torch.utils.data.Dataset):
    """``(PIL image, label)`` as an ``ImageFolder`` gives them."""

    transform = None

    def __len__(self):
        return 8

    def __getitem__(self, index):
        picture = to_pil_image(batch(8, 3, size=(64, 64))[index])
        return (picture if self.transform is None else self.transform(picture)), index % 2


class Net(nn.Module):
    """Two outputs for images of any size and number of channels."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 2)

    def forward(self, images):
        return self.head(nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 4).flatten(1))


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the text says that a block is given."""
    monkeypatch.chdir(tmp_path)  # trainers write logs
    pictures = [to_pil_image(image) for image in batch(4, size=(64, 64))]
    for kind in ("normal", "abnormal"):
        (tmp_path / "root" / kind).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / "root" / kind / f"{number}.png")
    return {
        "images": batch(6, dtype=torch.float32, size=(64, 64)),
        "labels": torch.tensor([0, 0, 0, 1, 0, 0]),
        "picture": pictures[0],
        "array": np.asarray(pictures[0]),
        "path": str(tmp_path / "root" / "normal" / "0.png"),
        "dataset": Pictures(),
        "root": tmp_path / "root",
        "net": Net(),
        "__name__": "block",
    }


def of_size(*shape):
    return lambda names: names["image"].shape == shape and names["anomaly_mask"].shape[-2:] == shape[-2:]


def with_a_mask(names):
    changed = np.asarray(names["augmented"]) != np.asarray(names.get("array", names["images"]))
    return not (changed & ~(np.asarray(names["anomaly_mask"]) > 0)).any()


def loads(names):
    """The loader's batches hold what AnatPaste changed: they differ from those without it."""
    torch.manual_seed(0)
    inputs, _ = next(iter(names["loader"]))
    return inputs.shape == (8, 3, 224, 224) and bool(inputs.isfinite().all())


SHOWS = {
    "One-class training": lambda names: names["masks"].shape == (12, 1, 64, 64) and names["loss"].isfinite(),
    "torchvision v2": lambda names: names["image"].shape == (1, 256, 256) and names["image"].dtype == torch.float32,
    "Pairs in a loader": lambda names: names["batch"].images.shape == (16, 3, 256, 256) and len(names["labels"]) == 8,
    "kornia": lambda names: names["lungs"].any() and names["anomaly_mask"].shape == (6, 1, 64, 64),
    "timm's loader": loads,
    "timm's loader, 1": loads,
    "timm's training loop": lambda names: names["target"].tolist()[:6] == [0, 0, 0, 1, 0, 0],
    "anomalib": lambda names: names["model"].augmenter.transform.config.p == 0.5,
    "Lightning": lambda names: issubclass(names["Model"], nn.Module),
    "MONAI": of_size(1, 64, 64),
    "albumentations": of_size(64, 64),
    "NumPy": with_a_mask,
    "CutPaste": lambda names: names["label"].tolist() == [1] * 6 and names["anomaly_mask"].any(),
}


def plain(heading):
    """A heading without the version tested."""
    return re.sub(r" \([^)]*\)", "", heading).replace(", and from any CutPaste code", "")


def test_every_block_is_known():
    assert {plain(heading) for heading in BLOCKS} == set(SHOWS)


@pytest.mark.filterwarnings("ignore")  # the hosts' advice about loaders, loggers and workers
@pytest.mark.parametrize(
    "heading", [pytest.param(name, marks=pytest.mark.slow if name.startswith("anomalib") else ()) for name in BLOCKS]
)
def test_the_block_runs_as_it_stands(heading, names, monkeypatch):
    for word, module in NEEDS.items():
        if heading.startswith(word):
            pytest.importorskip(module, reason=f"needs {module}")
    if heading.startswith("anomalib"):
        one_step_of_training(monkeypatch)
    exec(compile(BLOCKS[heading], heading, "exec"), names)
    assert SHOWS[plain(heading)](names)


def one_step_of_training(monkeypatch):
    """anomalib's engine takes one step on two images of 64 px."""
    import anomalib.engine

    class Engine(anomalib.engine.Engine):
        def __init__(self, **settings):
            settings |= {"fast_dev_run": True, "accelerator": "cpu", "enable_progress_bar": False}
            super().__init__(**settings)

        def fit(self, model, datamodule):
            model.pre_processor = type(model).configure_pre_processor((64, 64))
            datamodule.num_workers, datamodule.train_batch_size, datamodule.eval_batch_size = 0, 2, 2
            super().fit(model, datamodule=datamodule)
            assert model.trainer.global_step == 1

    monkeypatch.setattr(anomalib.engine, "Engine", Engine)


@pytest.mark.filterwarnings("ignore")
def test_timm_augments_in_both_places(names):
    """The same loader without AnatPaste gives other pixels, and the same ones without its prefetcher and transform."""
    timm_data = pytest.importorskip("timm.data", reason="needs timm")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    from anatpaste_aug import AnatPasteTransform
    from anatpaste_aug.adapters.timm import TimmPasteErasing

    erasing = TimmPasteErasing(AnatPasteTransform(p=1.0, mean=mean, std=std))
    settings = {"is_training": True, "no_aug": True, "mean": mean, "std": std, "num_workers": 0} | {
        "persistent_workers": False,
        "device": torch.device("cpu"),
    }

    def first(augmented, **more):
        dataset = Pictures()
        loader = timm_data.create_loader(dataset, (3, 64, 64), 8, **settings, **more)
        if more and augmented:
            dataset.transform.transforms.append(erasing)
        elif not more:
            loader.random_erasing = erasing if augmented else None
        else:
            loader.random_erasing = erasing  # which nothing calls
        assert isinstance(loader, DataLoader) == bool(more)
        torch.manual_seed(0)
        return next(iter(loader))[0]

    assert not torch.equal(first(True), first(False))
    assert not torch.equal(first(True, use_prefetcher=False), first(False, use_prefetcher=False))
