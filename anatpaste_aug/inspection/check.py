"""Check images before training on them: does the segmenter find lungs, is the augmentation seen, what looks wrong?"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.datasets.filenames import SUFFIXES
from anatpaste_aug.datasets.images import read_gray
from anatpaste_aug.datasets.listing import list_images
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.datasets.white import find_white
from anatpaste_aug.functional import label_components, to_gray
from anatpaste_aug.inspection.folder import batches, progress_bar
from anatpaste_aug.inspection.heuristics import appearance
from anatpaste_aug.inspection.report import VISIBLE_LEVELS, VISIBLE_SHARE, CheckReport, ImageCheck
from anatpaste_aug.inspection.units import unit_images
from anatpaste_aug.transforms import AnatPasteTransform
from anatpaste_aug.validation import check_images

__all__ = ["check", "check_folder"]

_PIXELS = 32 * 256**2  # in memory at a time


def check(
    images: Tensor,
    *,
    transform: AnatPasteTransform | None = None,
    augmentations: int = 4,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> CheckReport:
    """Segment and augment a batch, and report what looks wrong.

    Args:
        images: B×1×H×W or B×3×H×W, as ``transform.augment`` takes them; on any device (the figures are copied to the
            host, so this waits for an accelerator).
        transform: The augmentation with your settings; None is `AnatPasteTransform` with the paper's.
        augmentations: How many augmentations of each image to try.
        seed: Of their random numbers.
        names: B names for the report; None numbers the images.

    Returns:
        One row per image, with suspicions and remedies; it prints as a summary.

    Raises:
        TypeError, ValueError: Images or settings that the transform refuses, no augmentation, a transform without
            segmentation, or another number of names.

    Example:
        >>> from anatpaste_aug.datasets import phantom_batch
        >>> images = phantom_batch(3, size=128).images
        >>> [[each.kind for each in row.suspicions] for row in check(255 - images)]
        [['inverted'], ['inverted'], ['inverted']]
    """
    transform = _checked(transform, augmentations)
    check_images(images)
    if names is not None and len(names) != len(images):
        raise ValueError(f"names has {len(names)} entries for {len(images)} images")
    names = [str(i) for i in range(len(images))] if names is None else names
    generator = torch.Generator(images.device).manual_seed(seed)
    rows: list[ImageCheck] = []
    for start in range(0, len(images), portion := _portion(*images.shape[2:])):
        part, some = images[start : start + portion], names[start : start + portion]
        rows += _rows(part, some, start, transform, augmentations, generator)
    return CheckReport(tuple(rows), augmentations)


def check_folder(
    folder: str | os.PathLike[str],
    *,
    size: int = 256,
    limit: int | None = None,
    white: int | None = None,
    transform: AnatPasteTransform | None = None,
    augmentations: int = 4,
    seed: int = 0,
    progress: bool = True,
) -> CheckReport:
    """Check all images in a folder and the folders below it, 32 (at 256×256) in memory at a time.

    Args:
        folder: Where they lie.
        size: Side of the square that each image is resized to, see `read_gray`.
        limit: Check only so many, spread evenly over the sorted names; None checks all.
        white: Of 16-bit files that don't tell it, see `read_gray`; None decides by these files, see `find_white`.
        transform, augmentations, seed: As `check` takes them.
        progress: Show a progress bar on standard error.

    Returns:
        As `check`; images that cannot be read are in ``unreadable``, other files in ``not_images``, and what white is
        in files that don't tell it is in ``white``.

    Raises:
        DatasetError: No such folder, or no image in it.
        ValueError: Impossible settings.
        ImportError: Without Pillow; without pydicom for DICOM.
    """
    for name, value in (("size", size), ("limit", limit)):
        least = 32 if name == "size" else 1
        if value is not None and value < least:
            raise ValueError(f"{name}={value}: expected at least {least}")
    transform = _checked(transform, augmentations)
    paths, others = list_images(folder)
    if not paths:
        raise DatasetError(f"no image in {folder} ({len(others)} other files); expected {', '.join(SUFFIXES)}")
    if limit is not None and limit < len(paths):
        paths = [paths[i * len(paths) // limit] for i in range(limit)]
    found_white = find_white([Path(folder) / name for name in paths], white=white, progress=progress)
    white = None if found_white is None else found_white.value
    generator = torch.Generator().manual_seed(seed)
    rows: list[ImageCheck] = []
    unreadable: list[tuple[str, str]] = []

    def read(name: str) -> Tensor | str:
        try:
            return torch.from_numpy(read_gray(Path(folder) / name, size, white=white))
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, progress_bar(len(paths), progress) as advance:
        for chunk in batches(paths, _portion(size, size)):
            answers = list(zip(chunk, pool.map(read, chunk), strict=True))
            unreadable += [(name, answer) for name, answer in answers if isinstance(answer, str)]
            found = [(name, answer) for name, answer in answers if isinstance(answer, Tensor)]
            if found:
                images = torch.stack([image for _, image in found]).unsqueeze(1)
                rows += _rows(images, [name for name, _ in found], len(rows), transform, augmentations, generator)
            advance(len(chunk))
    return CheckReport(tuple(rows), augmentations, tuple(unreadable), tuple(others), found_white)


def _portion(height: int, width: int) -> int:
    return max(1, _PIXELS // (height * width))


def _checked(transform: AnatPasteTransform | None, augmentations: int) -> AnatPasteTransform:
    if augmentations < 1:
        raise ValueError(f"augmentations={augmentations}: expected at least 1")
    transform = AnatPasteTransform() if transform is None else transform
    if not transform.config.needs_region:
        raise ValueError("transform has segmentation=False, so there are no lung masks to check; leave it True")
    return transform


@torch.no_grad()
def _rows(
    images: Tensor,
    names: Sequence[str],
    start: int,
    transform: AnatPasteTransform,
    augmentations: int,
    generator: torch.Generator,
) -> list[ImageCheck]:
    gray = to_gray(unit_images(images, transform))
    lungs: Tensor | None = None
    tried, hidden = torch.zeros_like(gray[:, 0, 0]), torch.zeros_like(gray[:, 0, 0])
    for _ in range(augmentations):
        result = transform.augment(images, lungs, generator=generator)
        lungs = result.region_mask  # found once
        change = (to_gray(unit_images(result.image, transform)) - gray).abs()
        # Half a level of slack: eight-bit levels divided by 255 don't subtract exactly.
        visible = (change > (VISIBLE_LEVELS - 0.5) / 255).float().mean((1, 2))
        changed = result.label == 1
        tried += changed
        hidden += changed & (visible < VISIBLE_SHARE)
    assert lungs is not None  # segmentation is on
    left = lungs[..., : lungs.shape[-1] // 2].sum((1, 2, 3))
    area = lungs.sum((1, 2, 3))
    columns = (
        area / lungs[0].numel(),
        torch.minimum(left, area - left) / area.clamp_min(1),
        result.params.fallback[:, 0],
        hidden / tried.clamp_min(1),
        *appearance(gray),
    )
    components = _components(lungs[:, 0])
    fractions, sides, fallbacks, hiddens, frontals, sideways, bands, brights = (c.tolist() for c in columns)
    return [
        ImageCheck(
            index=start + i,
            name=names[i],
            lung_fraction=fractions[i],
            components=components[i],
            smaller_side=sides[i],
            fallback=fallbacks[i],
            hidden=hiddens[i],
            frontal=frontals[i],
            band=bands[i],
            bright_sides=round(brights[i]),
            sideways=sideways[i],
        )
        for i in range(len(images))
    ]


def _components(mask: Tensor) -> list[int]:
    """The number of 8-connected components of each of boolean B×H×W masks."""
    labels = label_components(mask.cpu())
    # Each component is named after one of its pixels.
    first = labels == torch.arange(labels.shape[1], device=labels.device)
    counts: list[int] = first.sum(1).tolist()
    return counts
