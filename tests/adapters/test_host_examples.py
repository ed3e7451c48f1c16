"""The examples and docstrings of the adapters, and their errors without the host."""

import doctest
import importlib
import re

import pytest

HOSTS = ("albumentations", "lightning", "monai")  # an adapter of these cannot be imported without its host


@pytest.mark.filterwarnings("ignore")  # Lightning's advice about loaders and loggers
@pytest.mark.parametrize(
    ("name", "smaller", "printed"),
    [
        (
            "kornia_pipeline",
            {},
            r"\d of 8 images got an anomaly.*\n(image \d: .* of its pixels, after the affine transform\n)+"
            r"the same parameters repeat the batch bit for bit: True\nthe lungs were found in 8 of 8 images\n",
        ),
        (
            "timm_loader",
            {},
            r"(step \d: 8 normal, 8 anomalous, loss .*\n){4}TimmPasteErasing changed \d+ of 32 images\n",
        ),
        ("albumentations_pipeline", {}, r"(.*replayed bit for bit: True\n){6}"),
        (
            "lightning_module",
            {"count": 8, "epochs": 1},
            r"(.*\n)*1 steps: loss \d\.\d{3}, \d+\.\d% of the pixels anomalous\n",
        ),
        ("monai_pipeline", {"count": 4, "epochs": 2}, r"(epoch \d: Dice loss 0\.\d+, \d+\.\d% anomalous\n){2}"),
        ("numpy_dataset", {}, r"(.* with an anomaly.*\n){2}"),
    ],
)
def test_the_example_prints_what_it_did(name, smaller, printed, run_example):
    if (host := name.partition("_")[0]) in HOSTS:
        pytest.importorskip(host)
    assert re.fullmatch(printed, run_example(name, **smaller))


@pytest.mark.parametrize("host", HOSTS)
def test_the_docstrings_of_an_adapter(host):
    pytest.importorskip(host)
    failed, attempted = doctest.testmod(importlib.import_module(f"anatpaste_aug.adapters.{host}"))
    assert attempted
    assert not failed


@pytest.mark.parametrize("host", HOSTS)
def test_a_missing_host_names_the_extra(host, import_without):
    pytest.importorskip(host)
    with pytest.raises(ImportError, match=re.escape(f'pip install "anatpaste_aug[{host}]"')):
        import_without(host, host)
