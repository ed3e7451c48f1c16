"""Draw what the augmentation does to an image, step by step, for several seeds."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from anatpaste_aug.datasets.files.images import read_gray
from anatpaste_aug.functional import soft_mask, to_gray
from anatpaste_aug.inspection.drawing import LUNG, TEXT, new_figure, shorten, show, tint
from anatpaste_aug.inspection.units import unit_images
from anatpaste_aug.paste import PasteParams, PasteResult
from anatpaste_aug.transforms import AnatPasteTransform, PasteTransform
from anatpaste_aug.validation import check_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Path = str | os.PathLike[str]

__all__ = ["preview"]

_TITLES = ("input", "lung mask", "soft shape", "soft mask", "result", "difference")
_MUTED: dict[str, Any] = {"fontsize": 7.5, "color": "#5c6770"}


def preview(
    images: "Tensor | Path | Sequence[Path]",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    transform: PasteTransform | None = None,
    size: int = 256,
    white: int | None = None,
    names: Sequence[str] | None = None,
) -> "Figure":
    """Draw input, lung mask, soft shape (X_blur), soft mask (X_mask), result and difference; one row per seed.

    A seed gives the result of ``transform.augment(image, generator=torch.Generator(device).manual_seed(seed))``.

    Args:
        images: An image file or several (JPEG, PNG, DICOM or another format of `read_gray`), or a B×1×H×W or B×3×H×W
            tensor for ``transform.augment``.
        seeds: Seeds of the augmentations to show.
        transform: The augmentation; None is `AnatPasteTransform` with the paper's settings.
        size: Side of the square that image files are resized to; tensors are not resized.
        white: The value of white in 16-bit files that do not specify it; see `read_gray`.
        names: Names of the images; None uses the file names, or numbers.

    Returns:
        A matplotlib figure, which a notebook shows; ``figure.savefig("grid.png")`` writes it.

    Raises:
        DatasetError: A file cannot be read.
        TypeError, ValueError: Images or settings that the transform rejects; no image, no seed, a negative seed, or a
            different number of names.
        ImportError: Matplotlib is not installed, or pydicom for DICOM files.

    Example:
        >>> from anatpaste_aug.datasets import phantom_batch
        >>> figure = preview(phantom_batch(1, size=64).images, seeds=[3, 4])  # doctest: +SKIP
    """
    transform = AnatPasteTransform() if transform is None else transform
    seeds = list(seeds)
    if not seeds or min(seeds) < 0:
        raise ValueError(f"seeds must be one or more integers of at least 0, got {seeds}")
    if size < 32:
        raise ValueError(f"size={size}: expected at least 32")
    batch, default_names = _read(images, size, white)
    names = default_names if names is None else list(names)
    if len(names) != len(batch) or not names:
        raise ValueError(f"pass at least one image and as many names, got {len(batch)} and {len(names)}")
    lines = len(names) * len(seeds)
    figure = new_figure(11.2, 0.6 + 1.86 * lines)
    grid = figure.subplots(lines, len(_TITLES), squeeze=False)
    for axes, title in zip(grid[0], _TITLES, strict=True):
        axes.set_title(title, fontsize=10, **TEXT)
    drawn = []
    for i, image in enumerate(batch):
        lungs = None
        for j, seed in enumerate(seeds):
            generator = torch.Generator(image.device).manual_seed(seed)
            result = transform.augment(image.unsqueeze(0), lungs, generator=generator)
            lungs = result.region_mask  # segmented only once
            line = grid[i * len(seeds) + j]
            drawn.append(_line(line, image.unsqueeze(0), result, transform, with_input=j == 0))
            line[2].set_ylabel(f"seed {seed}", fontsize=9, **TEXT)
        grid[i * len(seeds)][0].set_xlabel(shorten(names[i]), fontsize=8, labelpad=3, **TEXT)
    _share_scale(figure, grid, drawn)
    return figure


def _line(line: Any, image: Tensor, result: PasteResult, transform: PasteTransform, with_input: bool) -> Any:
    """Draw one row of panels; return the picture of the difference, so that all rows can share its scale."""
    before, after = (unit_images(each, transform)[0].clamp(0, 1) for each in (image, result.image))
    params = result.params
    if with_input:
        show(line[0], before)
        show(line[1], before)
        if result.region_mask is None:
            line[1].set_xlabel("not used", **_MUTED)
        else:
            tint(line[1], result.region_mask[0, 0], LUNG)
            fraction = result.region_mask.float().mean().item()
            line[1].set_xlabel("none found" if params.fallback[0, 0] else f"{fraction:.1%} of image", **_MUTED)
    else:
        line[0].set_axis_off()
        line[1].set_axis_off()
    height, width = image.shape[-2:]
    show(line[2], soft_mask(params, height, width, hard=transform.config.shape == "patch")[0, 0])
    line[2].set_xlabel(_description(params, transform), **_MUTED)
    show(line[3], result.soft_mask[0, 0])
    line[3].set_xlabel(f"{result.anomaly_mask.float().mean().item():.1%} of image is above 0", **_MUTED)
    show(line[4], after)
    change = (_gray(after) - _gray(before)) * 255
    inside = change.abs()[result.anomaly_mask[0, 0]]
    mean = inside.mean().item() if inside.numel() else 0.0
    line[5].set_xlabel(f"mean |change| {mean:.1f}" if result.label else "unchanged", **_MUTED)
    return show(line[5], change, cmap="RdBu_r")


def _description(params: PasteParams, transform: PasteTransform) -> str:
    """Describe what was pasted: the shape of a patch, or the number of patches."""
    if params.patches > 1:
        return f"{int(params.apply.sum())} patches"
    if transform.config.shape == "patch":
        return f"patch, {params.opacity.item():.2f}"
    shape = "ellipse" if params.ellipse else "rectangle"
    return f"{shape}, {params.opacity.item():.2f}, σ {params.sigma.item():.1f} px"


def _share_scale(figure: "Figure", grid: Any, drawn: list[Any]) -> None:
    limit = max(16.0, *(abs(picture.get_array()).max() for picture in drawn))
    for picture in drawn:
        picture.set_clim(-limit, limit)
    bar = figure.colorbar(drawn[-1], ax=grid[:, -1].tolist(), shrink=min(0.9, 2.5 / len(grid)), aspect=30, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_label("gray levels of 255", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _read(images: Any, size: int, white: int | None) -> tuple[Tensor, list[str]]:
    if isinstance(images, Tensor):
        return check_images(images), [f"image {i}" for i in range(len(images))]
    paths = [images] if isinstance(images, str | os.PathLike) else list(images)
    arrays = [torch.from_numpy(read_gray(path, size, white=white)).unsqueeze(0) for path in paths]
    return torch.stack(arrays) if arrays else torch.empty(0), [os.path.basename(path) for path in paths]


def _gray(image: Tensor) -> Tensor:
    return to_gray(image.unsqueeze(0))[0]
