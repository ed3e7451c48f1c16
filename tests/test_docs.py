"""The pages of docs: their Python blocks run, and their pictures are there and are those of the script."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LARGEST = 150_000  # bytes of a picture


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    for link in links:
        assert (page.parent / link).is_file(), link
        assert not link.endswith(".png") or (page.parent / link).stat().st_size < LARGEST


def test_every_picture_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = {path.name for path in (DOCS / "pictures").glob("*.png")}
    assert pictures == set(re.findall(r"pictures/(\w+\.png)", text))


@pytest.mark.slow
def test_the_script_draws_the_pictures_of_the_recipes(tmp_path, monkeypatch):
    """Tolerance: the fonts may differ; 5 % of the pixels."""
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install "anatpaste_aug[examples]"')
    runpy.run_path(str(DOCS / "draw_recipes.py"))["main"](tmp_path)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in (DOCS / "pictures").iterdir())
    for name in drawn:
        ours, kept = (np.asarray(Image.open(folder / name).convert("L")) for folder in (tmp_path, DOCS / "pictures"))
        assert ours.shape == kept.shape
        assert (np.abs(ours.astype(int) - kept) > 16).mean() < 0.05
