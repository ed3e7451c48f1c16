"""The foreground of images, and the target of NSA's pixel loss (Schlüter et al., arXiv 2109.15222)."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional.intensity import Intensities, at_least_float32
from anatpaste_aug.functional.move import inside_patch, move, patch_pixels
from anatpaste_aug.paste.params import PasteParams

_DISK = 5  # radius of the disk that the intensity change is smoothed over
_OFFSETS = [
    (y, x) for y in range(-_DISK, _DISK + 1) for x in range(-_DISK, _DISK + 1) if y * y + x * x <= _DISK * _DISK
]
_AT_ONCE = 8  # images at a time: a CPU's caches hold them, and an accelerator's medians need 81 times their memory


def foreground_mask(images: Tensor, threshold: float, intensities: Intensities | None = None) -> Tensor:
    """Find the pixels brighter than a threshold, smoothed by a 7×7 median like that of ``cv2.medianBlur``.

    Args:
        images: B×C×H×W, uint8 or floating point.
        threshold: In gray levels of 255; the mean over the channels is compared.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.

    Returns:
        Boolean B×1×H×W.

    Example:
        >>> foreground_mask(torch.full((1, 1, 32, 32), 21, dtype=torch.uint8), 20).all().item()
        True
    """
    return _majority(_levels(images, intensities) > threshold, 7)


def patches_foreground(
    params: PasteParams, foreground: Tensor, sources: Tensor, *, resized: bool = True, rotated: bool = True
) -> Tensor:
    """Return where the intensity target may be nonzero: on the foreground of the image or of the patch, at its place.

    Args:
        params: B×K.
        foreground: Boolean B×1×H×W of the images.
        sources: Boolean N×1×H×W, the foreground of the images that patches are cut from.
        resized: False if no patch is resized, which saves the work.
        rotated: False if no patch is rotated, likewise.

    Returns:
        Boolean B×1×H×W. Where patches overlap, the last one decides, as in the authors' code.
    """
    if not rotated and _numba.supports(foreground, sources, params.angle):
        moved: Tensor = _numba.patches_foreground(list(params), foreground, sources)
        return moved
    mask = torch.zeros_like(foreground)
    height, width = foreground.shape[-2:]
    for k in range(params.patches):
        one = params.patch(k)
        row, column = patch_pixels(one, height, width, rotated=rotated)
        there = (inside_patch(one, row, column) & one.apply.view(-1, 1, 1)).unsqueeze(1)
        donor = one.donor.clamp(0, max(len(sources) - 1, 0))  # an accelerator does not check replayed params
        theirs = move(sources.index_select(0, donor).float(), one, row, column, resized=resized) >= 0.5
        mask = torch.where(there, theirs | foreground, mask)
    return mask


def intensity_target(
    before: Tensor,
    after: Tensor,
    within: Tensor,
    *,
    slope: float = 0.5,
    midpoint: float = 4.0,
    intensities: Intensities | None = None,
) -> Tensor:
    """Apply a logistic function to the change in intensity, over the smoothed region of changes above one gray level.

    Args:
        before: B×C×H×W images.
        after: The same images, augmented.
        within: Boolean B×1×H×W; only changes of these pixels make up the region, before it is smoothed by a median.
        slope: Of the logistic function, per gray level of 255.
        midpoint: The change in gray levels of 255 whose target is 1/2.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.

    Returns:
        float32 B×1×H×W in [0, 1].
    """
    parts, at_once = [], _AT_ONCE if _runs_on_cpu(before) else max(len(before), 1)
    for old, new, here in zip(before.split(at_once), after.split(at_once), within.split(at_once), strict=True):
        change = _change(old, new, intensities)
        changed = _majority((change > 1) & here, 5)
        smooth = _median_over_disk(torch.where(changed, change, 0.0), changed)
        parts.append(torch.where(changed, torch.sigmoid(slope * (smooth - midpoint)), 0.0))
    return torch.cat(parts)


def _change(before: Tensor, after: Tensor, intensities: Intensities | None) -> Tensor:
    """Average the absolute changes of the channels, in gray levels of 255: float32 B×1×H×W.

    The changes of uint8 images are whole numbers, which no conversion to another range may round up.
    """
    given = _or_default(intensities, before)
    factor = given._replace(black=0.0, white=given.white - given.black, mean=given.mean and (0.0,) * len(given.mean))
    return _levels((at_least_float32(after) - at_least_float32(before)).abs(), factor).float()


def _levels(images: Tensor, intensities: Intensities | None) -> Tensor:
    """Average the channels, in gray levels of 255: B×1×H×W."""
    given = _or_default(intensities, images)
    levels = given._replace(white=given.black + (given.white - given.black) / 255).to_unit(at_least_float32(images))
    return levels if levels.shape[1] == 1 else levels.mean(1, keepdim=True)


def _or_default(intensities: Intensities | None, images: Tensor) -> Intensities:
    if intensities is not None:
        return intensities
    return Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()


def _majority(mask: Tensor, size: int) -> Tensor:
    """Take the median of a boolean B×1×H×W mask over size × size pixels; edge pixels are repeated."""
    height, width = mask.shape[-2:]
    counted = mask.to(torch.uint8)
    for dim, side in ((3, width), (2, height)):
        first, last = (counted.narrow(dim, x, 1) for x in (0, side - 1))
        padded = torch.cat([*[first] * (size // 2), counted, *[last] * (size // 2)], dim)
        counted = padded.narrow(dim, 0, side) + padded.narrow(dim, 1, side)
        for x in range(2, size):
            counted += padded.narrow(dim, x, side)
    return counted > size * size // 2


def _median_over_disk(values: Tensor, wanted: Tensor) -> Tensor:
    """Take the median of B×1×H×W over the disk of ``skimage.morphology.disk``; edge pixels are repeated.

    The result is only used where the boolean B×1×H×W ``wanted`` is True. The CPU skips the other pixels.
    """
    height, width = values.shape[-2:]
    padded = pad(values, (_DISK,) * 4, mode="replicate")[:, 0]
    stride = width + 2 * _DISK
    steps = [y * stride + x for y, x in _OFFSETS]
    if _numba.supports(padded):
        medians: Tensor = _numba.local_median(padded, steps, wanted[:, 0], _DISK)
        return medians.unsqueeze(1)
    if _runs_on_cpu(values):
        image, row, column = wanted[:, 0].nonzero(as_tuple=True)
        center = (image * (height + 2 * _DISK) + row + _DISK) * stride + column + _DISK
        around = center.unsqueeze(1) + torch.tensor(steps, device=values.device)
        result = torch.zeros_like(values)
        result[image, 0, row, column] = padded.flatten()[around].median(1).values
        return result
    parts = []
    for some in padded.split(_AT_ONCE):
        shifted = [some[:, _DISK + y :, _DISK + x :][:, :height, :width] for y, x in _OFFSETS]
        parts.append(torch.stack(shifted, 3).median(3).values)
    return torch.cat(parts).unsqueeze(1)


def _runs_on_cpu(images: Tensor) -> bool:
    return images.device.type == "cpu" and not torch.compiler.is_compiling()
