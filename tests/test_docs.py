"""The Python blocks of the README and of the pages in docs run as they are, and so does the notebook."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.v2.functional import to_pil_image

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection import PRESETS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


PAGES = [
    page for page in ["README.md", *(f"docs/{path.name}" for path in sorted(DOCS.glob("*.md")))] if blocks(read(page))
]
PAGES.remove("docs/hosts.md")  # whose blocks do not follow one another
HOSTS = {
    re.sub(r" \(.*", "", section.partition("\n")[0]): blocks(section)
    for section in read("docs/hosts.md").split("\n## ")[1:]
    if blocks(section)
}
"""Heading -> the blocks below it."""

NEEDS = {name: name.lower() for name in ("kornia", "timm", "anomalib", "Lightning", "MONAI", "albumentations")}


class Pictures(torch.utils.data.Dataset):
    """``(PIL image, label)`` as an ``ImageFolder`` gives them."""

    transform = None

    def __len__(self):
        return 8

    def __getitem__(self, index):
        picture = to_pil_image(phantom_batch(8, size=64).images[index].expand(3, -1, -1))
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
    """The variables that the pages provide for their blocks."""
    monkeypatch.chdir(tmp_path)  # blocks write files
    monkeypatch.setitem(PRESETS, "fast", PRESETS["fast"] | {"batch_size": 1, "updates": 2, "backbone": "test_byobnet"})
    images = phantom_batch(6, size=64).images
    pictures = [to_pil_image(image) for image in images[:4]]
    for kind in ("normal", "abnormal"):
        (tmp_path / "root" / kind).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / "root" / kind / f"{number}.png")
    return {
        "images": images / 255,
        "labels": torch.tensor([0, 0, 0, 1, 0, 0]),
        "picture": pictures[0],
        "array": np.asarray(pictures[0]),
        "path": str(tmp_path / "root" / "normal" / "0.png"),
        "dataset": Pictures(),
        "root": tmp_path / "root",
        **{f"{kind}_paths": sorted((tmp_path / "root" / kind).iterdir()) for kind in ("normal", "abnormal")},
        "net": Net(),
        "model": nn.Conv2d(1, 1, 1),
        "__name__": "block",
    }


def run(code, names, where):
    exec(compile(code, where, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_one_after_the_other(page, names):
    if "inspection" in "".join(blocks(read(page))):
        pytest.importorskip("matplotlib", reason="needs matplotlib")
    for block in blocks(read(page)):
        run(block, names, page)


def of_size(*shape):
    return lambda names: names["image"].shape == shape and names["anomaly_mask"].shape[-2:] == shape[-2:]


def with_a_mask(names):
    changed = np.asarray(names["augmented"]) != np.asarray(names["array"])
    return changed.any() and not (changed & ~(np.asarray(names["anomaly_mask"]) > 0)).any()


def loads(names):
    torch.manual_seed(0)
    inputs, _ = next(iter(names["loader"]))
    return inputs.shape == (8, 3, 224, 224) and bool(inputs.isfinite().all())


SHOWS = {
    "One-class training": lambda names: names["masks"].shape == (12, 1, 64, 64) and names["loss"].isfinite(),
    "torchvision v2": lambda names: names["image"].shape == (1, 256, 256) and names["image"].dtype == torch.float32,
    "Pairs in a loader": lambda names: names["batch"].images.shape == (16, 3, 256, 256) and len(names["labels"]) == 8,
    "kornia": lambda names: names["lungs"].any() and names["anomaly_mask"].shape == (6, 1, 64, 64),
    "timm's loader": loads,
    "timm's training loop": lambda names: names["target"].tolist()[:6] == [0, 0, 0, 1, 0, 0],
    "anomalib": lambda names: names["model"].augmenter.transform.config.p == 0.5,
    "Lightning": lambda names: issubclass(names["Model"], nn.Module),
    "MONAI": of_size(1, 64, 64),
    "albumentations": of_size(64, 64),
    "NumPy": with_a_mask,
    "CutPaste": lambda names: names["label"].tolist() == [1] * 6 and names["anomaly_mask"].any(),
}
"""Heading -> whether a block did what the page says."""


@pytest.mark.filterwarnings("ignore")  # the hosts' advice about loaders, loggers and workers
@pytest.mark.parametrize(
    ("heading", "number"),
    [
        pytest.param(heading, number, marks=pytest.mark.slow if heading == "anomalib" else ())
        for heading, found in HOSTS.items()
        for number in range(len(found))
    ],
)
def test_the_block_of_a_host_runs_as_it_stands(heading, number, names, monkeypatch):
    for word, module in NEEDS.items():
        if heading.startswith(word):
            pytest.importorskip(module, reason=f"needs {module}")
    if heading == "anomalib":
        one_step_of_training(monkeypatch)
    run(HOSTS[heading][number], names, heading)
    assert SHOWS[heading](names)


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


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    """In a kernel of its own; a cell that fails is an error."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(output.get("data", {}).get("image/png") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.slow
def test_the_script_draws_the_pictures_of_the_pages(tmp_path):
    """Tolerance: the fonts and the margins may differ; 2 rows or columns, 10 % of the pixels."""
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install "anatpaste_aug[examples]"')
    runpy.run_path(str(DOCS / "draw_pictures.py"))["main"](tmp_path)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in (DOCS / "pictures").iterdir())
    for name in drawn:
        ours, kept = (np.asarray(Image.open(folder / name).convert("L")) for folder in (tmp_path, DOCS / "pictures"))
        assert np.abs(np.subtract(ours.shape, kept.shape)).max() <= 2
        height, width = np.minimum(ours.shape, kept.shape)
        assert (np.abs(ours[:height, :width].astype(int) - kept[:height, :width]) > 16).mean() < 0.1
