"""Check images before training: whether lungs are found, augmentations are visible, and what looks wrong."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.datasets.files.filenames import SUFFIXES
from anatpaste_aug.datasets.files.images import read_gray
from anatpaste_aug.datasets.files.listing import list_images
from anatpaste_aug.datasets.files.white import find_white
from anatpaste_aug.datasets.records import DatasetError
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
        images: B×1×H×W or B×3×H×W for ``transform.augment``, on any device. The results are copied to the host, so this
            waits for an accelerator.
        transform: The augmentation; None is `AnatPasteTransform` with the paper's settings.
        augmentations: How many augmentations of each image to try.
        seed: Seed of their random numbers.
        names: B names for the report; None numbers the images.

    Returns:
        A report with one row per image, with suspicions and remedies; print it for a summary.

    Raises:
        TypeError, ValueError: Images or settings that the transform rejects, no augmentations, a transform without
            segmentation, or a different number of names.

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
    for start in range(0, len(images), size := _batch_size(*images.shape[2:])):
        batch, batch_names = images[start : start + size], names[start : start + size]
        rows += _rows(batch, batch_names, start, transform, augmentations, generator)
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
    """Check all images in a folder and its subfolders, with 32 images (at 256×256) in memory at a time.

    Args:
        folder: The folder.
        size: Side of the square that each image is resized to; see `read_gray`.
        limit: The largest number of images to check, spread evenly over the sorted names; None checks all.
        white: The value of white in 16-bit files that do not specify it, see `read_gray`; None infers it from the
            files, see `find_white`.
        transform: The augmentation; see `check`.
        augmentations: How many augmentations of each image to try.
        seed: Seed of their random numbers.
        progress: Show a progress bar on standard error.

    Returns:
        The same as `check`. Images that cannot be read are in ``unreadable``, other files in ``not_images``, and the
        inferred value of white is in ``white``.

    Raises:
        DatasetError: The folder does not exist, or has no images.
        ValueError: A setting is invalid.
        ImportError: pydicom is not installed (DICOM files only).
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
    inferred = find_white([Path(folder) / name for name in paths], white=white, progress=progress)
    white = None if inferred is None else inferred.value
    generator = torch.Generator().manual_seed(seed)
    rows: list[ImageCheck] = []
    unreadable: list[tuple[str, str]] = []

    def read(name: str) -> Tensor | str:
        try:
            return torch.from_numpy(read_gray(Path(folder) / name, size, white=white))
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, progress_bar(len(paths), progress) as advance:
        for chunk in batches(paths, _batch_size(size, size)):
            results = list(zip(chunk, pool.map(read, chunk), strict=True))
            unreadable += [(name, result) for name, result in results if isinstance(result, str)]
            readable = [(name, result) for name, result in results if isinstance(result, Tensor)]
            if readable:
                images = torch.stack([image for _, image in readable]).unsqueeze(1)
                rows += _rows(images, [name for name, _ in readable], len(rows), transform, augmentations, generator)
            advance(len(chunk))
    return CheckReport(tuple(rows), augmentations, tuple(unreadable), tuple(others), inferred)


def _batch_size(height: int, width: int) -> int:
    return max(1, _PIXELS // (height * width))


def _checked(transform: AnatPasteTransform | None, augmentations: int) -> AnatPasteTransform:
    if augmentations < 1:
        raise ValueError(f"augmentations={augmentations}: expected at least 1")
    transform = AnatPasteTransform() if transform is None else transform
    if not transform.config.needs_region:
        raise ValueError(
            "the transform uses no region, so there are no lung masks to check; choose place=region or anatomy=True"
        )
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
        lungs = result.region_mask  # segmented only once
        change = (to_gray(unit_images(result.image, transform)) - gray).abs()
        # A tolerance of half a level: differences of 8-bit levels divided by 255 are not exact.
        visible = (change > (VISIBLE_LEVELS - 0.5) / 255).float().mean((1, 2))
        changed = result.label == 1
        tried += changed
        hidden += changed & (visible < VISIBLE_SHARE)
    assert lungs is not None  # segmentation is on
    columns = (
        lungs.float().mean((1, 2, 3)),
        result.params.fallback[:, 0],
        hidden / tried.clamp_min(1),
        *appearance(gray),
    )
    components = _components(lungs[:, 0])
    fractions, fallbacks, hiddens, frontals, sideways, bands, brights = (c.tolist() for c in columns)
    return [
        ImageCheck(
            index=start + i,
            name=names[i],
            lung_fraction=fractions[i],
            components=components[i],
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
    """Count the 8-connected components of each of boolean B×H×W masks."""
    labels = label_components(mask.cpu())
    # The label of a component is the index of one of its pixels.
    first = labels == torch.arange(labels.shape[1], device=labels.device)
    counts: list[int] = first.sum(1).tolist()
    return counts
