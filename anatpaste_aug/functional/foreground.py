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
_AT_ONCE = 8  # images whose medians an accelerator computes at once: each needs 81 times its own memory


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
    mask = torch.zeros_like(foreground)
    if foreground.device.type == "cpu" and not torch.compiler.is_compiling() and not rotated:
        for k in range(params.patches):
            _write_windows(mask, params.patch(k), foreground, sources, resized)
        return mask
    height, width = foreground.shape[-2:]
    for k in range(params.patches):
        one = params.patch(k)
        row, column = patch_pixels(one, height, width, rotated=rotated)
        there = (inside_patch(one, row, column) & one.apply.view(-1, 1, 1)).unsqueeze(1)
        donor = one.donor.clamp(0, max(len(sources) - 1, 0))  # an accelerator does not check replayed params
        moved = move(sources.index_select(0, donor).float(), one, row, column, resized=resized) >= 0.5
        mask = torch.where(there, moved | foreground, mask)
    return mask


def _write_windows(mask: Tensor, params: PasteParams, foreground: Tensor, sources: Tensor, resized: bool) -> None:
    """Write one patch per image, reading only its own pixels: on the CPU, where code may depend on the sizes."""
    height, width = foreground.shape[-2:]
    boxes = torch.stack(
        [params.top, params.left, params.top + params.scaled_height, params.left + params.scaled_width], 1
    ).tolist()
    cuts = torch.stack([params.donor, params.source_top, params.source_left, params.height, params.width], 1).tolist()
    zero = params.top.new_zeros(1)
    for i in params.apply.nonzero()[:, 0].tolist():
        top, left, bottom, right = boxes[i]
        rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue  # entirely outside the image
        donor, source_top, source_left, high, wide = cuts[i]
        patch = sources[donor : donor + 1, :, source_top : source_top + high, source_left : source_left + wide].float()
        one = params.rows(slice(i, i + 1))
        one = one._replace(
            top=one.top - rows.start, left=one.left - columns.start, source_top=zero, source_left=zero, donor=zero
        )
        row, column = patch_pixels(one, rows.stop - rows.start, columns.stop - columns.start, rotated=False)
        moved = move(patch, one, row, column, resized=resized) >= 0.5
        mask[i, :, rows, columns] = moved[0] | foreground[i, :, rows, columns]


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
        within: Boolean B×1×H×W; other pixels count as unchanged.
        slope: Of the logistic function, per gray level of 255.
        midpoint: The change in gray levels of 255 whose target is 1/2.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.

    Returns:
        float32 B×1×H×W in [0, 1].
    """
    change = _change(before, after, intensities) * within
    changed = _majority(change > 1, 5)
    smooth = _median_over_disk(change * changed, changed)
    return torch.sigmoid(slope * (smooth - midpoint)) * changed


def _change(before: Tensor, after: Tensor, intensities: Intensities | None) -> Tensor:
    """Average the absolute changes of the channels, in gray levels of 255: float32 B×1×H×W."""
    first, second = (_unit(images, intensities) for images in (before, after))
    return ((second - first).abs().mean(1, keepdim=True) * 255).float()


def _levels(images: Tensor, intensities: Intensities | None) -> Tensor:
    return _unit(images, intensities).mean(1, keepdim=True) * 255


def _unit(images: Tensor, intensities: Intensities | None) -> Tensor:
    if intensities is None:
        intensities = Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()
    return intensities.to_unit(at_least_float32(images))


def _majority(mask: Tensor, size: int) -> Tensor:
    """Take the median of a boolean B×1×H×W mask over size × size pixels; edge pixels are repeated."""
    reach = size // 2
    counted = pad(mask.float(), (reach,) * 4, mode="replicate").to(torch.uint8)
    height, width = mask.shape[-2:]
    across = sum((counted[..., x : x + width] for x in range(1, size)), counted[..., :width])
    counted = sum((across[..., y : y + height, :] for y in range(1, size)), across[..., :height, :])
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
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
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
