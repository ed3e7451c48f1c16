"""Draw the pictures of the pages, all of the same phantom radiograph: python docs/draw_pictures.py [FOLDER]

The same version of torch draws the same pixels.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PasteResult,
    PasteTransform,
    PIITransform,
)
from anatpaste_aug import functional as F
from anatpaste_aug.datasets import phantom_batch

FOLDER = Path(__file__).parent / "pictures"
OUTLINE = "#ff7f0e"
PANEL = 2.3  # inches

RECIPES: dict[str, tuple[PasteTransform, int]] = {
    "anatpaste": (AnatPasteTransform(), 3),
    "cutpaste": (CutPasteTransform(), 1),
    "cutpaste_scar": (CutPasteTransform(variant="scar"), 206),
    "fpi": (FPITransform(), 1),
    "pii": (PIITransform(), 1),
    "nsa": (NSATransform(), 2),
    "anatpaste_poisson": (AnatPasteTransform(blend="poisson", source="batch", patches=(1, 3)), 5),
}
"""The transform of each picture, and the seed."""

STAGES_SEED = 202


def images() -> Tensor:
    """Four phantoms, uint8; the pictures show the first one. The others are there for recipes that need donors."""
    return phantom_batch(4, size=256, seed=0).images


def augmented(transform: PasteTransform, seed: int) -> PasteResult:
    """The batch augmented."""
    return transform.augment(images(), generator=torch.Generator().manual_seed(seed))


def recipe(transform: PasteTransform, seed: int) -> Figure:
    """The image, what becomes of it, outlined, and the target."""
    result = augmented(transform, seed)
    figure, (given, pasted, target) = _row(3)
    _show(given, images()[0, 0], "image")
    _show(pasted, result.image[0, 0], f"result ({_share(result.anomaly_mask[0])} in the outline)")
    _outline(pasted, result.anomaly_mask[0, 0])
    _show(target, result.target[0, 0], f"target (highest value {result.target[0].max():.2f})")
    return figure


def beyond() -> Figure:
    """What lies beyond the patch, for one and the same patch: the results, and how they differ from the image."""
    settings: dict[str, Any] = {"sigma": (12.0, 12.0), "opacity": (1.0, 1.0), "area": (0.05, 0.05)}
    results = [
        augmented(AnatPasteTransform(beyond=choice, segmentation=False, **settings), 6)
        for choice in ("black", "source", "edge")
    ]
    row = results[0].params.patch(0).rows(slice(0, 1))
    top, left, high, wide = (int(value) for value in (row.top, row.left, row.height, row.width))
    reach = 24  # two sigma
    cut = (slice(max(top - reach, 0), top + high + reach), slice(max(left - reach, 0), left + wide + reach))
    figure = Figure(figsize=(3 * PANEL, 3.6), dpi=100, layout="constrained")
    panels = figure.subplots(2, 3)
    image = images()[0, 0].float()
    for (above, below), result, choice in zip(panels.T, results, ("black", "source", "edge"), strict=True):
        _show(above, result.image[0, 0][cut], f'beyond="{choice}"')
        _outline(above, _box(top, left, high, wide)[cut], "dotted")
        below.imshow((result.image[0, 0].float() - image)[cut].numpy(), cmap="RdBu_r", vmin=-60, vmax=60)
        _outline(below, _box(top, left, high, wide)[cut], "dotted")
        below.axis("off")
    return figure


def targets() -> Figure:
    """What a loss can be given for one result of AnatPaste."""
    result = augmented(*RECIPES["anatpaste"])
    changed = augmented(AnatPasteTransform(target="intensity"), RECIPES["anatpaste"][1])
    figure, panels = _row(4)
    _show(panels[0], result.anomaly_mask[0, 0], f"anomaly_mask ({_share(result.anomaly_mask[0])})")
    half = result.mask(0.5)
    _show(panels[1], half[0, 0], f"mask(0.5) ({_share(half[0])})")
    _show(panels[2], result.target[0, 0], 'target, target="soft"')
    _show(panels[3], changed.target[0, 0], 'target, target="intensity"')
    return figure


def segmentation() -> Figure:
    """The steps of Algorithm 1."""
    image = images()[:1]
    levels = F.clahe(image[:, 0])
    dark = levels <= F.otsu_threshold(levels)
    opened = F.opening(dark)
    inner = F.clear_border(opened)
    lungs = F.remove_small_components(F.dilate(inner), 400)
    assert torch.equal(lungs.unsqueeze(1), F.segment_lungs(image))
    figure = Figure(figsize=(3 * PANEL, 2 * (PANEL + 0.25)), dpi=100, layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    _show(panels[0], image[0, 0], "image")
    panels[1].imshow(levels[0].numpy(), cmap="gray")
    panels[1].set_title("1. CLAHE", fontsize=8)
    panels[1].axis("off")
    _show(panels[2], dark[0], "2. darker than Otsu's threshold")
    _show(panels[3], opened[0], "3. opened")
    _show(panels[4], inner[0], "4. nothing that touches the border")
    _show(panels[5], lungs[0], "5. dilated, no small parts")
    return figure


def stages() -> Figure:
    """One patch of AnatPaste, from the place where it is cut to the result."""
    image = images()[:1]
    result = AnatPasteTransform().augment(image, generator=torch.Generator().manual_seed(STAGES_SEED))
    params = result.params
    row = params.patch(0)
    cut = _box(*(int(value) for value in (row.source_top, row.source_left, row.height, row.width)))
    placed = _box(*(int(value) for value in (row.top, row.left, row.height, row.width)))
    whole = params._replace(opacity=torch.ones_like(params.opacity))
    patch, _ = F.paste(torch.zeros_like(image), whole, sources=image, hard=True)
    change = (result.image.float() - image.float())[0, 0]
    figure = Figure(figsize=(4 * PANEL, 2 * (PANEL + 0.25)), dpi=100, layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    _show(panels[0], image[0, 0], "1. cut (dotted) and place (solid)")
    _outline(panels[0], cut, "dotted")
    _outline(panels[0], placed)
    _show(panels[1], patch[0, 0], "2. the jittered patch at its place")
    _outline(panels[1], placed)
    _show(panels[2], F.soft_mask(params._replace(sigma=torch.zeros_like(params.sigma)), 256, 256)[0, 0], "3. shape")
    _show(panels[3], F.soft_mask(params, 256, 256)[0, 0], f"4. blurred, σ = {float(row.sigma):.1f} px")
    _show(panels[4], result.soft_mask[0, 0], "5. × lungs = soft mask")
    _show(panels[5], result.image[0, 0], "6. result")
    panels[6].imshow(change.numpy(), cmap="RdBu_r", vmin=-80, vmax=80)
    panels[6].set_title("change (red: brighter)", fontsize=8)
    _show(panels[7], result.anomaly_mask[0, 0], "anomaly_mask")
    for panel in panels:
        panel.axis("off")
    return figure


def _row(count: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(count * PANEL, PANEL + 0.25), dpi=100, layout="constrained")
    return figure, figure.subplots(1, count)


def _show(panel: Any, image: Tensor, title: str) -> None:
    panel.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255 if image.dtype == torch.uint8 else 1)
    panel.set_title(title, fontsize=8)
    panel.axis("off")


def _outline(panel: Any, mask: Tensor, style: str = "solid") -> None:
    panel.contour(mask.float().numpy(), levels=[0.5], colors=OUTLINE, linewidths=0.8, linestyles=style)


def _box(top: int, left: int, height: int, width: int) -> Tensor:
    box = torch.zeros(256, 256, dtype=torch.bool)
    box[max(top, 0) : top + height, max(left, 0) : left + width] = True
    return box


def _share(mask: Tensor) -> str:
    return f"{mask.float().mean():.1%} of the image"


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    figures = {name: recipe(*made) for name, made in RECIPES.items()}
    figures |= {draw.__name__: draw() for draw in (beyond, targets, segmentation, stages)}
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        print(f"wrote {folder / name}.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
