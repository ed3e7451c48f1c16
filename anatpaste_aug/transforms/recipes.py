"""The published methods as transforms."""

from typing import Any, Literal, get_args

from anatpaste_aug.paste import ANATPASTE, CUTPASTE, FPI, NSA, PII
from anatpaste_aug.paste.config import Size
from anatpaste_aug.transforms.base import PasteTransform

Variant = Literal["normal", "scar", "union"]

_SIZES: dict[str, Size] = {"normal": "area", "scar": "scar", "union": "area_or_scar"}


class AnatPasteTransform(PasteTransform):
    """Turn normal chest radiographs into realistic anomalous ones (AnatPaste; Sato et al., arXiv 2205.04282).

    A patch of the image is jittered and pasted elsewhere through a blurred ellipse or rectangle that is multiplied by
    the lung mask. As a torchvision v2 transform, it takes a sample of any structure; `augment` takes a plain batch. See
    `PasteTransform` for what all recipes have in common.

    Args:
        segmentation: False is the paper's ablation without segmentation: place="anywhere" and anatomy=False. Region
            masks are then ignored.

    Raises:
        ValueError: A setting is not allowed; the message names it and says what is.

    Example:
        >>> import torch
        >>> transform = AnatPasteTransform()
        >>> result = transform.augment(torch.rand(4, 1, 64, 64))
        >>> result.image.shape, result.anomaly_mask.dtype
        (torch.Size([4, 1, 64, 64]), torch.bool)

        Up to three patches from another image, blended by their gradients:

        >>> transform = AnatPasteTransform(blend="poisson", source="batch", patches=(1, 3))
        >>> transform.augment(torch.rand(4, 1, 64, 64)).params.patches
        3
    """

    recipe = ANATPASTE

    def __init__(self, p: float | None = None, *, segmentation: bool = True, **settings: Any) -> None:
        if not segmentation:
            settings = {"place": "anywhere", "anatomy": False} | settings
        super().__init__(p, **settings)


class CutPasteTransform(PasteTransform):
    """Paste a part of an image elsewhere in the same image (CutPaste; Li et al., arXiv 2104.04015).

    The baseline of the AnatPaste paper, which uses no anatomy. 3-way classification needs two transforms, "normal" and
    "scar": see `OneClassPairs` and `one_class_batch`. See `PasteTransform` for what all recipes have in common.

    Args:
        variant: "normal" pastes a large rectangle, "scar" a long, thin, rotated one, "union" one of the two per image
            with equal odds. Shorthand for size="area", "scar" and "area_or_scar".

    Raises:
        ValueError: A setting is not allowed; the message names it and says what is.

    Example:
        >>> import torch
        >>> transform = CutPasteTransform(variant="union")
        >>> transform.augment(torch.rand(4, 1, 64, 64)).label
        tensor([1, 1, 1, 1])
    """

    recipe = CUTPASTE

    def __init__(self, p: float | None = None, *, variant: Variant = "normal", **settings: Any) -> None:
        if not isinstance(variant, str) or variant not in _SIZES:
            raise ValueError(
                f"variant must be one of {', '.join(map(repr, get_args(Variant)))}, got {variant!r}; 3-way "
                "classification needs two transforms, 'normal' and 'scar': see OneClassPairs and one_class_batch"
            )
        super().__init__(p, **{"size": _SIZES[variant]} | settings)


class FPITransform(PasteTransform):
    """Interpolate a box with the same box of another image (FPI; Tan et al. 2020, arXiv 2011.04197).

    x' = (1 − α) x + α y in a box whose center lies in the middle 80 % of each side, with α ~ U(0.05, 0.95), the
    ``opacity``; the target is α in the box. `anatpaste_aug.paste.recipes` lists differences from the authors' code.
    See `PasteTransform` for what all recipes have in common.

    Raises:
        ValueError: A setting is not allowed, or there is no other image in the batch.

    Example:
        >>> import torch
        >>> FPITransform().augment(torch.rand(4, 1, 64, 64)).label
        tensor([1, 1, 1, 1])
    """

    recipe = FPI


class PIITransform(PasteTransform):
    """Blend a box of another image into an image by the stronger gradients (PII; Tan et al. 2021, arXiv 2107.02622).

    The box of FPI. For each pair of neighbors, the stronger of (1 − α)∇x and α∇y is the guidance of a Poisson equation,
    with x around the box; the result is clipped to the range of x, and the target is α in the box. α ~ U(0.05, 0.95)
    is the ``opacity``. See `PasteTransform` for what all recipes have in common.

    Raises:
        ValueError: A setting is not allowed, or there is no other image in the batch.

    Example:
        >>> import torch
        >>> PIITransform().augment(torch.rand(4, 1, 64, 64)).label
        tensor([1, 1, 1, 1])
    """

    recipe = PII


class NSATransform(PasteTransform):
    """Clone up to three resized patches of another image into the foreground (NSA; Schlüter et al., arXiv 2109.15222).

    The authors' settings for chest radiographs. Patches come from one other image, are resized, placed where enough of
    their foreground falls on foreground, and cloned by the rule of OpenCV's MIXED_CLONE. The target is a logistic
    function of the intensity change. `anatpaste_aug.paste.recipes` lists differences from the authors' code. See
    `PasteTransform` for what all recipes have in common.

    Raises:
        ValueError: A setting is not allowed, or there is no other image in the batch.

    Example:
        >>> import torch
        >>> result = NSATransform().augment(torch.rand(4, 1, 64, 64))
        >>> result.target.shape, result.params.patches
        (torch.Size([4, 1, 64, 64]), 3)
    """

    recipe = NSA
