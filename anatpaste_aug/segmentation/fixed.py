"""One mask for all images: an organ that is always in the same place, or an atlas."""

import torch
from torch import Tensor

from anatpaste_aug.functional.lungs.components import all_true
from anatpaste_aug.segmentation.base import SegmenterModule
from anatpaste_aug.validation import check_number, check_same_device


class FixedMask(SegmenterModule):
    """The same mask for every image.

    The mask moves with the module (``transform.to(device)``) and is part of its state.

    Convention:
        * in: B×1×H×W or B×3×H×W, uint8 or floating point in any intensity range; only their size is used
        * out: boolean B×1×H×W on the same device

    Args:
        mask: H×W or 1×H×W. Boolean or integer (non-zero is organ), or floating point in [0, 1]: an atlas of
            probabilities.
        resize: Resize the mask to images of another size, bilinearly and antialiased; False raises an error for them.
        threshold: The smallest value of an atlas, or of a resized mask, that counts as organ.

    Raises:
        TypeError, ValueError: The mask or a setting is invalid, or images have another size or device.

    Example:
        >>> mask = torch.zeros(64, 64, dtype=torch.bool)
        >>> mask[16:48, 16:48] = True
        >>> FixedMask(mask, resize=True)(torch.zeros(2, 1, 128, 128)).sum((1, 2, 3)).tolist()
        [4096, 4096]
        >>> from anatpaste_aug import AnatPasteTransform
        >>> result = AnatPasteTransform(segmenter=FixedMask(mask)).augment(torch.rand(2, 1, 64, 64))
        >>> torch.equal(result.region_mask, mask.expand(2, 1, 64, 64))
        True
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, resize: bool = False, threshold: float = 0.5) -> None:
        super().__init__()
        if not isinstance(mask, Tensor):
            raise TypeError(f"mask must be a torch.Tensor, got {type(mask).__name__}; use torch.as_tensor(mask)")
        if not (mask.ndim == 2 or (mask.ndim == 3 and mask.shape[0] == 1)) or mask.numel() == 0:
            raise ValueError(f"mask must have shape (H, W) or (1, H, W), got {tuple(mask.shape)}; give one mask")
        if mask.is_complex():
            raise TypeError(f"mask must be boolean, integer or floating point, got {mask.dtype}")
        if mask.is_floating_point():
            if mask.device.type == "cpu" and not bool(((mask >= 0) & (mask <= 1)).all()):
                raise ValueError("an atlas must have values in [0, 1]; to use nonzero values as a mask, pass mask > 0")
            atlas = mask.detach().float()
        else:
            atlas = (mask != 0).float()
        self.register_buffer("mask", atlas.reshape(1, 1, *mask.shape[-2:]).clone())
        self.resize = resize
        self.threshold = check_number("threshold", threshold, 0, 1)

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        check_same_device("the fixed mask", self.mask.device, images)
        size, atlas = images.shape[-2:], self.mask
        if atlas.shape[-2:] != size:
            if not self.resize:
                raise ValueError(
                    f"the fixed mask is {atlas.shape[-2]}×{atlas.shape[-1]} and the images are {size[0]}×{size[1]}; "
                    "pass resize=True"
                )
            atlas = torch.nn.functional.interpolate(atlas.float(), size=size, mode="bilinear", antialias=True)
        return (atlas >= self.threshold).expand(len(images), 1, *size), all_true(images)

    def extra_repr(self) -> str:
        return f"mask={tuple(self.mask.shape[-2:])}, resize={self.resize}, threshold={self.threshold}"
