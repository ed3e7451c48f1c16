"""Lungs in axial CT slices."""

import math
from functools import partial

from torch import Tensor

from anatpaste_aug.functional import (
    clear_border,
    close_disk,
    fill_holes,
    keep_largest,
    opening,
    remove_small_components,
    to_gray,
)
from anatpaste_aug.functional.intensity import at_least_float32
from anatpaste_aug.segmentation.base import SegmenterModule, Step, in_steps
from anatpaste_aug.validation import check_count, check_intensities, check_number


class CTLungSegmenter(SegmenterModule):
    """Lungs in axial CT slices: the air inside the body.

    Hounsfield units → air is below the threshold → the body is the largest component of the rest, after an opening 3×3
    that separates it from the table, with its holes filled → air outside the body is removed → components that touch
    the image's border are removed → small components (trachea, airways, most bowel gas) are removed → vessels are
    filled by a closing with a disk, and holes are filled. Nothing is learned and nothing is random.

    Convention:
        * in: B×1×H×W floating point in Hounsfield units; other units by ``slope`` and ``intercept`` or `from_window`
        * out: boolean B×1×H×W on the same device; never differentiable
        * lengths and areas are in pixels at 256×256 and scale with the image
        * a lung that is cut off at the image's border is removed

    Args:
        threshold: In Hounsfield units. Lung is about −850, soft tissue about 0; consolidations are left out.
        slope: HU = slope · value + intercept; DICOM's RescaleSlope.
        intercept: See ``slope``; DICOM's RescaleIntercept.
        min_size: The smallest component of air that stays.
        keep: Keep this many of the largest components; None keeps all.
        closing: Radius of the disk that closes vessels.

    Raises:
        ValueError: A setting is invalid; the message names it and what is allowed.

    Example:
        >>> import torch
        >>> y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
        >>> body, lungs = (x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, ((x.abs() - 0.4) / 0.25) ** 2 + (y / 0.4) ** 2 < 1
        >>> hu = torch.where(lungs, -850.0, torch.where(body, 40.0, -1000.0)).view(1, 1, 128, 128)
        >>> torch.equal(CTLungSegmenter()(hu)[0, 0], lungs)
        True
        >>> from anatpaste_aug import AnatPasteTransform
        >>> result = AnatPasteTransform(segmenter=CTLungSegmenter(), value_range=(-1024, 3071)).augment(hu)
        >>> torch.equal(result.region_mask, lungs.view(1, 1, 128, 128))
        True
    """

    def __init__(
        self,
        *,
        threshold: float = -400.0,
        slope: float = 1.0,
        intercept: float = 0.0,
        min_size: float = 200.0,
        keep: int | None = None,
        closing: float = 3.0,
    ) -> None:
        super().__init__()
        self.threshold = check_number("threshold", threshold)
        self.slope = check_number("slope", slope)
        if self.slope <= 0:
            raise ValueError(f"slope must be above 0, got {slope!r}; invert the images first")
        self.intercept = check_number("intercept", intercept)
        self.min_size = check_number("min_size", min_size, 0)
        self.keep = None if keep is None else check_count("keep", keep)
        self.closing = check_number("closing", closing, 0, 256)

    @classmethod
    def from_window(
        cls, level: float, width: float, value_range: tuple[float, float] = (0.0, 1.0), **settings: float
    ) -> "CTLungSegmenter":
        """Make a segmenter for images that a display window has mapped to ``value_range``.

        Args:
            level: The middle of the window in Hounsfield units, as DICOM's WindowCenter; −600 is usual for lungs.
            width: Its width, as DICOM's WindowWidth; 1500 is usual for lungs.
            value_range: The values at the window's ends: (0, 1), or (0, 255) for uint8 images.
            **settings: Arguments of `CTLungSegmenter` except ``slope`` and ``intercept``.

        Raises:
            ValueError: The threshold lies outside the window, so that air and tissue have the same value.

        Example:
            >>> CTLungSegmenter.from_window(-600, 1500, (0, 255)).slope
            5.882352941176471
        """
        limits, _, _ = check_intensities(value_range, None, None)
        black, white = limits or (0.0, 1.0)
        check_number("level", level)
        if check_number("width", width) <= 0:
            raise ValueError(f"width must be above 0, got {width!r}")
        slope = width / (white - black)
        segmenter = cls(slope=slope, intercept=level - width / 2 - slope * black, **settings)  # type: ignore[arg-type]
        if not level - width / 2 < segmenter.threshold < level + width / 2:
            raise ValueError(
                f"the window from {level - width / 2:g} to {level + width / 2:g} HU must contain the threshold, "
                f"got threshold={segmenter.threshold:g}"
            )
        return segmenter

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        gray = to_gray(images)
        scale = math.sqrt(gray.shape[1] * gray.shape[2]) / 256
        air = at_least_float32(gray) * self.slope + self.intercept < self.threshold

        def inside_the_body(tissue: Tensor, return_converged: bool) -> tuple[Tensor, Tensor]:
            body, converged = in_steps(opening(tissue), keep_largest, fill_holes)
            return body[:, 0] & air, converged

        def closed(lungs: Tensor, return_converged: bool) -> tuple[Tensor, Tensor]:
            return fill_holes(close_disk(lungs, self.closing * scale), return_converged=True)

        steps: list[Step] = [inside_the_body, clear_border]
        steps.append(partial(remove_small_components, min_size=self.min_size * scale**2))
        if self.keep is not None:
            steps.append(partial(keep_largest, count=self.keep))
        return in_steps(~air, *steps, closed)

    def extra_repr(self) -> str:
        names = ["threshold", "slope", "intercept", "min_size", "keep", "closing"]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
