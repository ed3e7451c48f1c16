"""Binary morphology with a disk of any radius, on boolean batches."""

import math

from torch import Tensor

from anatpaste_aug.functional.checks import check_masks


def dilate_disk(mask: Tensor, radius: float) -> Tensor:
    """Dilate with the disk x² + y² ≤ radius²; pixels outside the image are False.

    For integer radii the disk is ``skimage.morphology.disk(radius)``.

    Args:
        mask: Boolean …×H×W.
        radius: In pixels, at least 0; below 1 the disk is one pixel and the mask is unchanged.

    Returns:
        A new boolean tensor of the same shape.

    Example:
        >>> import torch
        >>> mask = torch.zeros(5, 5, dtype=torch.bool)
        >>> mask[2, 2] = True
        >>> dilate_disk(mask, 2).sum(1).tolist()
        [1, 3, 5, 3, 1]
    """
    check_masks(mask, batch=False)
    if not radius >= 0:
        raise ValueError(f"radius must be at least 0, got {radius}")
    height, width = mask.shape[-2:]
    radius = min(radius, math.hypot(height, width))  # larger disks cover the whole image from any pixel
    out, run, reach = mask.clone(), mask, 0
    # A disk is a stack of horizontal runs: from the outermost rows to the middle one, dilate by a growing run and shift
    # the result up and down.
    for shift in range(min(math.floor(radius), height - 1), -1, -1):
        while reach < min(math.isqrt(math.floor(radius**2 - shift**2)), width - 1):
            wider = run.clone()
            wider[..., 1:].logical_or_(run[..., :-1])
            wider[..., :-1].logical_or_(run[..., 1:])
            run, reach = wider, reach + 1
        out[..., shift:, :].logical_or_(run[..., : height - shift, :])
        out[..., : height - shift, :].logical_or_(run[..., shift:, :])
    return out


def erode_disk(mask: Tensor, radius: float) -> Tensor:
    """Erode with the disk of `dilate_disk`; pixels outside are ignored (``skimage.morphology.erosion``)."""
    check_masks(mask, batch=False)
    return ~dilate_disk(~mask, radius)


def close_disk(mask: Tensor, radius: float) -> Tensor:
    """Close gaps narrower than a disk, by dilation and erosion (``skimage.morphology.closing``).

    Args:
        mask: Boolean …×H×W.
        radius: In pixels, at least 0.

    Returns:
        A new boolean tensor that contains the mask.

    Example:
        >>> import torch
        >>> mask = torch.ones(9, 9, dtype=torch.bool)
        >>> mask[:, 4] = False  # a rib
        >>> close_disk(mask, 1).all().item()
        True
    """
    return erode_disk(dilate_disk(mask, radius), radius)


def open_disk(mask: Tensor, radius: float) -> Tensor:
    """Remove parts narrower than a disk, by erosion and dilation (``skimage.morphology.opening``).

    Args:
        mask: Boolean …×H×W.
        radius: In pixels, at least 0.

    Returns:
        A new boolean tensor that is contained in the mask.
    """
    return dilate_disk(erode_disk(mask, radius), radius)
