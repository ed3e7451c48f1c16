"""Every random number of one call as tensors: one row per image, one column per patch."""

from typing import NamedTuple

import torch
from torch import Tensor

from anatpaste_aug.precision import to_float64


class PasteParams(NamedTuple):
    """The parameters of one call: B×K on the images' device for K patches per image, lengths in pixels.

    ``augment(images, params=params)`` repeats the call bit for bit.

    Attributes:
        apply: bool. False leaves the patch out.
        donor: int64. Index of the image that the patch is cut from; the image's own index for ``source="same"``.
        source_top: int64. First row of what is cut.
        source_left: int64. First column of what is cut.
        height: int64. Height of what is cut.
        width: int64. Width of what is cut.
        scaled_height: int64. Height after resizing, else ``height``.
        scaled_width: int64. Width after resizing, else ``width``.
        angle: float32. Rotation in degrees, counter-clockwise.
        top: int64. First row of the bounding box of the resized and rotated patch; negative outside the image.
        left: int64. Its first column, likewise.
        ellipse: bool. The drawn shape: True for an ellipse, False for a rectangle.
        margin: int64. Distance of the drawn shape from the patch's edges.
        opacity: float32. Value of the shape, in [0, 1].
        sigma: float32. Standard deviation of the blur.
        brightness: float32. Factor of the color jitter.
        contrast: float32. Factor of the color jitter.
        saturation: float32. Factor of the color jitter.
        hue: float32. Shift of the hue, in turns.
        jitter_order: int64 B×K×4. Order of brightness (0), contrast (1), saturation (2) and hue (3).
        anywhere: bool. Whether the shape is not multiplied by the region.
        fallback: bool. Whether ``anywhere`` is set because the image's region is empty.
    """

    apply: Tensor
    donor: Tensor
    source_top: Tensor
    source_left: Tensor
    height: Tensor
    width: Tensor
    scaled_height: Tensor
    scaled_width: Tensor
    angle: Tensor
    top: Tensor
    left: Tensor
    ellipse: Tensor
    margin: Tensor
    opacity: Tensor
    sigma: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    jitter_order: Tensor
    anywhere: Tensor
    fallback: Tensor

    @property
    def patches(self) -> int:
        """The number of patches K."""
        return self.apply.shape[1]

    def rows(self, index: slice | Tensor) -> "PasteParams":
        """Select the parameters of some of the images. Their donors keep their indices."""
        return PasteParams(*(field[index] for field in self))

    def patch(self, k: int) -> "PasteParams":
        """Select the k-th patch of each image: B rows, without the dimension of the patches."""
        return PasteParams(*(field[:, k] for field in self))


def dtype_of(name: str) -> torch.dtype:
    """Return the dtype of a field of `PasteParams`."""
    if name in ("apply", "ellipse", "anywhere", "fallback"):
        return torch.bool
    real = ("angle", "opacity", "sigma", "brightness", "contrast", "saturation", "hue")
    return torch.float32 if name in real else torch.int64


def rotated_size(height: Tensor, width: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Return the size of the bounding box of a rotated rectangle, as in ``PIL.Image.rotate(angle, expand=True)``.

    Args:
        height: int64, in pixels.
        width: int64 of the same shape, in pixels.
        angle: Floating point of the same shape, in degrees.

    Returns:
        Height and width, int64. An even side stays even and an odd one odd, so that the center stays aligned with the
        pixels. This also holds for multiples of 90°, for which Pillow transposes the patch, so that its result can be a
        pixel smaller.

    Example:
        >>> import torch
        >>> rotated_size(torch.tensor([10]), torch.tensor([4]), torch.tensor([45.0]))
        (tensor([10]), tensor([10]))
    """
    radians = to_float64(angle).deg2rad()
    cosine, sine = radians.cos().abs(), radians.sin().abs()
    exact_height, exact_width = to_float64(height), to_float64(width)

    def grown(side: Tensor, given: Tensor, extent: Tensor) -> Tensor:
        return side + 2 * ((extent - given) / 2).ceil().long().to(side.device)

    return (
        grown(height, exact_height, exact_height * cosine + exact_width * sine),
        grown(width, exact_width, exact_width * cosine + exact_height * sine),
    )
