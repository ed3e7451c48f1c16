"""The short example of each host, run as a user runs it."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "kornia_pipeline",
            [
                "of 8 images got an anomaly",
                "of its pixels, after the affine transform",
                "the same parameters repeat the batch bit for bit: True",
                "the lungs were found in 8 of 8 images",
            ],
        ),
        ("timm_loader", ["step 3: 8 normal, 8 anomalous, loss", "TimmPasteErasing changed", "of 32 images"]),
    ],
)
def test_the_example_prints_what_it_did(name, lines, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for line in lines:
        assert line in printed
